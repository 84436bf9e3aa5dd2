//! The ready set, as it is when nothing replaces it.

use signalpost::patch::Scope;
use signalpost::patch::points::{self, env, fs, net, rand, time};
use std::collections::HashSet;
use std::env::VarError;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, SystemTime};

#[test]
fn modules_and_functions_are_called_what_the_documentation_says() {
    let all = points::MODULES.map(|module| {
        let items: Vec<_> = module.slots().iter().map(|slot| format!("{slot:?}")).collect();
        (module.name(), items.join("; "))
    });
    let expected = [
        (
            "signalpost.time",
            "signalpost.time::now: fn() -> Instant; signalpost.time::system_now: fn() -> SystemTime; \
             signalpost.time::sleep: fn(Duration)",
        ),
        ("signalpost.rand", "signalpost.rand::seed: fn() -> io::Result<[u8; 32]>"),
        (
            "signalpost.net",
            "signalpost.net::resolve: fn(&str, u16) -> io::Result<Vec<SocketAddr>>; \
             signalpost.net::connect: fn(SocketAddr, Option<Duration>) -> io::Result<TcpStream>",
        ),
        (
            "signalpost.fs",
            "signalpost.fs::read: fn(&Path) -> io::Result<Vec<u8>>; \
             signalpost.fs::write: fn(&Path, &[u8]) -> io::Result<()>",
        ),
        ("signalpost.env", "signalpost.env::var: fn(&str) -> Result<String, VarError>"),
    ];
    assert_eq!(all, expected.map(|(module, items)| (module, items.to_owned())));
}

#[test]
fn time_goes_on_and_a_sleep_lasts_at_least_as_long_as_it_should() {
    let nap = Duration::from_millis(2);
    let begun = time::now();
    time::sleep(nap);
    assert!(time::now() - begun >= nap);
    assert!(time::original::now() - begun >= nap);
    assert!(time::system_now() > SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)); // 2023
}

#[test]
fn no_two_seeds_are_the_same() {
    let seeds: HashSet<_> = (0..100).map(|_| rand::seed().unwrap()).collect();
    assert_eq!(seeds.len(), 100);
}

#[test]
fn a_file_is_read_as_it_was_written_and_errors_are_those_of_the_system() {
    let folder = std::env::temp_dir().join(format!("signalpost-points-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("state");
    fs::write(&file, b"one").unwrap();
    fs::write(&file, b"2").unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"2");
    assert_eq!(fs::read(&folder.join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::write(&folder.join("no/file"), b"").unwrap_err().kind(), ErrorKind::NotFound);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_host_is_resolved_and_connected_to_with_and_without_a_limit() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    assert_eq!(net::resolve("127.0.0.1", address.port()).unwrap(), [address]);
    for limit in [None, Some(Duration::from_secs(60))] {
        let stream = net::connect(address, limit).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }
    assert_eq!(net::connect(address, Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(net::resolve("no host has a name like this", 1).is_err());
}

#[test]
fn variables_are_those_of_the_process() {
    assert_eq!(env::var("CARGO_PKG_NAME").as_deref(), Ok("signalpost-patch"));
    for absent in ["SIGNALPOST_THERE_IS_NO_SUCH_VARIABLE", "", "A=B", "A\0B"] {
        assert_eq!(env::var(absent), Err(VarError::NotPresent), "{absent:?}");
    }
}

#[test]
fn each_function_can_be_replaced_and_its_original_is_the_way_out() {
    let here = fs::slots::read.with(Box::new(|path| {
        let mut all = fs::original::read(path)?;
        all.extend_from_slice(b"!");
        Ok(all)
    }));
    let fixed = rand::slots::seed.with(Box::new(|| Ok([7; 32])));
    let host = net::slots::resolve.with(Box::new(|_, port| Ok(vec![([127, 0, 0, 1], port).into()])));
    let home = env::slots::var.with(Box::new(|name| Ok(format!("{name}?"))));
    let scope = Scope::new([here, fixed, host, home]).unwrap();
    let path = Path::new("Cargo.toml");
    let plain = fs::read(path).unwrap();
    let _inside = scope.enter();
    assert_eq!(fs::read(path).unwrap(), [&plain[..], b"!"].concat());
    assert_eq!(rand::seed().unwrap(), [7; 32]);
    assert_eq!(net::resolve("acme.example", 80).unwrap(), [([127, 0, 0, 1], 80).into()]);
    assert_eq!(env::var("HOME").unwrap(), "HOME?");
}
