#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| airlane_fuzz::frames(input));
