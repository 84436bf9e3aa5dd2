//! Same as gevent where it should be: cases recorded from gevent, replayed on our bus.
//!
//! `SIGNALPOST_GOLDEN=DIR` reads another folder of cases than `tests/golden`. What a case says is in `tests/golden/README.md`;
//! where we differ on purpose, in `rules.rs`. The last line of the report sums up:
//! `N matched, N deviate by rule, N python-only, 0 failed`.
//!
//! | module | owns |
//! |---|---|
//! | `case`, `outcome`, `json` | what a file says |
//! | `classes`, `model` | what it must give, without the bus |
//! | `types`, `world`, `drive` | what our bus gives |
//! | `memory`, `config`, `monitor`, `blocking` | the monitor's: what is said, what must come of it, what ours gives |
//! | `patch` | patch points: what is said, what must come of it, what ours gives |
//! | `rules` | the deviations, and the verdict |
//! | `report` | a folder of cases, and the line |
//! | `random`, `selftest` | cases that nobody recorded; what the runner itself must refuse |
//! | `harness` | `cargo test` and nextest |

mod blocking;
mod case;
mod classes;
mod config;
mod drive;
mod harness;
mod json;
mod memory;
mod model;
mod monitor;
mod outcome;
mod patch;
mod random;
mod report;
mod rules;
mod selftest;
mod types;
mod world;

use harness::Test;
use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main(&[
        Test { name: "the_bus_gives_what_was_recorded_or_what_a_rule_says", run: report::recorded_cases },
        Test { name: "so_it_does_on_several_threads_at_once", run: report::on_several_threads },
        Test { name: "every_way_to_publish_gives_the_same", run: selftest::doors },
        Test { name: "a_case_that_nobody_recorded_gives_what_the_model_says", run: selftest::unrecorded },
        Test { name: "the_live_walk_gives_every_recording", run: selftest::recordings },
        Test { name: "a_rule_fits_where_the_two_walks_differ_and_nowhere_else", run: selftest::rules_fit },
        Test { name: "every_rule_is_needed_and_none_fits_everything", run: selftest::rules_needed },
        Test { name: "a_watch_on_memory_gives_what_the_model_says", run: memory::unrecorded },
        Test { name: "a_monitor_calls_what_the_model_says_and_when", run: monitor::unrecorded },
        Test {
            name: "a_loop_is_reported_when_the_model_says_and_as_the_subscribers_left_it",
            run: blocking::unrecorded,
        },
        Test { name: "what_is_patched_vetoed_and_undone_is_as_the_model_says", run: patch::unrecorded },
        Test { name: "a_patch_goes_on_where_no_function_is_missing", run: patch::with_all_names },
        Test { name: "a_setting_is_as_gevents_or_as_one_rule_says", run: config::unrecorded },
        Test { name: "a_wrong_outcome_of_a_check_or_setting_fails", run: selftest::wrong_outcomes },
        Test { name: "a_wrong_trace_fails", run: selftest::wrong_traces },
        Test { name: "a_broken_file_is_an_error_that_says_where", run: selftest::broken_files },
        Test { name: "a_case_of_an_unknown_kind_is_skipped_and_counted", run: selftest::unknown_kinds },
    ])
}
