#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| recipe::fuzz_recipe(bytes));
