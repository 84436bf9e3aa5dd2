//! One subscriber's memory: its captures, the latch that says that they are gone, who frees the block.

use signalpost_core::{About, Anchor, Life, Newcomer};
use signalpost_loom_tests::{Annex, Tally, all, model, spawn, until};
use std::panic::Location;
use std::sync::Arc;

/// Captured: when it is dropped, nobody looks at the annex any more.
struct Owner(Arc<Annex>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.look();
    }
}

fn subscriber(tally: &Tally, annex: &Arc<Annex>) -> (Newcomer, Anchor) {
    let (canary, owner) = (tally.canary(), Owner(annex.clone()));
    let about = About {
        channel: 0,
        priority: 0,
        name: None,
        location: Location::caller(),
        paused: false,
        self_ending: false,
    };
    Newcomer::new::<u32, (), _>(about, move |_: &Life, _: &u32| {
        canary.assert_alive();
        owner.0.look();
        Ok(())
    })
}

#[test]
fn a_latch_says_that_the_captures_are_gone() {
    model(all().at_least(6), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let (newcomer, anchor) = subscriber(&tally, &annex);
        let owner = spawn(move || drop(newcomer));
        until(|| anchor.is_gone());
        tally.assert_all_dropped();
        annex.take_back();
        owner.join().unwrap();
    });
}

#[test]
fn a_block_is_freed_by_the_second_to_leave() {
    model(all().at_least(2), || {
        let (tally, annex) = (Tally::new(), Arc::new(Annex::default()));
        let (newcomer, anchor) = subscriber(&tally, &annex);
        let owner = spawn(move || drop(newcomer));
        drop(anchor);
        owner.join().unwrap();
        tally.assert_all_dropped();
    });
}
