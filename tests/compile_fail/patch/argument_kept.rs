//! What a function borrows, a replacement cannot keep.
use signalpost::patch::patch_points;
use std::sync::Mutex;

patch_points! { mod line { fn write(text: &str) { println!("{text}") } } }

fn main() {
    let kept: &'static Mutex<Vec<&'static str>> = Box::leak(Box::default());
    let _layer = line::slots::write.push(Box::new(|text| kept.lock().unwrap().push(text)));
}
