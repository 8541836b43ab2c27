#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gstnextvision::inference::fuzzing::decode_classifier(bytes));
