//! `SnapshotCell` on its own: read, update, synchronize; with a value that says when it is dropped.

#[path = "../../dispatch/tests/common/mod.rs"]
mod common;

use common::{Drops, Gate, Log, Stay, Token, alone, message, within};
use signalpost::core::{Snapshot, SnapshotCell};
use signalpost::{TooDeep, WaitError};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// A number, and whatever is to be dropped with it. 0 is nothing to read.
#[derive(Default)]
struct Value {
    number: u64,
    tokens: Vec<Arc<Token>>,
}

impl Snapshot for Value {
    type Context = AtomicU32;
    type Part = ();

    fn is_empty(&self) -> bool {
        self.number == 0
    }
}

type Cell = SnapshotCell<Value>;

fn value(number: u64, drops: &Drops) -> Value {
    Value { number, tokens: vec![Arc::new(drops.token())] }
}

/// Replaces whatever is there.
fn set(cell: &Cell, number: u64, drops: &Drops) {
    let token = Arc::new(drops.token());
    assert!(cell.update(|_| Some(Value { number, tokens: vec![token.clone()] })));
}

#[test]
fn a_new_cell_is_empty_and_calls_nobody() {
    let _alone = alone();
    let cell = Cell::new();
    assert!(cell.is_empty() && cell.get().is_none());
    assert_eq!(cell.read(|_| unreachable!("there is nothing")), None::<()>);
    assert_eq!(cell.read_within(64, |_| unreachable!("there is nothing")), Ok(None::<()>));
    assert_eq!((cell.collect(), cell.retired()), (0, 0));
    cell.synchronize(Duration::MAX).unwrap();
    assert!(cell.get().is_none(), "none of these made it");
}

#[test]
fn a_read_sees_the_newest_value() {
    let _alone = alone();
    let (cell, drops) = (Cell::default(), Drops::new());
    for number in 1..100 {
        set(&cell, number, &drops);
        assert_eq!(cell.read(|value| value.number), Some(number));
        assert_eq!(drops.alive(), 1, "the one before is dropped by the writer");
    }
    assert!(!cell.is_empty());
    drop(cell);
    assert_eq!(drops.alive(), 0);
}

#[test]
fn an_empty_value_is_not_read_but_is_kept_like_any_other() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    set(&cell, 1, &drops);
    set(&cell, 0, &drops);
    assert!(cell.is_empty());
    assert_eq!(cell.read(|value| value.number), None);
    assert_eq!(drops.alive(), 1);
    // A change sees the empty value, not a fresh default.
    assert!(cell.update(|old| Some(Value { number: old.tokens.len() as u64, tokens: Vec::new() })));
    assert_eq!(cell.read(|value| value.number), Some(1));
    assert_eq!(drops.alive(), 0);
}

#[test]
fn a_change_that_keeps_installs_and_retires_nothing() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    assert!(!cell.update(|_| None));
    set(&cell, 7, &drops);
    assert!(!cell.update(|old| {
        assert_eq!(old.number, 7);
        None
    }));
    assert_eq!((cell.read(|value| value.number), cell.retired(), drops.alive()), (Some(7), 0, 1));
}

#[test]
fn a_writer_that_only_trims_keeps_no_more_than_a_batch() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    let shared = cell.shared();
    for number in 1..1_000 {
        shared.update(|_| Some(value(number, &drops)));
        shared.trim();
        assert!(cell.retired() <= 64 && drops.alive() <= 65, "{cell:?}");
    }
    assert!(cell.retired() > 1, "by batches, not each time");
    let old = drops.alive() - 1;
    assert_eq!(cell.collect(), old);
    assert_eq!((drops.alive(), cell.retired()), (1, 0));
}

#[test]
fn the_context_belongs_to_the_cell() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    cell.shared().context().store(7, SeqCst);
    set(&cell, 1, &drops);
    assert_eq!(cell.get().unwrap().context().load(SeqCst), 7);
}

#[test]
fn a_reader_keeps_its_value_whatever_is_written_meanwhile() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    set(&cell, 1, &drops);
    cell.read(|outer| {
        for number in 2..200 {
            set(&cell, number, &drops);
            assert_eq!(cell.read(|inner| inner.number), Some(number), "a nested read sees the newest");
            assert_eq!(outer.number, 1);
        }
        assert_eq!(outer.tokens.len(), 1);
        assert_eq!(drops.dropped(), 0, "nothing that this reader could hold");
        assert!(cell.retired() >= 198);
    });
    assert_eq!((drops.alive(), cell.retired()), (1, 0), "collected at the leave of the thread that wrote");
}

#[test]
fn reads_of_many_cells_nest_and_unwind() {
    let _alone = alone();
    let drops = Drops::new();
    let cells: Vec<_> = (0..20).map(|_| Cell::new()).collect();
    cells.iter().zip(1..).for_each(|(cell, number)| set(cell, number, &drops));
    fn sum(cells: &[Cell], at_the_end: &dyn Fn()) -> u64 {
        match cells {
            [] => {
                at_the_end();
                0
            }
            [first, rest @ ..] => {
                let sum = first.read(|value| {
                    let below = sum(rest, at_the_end);
                    assert_eq!(value.tokens.len(), 1, "freed under its reader");
                    below + value.number
                });
                sum.unwrap()
            }
        }
    }
    assert_eq!(sum(&cells, &|| ()), 210);
    let replace_all = || {
        cells.iter().for_each(|cell| set(cell, 100, &drops));
        assert_eq!(drops.dropped(), 0, "all of them are being read");
    };
    assert_eq!(sum(&cells, &replace_all), 210, "each level has the value that it entered with");
    assert_eq!(sum(&cells, &|| ()), 2_000);
    assert_eq!(drops.alive(), 20);
    let panic = catch_unwind(AssertUnwindSafe(|| sum(&cells, &|| resume_unwind(Box::new("innermost")))));
    assert_eq!(message(&*panic.unwrap_err()), "innermost");
    cells.iter().for_each(|cell| cell.synchronize(Duration::MAX).unwrap());
}

#[test]
fn the_limit_is_that_of_the_call() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    set(&cell, 1, &drops);
    fn nest(cell: &Cell, limit: u32, depth: u32) -> (u32, TooDeep) {
        match cell.read_within(limit, |_| nest(cell, limit, depth + 1)) {
            Ok(deeper) => deeper.unwrap(),
            Err(deep) => (depth, deep),
        }
    }
    for limit in [6, 7, 8, 64, 300] {
        assert_eq!(nest(&cell, limit, 0), (limit, TooDeep { depth: limit }));
    }
    // An empty cell is never too deep: it is not entered.
    let empty = Cell::new();
    cell.read(|_| assert_eq!(empty.read_within(1, |_| ()), Ok(None)));
}

#[test]
fn synchronize_waits_for_readers_of_this_cell_alone() {
    let _alone = alone();
    within(|| {
        let (cell, other, drops) = (Arc::new(Cell::new()), Cell::new(), Drops::new());
        set(&cell, 1, &drops);
        set(&other, 1, &drops);
        let stay = Stay::new();
        let (theirs, here) = (cell.clone(), stay.clone());
        let reader = thread::spawn(move || theirs.read(|_| here.here()));
        stay.entered.wait();
        set(&cell, 2, &drops);
        for timeout in [Duration::ZERO, Duration::from_millis(20)] {
            assert_eq!(cell.synchronize(timeout), Err(WaitError::TimedOut));
        }
        assert_eq!((drops.alive(), cell.retired()), (3, 1));
        set(&other, 2, &drops);
        other.synchronize(Duration::MAX).unwrap();
        assert_eq!((drops.alive(), other.retired()), (3, 0));
        stay.leave.open();
        cell.synchronize(Duration::MAX).unwrap();
        assert_eq!((drops.alive(), cell.retired()), (2, 0));
        reader.join().unwrap();
    });
}

#[test]
fn synchronize_inside_a_read_of_the_same_cell_is_an_error_at_once() {
    let _alone = alone();
    within(|| {
        let (cell, other, drops) = (Cell::new(), Cell::new(), Drops::new());
        set(&cell, 1, &drops);
        set(&other, 1, &drops);
        cell.read(|_| {
            assert_eq!(cell.synchronize(Duration::MAX), Err(WaitError::WouldDeadlock));
            assert_eq!(other.synchronize(Duration::MAX), Ok(()));
            other.read(|_| assert_eq!(cell.synchronize(Duration::MAX), Err(WaitError::WouldDeadlock)));
        });
        cell.synchronize(Duration::MAX).unwrap();
    });
}

#[test]
fn synchronize_does_not_wait_for_readers_that_came_later() {
    let _alone = alone();
    within(|| {
        // Readers that follow each other without a gap: were later ones waited for, this would never end.
        let (cell, drops, stop) = (Arc::new(Cell::new()), Drops::new(), Gate::new());
        set(&cell, 1, &drops);
        let relay = |_| {
            let (cell, stop) = (cell.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.is_open() {
                    cell.read(|value| {
                        assert!(value.number > 0);
                        thread::sleep(Duration::from_micros(200));
                    });
                }
            })
        };
        let readers: Vec<_> = (0..8).map(relay).collect();
        for number in 2..100 {
            set(&cell, number, &drops);
            cell.synchronize(Duration::MAX).unwrap();
            assert_eq!(drops.alive(), 1);
        }
        stop.open();
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

#[test]
fn a_change_that_panics_changes_nothing_and_harms_nobody() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    set(&cell, 1, &drops);
    let panic = catch_unwind(AssertUnwindSafe(|| cell.update(|_| resume_unwind(Box::new("change")))));
    assert_eq!(message(&*panic.unwrap_err()), "change");
    set(&cell, 2, &drops);
    assert_eq!((cell.read(|value| value.number), drops.alive()), (Some(2), 1));
    cell.synchronize(Duration::MAX).unwrap();
}

#[test]
fn a_change_may_write_to_the_cell_that_it_changes() {
    let _alone = alone();
    let (cell, drops) = (Cell::new(), Drops::new());
    let mut calls = 0;
    cell.update(|old| {
        calls += 1;
        if calls == 1 {
            set(&cell, 10, &drops);
        }
        Some(Value { number: old.number + 1, tokens: old.tokens.clone() })
    });
    assert_eq!((calls, cell.read(|value| value.number)), (2, Some(11)), "the faster one was not lost");
    assert_eq!(drops.alive(), 1);
}

#[test]
fn no_writer_loses_anothers_change() {
    let _alone = alone();
    within(|| {
        let cell = Arc::new(Cell::new());
        let writer = |_| {
            let cell = cell.clone();
            thread::spawn(move || {
                for _ in 0..5_000 {
                    let add = |old: &Value| Some(Value { number: old.number + 1, tokens: Vec::new() });
                    assert!(cell.update(add));
                }
            })
        };
        let writers: Vec<_> = (0..4).map(writer).collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(cell.read(|value| value.number), Some(20_000));
    });
}

#[test]
fn the_first_write_may_be_made_by_many_threads_at_once() {
    let _alone = alone();
    within(|| {
        for _ in 0..500 {
            let cell = Arc::new(Cell::new());
            let barrier = Arc::new(std::sync::Barrier::new(3));
            let writer = |_| {
                let (cell, barrier) = (cell.clone(), barrier.clone());
                thread::spawn(move || {
                    barrier.wait();
                    cell.update(|old| Some(Value { number: old.number + 1, tokens: Vec::new() }));
                    assert!(cell.read(|value| value.number).is_some());
                })
            };
            let writers: Vec<_> = (0..3).map(writer).collect();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            assert_eq!(cell.read(|value| value.number), Some(3));
        }
    });
}

#[test]
fn a_destructor_may_use_the_cell_and_may_not_wait_for_it() {
    let _alone = alone();
    struct Parting(Log<Result<(), WaitError>>);
    impl Drop for Parting {
        fn drop(&mut self) {
            static OTHER: Cell = Cell::new();
            OTHER.update(|_| Some(Value { number: 1, tokens: Vec::new() }));
            assert_eq!(OTHER.read(|value| value.number), Some(1));
            self.0.push(OTHER.synchronize(Duration::MAX));
        }
    }
    #[derive(Default)]
    struct Holder(Option<Arc<Parting>>);
    impl Snapshot for Holder {
        type Context = ();
        type Part = ();
        fn is_empty(&self) -> bool {
            self.0.is_none()
        }
    }
    let (cell, log) = (SnapshotCell::<Holder>::new(), Log::new());
    let parting = Arc::new(Parting(log.clone()));
    cell.update(|_| Some(Holder(Some(parting.clone()))));
    drop(parting);
    cell.update(|_| Some(Holder::default()));
    assert_eq!(log.take(), [Err(WaitError::WouldDeadlock)]);
}

#[cfg(target_os = "linux")]
#[test]
fn synchronize_says_that_the_barrier_is_lost() {
    let _alone = alone();
    use common::{process::child, seccomp};
    if !seccomp::supported() {
        return;
    }
    let run = child("synchronize_says_that_the_barrier_is_lost", || {
        let (cell, drops) = (Cell::new(), Drops::new());
        set(&cell, 1, &drops);
        if signalpost::stats().barrier != signalpost::Barrier::Membarrier {
            return println!("skipped: readers run fences here, which nobody can take away");
        }
        seccomp::refuse_membarrier();
        assert_eq!(cell.synchronize(Duration::MAX), Err(WaitError::BarrierLost));
        set(&cell, 2, &drops);
        assert_eq!((cell.read(|value| value.number), cell.retired()), (Some(2), 1));
        assert_eq!((cell.collect(), drops.alive()), (0, 2));
        assert!(signalpost::stats().heavy_failures >= 3);
        drop(cell);
        assert_eq!(drops.alive(), 0);
    });
    run.succeeded();
}
