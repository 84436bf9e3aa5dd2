//! How much memory is too much: so many bytes, or a share of what the cgroup or the machine has.
//!
//! Owns how a cgroup's limit is found, in both versions. Not here: what becomes of it (`memory.rs`).

use crate::memory::share_of;
use crate::memory_error::MemoryError;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// A limit on memory.
///
/// # Examples
/// ```
/// use signalpost::monitor::MemoryLimit;
/// assert_eq!(MemoryLimit::Bytes(512 << 20).resolve()?, Some(536_870_912));
/// assert_eq!(MemoryLimit::Off.resolve()?, None);
/// let error = MemoryLimit::ShareOfRam(80.0).resolve().unwrap_err(); // per cent is not a share
/// assert_eq!(error.to_string(), "expected a share of the machine's memory above 0 and at most 1, found 80");
/// # Ok::<(), signalpost::monitor::MemoryError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum MemoryLimit {
    /// None: nothing is read.
    #[default]
    Off,
    /// So many bytes; 0 is off.
    Bytes(u64),
    /// A share, above 0 and at most 1, of what the cgroup allows this process: the smallest limit of its own and of those around it.
    ///
    /// The limit counts what all processes of the cgroup have, and page cache with it, while the usage here is this process's:
    /// leave room.
    ShareOfCgroup(f64),
    /// A share, above 0 and at most 1, of the machine's physical memory.
    ShareOfRam(f64),
}

impl MemoryLimit {
    /// The limit in bytes, as it is now; nothing if it is off. Reads some files for a share.
    ///
    /// # Errors
    /// If the share is none, the files are not there (which is so elsewhere than on Linux), or no cgroup has a limit.
    pub fn resolve(self) -> Result<Option<u64>, MemoryError> {
        if cfg!(not(any(target_os = "linux", target_os = "android"))) {
            match self {
                Self::Off | Self::Bytes(_) => {}
                Self::ShareOfCgroup(_) | Self::ShareOfRam(_) => return Err(MemoryError::Unsupported),
            }
        }
        self.resolve_under(Path::new("/"))
    }

    /// The same where the file system begins at another folder, which has `proc` and what `proc/self/mountinfo` names: a host's, or a
    /// test's.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn resolve_under(self, root: &Path) -> Result<Option<u64>, MemoryError> {
        match self {
            Self::Off | Self::Bytes(0) => Ok(None),
            Self::Bytes(bytes) => Ok(Some(bytes)),
            Self::ShareOfCgroup(share) => {
                let share = checked(share, "the cgroup's limit")?;
                Ok(Some(share_of(cgroup_limit(root)?, share).max(1)))
            }
            Self::ShareOfRam(share) => {
                let share = checked(share, "the machine's memory")?;
                Ok(Some(share_of(physical(root)?, share).max(1)))
            }
        }
    }
}

fn checked(share: f64, of: &'static str) -> Result<f64, MemoryError> {
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err(MemoryError::Share { of, expected: "above 0 and at most 1", found: share })
    }
}

fn read(path: PathBuf) -> Result<(PathBuf, String), MemoryError> {
    match fs::read_to_string(&path) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(MemoryError::unreadable(path)(error)),
    }
}

fn physical(root: &Path) -> Result<u64, MemoryError> {
    let (path, text) = read(root.join("proc/meminfo"))?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|total| total.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok());
    let bytes = kilobytes.and_then(|kilobytes| kilobytes.checked_mul(1024));
    bytes.ok_or_else(|| MemoryError::malformed(path, "a line `MemTotal: N kB`", &text))
}

/// The two versions of cgroups, as far as they differ here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Version {
    fn file(self) -> &'static str {
        match self {
            Self::V1 => "memory.limit_in_bytes",
            Self::V2 => "memory.max",
        }
    }

    /// What the file says; nothing if that is no number.
    fn parse(self, text: &str) -> Option<Allowed> {
        // Version 1 says "none" by the largest number of whole pages, whatever a page is.
        const NONE: u64 = (1 << 63) - (1 << 20);
        match (self, text.trim()) {
            (Self::V2, "max") => Some(Allowed::All),
            (Self::V1, "-1") => Some(Allowed::All),
            (_, number) => match number.parse::<u64>().ok()? {
                NONE.. => Some(Allowed::All),
                bytes => Some(Allowed::Bytes(bytes)),
            },
        }
    }
}

enum Allowed {
    All,
    Bytes(u64),
}

/// The smallest limit of this process's cgroup and of those around it, as far up as they can be seen.
fn cgroup_limit(root: &Path) -> Result<u64, MemoryError> {
    let (_, cgroups) = read(root.join("proc/self/cgroup"))?;
    let (_, mounts) = read(root.join("proc/self/mountinfo"))?;
    let mut smallest = None;
    let mut looked = Vec::new();
    for (version, path) in cgroups.lines().filter_map(own) {
        for Mount { at, shows } in mounts.lines().filter_map(|line| mount(line, version)) {
            let at = below(root, &at);
            let Some(inside) = inside(&path, &shows) else {
                looked.push((at, format!("{} is not in what is mounted there", path.display())));
                continue;
            };
            for folder in at.join(inside).ancestors().take_while(|folder| folder.starts_with(&at)) {
                let file = folder.join(version.file());
                let text = match fs::read_to_string(&file) {
                    Ok(text) => text,
                    // The outermost one has none, and none has where the controller is not on.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        looked.push((file, "not there".to_owned()));
                        continue;
                    }
                    Err(error) => return Err(MemoryError::Unreadable { path: file, error }),
                };
                match version.parse(&text) {
                    None => return Err(MemoryError::malformed(file, "a number of bytes, or `max`", &text)),
                    Some(Allowed::All) => {
                        looked.push((file, format!("{:?}, which is no limit", text.trim())))
                    }
                    Some(Allowed::Bytes(bytes)) => {
                        smallest = Some(smallest.map_or(bytes, |before: u64| before.min(bytes)));
                    }
                }
            }
        }
    }
    smallest.ok_or(MemoryError::NoCgroupLimit { looked })
}

/// This process's cgroup, by a line `ID:CONTROLLERS:PATH`, where memory is limited.
fn own(line: &str) -> Option<(Version, PathBuf)> {
    let mut parts = line.splitn(3, ':');
    let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    if id == "0" && controllers.is_empty() {
        return Some((Version::V2, path.into()));
    }
    controllers.split(',').any(|controller| controller == "memory").then(|| (Version::V1, path.into()))
}

/// Where cgroups can be seen, and which one is the outermost there.
struct Mount {
    at: PathBuf,
    shows: PathBuf,
}

/// A line of `mountinfo`: `ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS … - TYPE SOURCE OPTIONS`.
fn mount(line: &str, version: Version) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (shows, at) = (unescaped(before.next()?), unescaped(before.next()?));
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1).unwrap_or(""));
    let fits = match version {
        Version::V1 => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        Version::V2 => kind == "cgroup2",
    };
    fits.then(|| Mount { at: at.into(), shows: shows.into() })
}

/// Blanks, line ends and backslashes are `\` and three octal digits there.
fn unescaped(text: &str) -> String {
    [(r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", r"\")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The cgroup's folder under the mount point. Where a namespace hides part of the way up, the mount point itself is the best there is.
fn inside(path: &Path, shows: &Path) -> Option<PathBuf> {
    let hidden = |path: &Path| path.components().any(|part| part == Component::ParentDir);
    if hidden(path) || hidden(shows) {
        return Some(PathBuf::new());
    }
    path.strip_prefix(shows).ok().map(Path::to_owned)
}

/// An absolute path as one under another root.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}
