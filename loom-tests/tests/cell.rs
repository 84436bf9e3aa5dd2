//! The cell: what readers see, what writers lose, when a snapshot is freed.

use signalpost_core::{SharedCell, SnapshotCell};
use signalpost_loom_tests::page::{add_bits, empty, turn};
use signalpost_loom_tests::{Annex, Page, Tally, all, join, model, preemptions, spawn};
use std::sync::Arc;
use std::time::Duration;

/// Drops the cell, which nobody else has any more: with it goes everything that was ever in it.
fn end(cell: Arc<SharedCell<Page>>, tally: &Tally) {
    drop(Arc::into_inner(cell).expect("the threads have ended"));
    tally.assert_all_dropped();
}

#[test]
fn a_pinned_snapshot_is_never_freed() {
    model(all().at_least(50), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let theirs = cell.clone();
        let reader = spawn(move || theirs.read(Page::number));
        turn(&cell, 2, &tally);
        cell.collect();
        reader.join().unwrap();
        end(cell, &tally);
    });
}

#[test]
fn of_two_readers_both_are_seen() {
    model(preemptions(3).at_least(20_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let readers = [(); 2].map(|()| {
            let cell = cell.clone();
            spawn(move || cell.read(Page::number))
        });
        for number in 2..=3 {
            turn(&cell, number, &tally);
            cell.collect();
        }
        join(readers);
        end(cell, &tally);
    });
}

#[test]
fn a_snapshot_is_freed_after_its_last_reader() {
    model(all().at_least(50), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let theirs = cell.clone();
        let reader = spawn(move || theirs.read(Page::number));
        turn(&cell, 2, &tally);
        cell.collect();
        reader.join().unwrap();
        cell.collect();
        assert_eq!((cell.retired(), tally.dropped()), (0, 1), "the old one is gone, and no other");
        end(cell, &tally);
    });
}

#[test]
fn a_wait_ends_when_no_reader_of_an_older_snapshot_is_left() {
    model(preemptions(3).at_least(6_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let annex = Arc::new(Annex::default());
        let readers = [(); 2].map(|()| {
            let (cell, annex) = (cell.clone(), annex.clone());
            spawn(move || {
                cell.read(|page| {
                    if page.number() == 1 {
                        annex.look();
                    }
                })
            })
        });
        turn(&cell, 2, &tally);
        cell.synchronize(Duration::MAX).expect("readers leave");
        annex.take_back();
        join(readers);
        end(cell, &tally);
    });
}

#[test]
fn a_publish_sees_one_whole_snapshot() {
    model(all().at_least(10_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let theirs = cell.clone();
        let reader = spawn(move || {
            let numbers = [(); 2].map(|()| theirs.read(Page::number).expect("never empty"));
            assert!(numbers.is_sorted(), "a later read saw an older snapshot: {numbers:?}");
        });
        for number in 2..=3 {
            turn(&cell, number, &tally);
            cell.collect();
        }
        reader.join().unwrap();
        assert_eq!(cell.read(Page::number), Some(3));
        end(cell, &tally);
    });
}

#[test]
fn concurrent_updates_lose_nothing() {
    model(all().at_least(1_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(0, &tally);
        let (theirs, theirs_too) = (cell.clone(), tally.clone());
        let writer = spawn(move || add_bits(&theirs, 1, &theirs_too));
        add_bits(&cell, 2, &tally);
        writer.join().unwrap();
        assert_eq!(cell.read(Page::number), Some(3));
        end(cell, &tally);
    });
}

#[test]
fn three_writers_one_of_them_lagging() {
    fn write(cell: &SharedCell<Page>, bit: u32, tally: &Tally) {
        add_bits(cell, bit, tally);
        let seen = cell.read(Page::number).expect("never empty");
        assert!(seen & bit != 0, "a writer does not see its own write");
    }
    model(preemptions(2).at_least(30_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(0, &tally);
        let writers = [1, 2].map(|bit| {
            let (cell, tally) = (cell.clone(), tally.clone());
            spawn(move || write(&cell, bit, &tally))
        });
        write(&cell, 4, &tally);
        join(writers);
        assert_eq!(cell.read(Page::number), Some(7));
        end(cell, &tally);
    });
}

#[test]
fn a_writer_copies_from_a_live_snapshot() {
    model(preemptions(3).at_least(2_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(0, &tally);
        let (theirs, theirs_too) = (cell.clone(), tally.clone());
        let writer = spawn(move || add_bits(&theirs, 1, &theirs_too));
        add_bits(&cell, 2, &tally);
        cell.collect();
        writer.join().unwrap();
        assert_eq!(cell.read(Page::number), Some(3));
        end(cell, &tally);
    });
}

#[test]
fn a_slow_change_does_not_undo_a_later_emptying() {
    model(all().at_least(500), || {
        let tally = Tally::new();
        let cell = SharedCell::new();
        let (theirs, theirs_too) = (cell.clone(), tally.clone());
        let slow = spawn(move || turn(&theirs, 1, &theirs_too));
        let emptied = empty(&cell);
        if emptied {
            assert_eq!(cell.read(Page::number), None, "what was taken out is back");
        }
        slow.join().unwrap();
        assert_eq!(cell.is_empty(), emptied);
        assert_eq!(cell.read(Page::number).is_none(), emptied);
        end(cell, &tally);
    });
}

#[test]
fn a_change_that_finds_its_work_done_helps_whoever_did_it() {
    fn emptied(cell: &SharedCell<Page>) {
        empty(cell);
        assert_eq!(cell.read(Page::number), None, "read after it was taken out");
    }
    model(all().at_least(30), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let theirs = cell.clone();
        let first = spawn(move || emptied(&theirs));
        emptied(&cell);
        first.join().unwrap();
        end(cell, &tally);
    });
}

#[test]
fn a_cell_born_late_is_seen_whole() {
    model(all().at_least(10), || {
        let tally = Tally::new();
        let cell = Arc::new(SnapshotCell::new());
        let theirs = cell.clone();
        let reader = spawn(move || theirs.read(Page::number));
        turn(&cell.shared(), 1, &tally);
        reader.join().unwrap();
        drop(Arc::into_inner(cell).expect("the threads have ended"));
        tally.assert_all_dropped();
    });
}

#[test]
fn of_two_cells_born_late_one_is_kept() {
    model(preemptions(3).at_least(2_000), || {
        let tally = Tally::new();
        let cell = Arc::new(SnapshotCell::new());
        let (theirs, theirs_too) = (cell.clone(), tally.clone());
        let writer = spawn(move || add_bits(&theirs.shared(), 1, &theirs_too));
        add_bits(&cell.shared(), 2, &tally);
        writer.join().unwrap();
        assert_eq!(cell.read(Page::number), Some(3));
        drop(Arc::into_inner(cell).expect("the threads have ended"));
        tally.assert_all_dropped();
    });
}

#[test]
fn a_cell_ends_while_a_handle_writes() {
    model(preemptions(2).at_least(9_000), || {
        let tally = Tally::new();
        let cell = SnapshotCell::new();
        let handle = cell.shared();
        turn(&handle, 1, &tally);
        let (theirs, theirs_too) = (handle.clone(), tally.clone());
        let writer = spawn(move || {
            theirs.update(|old| (old.number() == 1).then(|| Page::new(2, &theirs_too)));
            theirs.collect();
        });
        drop(cell); // a write, which leaves it empty
        writer.join().unwrap();
        assert!(handle.is_empty());
        end(handle, &tally);
    });
}
