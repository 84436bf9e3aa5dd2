//! A slot has one type, so its function takes no `impl Trait`.
use signalpost::patch::patch_points;

patch_points! { mod generic { fn show(value: impl Sized) {} } }

fn main() {}
