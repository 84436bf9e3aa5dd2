//! `lab watch`: real servers under load, faults injected one by one, and what the monitor says of each.
//!
//! | file | owns |
//! |---|---|
//! | `name` | the names of loops and faults |
//! | `record` | what happens, as it is told, and the rows that are left |
//! | `http`, `desk` | bytes; the jobs that a server finds when it is asked for them |
//! | `serve_tokio`, `serve_mio`, `load` | the servers and their clients |
//! | `fault`, `memory`, `hogs` | what goes wrong |
//! | `clock`, `witness`, `held` | clocks that show it without the monitor; what the process holds |
//! | `eyes`, `seen` | the monitor, and what it published |
//! | `command` | from the settings to the exit code |
//! | `plan`, `run`, `judge` | what to do, row by row; one run; what is expected, and whether it came |
//! | `cost` | what watching costs |
//! | `history` | what has been told so far |
//! | `words` | times, rates and names in words |
//! | `lines`, `html`, `timeline`, `json`, `terminal`, `picture` | what people and programs see of it |
//! | `lines`, `html`, `json`, `terminal` | what people and programs see of it |

pub mod clock;
pub mod command;
pub mod cost;
pub mod desk;
pub mod eyes;
pub mod fault;
pub mod held;
pub mod history;
pub mod hogs;
pub mod html;
pub mod http;
pub mod json;
pub mod judge;
pub mod lines;
pub mod load;
pub mod memory;
pub mod name;
pub mod picture;
pub mod plan;
pub mod record;
pub mod run;
pub mod seen;
pub mod serve_mio;
pub mod serve_tokio;
pub mod terminal;
pub mod timeline;
pub mod witness;
pub mod words;
