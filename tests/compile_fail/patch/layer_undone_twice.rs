//! What was undone, or kept for good, is not undone again.
use signalpost::patch::patch_points;

patch_points! { mod number { fn get() -> u32 { 1 } } }

fn main() {
    let layer = number::slots::get.push(Box::new(|| 2));
    layer.undo();
    layer.undo();
    let kept = number::slots::get.push(Box::new(|| 2));
    kept.keep();
    drop(kept);
}
