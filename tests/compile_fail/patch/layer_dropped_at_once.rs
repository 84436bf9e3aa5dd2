//! A layer, a replacement for a scope or a guard that is not kept does nothing.
#![deny(unused_must_use)]
use signalpost::patch::{Scope, patch_points};

patch_points! { mod number { fn get() -> u32 { 1 } } }

fn main() {
    number::slots::get.push(Box::new(|| 2));
    number::slots::get.with(Box::new(|| 2));
    let scope = Scope::new([]).unwrap();
    scope.enter();
    scope.wrap(async {});
}
