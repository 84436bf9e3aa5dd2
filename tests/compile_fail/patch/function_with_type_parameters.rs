//! A slot has one type, so its function has no parameters of types.
use signalpost::patch::patch_points;

patch_points! { mod generic { fn show<T>(value: T) -> T { value } } }

fn main() {}
