#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kitchen::kitchen_file::fuzz_kitchen_file(bytes));
