//! Replacements run on any thread that calls the function.
use signalpost::patch::patch_points;
use std::rc::Rc;

patch_points! { mod number { fn get() -> u32 { 1 } } }

fn main() {
    let local = Rc::new(7);
    let _layer = number::slots::get.push(Box::new(move || *local));
}
