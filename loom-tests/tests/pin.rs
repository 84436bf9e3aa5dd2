//! The marks: nested reads, slots that come, go and change hands.

use signalpost_core::SharedCell;
use signalpost_loom_tests::page::turn;
use signalpost_loom_tests::{Page, Tally, all, at_thread_end, join, model, preemptions, spawn};
use std::sync::Arc;

fn end<const N: usize>(cells: [Arc<SharedCell<Page>>; N], tally: &Tally) {
    for cell in cells {
        drop(Arc::into_inner(cell).expect("the threads have ended"));
    }
    tally.assert_all_dropped();
}

/// Replaces the page and frees the old one, if nobody can be reading it; looks twice.
fn replace(cell: &SharedCell<Page>, tally: &Tally) {
    turn(cell, 2, tally);
    cell.collect();
    cell.collect();
}

#[test]
fn a_reader_that_comes_back_is_not_taken_for_the_one_before() {
    model(all().at_least(900), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let theirs = cell.clone();
        let reader = spawn(move || {
            theirs.read(Page::number);
            theirs.read(Page::number);
        });
        replace(&cell, &tally);
        reader.join().unwrap();
        end([cell], &tally);
    });
}

#[test]
fn an_outer_read_outlives_inner_reads_elsewhere() {
    model(all().at_least(700), || {
        let tally = Tally::new();
        let (ours, other) = (Page::in_a_cell(1, &tally), Page::in_a_cell(1, &tally));
        let (theirs, others) = (ours.clone(), other.clone());
        let reader = spawn(move || {
            theirs.read(|page| {
                others.read(Page::number);
                page.number()
            });
        });
        replace(&ours, &tally);
        reader.join().unwrap();
        end([ours, other], &tally);
    });
}

#[test]
fn an_outer_read_outlives_inner_writes_elsewhere() {
    model(all().at_least(3_000), || {
        let tally = Tally::new();
        let (ours, other) = (Page::in_a_cell(1, &tally), Page::in_a_cell(1, &tally));
        let (theirs, others, theirs_too) = (ours.clone(), other.clone(), tally.clone());
        let reader = spawn(move || {
            theirs.read(|page| {
                replace(&others, &theirs_too);
                page.number()
            });
        });
        replace(&ours, &tally);
        reader.join().unwrap();
        end([ours, other], &tally);
    });
}

#[test]
fn an_inner_read_is_seen_by_its_own_writer() {
    model(all().at_least(2_000), || {
        let tally = Tally::new();
        let (outer, inner) = (Page::in_a_cell(1, &tally), Page::in_a_cell(1, &tally));
        let (theirs, others) = (outer.clone(), inner.clone());
        let reader = spawn(move || {
            theirs.read(|outer| {
                others.read(Page::number);
                others.read(Page::number);
                outer.number()
            });
        });
        replace(&inner, &tally);
        reader.join().unwrap();
        end([outer, inner], &tally);
    });
}

#[test]
fn a_reader_deeper_than_its_words_is_seen() {
    fn nested(deep: u32, other: &SharedCell<Page>, ours: &SharedCell<Page>) {
        if deep == 0 {
            ours.read(Page::number);
            ours.read(Page::number);
        } else {
            other.read(|_| nested(deep - 1, other, ours));
        }
    }
    model(preemptions(3).at_least(2_000), || {
        let tally = Tally::new();
        let (ours, other) = (Page::in_a_cell(1, &tally), Page::in_a_cell(1, &tally));
        let (theirs, others) = (ours.clone(), other.clone());
        let reader = spawn(move || nested(7, &others, &theirs));
        replace(&ours, &tally);
        reader.join().unwrap();
        end([ours, other], &tally);
    });
}

#[test]
fn a_slot_pushed_during_a_scan() {
    model(preemptions(3).at_least(4_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let readers = [(); 2].map(|()| {
            let cell = cell.clone();
            spawn(move || {
                cell.read(Page::number);
            })
        });
        replace(&cell, &tally);
        join(readers);
        end([cell], &tally);
    });
}

#[test]
fn a_slot_goes_from_thread_to_thread() {
    model(preemptions(3).at_least(4_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let readers = [(); 2].map(|()| {
            let cell = cell.clone();
            spawn(move || {
                cell.read(Page::number);
                at_thread_end(|| ());
            })
        });
        replace(&cell, &tally);
        join(readers);
        end([cell], &tally);
    });
}

#[test]
fn a_thread_that_gave_its_slot_back_takes_another() {
    model(preemptions(3).at_least(8_000), || {
        let tally = Tally::new();
        let cell = Page::in_a_cell(1, &tally);
        let theirs = cell.clone();
        let ending = spawn(move || {
            let late = theirs.clone();
            at_thread_end(move || {
                late.read(Page::number);
            });
        });
        let theirs = cell.clone();
        let beginning = spawn(move || {
            theirs.read(Page::number);
        });
        replace(&cell, &tally);
        ending.join().unwrap();
        beginning.join().unwrap();
        end([cell], &tally);
    });
}
