#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| app::fuzz_app_file(bytes));
