//! A thread that watches the process, and publishes what it sees.
//!
//! Part of `signalpost` (feature `monitor`), and re-exported by it as `signalpost::monitor`; depend on that. The only crate that
//! starts a thread.
