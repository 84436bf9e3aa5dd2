//! The live view of `lab watch`: takes the terminal, draws what happens, and gives the terminal back.
//!
//! Owns the terminal's state, the keys and signals that end the view, and the promise that the terminal is as before
//! when the view is gone: at its end, on a key, on a signal, on an error and on a panic.
//! Not here: what the picture shows (`picture.rs`), what is printed below it (`lines.rs`).

use super::{
    history::{Ending, History},
    picture::{self, Chosen},
    record::Moment,
};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::{
        cursor::{Hide, Show},
        event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
        execute,
        terminal::{
            Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
        },
    },
};
use std::{
    fmt,
    io::{self, IsTerminal, Stdout, Write},
    panic::{self, PanicHookInfo},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, TryRecvError},
    },
    thread,
    time::Duration,
};

/// How long the view waits for a key before it looks whether there is something new to draw.
const PERIOD: Duration = Duration::from_millis(100);

/// A terminal that shows the live view, until it is dropped.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    taken: Taken,
}

/// Whether there is a terminal that the view can be shown on: standard output, and not in CI.
pub fn is_possible() -> bool {
    let dumb = std::env::var_os("TERM").is_some_and(|kind| kind == "dumb");
    io::stdout().is_terminal() && !dumb && std::env::var_os("CI").is_none()
}

impl Screen {
    /// Takes the terminal for the calling thread. To be opened once in a process: what becomes of signals and panics
    /// belongs to it.
    ///
    /// # Errors
    /// When it cannot be had: it is as before then, and plain lines can be written to it.
    pub fn open() -> io::Result<Self> {
        let taken = Taken::take()?;
        Ok(Self { terminal: Terminal::new(CrosstermBackend::new(io::stdout()))?, taken })
    }

    /// Shows what is told until the last moment, a key, or a signal; keeps it in `history`. Gives the terminal back.
    ///
    /// # Errors
    /// When the terminal cannot be written to or read from. However it ends, `moments` is dropped: this tells the run
    /// that nobody looks on.
    pub fn follow(mut self, moments: Receiver<Moment>, history: &mut History) -> io::Result<Ending> {
        let mut chosen = Chosen::default();
        let mut is_new = true;
        loop {
            match take_all(&moments, history) {
                Told::Nothing => {}
                Told::Something => is_new = true,
                Told::Everything(ending) => return Ok(ending),
            }
            if std::mem::take(&mut is_new) {
                self.terminal.draw(|frame| picture::draw(frame, history, chosen))?;
            }
            // More keys may be there at once, and wait for no picture.
            let mut patience = PERIOD;
            while event::poll(patience)? {
                patience = Duration::ZERO;
                is_new = true;
                match event::read()? {
                    Event::Key(key) if is_quit(&key) => return Ok(Ending::Quit),
                    Event::Key(key) if key.kind != KeyEventKind::Release => {
                        choose(key.code, &mut chosen, history);
                    }
                    _ => {}
                }
            }
            if self.taken.asked_to_end() {
                return Ok(Ending::Quit);
            }
        }
    }
}

/// What has come since the last look.
enum Told {
    Nothing,
    Something,
    Everything(Ending),
}

/// Takes in what is there.
fn take_all(moments: &Receiver<Moment>, history: &mut History) -> Told {
    let mut told = Told::Nothing;
    loop {
        match moments.try_recv() {
            Ok(moment) => history.take(moment),
            Err(_) if history.is_over() => return Told::Everything(Ending::Ended),
            Err(TryRecvError::Empty) => return told,
            Err(TryRecvError::Disconnected) => return Told::Everything(Ending::Cut),
        }
        told = Told::Something;
    }
}

/// Whether a key ends the view. A terminal in raw mode sends Ctrl-C as a key.
fn is_quit(key: &KeyEvent) -> bool {
    let with_control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press
        && match key.code {
            KeyCode::Char('c') => with_control,
            KeyCode::Char('q') | KeyCode::Esc => true,
            _ => false,
        }
}

fn choose(key: KeyCode, chosen: &mut Chosen, history: &History) {
    match key {
        KeyCode::Down => chosen.older(history),
        KeyCode::Up => chosen.newer(history),
        KeyCode::End => chosen.newest(),
        _ => {}
    }
}

/// What a process does about a panic.
type Hook = dyn Fn(&PanicHookInfo<'_>) + Send + Sync;

/// The terminal while it is ours, and all that was changed for it.
struct Taken {
    /// Whether it is ours.
    ours: Arc<AtomicBool>,
    /// Panics of other threads, which would have spoilt the picture.
    kept: Arc<Mutex<Vec<String>>>,
    hook: Arc<Hook>,
    signals: Signals,
}

impl Taken {
    fn take() -> io::Result<Self> {
        let signals = Signals::catch()?;
        let ours = Arc::new(AtomicBool::new(true));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let hook: Arc<Hook> = panic::take_hook().into();
        let taken = Self { ours: ours.clone(), kept: kept.clone(), hook: hook.clone(), signals };
        let viewer = thread::current().id();
        panic::set_hook(Box::new(move |info| {
            if !ours.load(Relaxed) {
                hook(info);
            } else if thread::current().id() == viewer || cfg!(panic = "abort") {
                give_back(&ours);
                hook(info);
            } else {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
            }
        }));
        // From here on, dropping it gives back whatever was done.
        enable_raw_mode()?;
        // Cleared here: `Terminal::clear` asks where the cursor is, which not every terminal answers.
        execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All), Hide)?;
        Ok(taken)
    }

    /// Whether a signal has asked the process to end.
    fn asked_to_end(&self) -> bool {
        self.signals.asked.load(Relaxed)
    }
}

/// Gives the terminal back, once.
fn give_back(ours: &AtomicBool) {
    if ours.swap(false, Relaxed) {
        // There is nothing else to try, and nowhere to say it.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        give_back(&self.ours);
        for panic in self.kept.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Whoever closed standard error does not want to hear of it.
            let _ = writeln!(io::stderr(), "while the view was on, a thread {panic}");
        }
        // A thread that panics may not change the hook; ours does what it did, now that the terminal is given back.
        if !thread::panicking() {
            let hook = self.hook.clone();
            panic::set_hook(Box::new(move |info| hook(info)));
        }
        self.signals.ended.store(true, Relaxed);
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taken").field("ours", &self.ours).finish_non_exhaustive()
    }
}

/// Signals that end a process: seen while the view is on, and as before when it is gone.
#[derive(Debug)]
struct Signals {
    asked: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        let signals = Self { asked: Arc::default(), ended: Arc::default() };
        #[cfg(unix)]
        for signal in [
            signal_hook::consts::SIGHUP,
            signal_hook::consts::SIGINT,
            signal_hook::consts::SIGQUIT,
            signal_hook::consts::SIGTERM,
        ] {
            use signal_hook::flag;
            // In this order: a signal while the view is on finds it on, whichever comes after.
            flag::register_conditional_default(signal, signals.ended.clone())?;
            flag::register(signal, signals.asked.clone())?;
        }
        Ok(signals)
    }
}

#[cfg(all(test, unix))]
mod tests {
    //! Each test starts this program again with a terminal of its own, as the one test in it that is named `child`.

    use super::*;
    use crate::watch::history::sample::{history, moments};
    use nix::{
        pty::{OpenptyResult, Winsize, openpty},
        sys::{
            signal::{Signal, kill},
            termios::{Termios, tcgetattr},
        },
        unistd::Pid,
    };
    use std::{
        fs::File,
        io::Read,
        os::fd::OwnedFd,
        process::{Child, Command, ExitStatus, Stdio},
        sync::mpsc,
    };

    const ENTER: &str = "\x1b[?1049h";
    const LEAVE: &str = "\x1b[?1049l";
    /// A word of the picture.
    const HELP: &str = "quits";
    /// Ends a test that hangs.
    const PATIENCE: Duration = Duration::from_secs(60);
    const VARIABLE: &str = "SIGNALPOST_LAB_TEST_OF_TERMINAL";

    /// What the other process does: nothing when it is run as a test among others.
    #[test]
    fn child() {
        let Ok(deed) = std::env::var(VARIABLE) else { return };
        if deed == "ask" {
            return println!("possible: {}", is_possible());
        }
        let (sender, receiver) = mpsc::channel();
        let told = moments();
        let begun = told.len() - usize::from(deed != "end");
        told.into_iter().take(begun).for_each(|moment| sender.send(moment).unwrap());
        let screen = Screen::open().expect("there is a terminal");
        match deed.as_str() {
            "cut" => drop(sender),
            "viewer panics" => panic!("the viewer's last words"),
            "another panics" => {
                let other = thread::spawn(|| panic!("the other's last words")).join();
                other.expect_err("it panicked");
                drop(sender);
            }
            _ => std::mem::forget(sender),
        }
        let ending = screen.follow(receiver, &mut history(0)).unwrap();
        println!("it {ending:?}, below");
        if deed == "signal after" {
            signal_hook::low_level::raise(signal_hook::consts::SIGTERM).unwrap();
            unreachable!("a signal ends the process as before");
        }
    }

    /// A process that was started in a terminal, and that terminal.
    struct Started {
        child: Child,
        ours: File,
        bytes: Receiver<Vec<u8>>,
        theirs: OwnedFd,
        before: Termios,
        shown: String,
    }

    impl Started {
        fn to(deed: &str) -> Self {
            let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
            let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
            let before = tcgetattr(&slave).unwrap();
            let end = || Stdio::from(slave.try_clone().unwrap());
            let mut command = Self::command(deed);
            let child = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
            let ours = File::from(master);
            let mut from = ours.try_clone().unwrap();
            let (sender, bytes) = mpsc::channel();
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(read @ 1..) = from.read(&mut chunk) {
                    if sender.send(chunk[..read].to_vec()).is_err() {
                        break;
                    }
                }
            });
            Self { child, ours, bytes, theirs: slave, before, shown: String::new() }
        }

        fn command(deed: &str) -> Command {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .args(["--exact", "watch::terminal::tests::child", "--nocapture", "--test-threads=1"])
                .env(VARIABLE, deed)
                .env("TERM", "xterm-256color")
                .env_remove("CI");
            command
        }

        /// Reads until `text` is on the terminal.
        fn wait_for(&mut self, text: &str) {
            while !self.shown.contains(text) {
                let Ok(bytes) = self.bytes.recv_timeout(PATIENCE) else {
                    panic!("no {text:?} in {:?}", self.shown)
                };
                self.shown += &String::from_utf8_lossy(&bytes);
            }
        }

        fn type_in(&mut self, keys: &[u8]) {
            self.wait_for(HELP);
            self.ours.write_all(keys).unwrap();
        }

        /// Waits for its end. All that was shown after the terminal was left, and how the process ended.
        fn end(mut self) -> (String, ExitStatus) {
            self.wait_for(LEAVE);
            let status = self.child.wait().unwrap();
            let after = tcgetattr(&self.theirs).unwrap();
            assert_eq!(self.before, after, "the terminal's settings are as before");
            // Whatever is still on its way: a mark is written behind it.
            File::from(self.theirs.try_clone().unwrap()).write_all(b"<end>").unwrap();
            self.wait_for("<end>");
            let (during, after) = self.shown.split_once(LEAVE).unwrap();
            assert!(during.contains(ENTER) && during.contains("\x1b[?25l"), "{during:?}");
            assert!(after.contains("\x1b[?25h"), "the cursor is shown again: {after:?}");
            assert!(!after.contains(ENTER) && !after.contains(LEAVE), "given back once: {after:?}");
            (after.to_owned(), status)
        }
    }

    #[test]
    fn at_the_last_moment_the_terminal_is_given_back_and_what_is_printed_stands_below() {
        let (after, status) = Started::to("end").end();
        assert!(after.contains("it Ended, below") && status.success(), "{after:?}");
    }

    #[test]
    fn when_the_run_goes_away_the_terminal_is_given_back() {
        let (after, _) = Started::to("cut").end();
        assert!(after.contains("it Cut, below"), "{after:?}");
    }

    #[test]
    fn a_key_ends_the_view() {
        for keys in [&b"q"[..], b"\x03", b"\x1b[B\x1b[A\x1b[Fq"] {
            let mut started = Started::to("wait");
            started.type_in(keys);
            let (after, status) = started.end();
            assert!(after.contains("it Quit, below") && status.success(), "{keys:?}: {after:?}");
        }
    }

    #[test]
    fn a_signal_ends_the_view_and_the_process_goes_on_to_its_own_end() {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let mut started = Started::to("wait");
            started.wait_for(HELP);
            kill(Pid::from_raw(started.child.id() as i32), signal).unwrap();
            let (after, status) = started.end();
            assert!(after.contains("it Quit, below") && status.success(), "{signal}: {after:?}");
        }
    }

    #[test]
    fn a_signal_after_the_view_ends_the_process_as_if_there_had_been_none() {
        use std::os::unix::process::ExitStatusExt;
        let mut started = Started::to("signal after");
        started.type_in(b"q");
        let (after, status) = started.end();
        assert_eq!(status.signal(), Some(Signal::SIGTERM as i32), "{after:?}");
    }

    #[test]
    fn a_panic_of_the_viewer_is_read_on_the_terminal_that_was_given_back() {
        let (after, status) = Started::to("viewer panics").end();
        assert_eq!(after.matches("the viewer's last words").count(), 1, "{after:?}");
        assert!(!status.success());
    }

    #[test]
    fn a_panic_of_another_thread_is_kept_until_the_terminal_is_given_back() {
        let (after, status) = Started::to("another panics").end();
        assert_eq!(after.matches("the other's last words").count(), 1, "{after:?}");
        assert!(after.contains("it Cut, below") && status.success(), "{after:?}");
    }

    #[test]
    fn the_view_is_for_a_terminal_and_not_for_a_pipe() {
        let mut started = Started::to("ask");
        started.wait_for("possible: true");
        started.child.wait().unwrap();
        let piped = Started::command("ask").output().unwrap();
        assert!(String::from_utf8_lossy(&piped.stdout).contains("possible: false"), "{piped:?}");
    }
}
