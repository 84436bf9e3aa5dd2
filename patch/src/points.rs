//! Patch points that most programs want: time, random numbers, network, files, environment.
//!
//! Owns what they do when nothing replaces them. Not here: the clock that stands still (`fake_clock.rs`), faults on purpose
//! (`fault.rs`, `faults.rs`, `point_name.rs`).
//!
//! They are here so that crates that know nothing of each other call the same ones: what replaces [`time::sleep`] replaces it for
//! all that call it. What calls `std::thread::sleep` by itself is not affected.
//!
//! | module | its name | functions |
//! |---|---|---|
//! | [`time`] | `signalpost.time` | `now`, `system_now`, `sleep` |
//! | [`rand`] | `signalpost.rand` | `seed` |
//! | [`net`] | `signalpost.net` | `resolve`, `connect` |
//! | [`fs`] | `signalpost.fs` | `read`, `write` |
//! | [`env`](mod@env) | `signalpost.env` | `var` |
//!
//! The names have a prefix, since a program has modules of its own, and `time` is what many would call one. A library's have its
//! own: `pub mod time as "acme.time"`.
//!
//! For tests, and not only there, two things replace them: [`FakeClock`], which is turned by hand, and [`Faults`], which fail when
//! they are told to.

mod fake_clock;
mod fault;
mod faults;
mod point_name;

pub use fake_clock::{FakeClock, TooFewSleepers};
pub use fault::{Fault, FaultError, InjectedFault};
pub use faults::{FaultCounts, FaultId, Faults};
pub use point_name::PointName;

use crate::module::Module;

/// The modules of the ready set, in the order of the table above.
pub static MODULES: [&Module; 5] = [&time::MODULE, &rand::MODULE, &net::MODULE, &fs::MODULE, &env::MODULE];

crate::patch_points! {
    /// What the time is, and waiting for it. Its name is `signalpost.time`.
    ///
    /// ```
    /// use signalpost::patch::points::time;
    /// use std::time::Duration;
    ///
    /// let begun = time::now();
    /// time::sleep(Duration::from_millis(1));
    /// assert!(time::now() - begun >= Duration::from_millis(1));
    /// ```
    pub mod time as "signalpost.time" {
        use std::time::Duration;
        use std::time::Instant;
        use std::time::SystemTime;

        /// The time on the clock that never goes back: [`Instant::now`].
        fn now() -> Instant {
            Instant::now()
        }

        /// The time of day: [`SystemTime::now`].
        fn system_now() -> SystemTime {
            SystemTime::now()
        }

        /// Waits: [`std::thread::sleep`]. Blocks the thread.
        fn sleep(duration: Duration) {
            std::thread::sleep(duration);
        }
    }

    /// What random numbers begin with. Its name is `signalpost.rand`.
    ///
    /// ```
    /// use signalpost::patch::Scope;
    /// use signalpost::patch::points::rand;
    ///
    /// // The same numbers in each run of a test.
    /// let scope = Scope::new([rand::slots::seed.with(Box::new(|| Ok([7; 32])))]).unwrap();
    /// assert_eq!(scope.run(rand::seed).unwrap(), [7; 32]);
    /// ```
    pub mod rand as "signalpost.rand" {
        use std::io;

        /// 32 bytes from the operating system, fit to begin any generator with, also a cryptographic one.
        ///
        /// # Errors
        /// What the operating system says; [`Unsupported`](io::ErrorKind::Unsupported) where there is none (WebAssembly without
        /// WASI).
        fn seed() -> io::Result<[u8; 32]> {
            super::super::seed_of_system()
        }
    }

    /// Names and connections. Its name is `signalpost.net`.
    ///
    /// ```
    /// use signalpost::patch::points::net;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let server = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let addresses = net::resolve("127.0.0.1", server.local_addr()?.port())?;
    /// let stream = net::connect(addresses[0], None)?;
    /// assert_eq!(stream.peer_addr()?, server.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub mod net as "signalpost.net" {
        use std::io;
        use std::net::SocketAddr;
        use std::net::TcpStream;
        use std::net::ToSocketAddrs;
        use std::time::Duration;

        /// The addresses of a host, in the order in which they are to be tried. Blocks while a name server is asked.
        ///
        /// # Errors
        /// As [`ToSocketAddrs`] of a host and a port.
        fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            Ok((host, port).to_socket_addrs()?.collect())
        }

        /// A connection to `address`, [within `timeout`](TcpStream::connect_timeout) or, without one, whenever the operating system
        /// [gives up](TcpStream::connect). Blocks.
        ///
        /// # Errors
        /// As these two; a timeout of zero is [`InvalidInput`](io::ErrorKind::InvalidInput).
        fn connect(address: SocketAddr, timeout: Option<Duration>) -> io::Result<TcpStream> {
            match timeout {
                Some(timeout) => TcpStream::connect_timeout(&address, timeout),
                None => TcpStream::connect(address),
            }
        }
    }

    /// Whole files. Its name is `signalpost.fs`.
    ///
    /// ```
    /// use signalpost::patch::Scope;
    /// use signalpost::patch::points::fs;
    /// use std::path::Path;
    ///
    /// let scope = Scope::new([fs::slots::read.with(Box::new(|_| Ok(b"level = 3".to_vec())))]).unwrap();
    /// assert_eq!(scope.run(|| fs::read(Path::new("/etc/acme.conf"))).unwrap(), b"level = 3");
    /// ```
    pub mod fs as "signalpost.fs" {
        use std::io;
        use std::path::Path;

        /// All that is in a file: [`std::fs::read`].
        ///
        /// # Errors
        /// As it.
        fn read(path: &Path) -> io::Result<Vec<u8>> {
            std::fs::read(path)
        }

        /// Makes this the contents of a file, which is there afterwards: [`std::fs::write`].
        ///
        /// # Errors
        /// As it.
        fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
            std::fs::write(path, contents)
        }
    }

    /// The variables of the environment. Its name is `signalpost.env`.
    ///
    /// Setting one in a test is `unsafe`, and all tests of the process would see it. A scope is neither:
    ///
    /// ```
    /// use signalpost::patch::Scope;
    /// use signalpost::patch::points::env;
    /// use std::env::VarError;
    ///
    /// let zone = |name: &str| match name {
    ///     "TZ" => Ok("Europe/Vienna".to_owned()),
    ///     _ => Err(VarError::NotPresent),
    /// };
    /// let scope = Scope::new([env::slots::var.with(Box::new(zone))]).unwrap();
    /// assert_eq!(scope.run(|| env::var("TZ")).as_deref(), Ok("Europe/Vienna"));
    /// ```
    pub mod env as "signalpost.env" {
        use std::env::VarError;

        /// A variable's value: [`std::env::var`].
        ///
        /// # Errors
        /// As it.
        fn var(name: &str) -> Result<String, VarError> {
            std::env::var(name)
        }
    }
}

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
fn seed_of_system() -> std::io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

#[cfg(all(target_family = "wasm", target_os = "unknown"))]
fn seed_of_system() -> std::io::Result<[u8; 32]> {
    Err(std::io::Error::new(
        std::io::ErrorKind::Unsupported,
        "there is no operating system to take random numbers from",
    ))
}
