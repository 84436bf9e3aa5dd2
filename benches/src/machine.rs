//! What the numbers were measured on and with: they mean nothing without it.

use serde::{Deserialize, Serialize};
use std::fs;

/// The machine, the system, the build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's own name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Operating system and architecture.
    pub os: String,
    /// The kernel's release.
    pub kernel: String,
    /// The compiler that built the lab.
    pub rustc: String,
    /// The commit it was built from, with `-dirty` when files differed from it.
    pub commit: String,
    /// `release`, or `debug` with assertions, whose numbers mean nothing.
    pub profile: String,
    /// The target that it was built for, and the compiler's flags besides the profile's.
    #[serde(default)]
    pub flags: String,
    /// How signalpost orders its readers and writers on this system.
    pub barrier: String,
    /// Tasks that wanted a core in the last minute, before the measurement; none where unknown.
    pub load: Option<f64>,
}

impl Machine {
    /// Looks at this one. Asks signalpost to decide about its barrier first.
    pub fn this() -> Self {
        // A registration makes signalpost choose its barrier.
        let dispatcher = signalpost::Dispatcher::<()>::new();
        drop(dispatcher.subscribe(|()| {}));
        Self {
            cpu: cpu(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            rustc: env!("LAB_RUSTC").to_owned(),
            commit: env!("LAB_COMMIT").to_owned(),
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            flags: env!("LAB_FLAGS").to_owned(),
            barrier: format!("{:?}", signalpost::stats().barrier).to_lowercase(),
            load: first_line("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()),
        }
    }

    /// Three lines that head a report, and a warning each for what spoils the numbers.
    pub fn heading(&self) -> String {
        let Self { cpu, cores, os, kernel, rustc, commit, profile, flags, barrier, load } = self;
        let plural = if *cores == 1 { "" } else { "s" };
        let mut text = format!(
            "signalpost lab\n  machine  {cpu}, {cores} core{plural}; {os}, kernel {kernel}\n  \
             build    {rustc}; commit {commit}; {profile}, {flags}\n  \
             barrier  {barrier}\n"
        );
        if profile == "debug" {
            text += "  warning  built without optimisation, these numbers mean nothing: use --release\n";
        }
        if let Some(load) = load.filter(|load| *load > *cores as f64 * 0.5) {
            text += &format!(
                "  warning  the machine is busy (load {load:.1} on {cores} core{plural}): \
                 read ratios, not nanoseconds\n"
            );
        }
        text
    }
}

const UNKNOWN: &str = "unknown";

fn cpu() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    cpu_name(&info).unwrap_or(UNKNOWN).to_owned()
}

/// The first processor's name in the text of `/proc/cpuinfo`.
fn cpu_name(info: &str) -> Option<&str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| matches!(key.trim(), "model name" | "Model" | "Hardware" | "cpu model"))
        .map(|(_, name)| name.trim())
        .filter(|name| !name.is_empty())
}

fn first_line(file: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().next().filter(|line| !line.is_empty()).unwrap_or(UNKNOWN).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_called_what_the_system_calls_it() {
        let info = "processor\t: 0\nmodel name\t: Example 9000 @ 3 GHz\nmodel name\t: other\n";
        assert_eq!(cpu_name(info), Some("Example 9000 @ 3 GHz"));
        assert_eq!(cpu_name("processor : 0\n"), None);
    }

    #[test]
    fn the_heading_warns_of_what_spoils_the_numbers() {
        let mut machine = Machine::this();
        (machine.profile, machine.cores, machine.load) = ("release".to_owned(), 2, Some(0.1));
        assert!(!machine.heading().contains("warning"));
        machine.load = Some(7.5);
        assert!(machine.heading().contains("busy (load 7.5 on 2 cores)"));
        machine.profile = "debug".to_owned();
        assert!(machine.heading().contains("use --release"));
    }
}
