//! What a trace shows to have been tried: operations and their outcomes, and where they were done.

use crate::program::{Op, Program};
use crate::trace::{Line, Trace};
use std::collections::BTreeSet;

/// A line that others lie in, until one comes that is no deeper.
struct Around {
    depth: usize,
    /// What it is called as a place.
    place: &'static str,
    /// The operation or step, if it is one.
    what: &'static str,
}

/// Pairs of an operation, or a step of an edit, and how it ended; and of a place and an operation done there.
pub(crate) fn happened(program: &Program, trace: &Trace) -> BTreeSet<(&'static str, &'static str)> {
    let mut all = BTreeSet::new();
    let mut around: Vec<Around> = Vec::new();
    for (depth, line) in &trace.lines {
        let depth = *depth;
        // An end stands as deep as its beginning, and is looked up there.
        let over = |inner: &Around| match line {
            Line::End(_) => inner.depth > depth,
            _ => inner.depth >= depth,
        };
        while around.last().is_some_and(over) {
            around.pop();
        }
        let outer = around.last();
        let (place, what) = match line {
            Line::Op { at, .. } => {
                let op = program.op(*at);
                all.insert((outer.map_or("at the top", |outer| outer.place), op.kind()));
                let place = match op {
                    Op::PublishWith { .. } => "in the making of an event",
                    Op::Scope { .. } => "in a scope",
                    _ => "in an operation",
                };
                (place, op.kind())
            }
            Line::Step { at, step, .. } => {
                let Op::Edit { steps, .. } = program.op(*at) else { continue };
                all.insert(("in an edit", steps[*step].kind()));
                ("in a step of an edit", steps[*step].kind())
            }
            Line::End(outcome) | Line::Said(outcome) => {
                all.extend(outer.map(|outer| (outer.what, outcome.kind())));
                continue;
            }
            Line::Run { undo: false, .. } => ("in a call", ""),
            Line::Run { undo: true, .. } => ("in an undo", ""),
            Line::Dropped { .. } => ("in a destructor", ""),
            Line::TargetDropped { .. } => ("in a target's destructor", ""),
        };
        around.push(Around { depth, place, what });
    }
    all
}
