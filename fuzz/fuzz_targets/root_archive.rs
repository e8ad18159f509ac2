#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kitchen::base::fuzz_root_archive(bytes));
