//! What a patcher can patch by itself: the modules that were registered, and the settings that turn them on and off.
//!
//! Owns which settings there are, and which modules a change of them means. Not here: what was done before (`journal.rs`).

use crate::arguments::Args;
use crate::error::PatchError;
use crate::items::ItemName;
use crate::module::Module;
use crate::source::Source;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A module that [`patch_all`](crate::Patcher::patch_all) patches, with the source of its replacements. Made to be
/// [registered](crate::Patcher::builtin).
///
/// # Examples
/// ```
/// # signalpost::patch::patch_points! { pub mod signal { fn raise(number: i32) -> bool { number > 0 } } }
/// # fn main() -> Result<(), signalpost::patch::PatchError> {
/// use signalpost::patch::{Builtin, Patcher, Replacements};
/// use std::sync::Arc;
///
/// let source = Arc::new(Replacements::new("coop").with(signal::sig::raise(|_| true)));
/// let patcher = Patcher::new();
/// patcher.builtin(Builtin::new(&signal::MODULE, source).needs("os", "children are not waited for"))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Builtin {
    pub(crate) target: &'static Module,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) setting: ItemName,
    default: Option<bool>,
    needs: Vec<(ItemName, ItemName)>,
}

impl Builtin {
    /// A module and its source. It is turned on and off by the setting of its name, and on if nothing is said.
    pub fn new(target: &'static Module, source: Arc<dyn Source>) -> Self {
        Self { target, source, setting: target.name().into(), default: None, needs: Vec::new() }
    }

    /// Has the setting of another name turn it on and off. Modules may share one.
    #[must_use]
    pub fn setting(mut self, name: impl Into<ItemName>) -> Self {
        self.setting = name.into();
        self
    }

    /// Whether it is on where nothing is said. Modules that share a setting agree on it, or leave it to one of them.
    #[must_use]
    pub fn default(mut self, on: bool) -> Self {
        self.default = Some(on);
        self
    }

    /// Has a warning given by passes that patch this module when another setting is off and always was, or is not there. `why` is
    /// for people. It is the plugin [`COMPANIONS`](crate::COMPANIONS) that gives it.
    #[must_use]
    pub fn needs(mut self, setting: impl Into<ItemName>, why: impl Into<ItemName>) -> Self {
        self.needs.push((setting.into(), why.into()));
        self
    }
}

impl fmt::Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builtin")
            .field("target", &self.target.name())
            .field("source", &self.source)
            .field("setting", &self.setting)
            .field("default", &self.default)
            .field("needs", &self.needs)
            .finish()
    }
}

/// That a setting is on which another one should go with, and does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) setting: ItemName,
    pub(crate) needs: ItemName,
    pub(crate) why: ItemName,
}

/// What is registered with a patcher.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    all: Vec<Setting>,
    builtins: Vec<Arc<Builtin>>,
    /// Every module that was registered or patched, by name.
    modules: BTreeMap<&'static str, &'static Module>,
}

#[derive(Clone, Debug)]
struct Setting {
    name: ItemName,
    default: Option<bool>,
    /// Whether it is a switch that is no module.
    option: bool,
}

/// What a pass over all modules is to do.
pub(crate) struct Change {
    /// The settings that it changes.
    pub(crate) arguments: Args,
    /// The modules that it patches, in order.
    pub(crate) builtins: Vec<Arc<Builtin>>,
    /// What they would need and do not get.
    pub(crate) needs: Vec<Need>,
    /// Whether a setting is not what it was.
    pub(crate) differs: bool,
}

impl Settings {
    pub(crate) fn add(&mut self, builtin: Arc<Builtin>) -> Result<(), PatchError> {
        if self.builtins.iter().any(|there| there.target.name() == builtin.target.name()) {
            return Err(PatchError::DuplicateModule { module: builtin.target.name().to_owned() });
        }
        self.declare(&builtin.setting, builtin.default, false)?;
        self.know(builtin.target);
        self.builtins.push(builtin);
        Ok(())
    }

    pub(crate) fn add_option(&mut self, name: ItemName, default: bool) -> Result<(), PatchError> {
        self.declare(&name, Some(default), true)
    }

    fn declare(&mut self, name: &ItemName, default: Option<bool>, option: bool) -> Result<(), PatchError> {
        let Some(there) = self.all.iter_mut().find(|there| there.name == *name) else {
            self.all.push(Setting { name: name.clone(), default, option });
            return Ok(());
        };
        let agree = there.default.is_none() || default.is_none() || there.default == default;
        if option || there.option || !agree {
            return Err(PatchError::DuplicateSetting { setting: name.to_string() });
        }
        there.default = there.default.or(default);
        Ok(())
    }

    /// That this module is worked on. The first of a name stays.
    pub(crate) fn know(&mut self, module: &'static Module) {
        self.modules.entry(module.name()).or_insert(module);
    }

    pub(crate) fn module(&self, name: &str) -> Result<&'static Module, PatchError> {
        self.modules.get(name).copied().ok_or_else(|| PatchError::NoSuchModule {
            module: name.to_owned(),
            known: self.modules.keys().map(|name| (*name).to_owned()).collect(),
        })
    }

    /// The modules of one setting, in order.
    pub(crate) fn of(&self, setting: &str) -> Result<Vec<Arc<Builtin>>, PatchError> {
        self.known(setting)?;
        Ok(self.builtins.iter().filter(|builtin| builtin.setting == setting).cloned().collect())
    }

    /// What is to be done for these arguments, after what was done before: if that was nothing, all settings are new; else those
    /// that are on now and were not, or were not there.
    pub(crate) fn change(&self, args: &Args, before: Option<&Args>) -> Result<Change, PatchError> {
        args.named().try_for_each(|(name, _)| self.known(name))?;
        let (mut arguments, mut differs) = (Args::new(), false);
        for setting in &self.all {
            let on = args.over(&setting.name, setting.default.unwrap_or(true));
            let was = before.and_then(|before| before.get(&setting.name));
            differs |= was.is_some_and(|was| was != on);
            if was.is_none() || (on && was == Some(false)) {
                arguments = arguments.with(setting.name.clone(), on);
            }
        }
        let on = |builtin: &&Arc<Builtin>| arguments.get(&builtin.setting) == Some(true);
        let builtins: Vec<_> = self.builtins.iter().filter(on).cloned().collect();
        let after = |name: &str| arguments.get(name).or_else(|| before.and_then(|before| before.get(name)));
        let mut needs: Vec<Need> = Vec::new();
        for builtin in &builtins {
            for (other, why) in builtin.needs.iter().filter(|(other, _)| after(other) != Some(true)) {
                let need = Need { setting: builtin.setting.clone(), needs: other.clone(), why: why.clone() };
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
        }
        Ok(Change { arguments, builtins, needs, differs })
    }

    fn known(&self, setting: &str) -> Result<(), PatchError> {
        if self.all.iter().any(|there| there.name == setting) {
            return Ok(());
        }
        let known = self.all.iter().map(|there| there.name.to_string()).collect();
        Err(PatchError::NoSuchSetting { setting: setting.to_owned(), known })
    }
}
