//! A stack that was taken: addresses at first, names when asked for.
//!
//! Owns what is kept of it, and how it is shown. Not here: where the names come from (`linux/names.rs`, `linux/lines.rs`).

use super::platform::{self, Module};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// The stack of a thread, innermost function first.
///
/// Keeps addresses; names are looked up each time they are asked for. Cheap to clone. `{}` shows it with the runtime's own functions
/// folded, `{:#}` with all.
///
/// # Examples
/// ```
/// use signalpost::monitor::StackTrace;
/// let trace = StackTrace::from_addresses([0x1000, 0x2000]);
/// assert_eq!(trace.addresses(), [0x1000, 0x2000]);
/// assert_eq!(trace.frames()[0].function, None);
/// assert!(!trace.complete());
/// ```
#[derive(Clone)]
pub struct StackTrace(Arc<Inner>);

struct Inner {
    addresses: Box<[u64]>,
    places: Box<[Place]>,
    hash: u64,
    incomplete: Option<Incomplete>,
}

/// An instruction, and whose it is.
#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    allow(dead_code, reason = "only where stacks are taken they have a meaning")
)]
pub(super) struct Place {
    pub(super) address: u64,
    /// The instruction itself, not the one after a call.
    pub(super) exact: bool,
    pub(super) module: Option<Arc<Module>>,
}

#[cfg_attr(
    not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))),
    allow(dead_code, reason = "only where stacks are taken they have a meaning")
)]
impl Place {
    /// An address that is surely in the function: a call may be its last instruction.
    pub(super) fn lookup(&self) -> u64 {
        if self.exact { self.address } else { self.address.wrapping_sub(1) }
    }
}

/// Why a stack does not go on to the thread's first function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Incomplete {
    /// It was made of addresses alone.
    Unknown,
    /// The stack is larger than what is copied: 256 KiB.
    TooLarge,
    /// More functions than are followed: 4,096.
    TooDeep,
    /// The thread was on another stack than the one it was started with: a coroutine's, or that for signal handlers.
    OtherStack,
    /// The code at this address is of no file that is loaded: made at run time, or unloaded since.
    NoModule {
        /// Where.
        address: u64,
    },
    /// The code at this address has no unwind tables.
    NoTables {
        /// Where.
        address: u64,
    },
    /// The unwind tables need what is not known at this address.
    Lost {
        /// Where.
        address: u64,
    },
    /// [`Passive`](crate::CaptureMode::Passive): it was read without the thread's registers, and while it was not held.
    Passive,
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("nothing is known of what comes after"),
            Self::TooLarge => f.write_str("the stack is larger than 256 KiB"),
            Self::TooDeep => f.write_str("more than 4,096 functions"),
            Self::OtherStack => f.write_str("the thread was on another stack than its own"),
            Self::NoModule { address } => write!(f, "no file is loaded at {address:#x}"),
            Self::NoTables { address } => write!(f, "no unwind tables for {address:#x}"),
            Self::Lost { address } => write!(f, "the unwind tables do not help at {address:#x}"),
            Self::Passive => f.write_str("read without the thread's registers, and while it was not held"),
        }
    }
}

/// One function of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// Where in memory: the instruction itself for the innermost, the one after the call for the others.
    pub address: u64,
    /// The file that is loaded there.
    pub module: Option<Arc<str>>,
    /// Where in that file, as its own tables count: what `addr2line` and the like take.
    pub offset: u64,
    /// The file's build id, to find its symbols elsewhere.
    pub build_id: Option<Arc<[u8]>>,
    /// The function's name, demangled. None: the file has no symbol for it, or is no longer there.
    pub function: Option<String>,
    /// The source file. Only with the feature `dwarf`, from `frames_with_lines`.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
}

impl Frame {
    /// Whether it is of the runtime that calls the program's code, and not of the program.
    fn is_runtime(&self) -> bool {
        /// What starts threads and programs: names in C, which are whole.
        const STARTS: [&str; 8] = [
            "__clone",
            "clone3",
            "__clone3",
            "start_thread",
            "_start",
            "main",
            "__libc_start_main",
            "__libc_start_call_main",
        ];
        /// What calls closures, threads and tasks.
        const CALLS: [&str; 18] = [
            "std::rt::",
            "std::panic::catch_unwind",
            "std::panicking::",
            "std::sys::backtrace::__rust_begin_short_backtrace",
            "std::sys::pal::unix::thread::",
            "std::sys::thread::",
            "std::thread::Builder::",
            "std::thread::lifecycle::",
            "std::thread::local::LocalKey",
            "core::ops::function::",
            "core::panic::unwind_safe::",
            "__rust_try",
            "__libc_start_main_impl",
            "test::run_test",
            "tokio::runtime::",
            "tokio::task::coop",
            "tokio::loom::",
            "signalpost_monitor::task::",
        ];
        let Some(name) = &self.function else { return false };
        let calls = |name: &str| CALLS.iter().any(|call| name.starts_with(call));
        // `<closure as core::ops::function::FnOnce>::call_once` is that trait's, whoever has it.
        let of_trait = name.strip_prefix('<').and_then(|name| name.split_once(" as ")).map(|(_, of)| of);
        STARTS.contains(&name.as_str()) || calls(name.trim_start_matches('<')) || of_trait.is_some_and(calls)
    }

    /// Whether it is of the C library, which has no name for it.
    fn is_nameless_c(&self) -> bool {
        let file = self.module.as_ref().and_then(|module| module.rsplit('/').next());
        self.function.is_none()
            && file.is_some_and(|file| file.starts_with("libc.") || file.starts_with("libc-"))
    }
}

/// `server::upload at src/server.rs:12`, or where in which file it is.
impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.function, &self.module) {
            (Some(function), _) => f.write_str(function)?,
            (None, Some(module)) => {
                write!(f, "{}+{:#x}", module.rsplit('/').next().unwrap_or(module), self.offset)?;
            }
            (None, None) => write!(f, "{:#x}", self.address)?,
        }
        if let (None, Some(id)) = (&self.function, &self.build_id) {
            f.write_str(" (build id ")?;
            id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
            f.write_str(")")?;
        }
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " at {file}:{line}"),
            (Some(file), None) => write!(f, " at {file}"),
            (None, _) => Ok(()),
        }
    }
}

impl StackTrace {
    pub(super) fn new(places: Vec<Place>, hash: u64, incomplete: Option<Incomplete>) -> Self {
        let addresses = places.iter().map(|place| place.address).collect();
        Self(Arc::new(Inner { addresses, places: places.into(), hash, incomplete }))
    }

    /// A stack of these addresses, of which nothing else is known: for tests of what is done with one.
    pub fn from_addresses(addresses: impl IntoIterator<Item = u64>) -> Self {
        let place = |(n, address)| Place { address, exact: n == 0, module: None };
        let places: Vec<Place> = addresses.into_iter().enumerate().map(place).collect();
        let mut hasher = DefaultHasher::new();
        places.iter().for_each(|place| place.address.hash(&mut hasher));
        Self::new(places, hasher.finish(), Some(Incomplete::Unknown))
    }

    /// Where the thread was, and where each function will return to, innermost first.
    pub fn addresses(&self) -> &[u64] {
        &self.0.addresses
    }

    /// Whether it goes on to the thread's first function.
    pub fn complete(&self) -> bool {
        self.0.incomplete.is_none()
    }

    /// Why not; none, if it is [`complete`](Self::complete).
    pub fn incomplete(&self) -> Option<Incomplete> {
        self.0.incomplete
    }

    /// The same for the same stack, to count them by. Of the innermost function it does not count where in it the thread was: one that
    /// runs is elsewhere each time.
    pub fn hash(&self) -> u64 {
        self.0.hash
    }

    /// All functions, with names from the symbol tables of the files that are loaded.
    ///
    /// Costs a reading of the table of each file that is new in it, some ms for a large program; then some µs. Only the names found
    /// are kept. Inlined functions have no symbol: they show as the function that they were inlined into.
    pub fn frames(&self) -> Vec<Frame> {
        platform::frames(&self.0.places)
    }

    /// The functions of the program and of what it called: all but those of the runtime that called it.
    pub fn user_frames(&self) -> Vec<Frame> {
        let frames = self.frames();
        let runtime = of_runtime(&frames);
        frames.into_iter().zip(runtime).filter(|(_, runtime)| !runtime).map(|(frame, _)| frame).collect()
    }

    /// All functions with source lines, and the inlined ones, innermost first.
    ///
    /// Costs a reading of the debug information of all files in it, **tens of ms and as many MiB** for the time of the call: not
    /// for a thread that has to be in time. A file with more than 256 MiB of it is left out.
    #[cfg(feature = "dwarf")]
    pub fn frames_with_lines(&self) -> Vec<Frame> {
        platform::frames_with_lines(&self.0.places)
    }

    /// As it is shown, with source lines and inlined functions. Costs what [`frames_with_lines`](Self::frames_with_lines) does.
    #[cfg(feature = "dwarf")]
    pub(crate) fn text_with_lines(&self) -> String {
        Shown { frames: &self.frames_with_lines(), incomplete: self.incomplete() }.to_string()
    }
}

/// The frames of a stack, as lines.
struct Shown<'f> {
    frames: &'f [Frame],
    incomplete: Option<Incomplete>,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_frames(f, self.frames)?;
        match self.incomplete {
            Some(why) => write!(f, "\n      (ends here: {why})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for StackTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackTrace")
            .field("addresses", &self.addresses().len())
            .field("incomplete", &self.incomplete())
            .finish()
    }
}

/// A line for each function, innermost first; at the end why it is not all, if it is not.
impl fmt::Display for StackTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { frames: &self.frames(), incomplete: self.incomplete() }.fmt(f)
    }
}

/// Which functions are the runtime's. The C library is often without the names of those that start a thread: there they are its
/// outermost.
fn of_runtime(frames: &[Frame]) -> Vec<bool> {
    let starts = frames.iter().rposition(|frame| !frame.is_nameless_c()).map_or(0, |last| last + 1);
    frames.iter().enumerate().map(|(n, frame)| n > 0 && n >= starts || frame.is_runtime()).collect()
}

/// Lines, without a line's end after the last.
fn write_frames(f: &mut fmt::Formatter<'_>, frames: &[Frame]) -> fmt::Result {
    let all = f.alternate();
    let runtime = of_runtime(frames);
    let mut n = 0;
    while n < frames.len() {
        let between = if n == 0 { "" } else { "\n" };
        let run = runtime[n..].iter().take_while(|&&runtime| !all && runtime).count();
        match run {
            0 => write!(f, "{between}{n:>4}: {}", frames[n])?,
            1 => write!(f, "{between}      (1 function of the runtime)")?,
            run => write!(f, "{between}      ({run} functions of the runtime)")?,
        }
        n += run.max(1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Frame, write_frames};
    use std::fmt;

    fn named(name: &str) -> Frame {
        Frame { function: Some(name.to_owned()), ..Frame::default() }
    }

    struct Shown<'a>(&'a [Frame]);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_frames(f, self.0)
        }
    }

    #[test]
    fn functions_of_the_runtime_are_folded_by_default_and_shown_on_request() {
        let frames = [
            named("clock_nanosleep"),
            named("std::thread::sleep"),
            named("server::upload"),
            named("<server::main::{closure#0} as core::ops::function::FnOnce<()>>::call_once"),
            named("tokio::runtime::task::raw::poll"),
            named("<tokio::runtime::blocking::task::BlockingTask<T> as core::future::future::Future>::poll"),
            named("<server::Request as core::future::future::Future>::poll"),
            named("server::main"),
            named("start_thread"),
        ];
        let folded = [
            "   0: clock_nanosleep",
            "   1: std::thread::sleep",
            "   2: server::upload",
            "      (3 functions of the runtime)",
            "   6: <server::Request as core::future::future::Future>::poll",
            "   7: server::main",
            "      (1 function of the runtime)",
        ];
        assert_eq!(Shown(&frames).to_string(), folded.join("\n"));
        let nameless = || Frame { module: Some("/lib/libc.so.6".into()), offset: 7, ..Frame::default() };
        let frames = [nameless(), named("server::upload"), nameless(), nameless()];
        let folded = ["   0: libc.so.6+0x7", "   1: server::upload", "      (2 functions of the runtime)"];
        assert_eq!(Shown(&frames).to_string(), folded.join("\n"), "the innermost may be what blocks");
        assert_eq!(format!("{:#}", Shown(&frames)).lines().count(), frames.len());
    }

    #[test]
    fn a_frame_without_a_name_says_where_in_which_build_it_is() {
        let mut frame = Frame { address: 0x7f10, offset: 0x10, ..Frame::default() };
        assert_eq!(frame.to_string(), "0x7f10");
        frame.module = Some("/usr/lib/libx.so.1".into());
        frame.build_id = Some([0xab, 0x01].into());
        assert_eq!(frame.to_string(), "libx.so.1+0x10 (build id ab01)");
        frame.function = Some("x".to_owned());
        (frame.file, frame.line) = (Some("x.rs".to_owned()), Some(7));
        assert_eq!(frame.to_string(), "x at x.rs:7");
    }
}
