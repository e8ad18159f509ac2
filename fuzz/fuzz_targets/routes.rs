#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| proxy::fuzz_routes(bytes));
