//! A plain function captures nothing: there is nowhere to keep it.
use signalpost::patch::patch_points;

patch_points! { mod number { fn get() -> u32 { 1 } } }

fn main() {
    let seven = 7;
    let _layer = number::slots::get.push_fn(move || seven);
}
