#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| release::fuzz_requirements(bytes));
