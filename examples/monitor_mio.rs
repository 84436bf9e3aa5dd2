//! A loop of mio's, written by hand, with a monitor: two calls a turn, and a turn that takes too long is told of while it lasts.
//!
//! `cargo run --features monitor --example monitor_mio`. An echo server over loopback TCP; one request is slow.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use signalpost::Bus;
use signalpost::monitor::{EventLoopBlocked, EventLoopUnblocked, LoopGuard, Monitor, MonitorRef};
use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// How long the one turn takes.
const FAULT: Duration = Duration::from_secs(1);
const HANG: Duration = Duration::from_secs(30);
const LISTENER: Token = Token(0);

/// Serves until a client says `stop`.
fn serve(mut listener: TcpListener, mut turn: LoopGuard) -> io::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(64));
    let mut clients: HashMap<Token, TcpStream> = HashMap::new();
    let mut next = 1;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        turn.idle();
        if let Err(error) = poll.poll(&mut events, None)
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(error);
        }
        turn.busy();
        for event in &events {
            if event.token() != LISTENER {
                let Some(client) = clients.get_mut(&event.token()) else { continue };
                match echo(client) {
                    Ok(true) => {}
                    Ok(false) => drop(clients.remove(&event.token())),
                    Err(_) => return Ok(()),
                }
                continue;
            }
            while let Ok((mut client, _)) = listener.accept() {
                poll.registry().register(&mut client, Token(next), Interest::READABLE)?;
                clients.insert(Token(next), client);
                next += 1;
            }
        }
    }
}

/// Answers what there is to read; false at the end of it, and an error if that was `stop`.
fn echo(client: &mut TcpStream) -> Result<bool, Stop> {
    let mut buffer = [0; 512];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                let request = &buffer[..length];
                if request == b"stop" {
                    return Err(Stop);
                }
                if request == b"slow" {
                    thread::sleep(FAULT); // not like this
                }
                // A few bytes always fit.
                if client.write_all(request).is_err() {
                    return Ok(false);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Ok(false),
        }
    }
}

/// A client said so.
struct Stop;

fn main() -> Result<(), Box<dyn Error>> {
    let bus = Arc::new(Bus::new());
    let monitor = Monitor::builder().bus(bus.clone()).start()?;
    let (blocked, all_blocked) = mpsc::channel();
    let _blocked = bus.topic::<EventLoopBlocked>().subscribe(move |event| {
        let _ = blocked.send((event.hub.name().to_owned(), event.to_string()));
    });
    let (over, all_over) = mpsc::channel();
    let _over = bus.topic::<EventLoopUnblocked>().subscribe(move |event| {
        let _ = over.send(event.clone());
    });

    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listener.local_addr()?;
    let watched = MonitorRef::clone(&monitor);
    let server = thread::spawn(move || {
        let turn = watched.watch_loop("echo").map_err(io::Error::other)?; // made on the thread that turns
        serve(listener, turn)
    });

    for request in ["hello", "slow", "goodbye"] {
        println!("server says: {}", ask(address, request)?);
    }
    std::net::TcpStream::connect(address)?.write_all(b"stop")?;
    server.join().map_err(|_| "the server panicked")??;

    // Fails, and with it the example, if the monitor has not seen it.
    let (hub, line) = all_blocked.recv_timeout(HANG)?;
    println!("monitor says: {line}");
    let over = all_over.recv_timeout(HANG)?;
    println!("monitor says: {over}");
    assert_eq!((hub.as_str(), over.hub.name()), ("echo", "echo"));
    assert!(FAULT <= over.total + over.error_bound, "what was measured holds");
    assert!(monitor.event_loops().iter().all(|hub| hub.name() != "echo"), "it ended with its guard");
    Ok(())
}

/// A client: sends a few bytes, and waits for as many.
fn ask(address: SocketAddr, request: &str) -> io::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(HANG))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = vec![0; request.len()];
    stream.read_exact(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
