//! Names both plugins' crates, and nothing in them.

use link_alpha as _;
use link_beta as _;

fn main() {
    link_host::discovering();
}
