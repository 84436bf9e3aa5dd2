//! A tokio server with a monitor: who blocks a worker is told of while it lasts, with task, cause and stack.
//!
//! `cargo run --features tokio,monitor --example monitor_tokio`. The server is one as ever: it answers lines on a TCP connection. What
//! the monitor needs is marked with numbers. One request does what no task should; the report of it goes to standard error.

use signalpost::Bus;
use signalpost::monitor::{EventLoopBlocked, EventLoopUnblocked, Monitor, TokioHooks, monitored_spawn};
use std::error::Error;
use std::io::{BufRead, BufReader as StdBufReader, Write};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// How long the one request sleeps, which should have been an `await`.
const FAULT: Duration = Duration::from_secs(1);
const HANG: Duration = Duration::from_secs(30);

async fn serve(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        monitored_spawn(connection(stream)); // 1: instead of tokio::spawn; then the task has a name
    }
}

async fn connection(mut stream: TcpStream) -> std::io::Result<()> {
    let (from, mut to) = stream.split();
    let mut lines = BufReader::new(from).lines();
    while let Some(line) = lines.next_line().await? {
        if line == "report" {
            render();
        }
        to.write_all(format!("done: {line}\n").as_bytes()).await?;
    }
    Ok(())
}

/// Not like this.
#[inline(never)]
fn render() {
    thread::sleep(FAULT);
}

fn main() -> Result<(), Box<dyn Error>> {
    let bus = Arc::new(Bus::new()); // 2
    let monitor = Monitor::builder().bus(bus.clone()).start()?; // 3
    let hooks = TokioHooks::new(); // 4
    let mut builder = Builder::new_multi_thread();
    hooks.install(&mut builder); // 5
    let runtime = builder.worker_threads(2).enable_all().build()?;
    let server = monitor.watch_tokio("server", runtime.handle(), &hooks)?; // 6

    let (blocked, all_blocked) = mpsc::channel(); // 7: this and the next are for who wants more than the report
    let _blocked = bus.topic::<EventLoopBlocked>().subscribe(move |event| {
        let _ = blocked.send((event.hub.clone(), event.to_string())); // 8
    });
    let (over, all_over) = mpsc::channel();
    let _over = bus.topic::<EventLoopUnblocked>().subscribe(move |event| {
        let _ = over.send(event.clone());
    });

    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let address = listener.local_addr()?;
    runtime.spawn(serve(listener));
    for request in ["hello", "report", "goodbye"] {
        println!("server says: {}", ask(address, request)?);
    }

    // Fails, and with it the example, if the monitor has not seen it.
    let (hub, line) = all_blocked.recv_timeout(HANG)?;
    println!("monitor says: {line}");
    let over = all_over.recv_timeout(HANG)?;
    println!("monitor says: {over}");
    assert_eq!((&hub, &over.hub), (&server, &server));
    assert!(FAULT <= over.total + over.error_bound, "what was measured holds");
    Ok(())
}

/// A client: sends a line, and waits for the answer.
fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = StdTcpStream::connect(address)?;
    stream.set_read_timeout(Some(HANG))?;
    writeln!(stream, "{request}")?;
    let mut answer = String::new();
    StdBufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}
