//! Must fail: without the check the decoder panics within seconds. A harness that finds nothing here finds nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| airlane_fuzz::stock(input));
