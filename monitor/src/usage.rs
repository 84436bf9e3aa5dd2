//! The process's memory in bytes, as the platform tells it.
//!
//! Owns the readings and the files that they come from, kept open. Not here: what a reading means (`memory/state.rs`).
//!
//! # Invariants
//! 1. The open file is that of the process that reads it: one inherited over `fork` goes on reporting the parent, so the process
//!    id is compared at each reading.
//! 2. A reading by default takes no lock of the address space: `statm` has counters, where `smaps` walks all mappings.

use crate::memory_error::MemoryError;
use std::fmt;

/// What was read of the process's memory, in bytes.
///
/// # Examples
/// ```
/// use signalpost::monitor::MemoryInfo;
/// let info = MemoryInfo::new(96 << 20).with_shared(6 << 20).with_uss(80 << 20);
/// assert_eq!((info.rss, info.uss), (100_663_296, Some(83_886_080)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Resident: what is in physical memory now.
    pub rss: u64,
    /// How much of that is backed by files or shared memory. `rss - shared` is close to what only this process has.
    pub shared: u64,
    /// The address space in use, resident or not.
    pub virtual_size: u64,
    /// Resident, and of this process alone. Only where it was asked for: see [`MemoryFigure::Uss`].
    pub uss: Option<u64>,
    /// The highest that `rss` has been, as the kernel has it, so also between two readings. On Linux it survives `exec`: a
    /// program started by a larger one begins with that one's.
    pub peak_rss: Option<u64>,
}

impl MemoryInfo {
    /// A reading with so much resident, and nothing else known.
    pub const fn new(rss: u64) -> Self {
        Self { rss, shared: 0, virtual_size: 0, uss: None, peak_rss: None }
    }

    /// With so much shared.
    #[must_use]
    pub const fn with_shared(mut self, shared: u64) -> Self {
        self.shared = shared;
        self
    }

    /// With so much address space.
    #[must_use]
    pub const fn with_virtual_size(mut self, virtual_size: u64) -> Self {
        self.virtual_size = virtual_size;
        self
    }

    /// With so much of this process alone.
    #[must_use]
    pub const fn with_uss(mut self, uss: u64) -> Self {
        self.uss = Some(uss);
        self
    }

    /// With such a peak.
    #[must_use]
    pub const fn with_peak_rss(mut self, peak_rss: u64) -> Self {
        self.peak_rss = Some(peak_rss);
        self
    }
}

/// Which figure of a reading is held against the limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemoryFigure {
    /// Resident memory: 1 to 3 µs a reading.
    #[default]
    Rss,
    /// What this process alone has; the resident memory where a reading has none, or zero, of it.
    ///
    /// What gevent prefers. To read it the kernel walks all mappings, and **holds the lock that other threads of this process need to map
    /// memory**: 0.1 to 0.9 ms with 64 MiB in 30 mappings, 50 ms with 2 GiB in 5,000, and an allocation that needs that lock waits as long.
    Uss,
}

impl MemoryFigure {
    /// The figure in a reading.
    ///
    /// # Examples
    /// ```
    /// use signalpost::monitor::{MemoryFigure, MemoryInfo};
    /// let info = MemoryInfo::new(100);
    /// assert_eq!(MemoryFigure::Uss.of(&info), 100);
    /// assert_eq!(MemoryFigure::Uss.of(&info.with_uss(60)), 60);
    /// ```
    pub fn of(self, info: &MemoryInfo) -> u64 {
        match (self, info.uss) {
            (Self::Uss, Some(uss)) if uss != 0 => uss,
            _ => info.rss,
        }
    }
}

/// Where readings come from: the process ([`ProcessMemory`]), a test's script, an allocator's counters.
///
/// A closure that returns `Result<MemoryInfo, MemoryError>` is one.
///
/// # Examples
/// ```
/// use signalpost::Bus;
/// use signalpost::monitor::{MemoryInfo, MemoryLimit, MemoryWatch};
///
/// let mut script = [90, 110, 80].into_iter();
/// let source = move || Ok(MemoryInfo::new(script.next().unwrap_or(0)));
/// let mut watch = MemoryWatch::builder().limit(MemoryLimit::Bytes(100)).source(source).build()?;
/// let bus = Bus::new();
/// assert!(watch.check(&bus)?.exceeded().is_none());
/// assert_eq!(watch.check(&bus)?.exceeded().unwrap().mem_usage, 110);
/// assert_eq!(watch.check(&bus)?.under().unwrap().max_memory_usage, 110);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait MemorySource: Send {
    /// Reads.
    ///
    /// # Errors
    /// Whatever keeps it from reading; the next check asks again.
    fn read(&mut self) -> Result<MemoryInfo, MemoryError>;
}

impl<F: FnMut() -> Result<MemoryInfo, MemoryError> + Send> MemorySource for F {
    fn read(&mut self) -> Result<MemoryInfo, MemoryError> {
        self()
    }
}

/// This process's memory, as Linux has it in `/proc/self/statm`, with the peak of `getrusage`.
///
/// The file is kept open: a reading is one positioned read and two system calls more, without an allocation, 2 to 3 µs. After `fork`
/// the child's first reading opens its own.
///
/// # Examples
/// ```no_run
/// use signalpost::monitor::{MemorySource, ProcessMemory};
/// let info = ProcessMemory::new()?.read()?;
/// println!("{} MiB, at most {:?} bytes so far", info.rss >> 20, info.peak_rss);
/// # Ok::<(), signalpost::monitor::MemoryError>(())
/// ```
pub struct ProcessMemory(platform::Process);

impl ProcessMemory {
    /// Opens the file.
    ///
    /// # Errors
    /// [`MemoryError::Unsupported`] elsewhere than on Linux and Android; [`MemoryError::Unreadable`] if `/proc` is not there.
    pub fn new() -> Result<Self, MemoryError> {
        platform::Process::open(false).map(Self)
    }

    /// The same, and [`MemoryInfo::uss`] with each reading, from `/proc/self/smaps_rollup`: see [`MemoryFigure::Uss`] for what that costs.
    ///
    /// # Errors
    /// As [`new`](Self::new); also if the kernel has no such file (before Linux 4.14).
    pub fn with_uss() -> Result<Self, MemoryError> {
        let mut process = platform::Process::open(true)?;
        process.read()?;
        Ok(Self(process))
    }
}

impl MemorySource for ProcessMemory {
    fn read(&mut self) -> Result<MemoryInfo, MemoryError> {
        self.0.read()
    }
}

impl fmt::Debug for ProcessMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessMemory").finish_non_exhaustive()
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use super::{MemoryError, MemoryInfo};
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::unistd::{SysconfVar, sysconf};
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;
    use std::process;

    const STATM: &str = "/proc/self/statm";
    const ROLLUP: &str = "/proc/self/smaps_rollup";

    pub(super) struct Process {
        statm: File,
        /// Whose file it is.
        pid: u32,
        page: u64,
        uss: bool,
    }

    impl Process {
        pub(super) fn open(uss: bool) -> Result<Self, MemoryError> {
            let pid = process::id();
            let statm = File::open(STATM).map_err(MemoryError::unreadable(STATM))?;
            Ok(Self { statm, pid, page: page_size(), uss })
        }

        pub(super) fn read(&mut self) -> Result<MemoryInfo, MemoryError> {
            // Invariant 1. A process id is only used again once its process is gone, and then the old file cannot be read.
            if self.pid != process::id() {
                *self = Self::open(self.uss)?;
            }
            let mut text = [0; 160]; // seven numbers of at most 20 digits
            let length = match self.statm.read_at(&mut text, 0) {
                Ok(length) => length,
                Err(_) => {
                    *self = Self::open(self.uss)?;
                    self.statm.read_at(&mut text, 0).map_err(MemoryError::unreadable(STATM))?
                }
            };
            let mut info = statm(&text[..length], self.page)?;
            info.peak_rss = peak();
            if self.uss {
                let text = fs::read_to_string(ROLLUP).map_err(MemoryError::unreadable(ROLLUP))?;
                info.uss = Some(private(&text)?);
            }
            Ok(info)
        }
    }

    /// Total size, resident, shared, in pages; then what does not concern us.
    pub(super) fn statm(text: &[u8], page: u64) -> Result<MemoryInfo, MemoryError> {
        let mut numbers = text.split(|byte| *byte == b' ').map(|number| {
            let number = str::from_utf8(number).ok()?.trim().parse::<u64>().ok()?;
            number.checked_mul(page)
        });
        let mut next = || numbers.next().flatten();
        match (next(), next(), next()) {
            (Some(size), Some(rss), Some(shared)) => {
                Ok(MemoryInfo::new(rss).with_shared(shared).with_virtual_size(size))
            }
            _ => {
                let found = String::from_utf8_lossy(text);
                Err(MemoryError::malformed(STATM, "three numbers of pages", &found))
            }
        }
    }

    /// The sum of the lines `Private_…: N kB`.
    pub(super) fn private(text: &str) -> Result<u64, MemoryError> {
        let mut lines = text.lines().filter(|line| line.starts_with("Private_")).peekable();
        let malformed = || MemoryError::malformed(ROLLUP, "lines `Private_…: N kB`", text);
        lines.peek().ok_or_else(malformed)?;
        let kilobytes = |line: &str| -> Option<u64> {
            line.split_once(':')?
                .1
                .trim()
                .strip_suffix("kB")?
                .trim_end()
                .parse::<u64>()
                .ok()?
                .checked_mul(1024)
        };
        lines.try_fold(0u64, |sum, line| sum.checked_add(kilobytes(line)?)).ok_or_else(malformed)
    }

    fn page_size() -> u64 {
        let size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
    }

    /// In KiB on Linux.
    fn peak() -> Option<u64> {
        let peak = getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss();
        u64::try_from(peak).ok()?.checked_mul(1024)
    }

    #[cfg(test)]
    mod tests {
        use super::{private, statm};

        #[test]
        fn statm_is_read_as_pages() {
            let info = statm(b"765 436 407 5 0 123 0\n", 4096).unwrap();
            assert_eq!((info.virtual_size, info.rss, info.shared), (765 * 4096, 436 * 4096, 407 * 4096));
            for broken in [&b""[..], b"1 2", b"1 x 3", b"1 2 18446744073709551615", b"\xff 2 3"] {
                let error = statm(broken, 4096).unwrap_err().to_string();
                assert!(error.starts_with("/proc/self/statm: expected three numbers of pages"), "{error}");
            }
        }

        #[test]
        fn what_is_private_is_summed() {
            let text = "Rss: 9 kB\nPrivate_Clean:   32 kB\nPrivate_Dirty: 112 kB\nPrivate_Hugetlb:   0 kB\nSwap: 7 kB\n";
            assert_eq!(private(text).unwrap(), 144 << 10);
            for broken in ["", "Rss: 9 kB\n", "Private_Clean: x kB\n", "Private_Clean: 1\n"] {
                assert!(private(broken).is_err(), "{broken:?}");
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod platform {
    use super::{MemoryError, MemoryInfo};

    pub(super) enum Process {}

    impl Process {
        pub(super) fn open(_: bool) -> Result<Self, MemoryError> {
            Err(MemoryError::Unsupported)
        }

        pub(super) fn read(&mut self) -> Result<MemoryInfo, MemoryError> {
            match *self {}
        }
    }
}
