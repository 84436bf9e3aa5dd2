//! Plugins that were linked into the program.
//!
//! Owns the door to `inventory`, which has a constructor in each object file put its entries into a list before `main`; its macros
//! hold the unsafe code that this takes.

use crate::plugin::Plugin;

/// What [`discover!`](crate::discover!) submits.
#[doc(hidden)]
#[derive(Debug)]
pub struct Discovered(pub &'static Plugin);

inventory::collect!(Discovered);

/// All of them, each once, in an order that does not depend on the linker.
pub(crate) fn linked() -> Vec<&'static Plugin> {
    let mut linked: Vec<_> = inventory::iter::<Discovered>().map(|Discovered(plugin)| *plugin).collect();
    linked.sort_by_key(|plugin| (plugin.name(), plugin.location()));
    linked.dedup_by(|a, b| std::ptr::eq(*a, *b));
    linked
}

/// Has [`Plugins::discover`](crate::Plugins::discover) find a plugin wherever its crate is linked in. Beside the `static`, outside
/// functions. Only with the feature `discover`.
///
/// # Examples
/// ```
/// use signalpost::{Plugin, discover, entry_points};
///
/// pub static LOG: Plugin = Plugin::any("acme.log", entry_points::DID_PATCH_ALL, |_| Ok(()));
/// discover!(LOG);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! discover {
    ($($plugin:path),+ $(,)?) => {
        $($crate::__inventory::submit! { $crate::Discovered(&$plugin) })+
    };
}
