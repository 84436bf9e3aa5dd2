//! Cases of both kinds that nobody recorded. The same seed gives the same case.
//!
//! Owns what may come together in one. They are made as a file says them, and read as one.

use super::builtins::{BUILTINS, SETTINGS, SETTINGS_MODULE};
use super::case::{DID, EVENTS, Input, WILL, WILL_ALL, read};
use super::model::Reading;
use crate::random::Dice;
use serde_json::{Map, Value, json};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const TARGETS: [&str; 2] = ["t0", "t1"];
const SOURCES: [&str; 2] = ["s0", "s1"];

pub(crate) fn reading(seed: u64) -> Reading {
    Reading::ALL[Dice::new(seed).below(Reading::ALL.len())]
}

/// A case of the kind `patch`. Some are simple: nothing in them that we see another way.
pub(crate) fn patch(seed: u64) -> Result<Input, String> {
    let mut dice = Dice::new(seed);
    let odd = dice.below(4) * 10; // how much of what is not simple, in percent
    let mut author = Author { dice: &mut dice, odd, passes: false };
    let body = author.patch();
    read(&body, false)
}

/// A case of the kind `patch_all`.
pub(crate) fn patch_all(seed: u64) -> Result<Input, String> {
    let mut dice = Dice::new(seed);
    let odd = dice.below(4) * 10;
    let mut author = Author { dice: &mut dice, odd, passes: true };
    let body = author.patch_all();
    read(&body, true)
}

struct Author<'d> {
    dice: &'d mut Dice,
    odd: usize,
    passes: bool,
}

impl Author<'_> {
    fn odd(&mut self) -> bool {
        self.dice.chance(self.odd)
    }

    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.dice.below(from.len())]
    }

    /// Some of the names, in an order of its own.
    fn some(&mut self, from: &[&str], percent: usize) -> Vec<String> {
        let mut some: Vec<String> = Vec::new();
        for name in from {
            if self.dice.chance(percent) {
                let place = self.dice.below(some.len() + 1);
                some.insert(place, (*name).to_owned());
            }
        }
        if self.odd() && self.odd() && !some.is_empty() {
            some.push(some[0].clone());
        }
        some
    }

    fn attrs(&mut self, of: &str) -> Value {
        let lacks = if self.odd() { Some(self.pick(&NAMES)) } else { None };
        let names = NAMES.iter().filter(|name| Some(**name) != lacks);
        names
            .map(|name| ((*name).to_owned(), Value::from(format!("{of}.{name}"))))
            .collect::<Map<_, _>>()
            .into()
    }

    fn patch(&mut self) -> Map<String, Value> {
        let targets: Vec<_> =
            TARGETS.iter().map(|name| json!({"name": name, "attrs": self.attrs(name)})).collect();
        let sources: Vec<_> = SOURCES.iter().map(|name| self.source(name)).collect();
        let mut actions: Vec<Value> = (0..1 + self.dice.below(5)).map(|_| self.action()).collect();
        for target in TARGETS {
            actions.push(json!(["is_module_patched", target]));
            for name in NAMES {
                actions.push(json!(["is_object_patched", target, name]));
                actions.push(json!(["get_original", target, name]));
                actions.push(json!(["getattr", target, name]));
            }
        }
        actions.push(json!(["get_original", ["nowhere", self.pick(&TARGETS)], [self.pick(&NAMES), "a"]]));
        actions.push(json!(["get_original", "nowhere", "a"]));
        let (subscribers, plugins) = self.listeners();
        let body = json!({
            "targets": targets, "sources": sources, "actions": actions, "subscribers": subscribers, "plugins": plugins,
        });
        body.as_object().cloned().unwrap_or_default()
    }

    fn source(&mut self, name: &str) -> Value {
        let mut source =
            json!({"name": name, "attrs": self.attrs(name), "implements": self.some(&NAMES, 60)});
        if self.odd() && self.odd() {
            source["implements"] = Value::Null;
        }
        for which in ["will", "did"] {
            if self.dice.chance(30) {
                let event = if which == "will" { WILL } else { DID };
                let mut ops = if self.odd() { self.ops(event, false) } else { Vec::new() };
                if self.dice.chance(50) {
                    ops.insert(0, json!(["warn", format!("{name} {which}")]));
                }
                source["hooks"][which] = ops.into();
            }
        }
        source
    }

    fn action(&mut self) -> Value {
        let (target, name) = (self.pick(&TARGETS), self.pick(&NAMES));
        if self.odd() && self.odd() {
            return json!(["remove_item", target, name]);
        }
        if self.odd() {
            return json!(["patch_item", target, name, format!("by hand {}", self.dice.below(100))]);
        }
        self.patch_module()
    }

    fn patch_module(&mut self) -> Value {
        let mut options = Map::new();
        if self.dice.chance(30) {
            options.insert("items".into(), self.some(&NAMES, 50).into());
        }
        for switch in ["call_hooks", "notify_will", "notify_did"] {
            if self.odd() && self.odd() {
                options.insert(switch.into(), false.into());
            }
        }
        json!(["patch_module", self.pick(&TARGETS), self.pick(&SOURCES), options])
    }

    fn listeners(&mut self) -> (Vec<Value>, Vec<Value>) {
        let subscribers = (0..self.dice.below(4)).map(|place| {
            let rules: Vec<_> = (0..self.dice.below(3)).map(|_| self.reaction(None)).collect();
            json!({"id": format!("S{place}"), "rules": rules})
        });
        let subscribers = subscribers.collect();
        let events: &[&str] = if self.passes { &EVENTS } else { &[WILL, DID] };
        let plugins = (0..self.dice.below(3)).map(|place| {
            let group = self.pick(events);
            let rules: Vec<_> = (0..self.dice.below(2)).map(|_| self.reaction(Some(group))).collect();
            json!({"name": format!("p{}", place % 2), "group": group, "rules": rules})
        });
        let plugins = plugins.collect();
        (subscribers, plugins)
    }

    fn reaction(&mut self, event: Option<&str>) -> Value {
        let events: &[&str] = if self.passes { &EVENTS } else { &[WILL, WILL, DID] };
        let event = event.unwrap_or_else(|| self.pick(events));
        let nested = self.dice.chance(15);
        let ops = self.ops(event, nested);
        let mut reaction = json!({"on": event, "do": ops});
        // What patches again once is enough: no end would come of it.
        if nested || self.dice.chance(40) {
            reaction["only_nth"] = self.dice.below(2).into();
        }
        if self.dice.chance(50) {
            let modules: Vec<_> = BUILTINS.iter().map(|builtin| builtin.module).collect();
            reaction["module"] = if self.passes { self.pick(&modules) } else { self.pick(&TARGETS) }.into();
        }
        reaction
    }

    fn ops(&mut self, event: &str, nested: bool) -> Vec<Value> {
        let mut ops = Vec::new();
        if nested {
            ops.push(match (self.passes, self.dice.below(3)) {
                (false, _) => self.patch_module(),
                (true, 0) => json!(["patch_fake", "third"]),
                (true, 1) => json!(["call", "patch_all", self.kwargs()]),
                (true, _) => {
                    let function = self.function();
                    json!(["call", function, {}])
                }
            });
        }
        if event == WILL_ALL {
            if self.dice.chance(40) {
                let modules = ["time", "thread", "selectors", "_thread", "dns", "nothing"];
                ops.push(json!(["will_patch_module", self.pick(&modules)]));
            }
            ops.push(json!(["arguments_set", "time", false]));
        }
        if event == WILL && self.dice.chance(40) {
            ops.push(self.edit());
        }
        match self.dice.below(10) {
            0..2 if event.starts_with("will") => ops.push(json!(["veto"])),
            2..4 if self.odd() || self.odd() => ops.push(json!(["veto"])),
            4 if self.odd() || self.odd() => ops.push(json!(["raise", "Boom"])),
            5..7 if (self.odd() || self.odd()) && !self.passes && event == WILL => {
                ops.push(json!(["set_target_attr", self.pick(&NAMES), "foreign"]));
            }
            _ => {}
        }
        ops
    }

    fn edit(&mut self) -> Value {
        let known: &[&str] = if self.passes { &["sleep", "getaddrinfo", "select", "fork"] } else { &NAMES };
        let name = if self.odd() && self.odd() { "nope" } else { self.pick(known) };
        // Of a pass's modules each has its own names, so only taking out is no error.
        let edits = if self.passes && !self.odd() { 2 } else { 6 };
        match self.dice.below(edits) {
            0 => json!(["items_remove", name]),
            1 => json!(["items_clear"]),
            2 => json!(["items_append", name]),
            3 => json!(["items_insert", self.dice.below(8) as i64 - 4, name]),
            4 => json!(["items_assign", self.some(known, 40)]),
            _ if self.odd > 0 => json!(["items_rebind", self.some(known, 40)]),
            _ => json!(["items_remove", name]),
        }
    }

    fn function(&mut self) -> String {
        // Without threads gevent's own part that nobody can veto; the rest as it comes.
        let functions = [
            "patch_time",
            "patch_os",
            "patch_socket",
            "patch_select",
            "patch_selectors",
            "patch_ssl",
            "patch_signal",
            "patch_queue",
            "patch_subprocess",
            "patch_thread",
            "patch_dns",
            "patch_sys",
            "patch_builtins",
        ];
        self.pick(&functions).to_owned()
    }

    fn kwargs(&mut self) -> Value {
        let mut kwargs = Map::new();
        for (setting, _) in SETTINGS {
            if self.dice.chance(45) {
                kwargs.insert(setting.into(), self.dice.chance(50).into());
            }
        }
        if self.dice.chance(20) {
            kwargs.insert("mylib".into(), json!([1, {"level": 2}]));
        }
        kwargs.into()
    }

    fn patch_all(&mut self) -> Map<String, Value> {
        let (subscribers, plugins) = self.listeners();
        let mut calls: Vec<Value> = Vec::new();
        for _ in 0..1 + self.dice.below(3) {
            calls.push(match self.dice.below(10) {
                0 if self.odd > 0 => json!({"function": self.function()}),
                1 if !subscribers.is_empty() => json!({"unsubscribe": "S0"}),
                2 => json!({"function": "patch_all"}),
                _ => json!({"function": "patch_all", "kwargs": self.kwargs()}),
            });
        }
        let mut modules: Vec<_> = BUILTINS.iter().map(|builtin| builtin.module).chain(["third"]).collect();
        if self.odd() {
            modules.extend(["logging", SETTINGS_MODULE]);
        }
        let objects: Vec<_> = BUILTINS
            .iter()
            .flat_map(|builtin| builtin.items.iter().map(|item| [builtin.module, item]))
            .collect();
        let body = json!({
            "subscribers": subscribers, "plugins": plugins, "calls": calls, "query_modules": modules, "query_objects": objects,
        });
        body.as_object().cloned().unwrap_or_default()
    }
}
