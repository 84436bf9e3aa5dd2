//! Prints reports to standard error: at once; with source lines (feature `dwarf`) on a thread of its own, since to read them takes
//! tens of ms, and the monitor has to be in time.
//!
//! Owns that thread, which is there from the first report on; the monitor's ends when it has printed all.

use crate::report::{Print, Printout};
use std::io;

/// Where the monitor prints.
#[derive(Debug, Default)]
pub(crate) struct Printer {
    #[cfg(feature = "dwarf")]
    helper: helper::Helper,
}

impl Print for Printer {
    fn print(&mut self, report: Printout) {
        #[cfg(feature = "dwarf")]
        let Some(report) = self.helper.take(report) else { return };
        io::stderr().print(report);
    }
}

#[cfg(feature = "dwarf")]
mod helper {
    use crate::report::{Printout, write_whole};
    use crate::signals;
    use std::io;
    use std::process;
    use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
    use std::thread::{self, JoinHandle};

    /// Reports that may wait. More are printed at once, without source lines.
    const WAITING: usize = 16;

    #[derive(Debug, Default)]
    pub(super) struct Helper {
        reports: Option<SyncSender<Printout>>,
        /// The thread, and the process that it is of.
        thread: Option<(JoinHandle<()>, u32)>,
    }

    impl Drop for Helper {
        /// Waits until all is printed.
        fn drop(&mut self) {
            self.reports = None;
            if let Some((thread, process)) = self.thread.take()
                && process == process::id()
            {
                let _ = thread.join();
            }
        }
    }

    impl Helper {
        /// Has it printed; gives it back if it is to be printed as it is.
        pub(super) fn take(&mut self, report: Printout) -> Option<Printout> {
            if report.stack.is_none() && self.reports.is_none() {
                return Some(report); // nor is there one before it that is still to come
            }
            let reports = match &self.reports {
                Some(reports) => reports,
                None => match start() {
                    Ok((reports, thread)) => {
                        self.thread = Some((thread, process::id()));
                        self.reports.insert(reports)
                    }
                    Err(_) => return Some(report), // the next one tries again
                },
            };
            match reports.try_send(report) {
                Ok(()) => None,
                Err(TrySendError::Full(report)) => Some(report),
                Err(TrySendError::Disconnected(report)) => {
                    self.reports = None;
                    Some(report)
                }
            }
        }
    }

    fn start() -> io::Result<(SyncSender<Printout>, JoinHandle<()>)> {
        let (send, reports) = sync_channel(WAITING);
        let helper = thread::Builder::new().name("signalpost-lines".to_owned());
        Ok((send, signals::blocked(|| helper.spawn(|| run(reports)))?))
    }

    fn run(reports: Receiver<Printout>) {
        for report in reports {
            write_whole(&mut io::stderr(), &report.text_with_lines());
        }
    }
}
