//! The plugin that every patcher has: it warns of what is patched without what belongs to it.
//!
//! Owns its text. Not here: what needs what (`settings.rs`).

use crate::event::WillPatchAll;
use signalpost_dispatch::{BusStop, On, Plugin};

/// The plugin that warns when a pass patches a module without a setting that it [needs](crate::Builtin::needs), as gevent's own
/// does of signals without child processes.
///
/// Every patcher registers it, as `signalpost.companions`, with the plugins it calls, before all others of its entry point; take it out
/// of there ([`Plugins::remove`](signalpost_dispatch::Plugins::remove)) to be without its warnings.
///
/// # Examples
/// ```
/// # signalpost::patch::patch_points! { pub mod signal { fn raise(number: i32) -> bool { number > 0 } } }
/// # fn main() -> Result<(), signalpost::patch::PatchError> {
/// use signalpost::patch::{Args, Builtin, Extra, Patcher, Replacements};
///
/// let patcher = Patcher::new();
/// let source = std::sync::Arc::new(Replacements::new("coop"));
/// patcher.builtin(Builtin::new(&signal::MODULE, source).needs("os", "children are not waited for"))?;
/// let patched = patcher.patch_all(&Args::new(), &Extra::new())?.patched().expect("nobody vetoes");
/// assert_eq!(patched.warnings[0].text, "signal is patched, but os is not: children are not waited for");
/// # Ok(())
/// # }
/// ```
pub static COMPANIONS: Plugin = Plugin::new("signalpost.companions", &On(warn)).priority(i32::MAX);

fn warn(event: &WillPatchAll) -> Result<(), BusStop> {
    for need in event.needs() {
        let text = format!("{} is patched, but {} is not: {}", need.setting, need.needs, need.why);
        event.warn_as(text, COMPANIONS.to_string());
    }
    Ok(())
}
