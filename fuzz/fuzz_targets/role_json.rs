#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| nodes::fuzz_role_json(bytes));
