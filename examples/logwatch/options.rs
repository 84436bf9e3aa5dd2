//! The command line.

use std::ffi::OsString;

pub(crate) const HELP: &str = "\
Says what is in logs: levels, matches, bursts of errors, and how fast it went.

usage: logwatch [--match TEXT]... [--ignore TEXT]... [--burst N/M] FILE...

  FILE           a log, read line by line in constant memory; `-` is standard input
  --match TEXT   count the lines that contain TEXT, and say where the first one is
  --ignore TEXT  keep lines that contain TEXT from everyone else; they are counted
  --burst N/M    alert when N lines at level error or worse come within M lines [10/100]
  --help         this text

A line longer than 1 MiB is published, and so counted below, in pieces of 1 MiB; how many lines were cut is shown,
and a TEXT that a cut goes through is not found. Bytes that are not UTF-8 are read as U+FFFD; their lines are counted.

examples:
  logwatch /var/log/syslog
  logwatch --match 'connection reset' --ignore healthcheck --burst 5/50 app.log app.log.1
  zcat app.log.*.gz | logwatch -

exit status: 0 all was read; 2 the call was wrong, or something could not be read or written";

/// What the command line asks for.
pub(crate) struct Options {
    pub(crate) files: Vec<OsString>,
    pub(crate) matches: Vec<String>,
    pub(crate) ignores: Vec<String>,
    pub(crate) burst: (usize, u64),
}

impl Options {
    /// `None` if help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Option<Self>, String> {
        let mut options =
            Self { files: Vec::new(), matches: Vec::new(), ignores: Vec::new(), burst: (10, 100) };
        let mut only_files = false;
        while let Some(arg) = args.next() {
            if only_files || arg == "-" || !arg.as_encoded_bytes().starts_with(b"-") {
                options.files.push(arg);
                continue;
            }
            let arg = arg.to_string_lossy();
            let (name, joined) = match arg.split_once('=') {
                Some((name, value)) => (name, Some(OsString::from(value))),
                None => (&*arg, None),
            };
            let mut value = || {
                let value = joined.clone().or_else(|| args.next()).filter(|value| !value.is_empty());
                let value = value.ok_or_else(|| format!("{name} needs a value after it"))?;
                value.into_string().map_err(|value| format!("the value of {name}, {value:?}, is not UTF-8"))
            };
            match name {
                "--help" | "-h" => return Ok(None),
                "--" => only_files = true,
                "--match" => options.matches.push(value()?),
                "--ignore" => options.ignores.push(value()?),
                "--burst" => options.burst = parse_burst(&value()?)?,
                _ => {
                    return Err(format!(
                        "{name} is no option; expected --match, --ignore, --burst or --help"
                    ));
                }
            }
        }
        if options.files.is_empty() {
            return Err("no input; expected a FILE, or `-` for standard input".to_owned());
        }
        Ok(Some(options))
    }
}

fn parse_burst(text: &str) -> Result<(usize, u64), String> {
    text.split_once('/')
        .and_then(|(errors, lines)| Some((errors.parse().ok()?, lines.parse().ok()?)))
        .filter(|(errors, _)| (1..=100_000).contains(errors))
        .ok_or_else(|| format!("--burst {text:?}: expected N/M, as in 10/100, with N from 1 to 100000"))
}
