//! Runs named tests as `cargo test` and nextest expect it, and lets what they print be seen, which libtest does not.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;

pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> Result<(), String>,
}

/// What the arguments ask for.
#[derive(Default)]
struct Arguments {
    list: bool,
    ignored: bool,
    exact: bool,
    filters: Vec<String>,
    skip: Vec<String>,
}

impl Arguments {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut parsed = Self::default();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => parsed.list = true,
                "--ignored" => parsed.ignored = true,
                "--exact" => parsed.exact = true,
                "--skip" => parsed.skip.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "--report-time" | "-Z" => {
                    arguments.next();
                }
                flag if flag.starts_with('-') => {} // libtest's others, which change nothing here
                filter => parsed.filters.push(filter.into()),
            }
        }
        parsed
    }

    fn wants(&self, name: &str) -> bool {
        let fits = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        let named = self.filters.is_empty() || self.filters.iter().any(fits);
        named && !self.skip.iter().any(fits) && !self.ignored // none of them is
    }
}

/// Runs them one after another on a thread with much stack, for publishes nested deep.
pub(crate) fn main(tests: &'static [Test]) -> ExitCode {
    let arguments = Arguments::parse(env::args().skip(1));
    let tests: Vec<_> = tests.iter().filter(|test| arguments.wants(test.name)).collect();
    if arguments.list {
        tests.iter().for_each(|test| println!("{}: test", test.name));
        return ExitCode::SUCCESS;
    }
    let failed = with_stack(move || tests.into_iter().filter(|test| !passes(test)).count());
    if failed.join().is_ok_and(|failed| failed == 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn with_stack<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().stack_size(256 << 20).spawn(f).expect("a thread")
}

fn passes(test: &Test) -> bool {
    match catch(test.run) {
        Ok(()) => println!("test {} ... ok", test.name),
        Err(error) => {
            println!("test {} ... FAILED\n{error}", test.name);
            return false;
        }
    }
    true
}

/// A panic as an error.
pub(crate) fn catch<T>(f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text.or(payload.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("with something that is no text")))
    })
}
