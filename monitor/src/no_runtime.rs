//! Without tokio there are no runtimes: what is asked of one, for none.

/// A runtime that is watched. There is none.
pub(crate) enum Runtime {}

impl Runtime {
    pub(crate) fn workers(&self) -> usize {
        match *self {}
    }

    pub(crate) fn rings(&self) -> bool {
        match *self {}
    }

    pub(crate) fn drives(&self, _life: u64) -> bool {
        match *self {}
    }

    pub(crate) fn is_current_thread(&self) -> bool {
        match *self {}
    }

    pub(crate) fn turns_out_to_be_over(&self) -> bool {
        match *self {}
    }

    pub(crate) fn rests(&self) -> bool {
        match *self {}
    }

    pub(crate) fn ask_threads(&self) {
        match *self {}
    }
}
