//! Models of signalpost's concurrency, over its real code: explored by loom, or run as stress tests without it.
//!
//! Owns how a model is run and counted ([`model`]), what notices a freed snapshot ([`Canary`]), and which model notices
//! which planted fault (`plants`). Not here: the models, one file in `tests/` for each thing modelled.
//!
//! # What is explored
//! The atomics, fences and unsafe cells of `core` and `dispatch` as they are, and the monitor's [`pulse`], through one door (`core/src/sync.rs`).
//! arc-swap, which owns the newest snapshot on the write side, is taken at its documented edges (`core/src/owner.rs`);
//! std's `Arc` and the kernel's `membarrier` likewise: a heavy barrier is a sequentially consistent fence on both
//! sides. Every execution of a model is run, or, where the model says so, every one with at most so many
//! preemptions. loom itself leaves out loads that see a store before it is made, and stores older than the last
//! seven of an atomic.
//!
//! # Running
//! `cargo test -p signalpost-loom-tests` runs each model as a stress test on threads, then builds this package again on
//! loom's types and runs each model there, in a process of its own (`tests/exhaustive.rs`). By hand:
//! ```sh
//! RUSTFLAGS="--cfg signalpost_loom" cargo test -p signalpost-loom-tests --features loom --release \
//!     --test cell -- --nocapture a_pinned_snapshot_is_never_freed
//! cargo run -p signalpost-loom-tests --bin weaken -- Light   # plants one fault; all of them without a name
//! ```
//! `SIGNALPOST_LOOM_EXHAUSTIVE=1` lifts the bounds; a model then stops after ten minutes, or `LOOM_MAX_DURATION` seconds,
//! and says so if that was not all. `SIGNALPOST_LOOM=0` leaves the models under loom out.
//!
//! # Writing a model
//! At most five threads with the first. Fences, not `SeqCst` accesses; no plain store beside read-modify-writes on one
//! atomic; no std lock held over an operation of loom's; threads joined before the end. `examples/your_own.rs` checks
//! a user's subscribers in the same way.

#[cfg(all(signalpost_loom, not(feature = "loom")))]
compile_error!("`--cfg signalpost_loom` needs `--features loom` here");

mod canary;
mod model;
pub mod page;
pub mod plants;
// The file itself: the crate around it starts threads and makes statics, which no model can.
#[path = "../../monitor/src/pulse.rs"]
pub mod pulse;
#[cfg(signalpost_loom)]
mod quarantine;
#[cfg(not(signalpost_loom))]
pub mod runner;

pub use canary::{Annex, Canary, Tally};
pub use model::{
    Bounds, all, at_thread_end, block_on, end_rings, join, model, preemptions, refuse_barriers_from, spawn,
    until,
};
pub use page::Page;
