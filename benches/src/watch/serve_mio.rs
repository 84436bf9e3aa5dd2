//! An HTTP server on a hand-written loop over mio, that the monitor watches with two calls a turn.
//!
//! Owns the thread, its loop, the connections. What a request means is `desk.rs`'s; its bytes are `http.rs`'s.

use super::{
    desk::{Desk, Job, Polls, Receipt},
    eyes::Eyes,
    http::{self, Inbox, Request},
    name::LoopName,
    serve_tokio::thread_name,
};
use mio::{Events, Interest, Poll, Registry, Token, Waker, event::Event, net::TcpListener, net::TcpStream};
use signalpost::monitor::LoopGuard;
use std::{
    collections::HashMap,
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
        mpsc,
    },
    thread,
    time::Duration,
};

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
const FIRST: usize = 2;

/// A server that serves until it is dropped.
#[derive(Debug)]
pub struct MioServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<thread::JoinHandle<()>>,
}

impl MioServer {
    /// Starts it, watched by `eyes`, on an address of the loopback that the system chooses.
    ///
    /// # Errors
    /// When there is no such address or thread, or it cannot be watched.
    pub fn start(eyes: &Arc<Eyes>, desk: &Arc<Desk>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let mut listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;

        let stop = Arc::new(AtomicBool::new(false));
        let (ready, started) = mpsc::channel();
        let (eyes, stopped) = (Arc::clone(eyes), Arc::clone(&stop));
        let desk = Arc::clone(desk);
        let name = thread_name(LoopName::Mio).to_owned();
        let thread = thread::Builder::new().name(name).spawn(move || {
            let server =
                Loop { poll, listener, connections: HashMap::new(), next: FIRST, desk, going_on: Vec::new() };
            // On this thread: it is this thread's turns that are watched.
            match eyes.turns(LoopName::Mio) {
                Ok(turns) => {
                    let _ = ready.send(Ok(()));
                    server.run(turns, &stopped);
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        })?;
        started.recv().map_err(|_| io::Error::other("the server's thread ended"))??;
        Ok(Self { address, stop, waker, thread: Some(thread) })
    }

    /// Where it serves.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MioServer {
    fn drop(&mut self) {
        self.stop.store(true, Release); // with the loop's load: who is woken finds it set
        if self.waker.wake().is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

struct Loop {
    poll: Poll,
    listener: TcpListener,
    connections: HashMap<Token, Connection>,
    next: usize,
    desk: Arc<Desk>,
    /// Short polls that are not over, and who asked for them.
    going_on: Vec<(Polls, usize, Token, Receipt)>,
}

impl Loop {
    fn run(mut self, mut turns: LoopGuard, stopped: &AtomicBool) {
        let mut events = Events::with_capacity(64);
        while !stopped.load(Acquire) {
            let patience = (!self.going_on.is_empty()).then_some(Duration::ZERO);
            let polled = self.poll.poll(&mut events, patience);
            turns.busy();
            match polled {
                Ok(()) => events.iter().for_each(|event| self.handle(event)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => panic!("the loop cannot wait: {error}"),
            }
            self.go_on();
            turns.idle();
        }
    }

    fn handle(&mut self, event: &Event) {
        match event.token() {
            LISTENER => self.accept(),
            WAKER => {} // only to look whether to stop
            token => self.serve(token),
        }
    }

    fn accept(&mut self) {
        // Edge-triggered: until nobody waits. An error of whoever knocked is theirs alone.
        while let Ok((mut stream, _)) = self.listener.accept() {
            let token = Token(self.next);
            self.next += 1;
            let _ = stream.set_nodelay(true);
            let both = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, token, both).is_ok() {
                let connection =
                    Connection { stream, inbox: Inbox::default(), outbox: Vec::new(), closing: false };
                self.connections.insert(token, connection);
            }
        }
    }

    fn serve(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let mut open = connection.receive();
        loop {
            match connection.inbox.request() {
                Ok(Some(request)) => match respond(request, &self.desk) {
                    Answer::Now(bytes) => connection.outbox.extend(bytes),
                    Answer::Later(polls, tasks, receipt) => {
                        self.going_on.push((polls, tasks, token, receipt));
                    }
                },
                Ok(None) => break,
                Err(garbled) => {
                    connection.outbox.extend(http::answer(400, &garbled.to_string()));
                    connection.closing = true;
                    break;
                }
            }
        }
        open &= connection.send();
        if !open {
            self.close(token);
        }
    }

    /// One short poll of every task that has not ended, then the loop turns.
    fn go_on(&mut self) {
        for (polls, tasks, token, receipt) in std::mem::take(&mut self.going_on) {
            let last = (0..tasks).fold(true, |_, task| polls.poll(task, 0));
            if last {
                self.going_on.push((polls, tasks, token, receipt));
                continue;
            }
            receipt.give(Vec::new(), polls.measured());
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.outbox.extend(http::answer(200, "done"));
                if !connection.send() {
                    self.close(token);
                }
            }
        }
    }

    fn close(&mut self, token: Token) {
        if let Some(mut connection) = self.connections.remove(&token) {
            deregister(self.poll.registry(), &mut connection.stream);
        }
    }
}

/// It is closed next in any case.
fn deregister(registry: &Registry, stream: &mut TcpStream) {
    let _ = registry.deregister(stream);
}

enum Answer {
    Now(Vec<u8>),
    Later(Polls, usize, Receipt),
}

fn respond(request: Request, desk: &Desk) -> Answer {
    Answer::Now(match request {
        Request::Hello => http::answer(200, "hello"),
        Request::Job(number) => match desk.take(number).map(super::desk::Order::accept) {
            Some((Job::Here(work), receipt)) => {
                receipt.give(Vec::new(), work());
                http::answer(200, "done")
            }
            Some((Job::ShortPolls(wanted), receipt)) => {
                return Answer::Later(Polls::begin(wanted), wanted.tasks, receipt);
            }
            // The receipt is dropped, so that the run learns that it was not done.
            Some((Job::SpawnBlocking(_) | Job::InPlace(_), _)) => http::answer(500, "not on this loop"),
            None => http::answer(404, "no such job"),
        },
        Request::Unknown => http::answer(404, "nothing is here"),
    })
}

struct Connection {
    stream: TcpStream,
    inbox: Inbox,
    outbox: Vec<u8>,
    closing: bool,
}

impl Connection {
    /// Takes what is there. Gives whether more may come.
    fn receive(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => self.inbox.feed(&buffer[..length]),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return true,
                    _ => return false,
                },
            }
        }
    }

    /// Gives what the other side takes; the rest goes when it takes more. Gives whether the connection goes on.
    fn send(&mut self) -> bool {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(0) => return false,
                Ok(length) => drop(self.outbox.drain(..length)),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => return true,
                    _ => return false,
                },
            }
        }
        !self.closing
    }
}
