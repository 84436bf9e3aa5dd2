//! An HTTP server on a tokio runtime, of either flavour, that the monitor watches.
//!
//! Owns the runtime's thread, the accepting, the connections. What a request means is `desk.rs`'s; its bytes are `http.rs`'s.

use super::{
    desk::{Desk, Job, Polls, Receipt},
    eyes::{Eyes, OwnName, Spawn, names_of_this_task},
    http::{self, Inbox, Request},
    name::LoopName,
};
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    task::Poll,
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, worker_index},
    sync::{Barrier, oneshot},
    task::JoinSet,
};

/// Workers of the multi-thread server.
const WORKERS: usize = 2;

/// A server that serves until it is dropped.
#[derive(Debug)]
pub struct TokioServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl TokioServer {
    /// Starts it, watched by `eyes`, on an address of the loopback that the system chooses.
    ///
    /// # Errors
    /// When there is no such address or thread, or it cannot be watched.
    ///
    /// # Panics
    /// For a loop that is not tokio's.
    pub fn start(event_loop: LoopName, eyes: &Arc<Eyes>, desk: &Arc<Desk>) -> io::Result<Self> {
        let mut builder = match event_loop {
            LoopName::TokioCurrentThread => Builder::new_current_thread(),
            LoopName::TokioMultiThread => Builder::new_multi_thread(),
            LoopName::Mio | LoopName::Process => panic!("{event_loop} is no loop of tokio's"),
        };
        builder.worker_threads(WORKERS).thread_name(thread_name(event_loop)).enable_all();
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = mpsc::channel();
        let (eyes, desk) = (Arc::clone(eyes), Arc::clone(desk));
        // The runtime is built and entered on the thread that drives it.
        let thread = thread::Builder::new().name(thread_name(event_loop).to_owned()).spawn(move || {
            let watched = eyes.tokio(event_loop, &mut builder);
            match watched.and_then(|(runtime, hub)| {
                Ok((runtime.block_on(TcpListener::bind("127.0.0.1:0"))?, runtime, hub))
            }) {
                Ok((listener, runtime, hub)) => {
                    let _ = ready.send(listener.local_addr());
                    runtime.block_on(accept(listener, desk, eyes.spawn(), stopped));
                    hub.unwatch();
                    // A job that never ends may not keep the lab from ending.
                    runtime.shutdown_timeout(Duration::from_secs(1));
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        let address = address.recv().map_err(|_| io::Error::other("the server's thread ended"))??;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it serves.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for TokioServer {
    fn drop(&mut self) {
        // Whether it still listens or has ended: it has by the join.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// By this name the loop's threads are found among those of the process; Linux shows 15 bytes.
pub const fn thread_name(event_loop: LoopName) -> &'static str {
    match event_loop {
        LoopName::TokioCurrentThread => "loop-current",
        LoopName::TokioMultiThread => "loop-multi",
        LoopName::Mio => "loop-mio",
        LoopName::Process => "",
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>, spawn: Spawn, mut stopped: oneshot::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                drop(spawn.task("connection", |own_name| connection(stream, desk, own_name)));
            }
            // Out of descriptors, or whoever knocked is gone: the others are served on.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// One connection, to its end.
async fn connection(mut stream: TcpStream, desk: Arc<Desk>, own_name: OwnName) {
    let _ = stream.set_nodelay(true);
    let mut inbox = Inbox::default();
    let mut buffer = [0; 4096];
    loop {
        let answer = match inbox.request() {
            Ok(Some(request)) => respond(request, &desk, &own_name).await,
            Ok(None) => match stream.read(&mut buffer).await {
                Ok(length @ 1..) => {
                    inbox.feed(&buffer[..length]);
                    continue;
                }
                Ok(0) | Err(_) => return,
            },
            Err(garbled) => {
                let _ = stream.write_all(&http::answer(400, &garbled.to_string())).await;
                return;
            }
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

async fn respond(request: Request, desk: &Desk, own_name: &OwnName) -> Vec<u8> {
    match request {
        Request::Hello => http::answer(200, "hello"),
        Request::Job(number) => match desk.take(number) {
            Some(order) => {
                let (job, receipt) = order.accept();
                perform(job, receipt, own_name).await;
                http::answer(200, "done")
            }
            None => http::answer(404, "no such job"),
        },
        Request::Unknown => http::answer(404, "nothing is here"),
    }
}

async fn perform(job: Job, receipt: Receipt, own_name: &OwnName) {
    match job {
        Job::Here(work) => receipt.give(names_of_this_task(own_name), work()),
        Job::SpawnBlocking(work) => {
            // A panic there leaves no account, and the run says so.
            if let Ok(measured) = tokio::task::spawn_blocking(work).await {
                receipt.give(Vec::new(), measured);
            }
        }
        Job::InPlace(work) => receipt.give(Vec::new(), tokio::task::block_in_place(work)),
        Job::ShortPolls(wanted) => {
            let polls = Arc::new(Polls::begin(wanted));
            // All are ready at once, so that an idle worker finds several of them.
            let ready = Arc::new(Barrier::new(wanted.tasks));
            let mut tasks = JoinSet::new();
            for task in 0..wanted.tasks {
                let (polls, ready) = (Arc::clone(&polls), Arc::clone(&ready));
                tasks.spawn(async move {
                    ready.wait().await;
                    while polls.poll(task, worker_index().unwrap_or(0)) {
                        at_once_again().await;
                    }
                });
            }
            while tasks.join_next().await.is_some() {}
            receipt.give(Vec::new(), polls.measured());
        }
    }
}

/// Gives way to other tasks, and is ready at once: unlike `yield_now`, which lets the loop turn first.
async fn at_once_again() {
    let mut gave_way = false;
    poll_fn(|context| {
        if gave_way {
            return Poll::Ready(());
        }
        gave_way = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
