//! `lab registration`: what it costs to register many subscribers, and to cancel them.
//!
//! Owns those measurements and their targets. Handles are kept, as a program that wants its
//! subscribers to live does; making room for the handles is not counted.

use crate::{
    bus,
    crew::{cores_apart, pin_to},
    progress::Progress,
    scenario::{Event, SharedSubscriber, Tick, subscriber},
    stats::{self, Shuffler, Spread, median},
    stop,
    table::{Cell, Colour, Table, Tone, counted, grouped},
    target::Target,
};
use serde::Serialize;
use signalpost::{Bus, Dispatcher, Subscription};
use std::{
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Subscribers to register.
    pub count: usize,
    /// How often to do it all.
    pub repeats: usize,
    /// Bytes that the calling thread has taken from the heap and not given back.
    pub heap: fn() -> isize,
}

/// What came out; times in seconds for all subscribers together.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Subscribers registered.
    pub count: usize,
    /// How often.
    pub repeats: usize,
    /// Registered one by one.
    pub one_by_one_s: Spread,
    /// The same while another thread publishes without pause.
    pub while_publishing_s: Spread,
    /// Publishes of the other thread meanwhile, in all repeats.
    pub publishes_meanwhile: u64,
    /// All in one `edit`.
    pub one_edit_s: Spread,
    /// Cancelled one by one, oldest first.
    pub cancelled_s: Spread,
    /// Cancelled one by one, in random order.
    pub cancelled_shuffled_s: Spread,
    /// Pushed on a `Mutex<Vec<Arc<dyn Fn>>>`, to compare.
    pub mutex_vec_s: Spread,
    /// One registration to one type of a bus that has no other, averaged over 1,000.
    pub on_an_empty_bus_s: Spread,
    /// The same beside 10,000 handlers of 1,000 other types.
    pub on_a_crowded_bus_s: Spread,
    /// The second by the first, repeat by repeat.
    pub crowded_by_empty: Spread,
    /// Heap bytes a subscriber, less the closure's own box; as requested, without the allocator's.
    pub bytes_each: f64,
    /// The bytes of that box.
    pub closure_bytes: usize,
    /// The bytes of one handle, wherever the program keeps it.
    pub handle_bytes: usize,
    /// What these sum up, repeat by repeat.
    #[serde(skip)]
    pub samples: Samples,
}

/// The samples of all repeats; times in seconds, named as in [`Outcome`].
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// For all subscribers.
    pub one_by_one: Vec<f64>,
    /// For all subscribers.
    pub while_publishing: Vec<f64>,
    publishes_meanwhile: u64,
    /// For all subscribers.
    pub one_edit: Vec<f64>,
    /// For all subscribers.
    pub cancelled: Vec<f64>,
    /// For all subscribers.
    pub cancelled_shuffled: Vec<f64>,
    /// For all subscribers.
    pub mutex_vec: Vec<f64>,
    /// For one subscriber.
    pub empty_bus: Vec<f64>,
    /// For one subscriber.
    pub crowded_bus: Vec<f64>,
    /// Of one subscriber.
    pub bytes_each: Vec<f64>,
}

impl Settings {
    /// Measures everything.
    pub fn run(&self, progress: &Progress) -> Outcome {
        progress.start(self.repeats as u64);
        progress.step(&format!("registering {}", counted(self.count, "subscriber")));
        let mut samples = Samples::default();
        thread::scope(|scope| {
            let measuring = scope.spawn(|| {
                pin_to(cores_apart().first().copied());
                for repeat in stop::rounds(self.repeats) {
                    self.one_by_one(&mut samples);
                    self.one_edit(repeat as u64, &mut samples);
                    self.while_publishing(&mut samples);
                    self.mutex_vec(&mut samples);
                    on_buses(&mut samples);
                    progress.advance();
                }
            });
            measuring.join().expect("registering does not panic");
        });
        progress.finish();
        Outcome {
            count: self.count,
            repeats: samples.one_by_one.len(),
            one_by_one_s: Spread::of(&samples.one_by_one),
            while_publishing_s: Spread::of(&samples.while_publishing),
            publishes_meanwhile: samples.publishes_meanwhile,
            one_edit_s: Spread::of(&samples.one_edit),
            cancelled_s: Spread::of(&samples.cancelled),
            cancelled_shuffled_s: Spread::of(&samples.cancelled_shuffled),
            mutex_vec_s: Spread::of(&samples.mutex_vec),
            on_an_empty_bus_s: Spread::of(&samples.empty_bus),
            on_a_crowded_bus_s: Spread::of(&samples.crowded_bus),
            crowded_by_empty: Spread::of(&stats::ratios(&samples.crowded_bus, &samples.empty_bus)),
            bytes_each: median(&samples.bytes_each),
            closure_bytes: closure_bytes(),
            handle_bytes: size_of::<Subscription>(),
            samples,
        }
    }

    fn one_by_one(&self, samples: &mut Samples) {
        let dispatcher = Dispatcher::new();
        let mut handles = Vec::with_capacity(self.count);
        let before = (self.heap)();
        samples.one_by_one.push(seconds(|| self.register(&dispatcher, &mut handles)));
        let taken = (self.heap)() - before;
        samples.bytes_each.push(taken as f64 / self.count as f64 - closure_bytes() as f64);
        samples.cancelled.push(seconds(|| cancel(&handles)));
    }

    fn one_edit(&self, seed: u64, samples: &mut Samples) {
        let dispatcher = Dispatcher::<Tick>::new();
        let mut handles = Vec::with_capacity(self.count);
        samples.one_edit.push(seconds(|| {
            dispatcher.edit(|edit| {
                handles.extend((0..self.count as u64).map(|salt| edit.subscribe(subscriber(salt))));
            });
        }));
        Shuffler::new(seed).shuffle(&mut handles);
        samples.cancelled_shuffled.push(seconds(|| cancel(&handles)));
    }

    fn while_publishing(&self, samples: &mut Samples) {
        let dispatcher = Dispatcher::new();
        let mut handles = Vec::with_capacity(self.count);
        let (started, registered) = (Barrier::new(2), AtomicBool::new(false));
        thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                pin_to(cores_apart().get(1).copied());
                started.wait();
                let mut publishes = 0;
                while !registered.load(Relaxed) {
                    dispatcher.publish(Tick::EVENT).expect("no subscriber of the lab stops an event");
                    publishes += 1;
                }
                publishes
            });
            started.wait();
            samples.while_publishing.push(seconds(|| self.register(&dispatcher, &mut handles)));
            registered.store(true, Relaxed);
            samples.publishes_meanwhile += publishing.join().expect("publishing does not panic");
        });
        // Cancelled in one swap: their time is not this measurement's.
        dispatcher.edit(|edit| edit.clear());
    }

    fn mutex_vec(&self, samples: &mut Samples) {
        let list: Mutex<Vec<SharedSubscriber<Tick>>> = Mutex::default();
        samples.mutex_vec.push(seconds(|| {
            for salt in 0..self.count as u64 {
                list.lock().expect("nothing panics under it").push(Arc::new(subscriber(salt)));
            }
        }));
    }

    fn register(&self, dispatcher: &Dispatcher<Tick>, handles: &mut Vec<Subscription>) {
        for salt in 0..self.count as u64 {
            handles.push(dispatcher.subscribe(subscriber(salt)));
        }
    }
}

/// In turns, so that what disturbs the machine falls on both.
fn on_buses(samples: &mut Samples) {
    let (empty, crowded) = (Bus::new(), bus::crowded());
    let (mut on_empty, mut on_crowded) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        on_empty.push(bus::registration(&empty, 100).as_secs_f64());
        on_crowded.push(bus::registration(&crowded, 100).as_secs_f64());
    }
    samples.empty_bus.push(median(&on_empty));
    samples.crowded_bus.push(median(&on_crowded));
}

fn cancel(handles: &[Subscription]) {
    let cancelled = handles.iter().filter(|handle| handle.cancel()).count();
    assert_eq!(cancelled, handles.len(), "every subscription was active");
}

fn closure_bytes() -> usize {
    size_of_val(&subscriber::<Tick>(0))
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

impl Outcome {
    /// What registering must reach. The limits are for 100,000 subscribers and grow in proportion.
    pub fn targets(&self) -> Vec<Target> {
        let share = self.count as f64 / 100_000.0;
        let what = |rest| format!("{} {rest}", counted(self.count, "subscriber"));
        let ms = |what, seconds: f64, limit: f64| Target::at_most(what, seconds * 1e3, limit * share, "ms");
        vec![
            ms(what("registered one by one"), self.one_by_one_s.median, 500.0),
            Target::at_most(what("registered, heap each"), self.bytes_each, 160.0, "B"),
            ms(what("registered in one edit"), self.one_edit_s.median, 30.0),
            ms(what("cancelled one by one"), self.cancelled_s.median, 1500.0),
            Target::at_most(
                "registered on a bus with 10,000 handlers of other types, times an empty bus",
                self.crowded_by_empty.median,
                3.0,
                "",
            ),
        ]
    }

    /// The table of this outcome.
    pub fn report(&self, colour: Colour) -> String {
        let title = format!("Registering {}", counted(self.count, "subscriber"));
        let mut table = Table::headed(["", "milliseconds", "µs each", "lowest..highest"]);
        for (what, spread) in [
            ("one by one, handles kept", self.one_by_one_s),
            ("one by one while another thread publishes", self.while_publishing_s),
            ("in one edit", self.one_edit_s),
            ("cancelled one by one, oldest first", self.cancelled_s),
            ("cancelled one by one, in random order", self.cancelled_shuffled_s),
            ("pushed on a Mutex<Vec<Arc<dyn Fn>>>, to compare", self.mutex_vec_s),
        ] {
            table.row([
                what.into(),
                format!("{:.1}", spread.median * 1e3).into(),
                format!("{:.3}", spread.median * 1e6 / self.count as f64).into(),
                Cell::toned(Tone::Quiet, format!("{:.1}..{:.1}", spread.min * 1e3, spread.max * 1e3)),
            ]);
        }
        for (what, spread) in [
            ("to one type of an empty bus", self.on_an_empty_bus_s),
            ("the same beside 10,000 handlers of other types", self.on_a_crowded_bus_s),
        ] {
            table.row([
                what.into(),
                "".into(),
                format!("{:.3}", spread.median * 1e6).into(),
                Cell::toned(Tone::Quiet, format!("{:.3}..{:.3} µs", spread.min * 1e6, spread.max * 1e6)),
            ]);
        }
        format!(
            "\n{}\n{}  Heap: {:.1} B a subscriber over its closure's {} B; a handle is {} B more \
             where it is kept.\n  Median of {}; {} publishes went on while registering.\n",
            colour.paint(Tone::Good, &title),
            table.render(colour),
            self.bytes_each,
            self.closure_bytes,
            self.handle_bytes,
            self.repeats,
            grouped(self.publishes_meanwhile as usize),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_registering_is_measured_and_judged() {
        let outcome = Settings { count: 200, repeats: 2, heap: || 0 }.run(&Progress::silent());
        assert!(outcome.one_by_one_s.min > 0.0 && outcome.cancelled_shuffled_s.min > 0.0);
        assert_eq!(outcome.targets().len(), 5);
        assert!(outcome.report(Colour(false)).contains("Registering 200 subscribers"));
    }

    #[test]
    fn limits_shrink_with_the_count() {
        let spread = Spread { median: 0.1, min: 0.1, max: 0.1 };
        let outcome = Outcome {
            count: 10_000,
            repeats: 1,
            one_by_one_s: spread,
            while_publishing_s: spread,
            publishes_meanwhile: 0,
            one_edit_s: spread,
            cancelled_s: spread,
            cancelled_shuffled_s: spread,
            mutex_vec_s: spread,
            on_an_empty_bus_s: spread,
            on_a_crowded_bus_s: spread,
            crowded_by_empty: Spread { median: 3.5, min: 3.0, max: 4.0 },
            bytes_each: 160.0,
            closure_bytes: 8,
            handle_bytes: 32,
            samples: Samples::default(),
        };
        let met: Vec<_> = outcome.targets().iter().map(|target| target.met).collect();
        assert_eq!(met, [false, true, false, true, false]);
    }
}
