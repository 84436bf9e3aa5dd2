//! Random cases, for what nobody recorded. The same seed gives the same case.

use crate::case::{Class, Id, Input, OBJECT, Op};
use crate::classes::linearize;

/// What a seed decides.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Neighbouring seeds far apart, and none of them zero.
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Below `n`, which is not 0. Xorshift with a multiplier; the low bits are left out.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// A case of the kind `notify`: every op at every nesting.
pub(crate) fn notify(seed: u64) -> Input {
    let mut author =
        Author { dice: Dice::new(seed), ids: names("S", 6), handlers: Vec::new(), classes: Vec::new() };
    author.input(None)
}

/// A case of the kind `classhandler` with at most so many classes.
pub(crate) fn classhandler(seed: u64, most_classes: usize) -> Input {
    let mut dice = Dice::new(seed);
    let count = 1 + dice.below(most_classes);
    let classes = random_classes(&mut dice, count);
    let names_of_all = classes.iter().map(|class| class.name.clone()).chain([OBJECT.into()]).collect();
    let mut author = Author { dice, ids: names("S", 4), handlers: names("h", 6), classes: names_of_all };
    author.input(Some(classes))
}

fn names(prefix: &str, count: usize) -> Vec<Id> {
    (0..count).map(|i| format!("{prefix}{i}").into()).collect()
}

/// Up to three bases each; those that have no linearization are taken away.
pub(crate) fn random_classes(dice: &mut Dice, count: usize) -> Vec<Class> {
    let mut classes = Vec::<Class>::new();
    for i in 0..count {
        let mut bases = Vec::<String>::new();
        for _ in 0..dice.below(4).min(i) {
            let base = format!("K{}", dice.below(i));
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
        classes.push(Class { name: format!("K{i}"), bases });
        while linearize(&classes).is_err() {
            classes[i].bases.pop();
        }
    }
    classes
}

struct Author {
    dice: Dice,
    /// Plain subscribers; handlers; and classes, `object` among them. The last two are empty in the kind `notify`.
    ids: Vec<Id>,
    handlers: Vec<Id>,
    classes: Vec<String>,
}

impl Author {
    fn input(&mut self, classes: Option<Vec<Class>>) -> Input {
        let subscribers = (0..self.dice.below(6)).map(|_| self.id()).collect();
        let mut input = Input { classes, subscribers, ..Input::default() };
        for id in self.ids.iter().chain(&self.handlers).cloned().collect::<Vec<_>>() {
            if self.dice.chance(70) {
                let plans = (0..1 + self.dice.below(4)).map(|_| self.ops(2, false)).collect();
                input.behaviors.insert(id, plans);
            }
        }
        let length = 3 + self.dice.below(12);
        input.actions = (0..length).map(|_| self.op(true)).collect();
        input
    }

    fn ops(&mut self, most: usize, top: bool) -> Vec<Op> {
        (0..self.dice.below(most + 1)).map(|_| self.op(top)).collect()
    }

    fn id(&mut self) -> Id {
        // Handlers are listed as plain subscribers too, now and then.
        let from = if !self.handlers.is_empty() && self.dice.chance(5) { &self.handlers } else { &self.ids };
        self.dice.pick(from).clone()
    }

    fn event(&mut self) -> String {
        if self.classes.is_empty() {
            format!("e{}", self.dice.below(3))
        } else {
            self.dice.pick(&self.classes).clone()
        }
    }

    fn handler(&mut self) -> Id {
        let from = if self.dice.chance(5) { &self.ids } else { &self.handlers };
        self.dice.pick(from).clone()
    }

    /// The main program publishes and registers more, subscribers raise more.
    fn op(&mut self, top: bool) -> Op {
        if !self.classes.is_empty() && self.dice.chance(40) {
            let class = self.dice.pick(&self.classes).clone();
            let handler = self.handler();
            return if self.dice.chance(85) {
                Op::Handler(class, handler)
            } else {
                Op::Unregister(class, handler)
            };
        }
        let place = self.dice.below(9) as i64 - 2;
        // What empties the list is rare, or nothing would happen after it.
        match self.dice.below(if top { 100 } else { 80 }) {
            0..15 => Op::Append(self.id()),
            15..25 => Op::Insert(place, self.id()),
            25..30 => Op::Pop(place),
            30..31 => Op::Clear,
            31..36 => Op::Reverse,
            36..42 => Op::Remove(self.id()),
            42..50 => Op::Discard(self.id()),
            50..52 => {
                let ids = (0..self.dice.below(6)).map(|_| self.id()).collect();
                Op::Assign(ids)
            }
            52..57 => Op::Raise((*self.dice.pick(&["Boom", "Bang", "DoNotPatch", "SystemExit"])).into()),
            57..65 => Op::TryNotify(self.event()),
            _ => Op::Notify(self.event()),
        }
    }
}
