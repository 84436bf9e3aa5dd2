//! Retired snapshots: who frees them, and when nobody may.

use signalpost_core::{SharedCell, Snapshot, WaitError};
use signalpost_loom_tests::page::{empty, turn};
use signalpost_loom_tests::{Page, Tally, all, model, preemptions, refuse_barriers_from, spawn};
use std::sync::Arc;
use std::time::Duration;

fn end(cell: Arc<SharedCell<Page>>, tally: &Tally) {
    drop(Arc::into_inner(cell).expect("the threads have ended"));
    tally.assert_all_dropped();
}

#[test]
fn what_one_writer_retires_another_collects() {
    model(all().at_least(800), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let (theirs, theirs_too) = (cell.clone(), tally.clone());
        let writer = spawn(move || turn(&theirs, 2, &theirs_too));
        cell.collect();
        writer.join().unwrap();
        cell.collect();
        assert_eq!(cell.retired(), 0);
        end(cell, &tally);
    });
}

#[test]
fn two_collectors_free_each_snapshot_once() {
    model(preemptions(3).at_least(1_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        turn(&cell, 2, &tally);
        turn(&cell, 3, &tally);
        let theirs = cell.clone();
        let reader = spawn(move || theirs.read(Page::number));
        let theirs = cell.clone();
        let collector = spawn(move || theirs.collect());
        let ours = cell.collect();
        reader.join().unwrap();
        // Three pages before the newest: the first, empty one too.
        assert!(ours + collector.join().unwrap() <= 3);
        cell.collect();
        assert_eq!((cell.retired(), tally.dropped()), (0, 2));
        end(cell, &tally);
    });
}

#[test]
fn a_cell_changed_inside_its_own_read_is_collected_at_the_outermost_leave() {
    model(all().at_least(20), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let (theirs, theirs_too) = (cell.clone(), tally.clone());
        let writer = spawn(move || {
            theirs.read(|page| {
                turn(&theirs, 2, &theirs_too);
                theirs.collect();
                page.number()
            });
        });
        cell.read(Page::number);
        writer.join().unwrap();
        cell.collect();
        assert_eq!((cell.retired(), tally.dropped()), (0, 1));
        end(cell, &tally);
    });
}

/// A page whose last reader drops it.
#[derive(Default)]
struct Awaited(Page);

impl Snapshot for Awaited {
    type Context = ();
    type Part = ();
    const LAST_READER_DROPS: bool = true;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[test]
fn the_last_reader_drops_what_was_replaced() {
    model(all().at_least(20_000), || {
        let tally = Tally::new();
        let cell = awaited(&tally);
        let theirs = cell.clone();
        let reader = spawn(move || theirs.read(|Awaited(page)| page.number()));
        cell.update(|_| Some(Awaited::default()));
        cell.collect();
        reader.join().unwrap();
        // By whoever was last: nobody collects after the two.
        assert_eq!((cell.retired(), tally.dropped()), (0, 1));
        drop(cell);
        tally.assert_all_dropped();
    });
}

/// A cell with page 1 and nothing that was replaced.
fn awaited(tally: &Tally) -> Arc<SharedCell<Awaited>> {
    let cell = SharedCell::<Awaited>::new();
    cell.update(|_| Some(Awaited(Page::new(1, tally))));
    cell.collect();
    cell
}

#[test]
fn the_last_of_two_readers_drops_what_was_replaced() {
    model(preemptions(3).at_least(1_000), || {
        let tally = Tally::new();
        let cell = awaited(&tally);
        let readers = [cell.clone(), cell.clone()]
            .map(|theirs| spawn(move || theirs.read(|Awaited(page)| page.number())));
        cell.update(|_| Some(Awaited::default()));
        cell.collect();
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!((cell.retired(), tally.dropped()), (0, 1));
        drop(cell);
        tally.assert_all_dropped();
    });
}

#[test]
fn a_reader_that_replaces_what_another_is_in_leaves_nothing() {
    model(preemptions(3).at_least(500), || {
        let tally = Tally::new();
        let cell = awaited(&tally);
        let theirs = cell.clone();
        let reader = spawn(move || {
            // Inside itself: the inner leave is not the last.
            theirs.read(|_| theirs.read(|Awaited(page)| page.number()))
        });
        cell.read(|_| {
            cell.update(|_| Some(Awaited::default()));
            cell.collect();
        });
        reader.join().unwrap();
        assert_eq!((cell.retired(), tally.dropped()), (0, 1));
        drop(cell);
        tally.assert_all_dropped();
    });
}

#[test]
fn of_two_collectors_and_a_reader_the_last_drops_what_was_replaced() {
    model(preemptions(3).at_least(1_000), || {
        let tally = Tally::new();
        let cell = awaited(&tally);
        let theirs = cell.clone();
        let reader = spawn(move || theirs.read(|Awaited(page)| page.number()));
        let (theirs, page) = (cell.clone(), Page::new(2, &tally));
        let page = std::sync::Mutex::new(Some(page));
        let writer = spawn(move || {
            theirs.update(|_| page.lock().unwrap().take().map(Awaited));
            theirs.collect();
        });
        cell.collect();
        writer.join().unwrap();
        reader.join().unwrap();
        // Page 1, which was replaced by page 2.
        assert_eq!((cell.retired(), tally.dropped()), (0, 1));
        drop(cell);
        tally.assert_all_dropped();
    });
}

#[test]
fn a_heavy_barrier_that_fails_frees_nothing() {
    model(all().at_least(20), || {
        refuse_barriers_from(2);
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        cell.collect(); // the empty page; the one barrier that works
        let theirs = cell.clone();
        let reader = spawn(move || theirs.read(Page::number));
        turn(&cell, 2, &tally);
        cell.collect();
        if cfg!(signalpost_loom) {
            assert_eq!((cell.retired(), tally.dropped()), (1, 0), "kept for good");
            assert_eq!(cell.synchronize(Duration::ZERO), Err(WaitError::BarrierLost));
        }
        assert_eq!(cell.read(Page::number), Some(2), "readers stay right");
        empty(&cell);
        reader.join().unwrap();
        end(cell, &tally); // nobody is left to read
    });
}
