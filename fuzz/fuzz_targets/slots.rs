//! libFuzzer's door to `signalpost_fuzz::slots`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| signalpost_fuzz::slots(data));
#[cfg(not(fuzzing))]
fn main() {}
