//! `lab watch`: real servers under load, faults injected one by one, and what the monitor says of each.
//!
//! | file | owns |
//! |---|---|
//! | `name` | the names of loops and faults |
//! | `record` | what happens, as it is told, and the rows that are left |
//! | `history` | what has been told so far |
//! | `words` | times, rates and names in words |
//! | `lines`, `html`, `json`, `terminal` | what people and programs see of it |

pub mod history;
pub mod json;
pub mod lines;
pub mod name;
pub mod record;
pub mod words;
