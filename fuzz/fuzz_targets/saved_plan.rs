#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| converge::fuzz_saved_plan(bytes));
