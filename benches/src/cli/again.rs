//! A command line written down so that the same can be measured again.

use super::Cli;
use clap::{ArgAction, ArgMatches, Command, CommandFactory, parser::ValueSource};

/// What says where results go, or what becomes of them; the rest says what is measured.
const NOT_MEASURED: [&str; 10] =
    ["json", "quiet", "check", "hlog", "hgrm", "csv", "html", "md", "baseline", "bless"];

/// What measures, and may be measured again because a file says so.
const MEASURING: [&str; 9] =
    ["paths", "registration", "churn", "watch-cost", "slots", "run", "replay", "count", "all"];

/// Whether a file's command is one that measures and writes nowhere: just as [`again`] writes it down. A file is not to be trusted
/// with more than that.
pub fn is_measuring(command: &[String]) -> bool {
    let line = ["lab".to_owned()].into_iter().chain(command.iter().cloned());
    command.first().is_some_and(|name| MEASURING.contains(&name.as_str())) && again(line) == command
}

/// The command and its options as one would type them after `lab`, without what says where results go; empty where `args` is no
/// command line of the lab. The first of `args` is the program.
pub fn again(args: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut command = Cli::command();
    command.build();
    let Ok(matches) = command.clone().try_get_matches_from(args) else { return Vec::new() };
    match matches.subcommand() {
        Some((name, matches)) => {
            let command = command.find_subcommand(name).expect("clap found it");
            [vec![name.to_owned()], options(command, matches)].concat()
        }
        None => [vec!["paths".to_owned()], options(&command, &matches)].concat(),
    }
}

fn options(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let mut words = Vec::new();
    for arg in command.get_arguments() {
        let id = arg.get_id().as_str();
        if NOT_MEASURED.contains(&id) || matches.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let long = arg.get_long().map(|long| format!("--{long}"));
        if matches!(arg.get_action(), ArgAction::SetTrue) {
            words.extend(long);
            continue;
        }
        let values =
            matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy().into_owned());
        match (long, arg.get_value_delimiter()) {
            (Some(long), Some(delimiter)) => {
                words.extend([long, values.collect::<Vec<_>>().join(&delimiter.to_string())]);
            }
            (Some(long), None) => words.extend(values.flat_map(|value| [long.clone(), value])),
            (None, _) => {
                // What comes after `--` may look like an option of this command.
                words.extend(arg.is_last_set().then(|| "--".to_owned()));
                words.extend(values);
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> String {
        again(line.split(' ').map(str::to_owned)).join(" ")
    }

    #[test]
    fn what_is_measured_is_written_down_and_where_it_goes_is_not() {
        assert_eq!(typed("lab"), "paths");
        assert_eq!(
            typed("lab --quick --quiet --json x.json --subscribers 0,16"),
            "paths --quick --subscribers 0,16"
        );
        assert_eq!(typed("lab churn --rate 1000 --json=-"), "churn --rate 1000");
        assert_eq!(typed("lab frobnicate"), "");
    }

    #[test]
    fn a_file_may_ask_for_a_measurement_and_for_nothing_else() {
        let is_measuring = |line: &str| is_measuring(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for line in ["paths --quick", "registration --repeats 9", "run --subscribers 0,1 --rate max", "all"] {
            assert!(is_measuring(line), "{line}");
        }
        for line in [
            "gate .",
            "watch",
            "report a.json --html b",
            "run --hlog x",
            "count --bless",
            "paths --json x",
            "rm",
            "",
        ] {
            assert!(!is_measuring(line), "{line}");
        }
    }
}
