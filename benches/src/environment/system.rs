//! What the system says about this machine: files of Linux, and none where another system has no such files.
//!
//! Owns which files these are and how they are read. Not here: what can be found out by trying (`probe.rs`), and what it all means
//! (`verdict.rs`).

use crate::crew::cores_apart;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What the system says. A field is none where it does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct System {
    /// The processor's own name.
    pub cpu: String,
    /// Cores that are switched on.
    pub cores_online: Option<usize>,
    /// Cores that this process may use: fewer where a quota or a mask says so.
    pub cores_allowed: usize,
    /// Physical cores among those that this process may be bound to; two threads on one of them share it.
    pub cores_apart: Option<usize>,
    /// Cores' worth of time that a control group grants, if it limits that.
    pub quota_cores: Option<f64>,
    /// What decides about the clock frequency of the first core: `performance`, `powersave`, …
    pub governor: Option<String>,
    /// Whether cores may go above their base frequency.
    pub boost: Option<bool>,
    /// Whether this is a virtual machine.
    pub virtual_machine: Option<bool>,
    /// Which, as its maker calls it.
    pub hypervisor: Option<String>,
    /// Tasks that wanted a core in the last minute.
    pub load: Option<f64>,
    /// What the system's clock counts.
    pub clock_source: Option<String>,
    /// Whether addresses differ from run to run.
    pub aslr: Option<bool>,
    /// What unprivileged processes may count in hardware: at most 2 lets them count themselves.
    pub perf_event_paranoid: Option<i32>,
    /// Whether the processor's counters are there at all.
    pub counters: Option<bool>,
    /// Whether the kernel has `membarrier(2)`, which lets readers do without a fence.
    pub membarrier: Option<bool>,
    /// What signalpost uses: `membarrier` or `fence`.
    pub barrier: String,
    /// valgrind's version, if it is installed.
    pub valgrind: Option<String>,
}

impl System {
    /// Asks this one.
    pub fn this(cpu: &str, barrier: &str, load: Option<f64>) -> Self {
        let linux = cfg!(target_os = "linux");
        let info = fs::read_to_string("/proc/cpuinfo").ok();
        Self {
            cpu: cpu.to_owned(),
            cores_online: line("/sys/devices/system/cpu/online").and_then(|list| count_of(&list)),
            cores_allowed: std::thread::available_parallelism().map_or(1, usize::from),
            cores_apart: physical(),
            quota_cores: fs::read_to_string("/proc/self/cgroup")
                .ok()
                .and_then(|groups| quota(&groups, &line)),
            governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            boost: boost(&line),
            virtual_machine: info.as_deref().and_then(is_virtual),
            hypervisor: hypervisor(&line),
            load,
            clock_source: line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            aslr: line("/proc/sys/kernel/randomize_va_space").map(|text| text != "0"),
            perf_event_paranoid: line("/proc/sys/kernel/perf_event_paranoid")
                .and_then(|text| text.parse().ok()),
            counters: linux.then(has_counters),
            membarrier: line("/proc/sys/kernel/osrelease").and_then(|release| has_membarrier(&release)),
            barrier: barrier.to_owned(),
            valgrind: crate::count::callgrind::version().ok(),
        }
    }
}

/// The first line of a file, if there is one.
fn line(path: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().next().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// How many numbers a list such as `0-3,8` has.
fn count_of(list: &str) -> Option<usize> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (usize, usize) = (from.parse().ok()?, to.parse().ok()?);
        (to >= from).then(|| to - from + 1)
    };
    list.trim().split(',').map(range).sum()
}

/// Physical cores, by which others each of the cores says it shares one with.
fn physical() -> Option<usize> {
    let siblings =
        |core: usize| line(&format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list"));
    let groups: Option<BTreeSet<String>> = cores_apart().iter().map(|core| siblings(core.id)).collect();
    groups.map(|groups| groups.len()).filter(|count| *count > 0)
}

/// Cores' worth of time of the control groups in the text of `/proc/self/cgroup`: the least of the group's and of those around it.
fn quota(groups: &str, line: &dyn Fn(&str) -> Option<String>) -> Option<f64> {
    let upwards = |path: &str| -> Vec<PathBuf> {
        let path = Path::new(path.trim_start_matches('/'));
        path.ancestors().map(Path::to_path_buf).collect()
    };
    let mut quotas = Vec::new();
    for group in groups.lines() {
        let mut parts = group.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        for folder in upwards(path) {
            let folder = folder.display();
            if controllers.is_empty() {
                quotas.extend(
                    line(&format!("/sys/fs/cgroup/{folder}/cpu.max")).and_then(|text| cpu_max(&text)),
                );
            } else if controllers.split(',').any(|name| name == "cpu") {
                let figure = |name: &str| -> Option<f64> {
                    line(&format!("/sys/fs/cgroup/{controllers}/{folder}/{name}"))?.parse().ok()
                };
                let quota = figure("cpu.cfs_quota_us").zip(figure("cpu.cfs_period_us"));
                quotas.extend(
                    quota
                        .filter(|(quota, period)| *quota > 0.0 && *period > 0.0)
                        .map(|(quota, period)| quota / period),
                );
            }
        }
    }
    quotas.into_iter().reduce(f64::min)
}

/// Cores' worth of time in the text of `cpu.max`: microseconds, and in how many; or `max`.
fn cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (period > 0.0).then(|| quota / period)
}

/// Whether cores may go above their base frequency: two drivers say it, in two ways.
fn boost(line: &dyn Fn(&str) -> Option<String>) -> Option<bool> {
    let no_turbo = line("/sys/devices/system/cpu/intel_pstate/no_turbo").map(|text| text == "0");
    no_turbo.or_else(|| line("/sys/devices/system/cpu/cpufreq/boost").map(|text| text == "1"))
}

/// Whether the text of `/proc/cpuinfo` is that of a virtual machine; none where its flags are not those of x86, which say it.
fn is_virtual(info: &str) -> Option<bool> {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'))?.1;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

fn hypervisor(line: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let maker = line("/sys/class/dmi/id/sys_vendor");
    let product = line("/sys/class/dmi/id/product_name");
    let board = [maker, product].into_iter().flatten().collect::<Vec<_>>().join(" ");
    line("/sys/hypervisor/type").or(Some(board).filter(|board| !board.is_empty()))
}

/// Whether the kernel shows counters of a processor: a virtual machine often has none.
fn has_counters() -> bool {
    let devices = fs::read_dir("/sys/bus/event_source/devices").into_iter().flatten().flatten();
    devices.map(|device| device.file_name().to_string_lossy().into_owned()).any(|name| is_of_processor(&name))
}

fn is_of_processor(device: &str) -> bool {
    device == "cpu" || device.starts_with("cpu_") || device.starts_with("armv")
}

/// Whether a kernel of this release has `membarrier` with what signalpost asks of it: since 4.14.
fn has_membarrier(release: &str) -> Option<bool> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some((major, minor) >= (4, 14))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with these files.
    fn files<'a>(files: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
    }

    #[test]
    fn lists_of_cores_are_counted() {
        assert_eq!(["0", "0-3", "0-3,8,10-11\n"].map(count_of), [Some(1), Some(4), Some(7)]);
        assert_eq!(["", "x", "3-1"].map(count_of), [None; 3]);
    }

    #[test]
    fn a_quota_is_the_least_of_the_group_and_those_around_it() {
        let two = files(&[
            ("/sys/fs/cgroup/a/b/cpu.max", "max 100000"),
            ("/sys/fs/cgroup/a/cpu.max", "150000 100000"),
        ]);
        assert_eq!(quota("0::/a/b\n", &two), Some(1.5));
        let one = files(&[
            ("/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "50000"),
            ("/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000"),
            ("/sys/fs/cgroup/cpu//cpu.cfs_quota_us", "-1"),
            ("/sys/fs/cgroup/cpu//cpu.cfs_period_us", "100000"),
        ]);
        assert_eq!(quota("5:memory:/x\n1:cpu:/x\n0::/\n", &one), Some(0.5));
        assert_eq!(quota("0::/\n", &files(&[])), None);
        assert_eq!(["max 100000", "x", "5"].map(cpu_max), [None; 3]);
    }

    #[test]
    fn boost_is_on_when_either_driver_says_so() {
        assert_eq!(boost(&files(&[("/sys/devices/system/cpu/intel_pstate/no_turbo", "0")])), Some(true));
        assert_eq!(boost(&files(&[("/sys/devices/system/cpu/intel_pstate/no_turbo", "1")])), Some(false));
        assert_eq!(boost(&files(&[("/sys/devices/system/cpu/cpufreq/boost", "1")])), Some(true));
        assert_eq!(boost(&files(&[])), None);
    }

    #[test]
    fn a_virtual_machine_is_known_by_its_processors_flags() {
        assert_eq!(is_virtual("processor\t: 0\nflags\t\t: fpu hypervisor sse\n"), Some(true));
        assert_eq!(is_virtual("flags\t\t: fpu sse\n"), Some(false));
        assert_eq!(is_virtual("Features\t: fp asimd\n"), None);
        let maker = files(&[
            ("/sys/class/dmi/id/sys_vendor", "QEMU"),
            ("/sys/class/dmi/id/product_name", "Standard PC"),
        ]);
        assert_eq!(hypervisor(&maker).as_deref(), Some("QEMU Standard PC"));
        assert_eq!(hypervisor(&files(&[])), None);
    }

    #[test]
    fn kernels_and_counters_are_known_by_their_names() {
        assert_eq!(
            ["6.18.44-x", "4.14.0", "4.4.0-1-amd64", "odd"].map(has_membarrier),
            [Some(true), Some(true), Some(false), None]
        );
        assert_eq!(
            ["cpu", "cpu_core", "armv8_pmuv3_0", "software", "breakpoint"].map(is_of_processor),
            [true, true, true, false, false]
        );
    }
}
