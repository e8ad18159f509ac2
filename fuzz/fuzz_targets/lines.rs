#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| shim::fuzz_lines(bytes));
