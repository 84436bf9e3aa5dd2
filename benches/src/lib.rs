//! The lab: signalpost beside other ways to publish, measured on this machine.
//!
//! `cargo run --release -p signalpost-lab` runs the `lab` command; `cargo bench -p signalpost-lab`
//! runs the same scenarios and baselines under criterion.
//!
//! | file | owns |
//! |---|---|
//! | `scenario` | the event and the subscribers, the same for every path |
//! | `path`, `ours`, `bus`, `baseline` | the dispatch paths and their names |
//! | `harness`, `crew`, `rounds` | the timed loop, the pinned threads, the interleaved rounds |
//! | `stats` | medians, spreads, paired comparisons |
//! | `survey`, `takes`, `registration`, `churn`, `handoff`, `slots` | the experiments |
//! | `target` | what must be reached |
//! | `watch` | the monitor on real servers, with faults |
//! | `verdict`, `report`, `table`, `progress` | what people see |
//! | `output`, `machine` | what programs read, and where the numbers come from |
//! | `cli` | the command line |

mod baseline;
pub mod bus;
pub mod churn;
pub mod cli;
pub mod crew;
pub mod handoff;
pub mod harness;
pub mod machine;
mod ours;
pub mod output;
pub mod path;
pub mod progress;
pub mod registration;
pub mod report;
pub mod rounds;
pub mod scenario;
pub mod slots;
pub mod stats;
pub mod survey;
pub mod table;
pub mod takes;
pub mod target;
pub mod verdict;
pub mod watch;
