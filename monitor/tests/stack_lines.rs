//! Source lines of a stack, and the functions that were inlined.
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), feature = "dwarf"))]

mod stack_parts;

use stack_parts::{Running, capturer, spins_here, take};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

static INSIDE: AtomicBool = AtomicBool::new(false);

#[inline(always)]
fn is_inlined() {
    INSIDE.store(true, SeqCst);
    for _ in 0..1_000 {
        spins_here(); // the line that is looked for
    }
    INSIDE.store(false, SeqCst);
    black_box(());
}

#[inline(never)]
fn calls_what_is_inlined() {
    is_inlined();
    black_box(());
}

#[test]
fn each_function_has_its_line_also_one_that_was_inlined() {
    let running = Running::start(calls_what_is_inlined);
    let mut capturer = capturer();
    let inside = || INSIDE.load(SeqCst).then(|| take(&mut capturer, &running.target).trace);
    let traces = std::iter::repeat_with(inside).flatten();
    let mut lines = traces.map(|trace| (trace.addresses().len(), trace.frames_with_lines()));
    let (addresses, frames) = lines
        .find(|(_, frames)| {
            frames.iter().any(|f| f.function.as_ref().is_some_and(|f| f.ends_with("is_inlined")))
        })
        .unwrap();
    let at = frames.iter().position(|f| f.function.as_ref().unwrap().ends_with("is_inlined")).unwrap();
    let [inlined, caller] = &frames[at..at + 2] else { panic!("{frames:#?}") };
    let text = include_str!("stack_lines.rs");
    let line = 1 + text.lines().position(|line| line.ends_with("// the line that is looked for")).unwrap();
    assert!(inlined.file.as_ref().unwrap().ends_with("stack_lines.rs"), "{inlined:?}");
    // Of a loop it may be the line before.
    assert!((line - 1..=line).contains(&(inlined.line.unwrap() as usize)), "{inlined:?}");
    assert!(caller.function.as_ref().unwrap().contains("calls_what_is_inlined"), "{caller:?}");
    assert_eq!(inlined.address, caller.address, "one instruction, two functions");
    assert!(frames.len() > addresses);
}
