//! What a thread says of itself, and the bell that wakes a monitor.
//!
//! The thread is the first one here, and the monitor is spawned: a load by a thread that then stores to the same atomic hides
//! from loom that another thread had looked at it, so nothing would be explored the other way round.

use signalpost_core::Sides;
use signalpost_core::sync::AtomicBool;
use signalpost_core::sync::Ordering::Relaxed;
use signalpost_loom_tests::pulse::{Beat, Bell, Pulse};
use signalpost_loom_tests::{all, join, model, preemptions, refuse_barriers_from, spawn};
use std::sync::Arc;

/// The numbers of the turns are those of the tasks in `runs`. What is seen is a turn's task, or the next one's, which begins.
#[track_caller]
fn assert_its_own(beat: Beat, runs: &[u64]) {
    let turn = usize::try_from(beat.turn).unwrap();
    assert!(runs[turn..].iter().take(2).any(|task| *task == beat.task), "{beat:?} of {runs:?}");
}

#[test]
fn a_silent_turn_names_its_own_task() {
    model(all().at_least(2_000), || {
        let pulse = Arc::new(Pulse::default());
        let theirs = pulse.clone();
        let monitor = spawn(move || theirs.beat());
        for task in 1..=4 {
            pulse.enter(task);
        }
        if let Ok(beat) = monitor.join().unwrap() {
            assert_its_own(beat, &[0, 1, 2, 3, 4]);
        }
        assert_eq!(pulse.beat(), Ok(Beat { turn: 4, task: 4 }));
    });
}

#[test]
fn what_an_inner_task_interrupted_goes_on_as_another_turn() {
    model(preemptions(3).at_least(1_000), || {
        let pulse = Arc::new(Pulse::default());
        let theirs = pulse.clone();
        let monitor = spawn(move || [theirs.beat(), theirs.beat()]);
        let nothing = pulse.enter(7);
        let outer = pulse.enter(8);
        pulse.leave(outer);
        pulse.leave(nothing);
        let looks = monitor.join().unwrap();
        for beat in looks.into_iter().flatten() {
            assert_its_own(beat, &[0, 7, 8, 7, 0]);
        }
        if let [Ok(first), Ok(second)] = looks {
            assert!(first.turn <= second.turn, "{first:?}, then {second:?}");
        }
    });
}

/// A monitor, and whether it sleeps. What `slot.rs` keeps of one.
#[derive(Default)]
struct Sleeper {
    asleep: AtomicBool,
}

impl Sleeper {
    /// As a monitor falls asleep: says so, arms the bell, looks at the thread; true: it sleeps.
    fn sleeps(&self, bell: &Bell, sides: Sides, thread: &Pulse) -> bool {
        self.asleep.store(true, Relaxed);
        let idle = bell.arm(sides) && thread.beat().is_ok_and(|beat| beat.task == 0);
        if !idle {
            self.asleep.store(false, Relaxed);
        }
        idle
    }
}

/// As a thread rings: wakes who sleeps, if the bell was armed.
fn ring(bell: &Bell, sides: Sides, sleepers: &[Arc<Sleeper>]) {
    if bell.is_armed(sides) && bell.disarm() {
        for sleeper in sleepers.iter().filter(|sleeper| sleeper.asleep.load(Relaxed)) {
            sleeper.asleep.store(false, Relaxed);
        }
    }
}

/// What a model of the bell has.
struct Scene {
    bell: Arc<Bell>,
    sides: Sides,
    pulse: Arc<Pulse>,
    sleepers: [Arc<Sleeper>; 2],
}

impl Scene {
    fn new() -> Self {
        let sides = Sides::decide();
        Self { bell: Arc::default(), sides, pulse: Arc::default(), sleepers: Default::default() }
    }

    /// A thread that runs, and rings; and, if it ends, says that too.
    fn thread(&self, ends: bool) -> impl FnOnce() + Send + 'static {
        let (bell, sides, pulse) = (self.bell.clone(), self.sides, self.pulse.clone());
        let sleepers = self.sleepers.clone();
        move || {
            let before = pulse.enter(1);
            ring(&bell, sides, &sleepers);
            if ends {
                pulse.leave(before);
            }
        }
    }

    fn monitor(&self, which: usize) -> impl FnOnce() -> bool + Send + 'static {
        let (bell, sides, pulse) = (self.bell.clone(), self.sides, self.pulse.clone());
        let sleeper = self.sleepers[which].clone();
        move || sleeper.sleeps(&bell, sides, &pulse)
    }

    /// Who sleeps when all has happened, is to be woken by the next one who rings: the bell is armed, and it is seen to sleep.
    fn assert_will_be_woken(&self, which: usize) {
        if self.sleepers[which].asleep.load(Relaxed) {
            assert!(self.bell.is_armed(self.sides), "monitor {which} sleeps, and nobody will ring");
        }
    }
}

#[test]
fn a_monitor_does_not_sleep_while_a_thread_runs() {
    model(all().at_least(50), || {
        let scene = Scene::new();
        let monitor = spawn(scene.monitor(0));
        scene.thread(false)();
        let sleeps = monitor.join().unwrap();
        let woken = sleeps && !scene.sleepers[0].asleep.load(Relaxed);
        assert!(!sleeps || woken, "it sleeps beside a thread that runs");
    });
}

#[test]
fn who_rings_sees_who_sleeps() {
    model(all().at_least(50), || {
        let scene = Scene::new();
        let monitor = spawn(scene.monitor(0));
        scene.thread(true)();
        monitor.join().unwrap();
        scene.assert_will_be_woken(0);
    });
}

#[test]
fn one_monitor_that_arms_the_bell_hides_no_other() {
    model(preemptions(3).at_least(1_000), || {
        let scene = Scene::new();
        let monitors = [0, 1].map(|which| spawn(scene.monitor(which)));
        scene.thread(true)();
        join(monitors);
        scene.assert_will_be_woken(0);
        scene.assert_will_be_woken(1);
    });
}

#[test]
fn of_two_threads_that_ring_one_wakes_all_and_neither_runs_beside_a_sleeper() {
    model(preemptions(3).at_least(500), || {
        let scene = Scene::new();
        // One comes and goes, and may disarm the bell; the other one runs.
        let passing = Arc::new(Pulse::default());
        let (bell, sides, sleepers) = (scene.bell.clone(), scene.sides, scene.sleepers.clone());
        let passes = spawn(move || {
            let before = passing.enter(1);
            ring(&bell, sides, &sleepers);
            passing.leave(before);
        });
        let monitor = spawn(scene.monitor(0));
        scene.thread(false)();
        passes.join().unwrap();
        let sleeps = monitor.join().unwrap();
        let woken = sleeps && !scene.sleepers[0].asleep.load(Relaxed);
        assert!(!sleeps || woken, "it sleeps beside a thread that runs");
    });
}

#[test]
fn nobody_sleeps_where_the_kernel_refuses_the_barrier() {
    model(all().at_least(2), || {
        refuse_barriers_from(1);
        let scene = Scene::new();
        let monitor = spawn(scene.monitor(0));
        scene.thread(false)();
        let sleeps = monitor.join().unwrap();
        assert!(!cfg!(signalpost_loom) || !sleeps, "nothing may be concluded from what it saw");
    });
}
