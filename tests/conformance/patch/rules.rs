//! Where our patches differ from gevent's on purpose.
//!
//! Owns the rules: what each lays over gevent's model, and in which cases it may change anything. None looks at a case's name.

use super::builtins::{SETTINGS_MODULE, UNLISTED};
use super::case::{DID, DID_ALL, DID_BUILTINS, Do, Edit, Input, Listener, Op, Switches, VETO};
use super::model::Layers;
use crate::rules::{Deviation, Layer};
use std::collections::BTreeSet;

#[derive(Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) deviation: Deviation,
    pub(crate) lay: fn(&mut Layers),
    pub(crate) may: fn(&Input) -> bool,
}

impl Rule {
    pub(crate) fn layer(self) -> Layer<Input> {
        Layer { deviation: self.deviation, may: self.may }
    }
}

const fn rule(
    name: &'static str,
    replaces: &'static str,
    lay: fn(&mut Layers),
    may: fn(&Input) -> bool,
) -> Rule {
    Rule { deviation: Deviation { name, replaces }, lay, may }
}

/// In the order in which they are laid over one another.
pub(crate) static RULES: [Rule; 20] = [
    rule(
        "hooks and events are part of a patch, and cannot be left out",
        "S-92",
        |on| on.no_switches = true,
        |input| patches(input).any(|(_, _, switches)| switches != Switches::ALL),
    ),
    rule(
        "a function is replaced, and never removed: such an op is left out",
        "S-96",
        |on| on.no_removing = true,
        |input| all_actions(input).any(|what| matches!(what, Do::RemoveItem(..))),
    ),
    rule(
        "the list of an event is edited, and cannot be exchanged for another",
        "S-85",
        |on| on.no_exchange = true,
        |input| ops(input).any(|op| matches!(op, Op::Rebind(_))),
    ),
    rule(
        "each patch has a list of its own, which is gone with it",
        "S-84: it is the source's, for good",
        |on| on.fresh = true,
        |input| ops(input).any(|op| matches!(op, Op::Edit(_))),
    ),
    rule(
        "a list names a function once",
        "S-84, S-96",
        |on| on.once = true,
        |input| {
            let adds = |op: &Op| matches!(op, Op::Edit(Edit::Append(_) | Edit::Insert(..) | Edit::Assign(_)));
            ops(input).any(adds) || lists(input).any(|list| has_twice(list))
        },
    ),
    rule(
        "a source without a list lists nothing",
        "S-83: an error",
        |on| on.no_list = true,
        |input| input.sources.iter().any(|source| source.implements.is_none()),
    ),
    rule(
        "a function that the target does not have cannot be replaced: an error, and nothing is added",
        "S-86, S-96 to S-98",
        |on| on.known = true,
        names_unknown,
    ),
    rule(
        "what fails is undone as a whole, and what can be checked is before the first switch",
        "S-86, S-89, S-119: it stays half patched",
        |on| on.whole = true,
        |input| fails(input) || names_unknown(input) || ops(input).any(|op| matches!(op, Op::Edit(_))),
    ),
    rule(
        "what fails warns of nothing",
        "S-90: warnings are issued at once",
        |on| on.silent = true,
        |input| ops(input).any(|op| matches!(op, Op::Warn(_))),
    ),
    rule(
        "it is too late for a veto from a handler that hears what was done: a failure",
        "S-101, S-120: swallowed for a module",
        |on| on.late = true,
        |input| input.passes && vetoes_late(input),
    ),
    rule(
        "patching a single module says what came of it",
        "S-101: none, also when vetoed",
        |on| on.tells = true,
        |input| functions(input).any(|function| function != "patch_all"),
    ),
    rule(
        "both modules of threads are like any other: told of by their own names, one after the other, vetoed one by one",
        "S-105 to S-107",
        |on| on.threads = true,
        |input| functions(input).any(|function| function == "patch_all" || function == "patch_thread"),
    ),
    rule(
        "nothing is replaced that no event lists, and settings are no module",
        "S-108, S-124",
        |on| on.listed = true,
        |input| {
            let unlisted = |module: &str| UNLISTED.iter().any(|(_, unlisted, ..)| *unlisted == module);
            let modules =
                input.query_modules.iter().any(|module| module == SETTINGS_MODULE || unlisted(module));
            modules || input.query_objects.iter().any(|(module, _)| unlisted(module))
        },
    ),
    rule(
        "an original is the function as it was written",
        "S-96, S-97: what was there when it was first replaced",
        |on| on.written = true,
        by_hand,
    ),
    rule(
        "a patcher tells of what it replaced, not of what was replaced by hand",
        "S-98",
        |on| on.own = true,
        by_hand,
    ),
    rule(
        "names are listed in the source's order, always",
        "S-104: a set, without the names of dns",
        |on| on.ordered = true,
        |input| calls(input).any(|call| !call.setting("dns", true)),
    ),
    rule(
        "settings are remembered when a pass has done what they say",
        "S-110, S-117, S-119: before the first event",
        |on| on.success = true,
        |input| fails(input) || functions(input).count() > 1,
    ),
    rule(
        "a pass patches what is new, as it says",
        "S-114: everything that is on, again",
        |on| on.difference = true,
        |input| functions(input).count() > 1,
    ),
    rule(
        "whether a module will be patched is true or false, by a module's name too",
        "S-116: none for what is no argument",
        |on| on.question = true,
        |input| ops(input).any(|op| matches!(op, Op::WillPatch(_))),
    ),
    rule(
        "what was patched by an earlier pass is not missed",
        "S-134",
        |on| on.needs = true,
        |input| functions(input).count() > 1,
    ),
];

/// What of a case only Python has.
pub(crate) fn of_python(input: &Input) -> Option<&'static str> {
    if input.sources.iter().any(|source| source.copies) {
        return Some("a copy step of the source's own (S-91)");
    }
    let missing = input.plugins.iter().any(|plugin| plugin.missing.is_some());
    missing.then_some("a plugin that cannot be imported (S-133)")
}

fn listeners(input: &Input) -> impl Iterator<Item = &Listener> {
    input.subscribers.iter().chain(&input.plugins)
}

/// All that listeners and hooks may do.
fn ops(input: &Input) -> impl Iterator<Item = &Op> {
    let hooks = input.sources.iter().flat_map(|source| source.will.iter().chain(&source.did).flatten());
    listeners(input).flat_map(|listener| &listener.rules).flat_map(|rule| &rule.ops).chain(hooks)
}

/// Of the program, and of listeners and hooks.
fn all_actions(input: &Input) -> impl Iterator<Item = &Do> {
    let nested = ops(input).filter_map(|op| match op {
        Op::Do(action) => Some(&action.what),
        _ => None,
    });
    input.actions.iter().map(|action| &action.what).chain(nested)
}

fn calls(input: &Input) -> impl Iterator<Item = &super::case::Call> {
    all_actions(input).filter_map(|what| match what {
        Do::Call(call) => Some(call),
        _ => None,
    })
}

fn functions(input: &Input) -> impl Iterator<Item = &str> {
    calls(input).map(|call| call.function.as_str())
}

fn patches(input: &Input) -> impl Iterator<Item = (&String, Option<&Vec<String>>, Switches)> {
    all_actions(input).filter_map(|what| match what {
        Do::PatchModule(patch) => Some((&patch.target, patch.items.as_ref(), patch.switches)),
        _ => None,
    })
}

/// All lists that a case names.
fn lists(input: &Input) -> impl Iterator<Item = &Vec<String>> {
    let sources = input.sources.iter().filter_map(|source| source.implements.as_ref());
    sources.chain(patches(input).filter_map(|(_, items, _)| items))
}

fn has_twice(list: &[String]) -> bool {
    list.iter().collect::<BTreeSet<_>>().len() < list.len()
}

/// All names that a case may want to be replaced.
fn names(input: &Input) -> BTreeSet<&String> {
    let mut names: BTreeSet<&String> = lists(input).flatten().collect();
    for op in ops(input) {
        match op {
            Op::Edit(Edit::Append(new) | Edit::Assign(new)) => names.extend(new),
            Op::Edit(Edit::Insert(_, name)) | Op::SetTargetAttr(name, _) => drop(names.insert(name)),
            _ => {}
        }
    }
    for what in all_actions(input) {
        if let Do::PatchItem(_, name, _) = what {
            names.insert(name);
        }
    }
    names
}

fn lacks(attrs: &[(String, String)], name: &str) -> bool {
    !attrs.iter().any(|(attr, _)| attr == name)
}

/// Whether one of them comes up that some target or source does not have.
fn names_unknown(input: &Input) -> bool {
    let of_targets = input.targets.iter().map(|target| &target.attrs);
    let all: Vec<_> = of_targets.chain(input.sources.iter().map(|source| &source.attrs)).collect();
    input.passes && ops(input).any(|op| matches!(op, Op::Edit(_)))
        || names(input).iter().any(|name| all.iter().any(|attrs| lacks(attrs, name)))
}

/// Gives every target all the functions that the case names, but those that nobody offers.
pub(crate) fn complete(input: &mut Input) {
    let names: Vec<String> = names(input).into_iter().cloned().collect();
    let offered = |name: &String| input.sources.iter().any(|source| !lacks(&source.attrs, name));
    let names: Vec<_> = names.into_iter().filter(offered).collect();
    for target in &mut input.targets {
        for name in &names {
            if lacks(&target.attrs, name) {
                target.attrs.push((name.clone(), format!("{}.{name}", target.name)));
            }
        }
    }
}

fn fails(input: &Input) -> bool {
    ops(input).any(|op| matches!(op, Op::Raise(_)))
}

fn vetoes_late(input: &Input) -> bool {
    let late = |on: &str| [DID, DID_BUILTINS, DID_ALL].contains(&on);
    let rules = listeners(input).flat_map(|listener| &listener.rules).filter(|rule| late(&rule.on));
    rules.flat_map(|rule| &rule.ops).any(|op| matches!(op, Op::Raise(name) if name == VETO))
}

fn by_hand(input: &Input) -> bool {
    let set = ops(input).any(|op| matches!(op, Op::SetTargetAttr(..)));
    set || all_actions(input).any(|what| matches!(what, Do::PatchItem(..)))
}
