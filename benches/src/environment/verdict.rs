//! What this machine can and cannot measure, in words.
//!
//! Owns the questions and the limits between yes and no; each answer says why. Not here: the figures (`system.rs`, `probe.rs`).

use super::{probe::Probe, system::System};
use crate::table::{counted, nanoseconds};
use serde::Serialize;

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// The question: the same words on every machine.
    pub about: &'static str,
    /// Yes or no; none where the system does not say what it depends on.
    pub can: Option<bool>,
    /// The answer, with its reason, and what to do about it.
    pub words: String,
}

/// Every answer, in the order of the questions.
pub fn verdicts(system: &System, probe: &Probe, release: bool) -> Vec<Verdict> {
    let mut verdicts = vec![medians(probe, release), latencies(probe)];
    let spin = &probe.spin;
    verdicts.extend([
        tail("p99 at a fixed rate", spin.floor_p99_ns, probe),
        tail("p99.9 at a fixed rate", spin.floor_p999_ns, probe),
        tail("p99.99 at a fixed rate", spin.floor_p9999_ns, probe),
        scaling(system, probe),
        quiet(system, probe),
        days(system),
        instructions(system),
        counters(system),
        barrier(system),
    ]);
    verdicts
}

/// Batches of the same work may be further apart than this, of a hundred, before medians mean little.
const REPEATS_WITHIN_PERCENT: f64 = 5.0;

fn medians(probe: &Probe, release: bool) -> Verdict {
    let Probe { publish_ns, repeats_within_percent: within, pinning, .. } = probe;
    let apart = publish_ns * within / 100.0;
    let mut words = format!(
        "half of the batches of one publish ({} ns, 16 subscribers) lie within {within:.1} %: in one process, differences below {} ns are \
         noise until there are many rounds",
        nanoseconds(*publish_ns),
        nanoseconds(apart.max(0.1)),
    );
    if !pinning {
        words += "; threads cannot be bound to cores here and move between them";
    }
    if !release {
        words += "; and this lab was built without optimisation: use --release";
    }
    Verdict { about: "medians of a publish", can: Some(release && *within <= REPEATS_WITHIN_PERCENT), words }
}

/// A look at the clock may cost or step so much before latencies of single publishes mean little.
const CLOCK_NS: f64 = 100.0;

fn latencies(probe: &Probe) -> Verdict {
    let (cost, step) = (probe.clock_cost_ns, probe.clock_step_ns);
    Verdict {
        about: "latencies of single publishes",
        can: Some(cost <= CLOCK_NS && step as f64 <= CLOCK_NS),
        words: format!(
            "a look at the clock costs {} ns and steps by {step} ns, and every latency has about two looks in it: differences below \
             {} ns do not show",
            nanoseconds(cost),
            nanoseconds((2.0 * cost).max(step as f64)),
        ),
    }
}

/// What the machine may add to a percentile before it says more of the machine than of a path.
const FLOOR_NS: u64 = 1_000;

fn tail(about: &'static str, floor_ns: u64, probe: &Probe) -> Verdict {
    let spin = &probe.spin;
    let seconds = spin.took_ns as f64 / 1e9;
    let (often, longest) = (spin.gaps_over_10us as f64 / seconds, microseconds(spin.longest_gap_ns));
    let can = floor_ns <= FLOOR_NS;
    let words = match can {
        true => format!(
            "while it was tried, the machine alone added {} to it: it is the path's",
            microseconds(floor_ns)
        ),
        false => format!(
            "not below {}: the machine takes a spinning thread away {often:.0} times a second for more than 10 µs, and {longest} at most",
            microseconds(floor_ns),
        ),
    };
    Verdict { about, can: Some(can), words }
}

fn microseconds(ns: u64) -> String {
    format!("{} µs", (ns as f64 / 1e3 * 10.0).round() / 10.0)
}

fn scaling(system: &System, probe: &Probe) -> Verdict {
    let (at_once, threads) = (probe.cores_at_once, probe.threads_at_once);
    let mut limits = vec![threads, system.cores_allowed, at_once.round().max(1.0) as usize];
    let mut reasons = vec![format!(
        "{} bound to a core each got {at_once:.1} cores' worth of work done",
        counted(threads, "thread")
    )];
    if let Some(cores) = system.cores_apart {
        limits.push(cores);
        if cores < threads {
            reasons.push(format!("{} share {}", counted(threads, "hardware thread"), counted(cores, "core")));
        }
    }
    if let Some(quota) = system.quota_cores {
        limits.push((quota.floor() as usize).max(1));
        reasons.push(format!("a control group grants {quota} cores' worth of time"));
    }
    let most = limits.into_iter().min().unwrap_or(1);
    let reasons = reasons.join("; ");
    Verdict {
        about: "scaling over publishers",
        can: Some(most > 1),
        words: match most {
            1 => format!(
                "not beyond 1 publisher, and a second thread that registers takes turns with it: {reasons}"
            ),
            most => {
                format!("up to {most} publishers, {} beside a thread that registers: {reasons}", most - 1)
            }
        },
    }
}

fn quiet(system: &System, probe: &Probe) -> Verdict {
    let cores = system.cores_allowed as f64;
    let busy = system.load.is_some_and(|load| load > 0.5 * cores);
    let stolen = probe.steal_percent.is_some_and(|percent| percent >= 1.0);
    let mut words = match system.load {
        Some(load) => format!("load {load:.1} on {}", counted(system.cores_allowed, "core")),
        None => "the system does not say how busy it is".to_owned(),
    };
    if let Some(percent) = probe.steal_percent {
        words += &format!("; its host gave {percent:.1} % of its time to others");
    }
    if let Some(times) = probe.spin.switched_away {
        words += &format!("; a spinning thread had to leave its core {}", counted(times as usize, "time"));
    }
    if busy || stolen {
        words += ": read ratios of what was measured in turns, not nanoseconds";
    }
    let known = system.load.is_some() || probe.steal_percent.is_some();
    Verdict { about: "nanoseconds, undisturbed by others", can: known.then_some(!busy && !stolen), words }
}

fn days(system: &System) -> Verdict {
    let fixed = system.governor.as_deref().map(|governor| governor == "performance");
    let steady = match (fixed, system.boost) {
        (Some(true), Some(false)) => Some(true),
        (Some(false), _) | (_, Some(true)) => Some(false),
        _ => None,
    };
    let governor = system.governor.as_deref().unwrap_or("unknown");
    let boost = match system.boost {
        Some(true) => "on",
        Some(false) => "off",
        None => "unknown",
    };
    let mut words = format!("frequency governor {governor}, boost {boost}");
    if system.virtual_machine == Some(true) {
        words += ", and a virtual machine, whose host may be another tomorrow";
    }
    let machine = system.virtual_machine == Some(true);
    let can = if machine { steady.map(|_| false) } else { steady };
    words += match can {
        Some(true) => ": files of different days can be compared",
        _ => ": measure both sides of a comparison in one run, in turns (lab compare --ab)",
    };
    Verdict { about: "nanoseconds of different days", can, words }
}

fn instructions(system: &System) -> Verdict {
    let words = match &system.valgrind {
        Some(version) => format!("{version} is installed: lab count, exact whatever else the machine does"),
        None => "no valgrind: apt-get, dnf, pacman, apk or brew install valgrind on Linux; there is none for Windows nor for Macs with an \
                 Apple processor"
            .to_owned(),
    };
    Verdict { about: "instruction counts", can: Some(system.valgrind.is_some()), words }
}

fn counters(system: &System) -> Verdict {
    let (can, words) = match (system.counters, system.perf_event_paranoid) {
        (Some(false), _) => (
            Some(false),
            "the kernel shows no counters of the processor; virtual machines often have none".to_owned(),
        ),
        (Some(true), Some(level @ ..=2)) => {
            (Some(true), format!("perf_event_paranoid is {level}: perf stat -- lab …"))
        }
        (Some(true), Some(level)) => (
            Some(false),
            format!(
                "perf_event_paranoid is {level}: sysctl kernel.perf_event_paranoid=2 lets a process count itself"
            ),
        ),
        _ => (None, "the system does not say".to_owned()),
    };
    Verdict { about: "cycles and cache misses (perf)", can, words }
}

fn barrier(system: &System) -> Verdict {
    let words = match (system.barrier.as_str(), system.membarrier) {
        ("membarrier", _) => "signalpost uses membarrier(2): its readers run no fence".to_owned(),
        (other, Some(true)) => {
            format!(
                "the kernel has membarrier(2), but it is refused: signalpost uses a {other}; a sandbox may forbid the call"
            )
        }
        (other, _) => format!("no membarrier(2): signalpost uses a {other}, some nanoseconds more a publish"),
    };
    Verdict { about: "signalpost at its fastest", can: Some(system.barrier == "membarrier"), words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::probe::Spin;

    fn good() -> (System, Probe) {
        let system = System {
            cores_online: Some(8),
            cores_allowed: 8,
            cores_apart: Some(8),
            governor: Some("performance".to_owned()),
            boost: Some(false),
            virtual_machine: Some(false),
            load: Some(0.1),
            perf_event_paranoid: Some(2),
            counters: Some(true),
            membarrier: Some(true),
            barrier: "membarrier".to_owned(),
            valgrind: Some("valgrind-3.19.0".to_owned()),
            ..System::default()
        };
        let probe = Probe {
            pinning: true,
            clock_cost_ns: 20.0,
            clock_step_ns: 10,
            spin: Spin { took_ns: 200_000_000, switched_away: Some(0), ..Spin::default() },
            cores_at_once: 7.9,
            threads_at_once: 8,
            publish_ns: 25.0,
            repeats_within_percent: 0.8,
            steal_percent: Some(0.0),
        };
        (system, probe)
    }

    fn answer(about: &str, system: &System, probe: &Probe) -> (Option<bool>, String) {
        let verdicts = verdicts(system, probe, true);
        let verdict = verdicts.into_iter().find(|verdict| verdict.about == about);
        verdict.map(|verdict| (verdict.can, verdict.words)).expect("the question is asked")
    }

    #[test]
    fn a_machine_without_faults_can_measure_everything() {
        let (system, probe) = good();
        for verdict in verdicts(&system, &probe, true) {
            assert_eq!(verdict.can, Some(true), "{verdict:?}");
        }
        assert!(
            answer("scaling over publishers", &system, &probe).1.contains("up to 8 publishers, 7 beside")
        );
        assert_eq!(verdicts(&system, &probe, false)[0].can, Some(false), "a debug build");
    }

    #[test]
    fn a_machine_that_takes_threads_away_cannot_measure_what_is_below_that() {
        let (system, mut probe) = good();
        probe.spin =
            Spin { gaps_over_10us: 20, longest_gap_ns: 4_000_000, floor_p9999_ns: 150_000, ..probe.spin };
        let (can, words) = answer("p99.99 at a fixed rate", &system, &probe);
        assert!(
            can == Some(false) && words.contains("not below 150 µs") && words.contains("100 times a second"),
            "{words}"
        );
        assert!(words.contains("4000 µs at most"), "{words}");
        assert_eq!(answer("p99 at a fixed rate", &system, &probe).0, Some(true));
        probe.steal_percent = Some(3.0);
        assert_eq!(answer("nanoseconds, undisturbed by others", &system, &probe).0, Some(false));
    }

    #[test]
    fn cores_that_are_shared_or_rationed_do_not_scale() {
        let (system, probe) = good();
        let scaling = |system: &System, probe: &Probe| answer("scaling over publishers", system, probe).1;
        let siblings = System { cores_apart: Some(4), ..system.clone() };
        assert!(scaling(&siblings, &probe).contains("8 hardware threads share 4 cores"));
        let rationed = System { quota_cores: Some(1.5), ..system.clone() };
        assert!(scaling(&rationed, &probe).starts_with("not beyond 1 publisher"));
        let crowded = Probe { cores_at_once: 2.2, ..probe };
        assert!(scaling(&system, &crowded).starts_with("up to 2 publishers"));
    }

    #[test]
    fn what_the_system_does_not_say_is_neither_yes_nor_no() {
        let (_, probe) = good();
        let silent = System { cores_allowed: 8, barrier: "fence".to_owned(), ..System::default() };
        let probe = Probe { steal_percent: None, ..probe };
        for about in [
            "nanoseconds of different days",
            "cycles and cache misses (perf)",
            "nanoseconds, undisturbed by others",
        ] {
            assert_eq!(answer(about, &silent, &probe).0, None, "{about}");
        }
        assert!(answer("instruction counts", &silent, &probe).1.contains("install valgrind"));
        assert_eq!(answer("signalpost at its fastest", &silent, &probe).0, Some(false));
    }

    #[test]
    fn nanoseconds_of_another_day_are_not_those_of_today_where_the_frequency_changes() {
        let (system, probe) = good();
        let about = "nanoseconds of different days";
        assert_eq!(answer(about, &System { boost: Some(true), ..system.clone() }, &probe).0, Some(false));
        let saving = System { governor: Some("powersave".to_owned()), ..system.clone() };
        assert_eq!(answer(about, &saving, &probe).0, Some(false));
        assert_eq!(answer(about, &System { virtual_machine: Some(true), ..system }, &probe).0, Some(false));
    }
}
