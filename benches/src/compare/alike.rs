//! Whether two files, or two builds, may be compared at all.
//!
//! Owns which differences forbid it, and how they are said.

use crate::{machine::Machine, saved::Saved};
use serde::Serialize;

/// Something in which the two differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is.
    pub what: &'static str,
    /// Of the base.
    pub base: String,
    /// Of the new one.
    pub new: String,
    /// Whether figures cannot be compared because of it; else it only should be known.
    pub forbids: bool,
}

impl Difference {
    fn between(what: &'static str, base: impl ToString, new: impl ToString, forbids: bool) -> Option<Self> {
        let (base, new) = (base.to_string(), new.to_string());
        (base != new).then_some(Self { what, base, new, forbids })
    }

    /// `cores: 2, now 4`.
    pub fn in_words(&self) -> String {
        let Self { what, base, new, .. } = self;
        format!("{what}: {base}, now {new}")
    }
}

/// In what two machines, or two builds on one machine, differ.
pub fn machines(base: &Machine, new: &Machine, one_machine: bool) -> Vec<Difference> {
    // A file of before flags were written down has none.
    let flags_known = !base.flags.is_empty() && !new.flags.is_empty();
    [
        Difference::between("processor", &base.cpu, &new.cpu, true),
        Difference::between("cores", base.cores, new.cores, true),
        Difference::between("system", &base.os, &new.os, true),
        Difference::between("profile", &base.profile, &new.profile, true),
        // Two builds that are interleaved may be there just for their flags.
        Difference::between("flags", &base.flags, &new.flags, flags_known && !one_machine),
        Difference::between("compiler", &base.rustc, &new.rustc, false),
        Difference::between("kernel", &base.kernel, &new.kernel, false),
        Difference::between("barrier", &base.barrier, &new.barrier, false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// In what two files differ that should be of the same measurement.
pub(super) fn files(base: &Saved, new: &Saved) -> Vec<Difference> {
    let command = |saved: &Saved| format!("lab {}", saved.command.join(" "));
    let whole = |saved: &Saved| if saved.partial { "broken off" } else { "whole" };
    let mut differences = machines(&base.machine, &new.machine, false);
    differences.extend(Difference::between("command", command(base), command(new), true));
    if base.partial || new.partial {
        let (base, new) = (whole(base).to_owned(), whole(new).to_owned());
        differences.push(Difference { what: "measurement", base, new, forbids: true });
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { flags: "some target; opt-level 3".to_owned(), ..Machine::this() }
    }

    #[test]
    fn another_processor_core_count_profile_or_flag_forbids_and_another_kernel_does_not() {
        let base = machine();
        let with = |change: fn(&mut Machine)| {
            let mut new = base.clone();
            change(&mut new);
            machines(&base, &new, false)
        };
        assert_eq!(with(|_| ()), []);
        for change in [
            (|new| new.cpu.push('x')) as fn(&mut Machine),
            |new| new.cores += 1,
            |new| new.os.push('x'),
            |new| new.profile.push('x'),
            |new| new.flags.push('x'),
        ] {
            assert!(with(change).iter().all(|difference| difference.forbids), "{:?}", with(change));
            assert_eq!(with(change).len(), 1);
        }
        for change in [(|new| new.kernel.push('x')) as fn(&mut Machine), |new| new.rustc.push('x')] {
            assert!(!with(change)[0].forbids);
        }
        assert!(!with(|new| new.flags.clear())[0].forbids, "flags that are not known forbid nothing");
    }

    #[test]
    fn two_builds_on_one_machine_may_differ_in_flags() {
        let base = machine();
        let new = Machine { flags: "other".to_owned(), ..base.clone() };
        let differences = machines(&base, &new, true);
        assert!(!differences[0].forbids);
        assert!(differences[0].in_words().contains("opt-level 3, now other"));
    }
}
