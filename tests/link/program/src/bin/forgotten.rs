//! Names one plugin's crate; the other is only in Cargo.toml.

use link_alpha as _;

fn main() {
    link_host::discovering();
}
