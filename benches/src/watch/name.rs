//! What can be watched and what can go wrong: the names of loops and faults.
//!
//! Owns the names, on the command line, in tables and in JSON, and which fault goes with which loop.
//! Not here: how a fault is provoked (`fault.rs`), what is expected of it (`judge.rs`).

use clap::ValueEnum;
use serde::Serialize;
use std::fmt;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoopName {
    /// A server on tokio's current-thread runtime.
    TokioCurrentThread,
    /// A server on tokio's multi-thread runtime.
    TokioMultiThread,
    /// A server on a hand-written loop over mio.
    Mio,
    /// The process as a whole: its memory.
    #[value(skip)]
    Process,
}

/// What is done to a loop; from idle on it is no fault, and nothing may be reported while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultName {
    /// A task sleeps with `std::thread::sleep`.
    Sleep,
    /// A task computes and does not yield.
    Spin,
    /// A task waits for a `std::sync::Mutex` that another thread holds.
    Mutex,
    /// A task waits for a name server that answers late, over a blocking socket: what `getaddrinfo` does, which cannot be
    /// pointed at one.
    Dns,
    /// A task writes a file and waits until the disk has it.
    Fsync,
    /// A task waits for a child process.
    ChildWait,
    /// Many tasks with short polls: the loop is always busy, and no task is at fault.
    ShortPolls,
    /// Other threads want the processor more than the loop does.
    CpuHogs,
    /// Memory grows over the limit, and is released.
    Memory,
    /// Nothing happens at all, not even load.
    Idle,
    /// A blocking call where it may block: `tokio::task::spawn_blocking`.
    SpawnBlocking,
    /// A blocking call where it may block: `tokio::task::block_in_place`.
    BlockInPlace,
    /// None: at the end of a soak, whether anything was left behind.
    #[value(skip)]
    Leaks,
}

impl LoopName {
    /// All that have a loop.
    pub const ALL: [Self; 3] = [Self::TokioCurrentThread, Self::TokioMultiThread, Self::Mio];

    /// As on the command line and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TokioCurrentThread => "tokio-current-thread",
            Self::TokioMultiThread => "tokio-multi-thread",
            Self::Mio => "mio",
            Self::Process => "process",
        }
    }
}

impl FaultName {
    /// All that can be asked for, in the order in which they are provoked.
    pub const ALL: [Self; 12] = [
        Self::Sleep,
        Self::Spin,
        Self::Mutex,
        Self::Dns,
        Self::Fsync,
        Self::ChildWait,
        Self::ShortPolls,
        Self::CpuHogs,
        Self::Idle,
        Self::SpawnBlocking,
        Self::BlockInPlace,
        Self::Memory,
    ];

    /// As on the command line and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Spin => "spin",
            Self::Mutex => "mutex",
            Self::Dns => "dns",
            Self::Fsync => "fsync",
            Self::ChildWait => "child-wait",
            Self::ShortPolls => "short-polls",
            Self::CpuHogs => "cpu-hogs",
            Self::Memory => "memory",
            Self::Idle => "idle",
            Self::SpawnBlocking => "spawn-blocking",
            Self::BlockInPlace => "block-in-place",
            Self::Leaks => "leaks",
        }
    }

    /// Whether nothing may be reported while it lasts.
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::Idle | Self::SpawnBlocking | Self::BlockInPlace | Self::Leaks)
    }

    /// Whether it can happen there: a hand-written loop has no `spawn_blocking`, and `block_in_place` needs several workers.
    pub const fn can_be_on(self, event_loop: LoopName) -> bool {
        match (self, event_loop) {
            (Self::Memory | Self::Leaks, LoopName::Process) => true,
            (Self::Memory | Self::Leaks, _) | (_, LoopName::Process) => false,
            (Self::SpawnBlocking, at) => !matches!(at, LoopName::Mio),
            (Self::BlockInPlace, at) => matches!(at, LoopName::TokioMultiThread),
            _ => true,
        }
    }
}

impl fmt::Display for LoopName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_on_the_command_line_in_tables_and_in_json() {
        for name in LoopName::ALL {
            assert_eq!(name.to_possible_value().unwrap().get_name(), name.as_str());
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        }
        for name in FaultName::ALL {
            assert_eq!(name.to_possible_value().unwrap().get_name(), name.as_str());
            assert_eq!(serde_json::to_value(name).unwrap(), name.as_str());
        }
        assert_eq!(FaultName::value_variants().len(), FaultName::ALL.len());
    }
}
