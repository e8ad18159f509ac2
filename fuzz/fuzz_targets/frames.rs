#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| control::fuzz_frames(bytes));
