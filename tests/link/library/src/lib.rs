//! For a C program: names both plugins' crates, and nothing in them.

use link_alpha as _;
use link_beta as _;

/// The report on what the linker kept.
#[unsafe(no_mangle)]
pub extern "C" fn link_report() {
    link_host::discovering();
}
