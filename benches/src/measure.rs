//! What every measuring command writes in the same shape, whatever it measured: figures that can be compared, curves that can be drawn.
//!
//! Owns the two shapes and their place in the schema. Not here: who fills them (the commands), who reads them (`compare`, `page`).

use serde::{Deserialize, Serialize};

/// One figure of one case, each time that it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What was measured: `signalpost, 16 subscribers, 1 publisher`. The same in every run with the same settings.
    pub case: String,
    /// Which figure of it: `median`, `p99`, `throughput`, `missed`, …; what `--fail-on` names.
    pub metric: String,
    /// Its unit.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// One value for each repeat that stands for itself: a fresh process where there are several, else a round.
    pub repeats: Vec<f64>,
}

/// The unit of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanoseconds,
    /// Events, calls or changes a second.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Instructions.
    #[serde(rename = "instructions")]
    Instructions,
    /// Of a hundred.
    #[serde(rename = "%")]
    Percent,
    /// Bytes.
    #[serde(rename = "bytes")]
    Bytes,
    /// Times something else that was measured with it.
    #[serde(rename = "x")]
    Times,
}

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Less is.
    Lower,
    /// More is.
    Higher,
}

/// How latencies are spread, for drawing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What was measured; as in [`Measure::case`].
    pub case: String,
    /// From where each latency counts.
    pub from: From,
    /// Events behind it.
    pub events: u64,
    /// Share of the events from 0 to 1, and the nanoseconds that these took at most; both rise.
    pub points: Vec<(f64, f64)>,
}

/// From where a latency counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// From when the event was meant to start: a stall counts for every event that it delayed ("corrected").
    IntendedStart,
    /// From when it did start ("raw").
    ActualStart,
}
