#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstnextvision::runtime::fuzzing::settings_cache(bytes));
