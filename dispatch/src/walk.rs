//! The one loop: runs the subscribers of one snapshot in order, and stops, collects, or undoes.
//!
//! Owns how a publish goes through a list. Not here: how the list stays valid (core), what a once or weak subscriber
//! does when it is called (`register.rs`).

use crate::error::{Stopped, Undone};
use signalpost_core::sync::local;
use signalpost_core::{Callee, Member, Run, SubscriberId, Subscribers};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs them until one returns an error, and says whether none did; who did is told.
///
/// Apart for lists of one run: so that in the common case nothing but the calls is in the publisher's code, and nothing
/// larger than a register is moved.
#[inline(always)]
pub(crate) fn until_stopped<E: ?Sized, X>(
    subscribers: &Subscribers<E, X>,
    event: &E,
    told: impl FnMut(Stopped<X>),
) -> bool {
    match subscribers.single_run() {
        Some(run) => run_until_stopped(subscribers, run, event, told),
        None => runs_until_stopped(subscribers, event, told),
    }
}

#[inline(always)]
pub(crate) fn run_until_stopped<E: ?Sized, X>(
    subscribers: &Subscribers<E, X>,
    run: Run<'_, E, X>,
    event: &E,
    told: impl FnMut(Stopped<X>),
) -> bool {
    match run.call_until_error(event) {
        Ok(()) => true,
        Err((callee, error)) => {
            stopped_by(subscribers, callee, error, told);
            false
        }
    }
}

#[inline(never)]
fn runs_until_stopped<E: ?Sized, X>(
    subscribers: &Subscribers<E, X>,
    event: &E,
    mut told: impl FnMut(Stopped<X>),
) -> bool {
    subscribers.runs().all(|run| run_until_stopped(subscribers, run, event, &mut told))
}

/// Looks for the place, so that the loop need not count.
#[cold]
#[inline(never)]
fn stopped_by<E: ?Sized, X>(
    subscribers: &Subscribers<E, X>,
    callee: Callee<'_, E, X>,
    error: X,
    mut told: impl FnMut(Stopped<X>),
) {
    let position = subscribers.place_of(callee);
    let member = subscribers.nth(position).expect("it was found there");
    told(stopped_at(subscribers, member, position, error));
}

fn stopped_at<E: ?Sized, X>(
    subscribers: &Subscribers<E, X>,
    member: Member<'_, E, X>,
    position: usize,
    error: X,
) -> Stopped<X> {
    let subscriber = member.name();
    #[cfg(feature = "sticky")]
    let subscriber = crate::sticky::who(subscriber);
    Stopped { error, subscriber, position, not_run: subscribers.len() - position - 1 }
}

/// Runs every one, and collects what they return.
pub(crate) fn all<E: ?Sized, X>(subscribers: &Subscribers<E, X>, event: &E) -> Vec<(SubscriberId, X)> {
    let mut errors = Vec::new();
    for member in subscribers.iter() {
        if let Err(error) = member.call(event) {
            errors.push((member.name().id, error));
        }
    }
    errors
}

/// How a subscriber that may skip itself (once, weak) is being called, and what it did. Looked at for those alone, which
/// set it last thing, so that what publishes nested inside them left there is never taken for theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// It is to run if it has not ended; it ran.
    Run,
    /// It did not run.
    Skipped,
    /// It ran for the event that is being undone, and is to run for the undo.
    Undo,
}

local!(static CALL: Cell<Call> = Cell::new(Call::Run));

/// Leaves a word for the subscriber or the walk, and says what was there.
pub(crate) fn say(call: Call) -> Call {
    CALL.try_with(|there| there.replace(call)).unwrap_or(Call::Run)
}

/// Runs them until one returns an error or panics; then tells those that ran to undo, newest first.
pub(crate) fn or_undo<E: ?Sized, X>(
    subscribers: &Subscribers<E, X>,
    event: &E,
    undo: &E,
) -> Result<(), Undone<X>> {
    let mut ran = Bits::new(subscribers.len());
    for (position, member) in subscribers.iter().enumerate() {
        say(Call::Run);
        let answer = catch_unwind(AssertUnwindSafe(|| member.call(event)));
        let skipped = member.is_paused() || member.is_self_ending() && say(Call::Run) == Call::Skipped;
        match answer {
            Ok(Ok(())) if skipped => {}
            Ok(Ok(())) => ran.set(position),
            Ok(Err(error)) => {
                let stopped = stopped_at(subscribers, member, position, error);
                return Err(Undone { stopped, undo_errors: undo_all(subscribers, &ran, position, undo) });
            }
            Err(panic) => {
                // The first panic goes on; what the undo adds has been reported by the panic hook.
                let _ = catch_unwind(AssertUnwindSafe(|| undo_all(subscribers, &ran, position, undo)));
                resume_unwind(panic);
            }
        }
    }
    Ok(())
}

/// Tells those of the first `end` entries that ran, newest first: all of them, also if one panics; then that panic goes on.
fn undo_all<E: ?Sized, X>(
    subscribers: &Subscribers<E, X>,
    ran: &Bits,
    end: usize,
    undo: &E,
) -> Vec<(SubscriberId, X)> {
    let mut errors = Vec::new();
    let mut panic = None;
    for position in (0..end).rev().filter(|position| ran.get(*position)) {
        let Some(member) = subscribers.nth(position) else { continue };
        if member.is_self_ending() {
            say(Call::Undo);
        }
        match catch_unwind(AssertUnwindSafe(|| member.call(undo))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => errors.push((member.name().id, error)),
            Err(caught) => panic = panic.or(Some(caught)),
        }
    }
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    errors
}

/// Who ran: on the stack for 256 subscribers, on the heap beyond.
#[derive(Debug)]
struct Bits {
    first: [u64; 4],
    rest: Vec<u64>,
}

impl Bits {
    fn new(len: usize) -> Self {
        Self { first: [0; 4], rest: vec![0; len.saturating_sub(256).div_ceil(64)] }
    }

    fn set(&mut self, bit: usize) {
        let (word, mask) = (bit / 64, 1 << (bit % 64));
        match self.first.get_mut(word) {
            Some(first) => *first |= mask,
            None => self.rest[word - 4] |= mask,
        }
    }

    fn get(&self, bit: usize) -> bool {
        let word = self.first.get(bit / 64).unwrap_or_else(|| &self.rest[bit / 64 - 4]);
        word >> (bit % 64) & 1 == 1
    }
}
