#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cookbook::fuzz_cookbooks_lock(bytes));
