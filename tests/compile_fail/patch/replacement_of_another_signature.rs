//! A replacement takes and gives what the function does.
use signalpost::patch::patch_points;

patch_points! { mod sum { fn add(a: u32, b: u32) -> u32 { a + b } } }

fn main() {
    let _layer = sum::slots::add.push(Box::new(|a: u32, b: u64| a + b as u32));
    let _other = sum::sig::add(|a| a);
}
