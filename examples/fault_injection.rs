//! A program that fetches and stores, and tries again; and two tests in which the same functions go wrong differently at once.
//!
//! `cargo run --features patch --example fault_injection`; as tests: `cargo test --features patch --example fault_injection`.

use signalpost::patch::Scope;
use signalpost::patch::points::{FakeClock, Fault, Faults, fs, net, time};
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Barrier, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

// The program. It knows nothing of tests: it only calls what can be replaced.

const TRIES: u32 = 4;
const PAGE: &[u8] = b"a page";

/// Fetches what a server says, and stores it.
fn copy(host: &str, port: u16, to: &Path) -> io::Result<usize> {
    let page = patiently(|| fetch(host, port))?;
    patiently(|| fs::write(to, &page))?;
    Ok(page.len())
}

fn fetch(host: &str, port: u16) -> io::Result<Vec<u8>> {
    let addresses = net::resolve(host, port)?;
    let address = *addresses.first().ok_or(ErrorKind::NotFound)?;
    let mut page = Vec::new();
    net::connect(address, Some(Duration::from_secs(10)))?.read_to_end(&mut page)?;
    Ok(page)
}

/// Tries again after 1 s, 2 s and 4 s.
fn patiently<T>(action: impl Fn() -> io::Result<T>) -> io::Result<T> {
    for pause in (0..TRIES - 1).map(|tried| Duration::from_secs(1 << tried)) {
        if let Ok(done) = action() {
            return Ok(done);
        }
        time::sleep(pause);
    }
    action()
}

// The tests: each has its own clock, its own faults, and a disk that is a variable.

#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Vec<u8>>>);

impl Disk {
    fn write(&self, contents: &[u8]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = contents.to_vec();
    }

    fn read(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Stage {
    clock: FakeClock,
    faults: Faults,
    disk: Disk,
    scope: Scope,
}

impl Stage {
    fn new() -> Result<Self, Box<dyn Error>> {
        let disk = Disk::default();
        let file = disk.clone();
        let write = fs::sig::write(move |_, contents| {
            file.write(contents);
            Ok(())
        });
        let (clock, faults) = (FakeClock::new().auto_advance(), Faults::new().over(write)?);
        let scope = Scope::new(clock.overrides().into_iter().chain(faults.overrides()))?;
        Ok(Self { clock, faults, disk, scope })
    }

    fn copy(&self, port: u16) -> io::Result<usize> {
        self.scope.run(|| copy("127.0.0.1", port, Path::new("/var/lib/acme/page")))
    }
}

/// The server refuses two connections, and stalls the third for a minute.
fn the_network_is_bad(port: u16, both_are_inside: impl Fn()) -> Result<String, Box<dyn Error>> {
    let stage = Stage::new()?;
    stage.faults.inject(&net::slots::connect, Fault::first(2).kind(ErrorKind::ConnectionRefused))?;
    stage.faults.inject(&net::slots::connect, Fault::nth(3).delay(Duration::from_secs(60)).pass())?;
    both_are_inside();
    let copied = stage.copy(port)?;
    let (connects, writes) =
        (stage.faults.counts(&net::slots::connect)?, stage.faults.counts(&fs::slots::write)?);
    assert_eq!((copied, stage.disk.read().as_slice()), (PAGE.len(), PAGE));
    assert_eq!((connects.calls, connects.failed, writes.calls, writes.failed), (3, 2, 1, 0));
    assert_eq!(stage.clock.elapsed(), Duration::from_secs(1 + 2 + 60));
    Ok(format!(
        "{copied} bytes after {} connects, in {:?} of its clock",
        connects.calls,
        stage.clock.elapsed()
    ))
}

/// The network is well, and nothing can be written.
fn the_disk_is_full(port: u16, both_are_inside: impl Fn()) -> Result<String, Box<dyn Error>> {
    let stage = Stage::new()?;
    stage
        .faults
        .inject(&fs::slots::write, Fault::always().kind(ErrorKind::StorageFull).text("no space left"))?;
    both_are_inside();
    let Err(error) = stage.copy(port) else { return Err("it was written".into()) };
    let (connects, writes) =
        (stage.faults.counts(&net::slots::connect)?, stage.faults.counts(&fs::slots::write)?);
    assert_eq!((error.kind(), stage.disk.read().as_slice()), (ErrorKind::StorageFull, &[][..]));
    assert_eq!((connects.calls, connects.failed, writes.calls, writes.failed), (1, 0, 4, 4));
    assert_eq!(stage.clock.elapsed(), Duration::from_secs(1 + 2 + 4));
    Ok(format!("\"{error}\" after {} writes, in {:?} of its clock", writes.calls, stage.clock.elapsed()))
}

/// Says a page to whoever connects, for as long as the process lives.
fn serve() -> io::Result<u16> {
    let server = TcpListener::bind("127.0.0.1:0")?;
    let port = server.local_addr()?.port();
    thread::spawn(move || {
        for stream in server.incoming() {
            let _ = stream.and_then(|mut stream| stream.write_all(PAGE));
        }
    });
    Ok(port)
}

fn main() -> Result<(), Box<dyn Error>> {
    let port = serve()?;
    // As a test runner would have it, but that both are certain to be inside their scopes at the same time.
    let barrier = Barrier::new(2);
    let meet = || {
        barrier.wait();
    };
    let (bad, full) = thread::scope(|threads| {
        let bad = threads.spawn(|| the_network_is_bad(port, meet).map_err(|error| error.to_string()));
        let full = threads.spawn(|| the_disk_is_full(port, meet).map_err(|error| error.to_string()));
        (bad.join(), full.join())
    });
    println!("the network is bad: {}", bad.expect("it did not panic")?);
    println!("the disk is full:   {}", full.expect("it did not panic")?);

    // Here, in neither scope, all is as it was.
    let file = std::env::temp_dir().join(format!("fault_injection-{}", std::process::id()));
    let copied = copy("127.0.0.1", port, &file)?;
    println!("for everybody else: {copied} bytes at once, on a real disk");
    assert_eq!(fs::read(&file)?, PAGE);
    Ok(std::fs::remove_file(file)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_arrives_though_the_network_is_bad() {
        the_network_is_bad(serve().unwrap(), || ()).unwrap();
    }

    #[test]
    fn a_full_disk_is_reported_after_the_last_try() {
        the_disk_is_full(serve().unwrap(), || ()).unwrap();
    }
}
