//! `lab watch`: real servers under load, faults injected one by one, and what the monitor says of each.
//!
//! | file | owns |
//! |---|---|
//! | `name` | the names of loops and faults |
//! | `record` | what happens, as it is told, and the rows that are left |

pub mod name;
pub mod record;
