//! The load on the servers: clients that ask, wait for the answer, and ask again, for the whole run.
//!
//! Owns the clients' thread and its runtime, which is not watched, and what the clients saw.
//! The rate is steady and low: the servers are to be in use, not at their limit.

use super::{
    http::{self, Inbox},
    name::LoopName,
    record::Served,
};
use hdrhistogram::Histogram;
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime,
    sync::oneshot,
    time,
};

/// Clients of each server, and how long each waits from one request to the next.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(10);
/// Between two figures.
const FIGURES: Duration = Duration::from_millis(250);

/// Clients of all servers, until it is dropped.
#[derive(Debug)]
pub struct Load {
    sides: Vec<Arc<Side>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// The clients of one server, all together.
#[derive(Debug)]
struct Side {
    event_loop: LoopName,
    address: SocketAddr,
    paused: AtomicBool,
    seen: Mutex<Seen>,
}

/// Since the last figure.
#[derive(Debug)]
struct Seen {
    since: Instant,
    answers: Histogram<u64>,
    /// When the request was sent that each client waits for.
    asked: [Option<Instant>; CLIENTS],
}

impl Load {
    /// Starts the clients; `figures` is told a few times a second how the servers do.
    ///
    /// # Errors
    /// When there is no thread for them.
    pub fn start(
        servers: impl IntoIterator<Item = (LoopName, SocketAddr)>,
        figures: impl Fn(Vec<Served>) + Send + 'static,
    ) -> io::Result<Self> {
        let sides: Vec<_> = servers
            .into_iter()
            .map(|(event_loop, address)| {
                let seen = Seen { since: Instant::now(), answers: microseconds(), asked: [None; CLIENTS] };
                Arc::new(Side { event_loop, address, paused: AtomicBool::new(false), seen: Mutex::new(seen) })
            })
            .collect();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = oneshot::channel::<()>();
        let of_thread = sides.clone();
        let thread = thread::Builder::new().name("lab-load".to_owned()).spawn(move || {
            runtime.block_on(async move {
                for side in &of_thread {
                    for client in 0..CLIENTS {
                        drop(tokio::spawn(ask_on(Arc::clone(side), client)));
                    }
                }
                loop {
                    tokio::select! {
                        _ = &mut stopped => return,
                        () = time::sleep(FIGURES) => figures(of_thread.iter().map(|side| side.figure()).collect()),
                    }
                }
            });
        })?;
        Ok(Self { sides, stop: Some(stop), thread: Some(thread) })
    }

    /// Whether that server is asked. Requests under way are waited for.
    pub fn pause(&self, event_loop: LoopName, paused: bool) {
        for side in self.sides.iter().filter(|side| side.event_loop == event_loop) {
            side.paused.store(paused, Relaxed);
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// From 1 µs to an hour.
fn microseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000, 2).expect("valid bounds and precision")
}

impl Side {
    fn figure(&self) -> Served {
        let now = Instant::now();
        let mut seen = self.seen.lock().expect("nothing panics under it");
        let interval = (now - std::mem::replace(&mut seen.since, now)).as_secs_f64();
        let count = seen.answers.len();
        let p99 = (count > 0).then(|| Duration::from_micros(seen.answers.value_at_quantile(0.99)));
        seen.answers.reset();
        let waiting = seen.asked.iter().flatten().map(|asked| now - *asked).max().unwrap_or_default();
        Served { event_loop: self.event_loop, requests_per_s: count as f64 / interval, p99, waiting }
    }

    fn asked(&self, client: usize) {
        self.seen.lock().expect("nothing panics under it").asked[client] = Some(Instant::now());
    }

    fn answered(&self, client: usize) {
        let mut seen = self.seen.lock().expect("nothing panics under it");
        if let Some(asked) = seen.asked[client].take() {
            seen.answers.saturating_record(asked.elapsed().as_micros().try_into().unwrap_or(u64::MAX));
        }
    }

    fn gave_up(&self, client: usize) {
        self.seen.lock().expect("nothing panics under it").asked[client] = None;
    }
}

/// A client; when its connection breaks it makes another.
async fn ask_on(side: Arc<Side>, client: usize) {
    // Not all at once.
    time::sleep(PAUSE * client as u32 / CLIENTS as u32).await;
    loop {
        if let Err(_broken) = ask_while_it_holds(&side, client).await {
            side.gave_up(client);
            time::sleep(PAUSE * 10).await;
        }
    }
}

async fn ask_while_it_holds(side: &Side, client: usize) -> io::Result<()> {
    let mut stream = TcpStream::connect(side.address).await?;
    stream.set_nodelay(true)?;
    let question = http::request("GET", "/hello");
    let mut inbox = Inbox::default();
    let mut buffer = [0; 1024];
    loop {
        while side.paused.load(Relaxed) {
            time::sleep(PAUSE).await;
        }
        side.asked(client);
        stream.write_all(&question).await?;
        let status = loop {
            if let Some(status) = inbox.answer().map_err(io::Error::other)? {
                break status;
            }
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            inbox.feed(&buffer[..length]);
        };
        if status != 200 {
            return Err(io::Error::other(format!("answered {status}")));
        }
        side.answered(client);
        time::sleep(PAUSE).await;
    }
}
