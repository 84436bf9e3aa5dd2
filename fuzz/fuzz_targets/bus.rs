//! libFuzzer's door to `signalpost_fuzz::bus`.
#![cfg_attr(fuzzing, no_main)]
#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| signalpost_fuzz::bus(data));
#[cfg(not(fuzzing))]
fn main() {}
