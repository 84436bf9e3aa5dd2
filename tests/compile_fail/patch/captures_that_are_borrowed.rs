//! A layer may outlive whoever pushed it, so it captures nothing that is borrowed; a scope as well.
use signalpost::patch::patch_points;

patch_points! { mod number { fn get() -> u32 { 1 } } }

fn main() {
    let here = 7;
    let _layer = number::slots::get.push(Box::new(|| here));
    let _replaced = number::slots::get.with(Box::new(|| here));
}
