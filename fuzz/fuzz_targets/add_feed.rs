#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstnextvision::runtime::fuzzing::add_feed(bytes));
