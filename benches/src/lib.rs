//! The lab: signalpost beside other ways to publish, measured on this machine.
//!
//! `cargo run --release -p signalpost-lab` runs the `lab` command; `cargo bench -p signalpost-lab`
//! runs the same scenarios and baselines under criterion.
//!
//! | file | owns |
//! |---|---|
//! | `scenario` | the event and the subscribers, the same for every path |
//! | `path`, `ours`, `bus`, `baseline` | the dispatch paths and their names |
//! | `harness`, `handicap`, `crew`, `rounds` | the timed loop, the pinned threads, the interleaved rounds |
//! | `bench` | the same for people's own code |
//! | `stats` | medians, spreads, paired comparisons |
//! | `experiments` | those below that share a report |
//! | `survey`, `takes`, `registration`, `churn`, `handoff`, `slots` | the experiments |
//! | `pace`, `run`, `replay` | events at given times: at a rate, or as in a log; latencies |
//! | `count` | instructions for a publish, under callgrind |
//! | `target` | what must be reached |
//! | `watch` | the monitor on real servers, with faults |
//! | `verdict`, `report`, `table`, `progress` | what people see |
//! | `output`, `measure`, `figures`, `machine`, `environment` | what programs read, and where the numbers come from |
//! | `saved`, `compare`, `gate`, `page` | files read again: compared, judged, drawn |
//! | `cli`, `session`, `stop`, `exit`, `manual` | the command line, and how a command begins and ends |

mod baseline;
pub mod bench;
pub mod bus;
pub mod churn;
pub mod cli;
pub mod compare;
pub mod count;
pub mod crew;
pub mod environment;
pub mod exit;
pub mod experiments;
pub mod figures;
pub mod gate;
mod handicap;
pub mod handoff;
pub mod harness;
pub mod machine;
pub mod manual;
pub mod measure;
mod ours;
pub mod output;
pub mod pace;
pub mod page;
pub mod path;
pub mod progress;
pub mod registration;
pub mod replay;
pub mod report;
pub mod rounds;
pub mod run;
pub mod saved;
pub mod scenario;
pub mod session;
pub mod slots;
pub mod stats;
pub mod stop;
pub mod survey;
pub mod table;
pub mod takes;
pub mod target;
pub mod verdict;
pub mod watch;
