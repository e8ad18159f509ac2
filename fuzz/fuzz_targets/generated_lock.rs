#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nodes::fuzz_generated_lock(bytes));
