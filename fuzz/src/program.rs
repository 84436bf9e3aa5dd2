//! What a history does: operations, scripts that run inside callbacks, and how both are read from bytes.
//!
//! Every byte string is a program, and [`Program::encode`] gives one that is read back as the same program.
//! Not here: what an operation does (`world.rs`) or should do (`model.rs`).

use crate::coded::{Coded, coded, decode_list, encode_list};
use arbitrary::{Result, Unstructured};
use std::fmt;

/// How many dispatchers, sets of subscriptions and weak targets a history has places for.
pub(crate) const DISPATCHERS: usize = 2;
pub(crate) const SETS: usize = 2;
pub(crate) const TARGETS: usize = 3;

/// What a dispatcher in each place is called.
pub(crate) const PLACES: [&str; DISPATCHERS] = ["north", "south"];
/// What named subscribers are called, by turns.
pub(crate) const NAMES: [&str; 4] = ["ada", "bo", "cy", "di"];
/// The priorities in use: few, so that ties are common, and both ends.
pub(crate) const PRIORITIES: [i32; 7] = [0, 1, 0, -1, 5, i32::MAX, i32::MIN];

const MAX_SCRIPTS: usize = 6;
const MAX_SCRIPT: usize = 6;
const MAX_STEPS: usize = 7;
const MAX_SCOPED: usize = 3;
const MAX_MAIN: usize = 64;

impl Coded for Vec<Step> {
    fn decode(bytes: &mut Unstructured<'_>) -> Result<Self> {
        decode_list(bytes, MAX_STEPS)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_list(self, MAX_STEPS, out);
    }
}

impl Coded for Vec<How> {
    fn decode(bytes: &mut Unstructured<'_>) -> Result<Self> {
        decode_list(bytes, MAX_SCOPED)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_list(self, MAX_SCOPED, out);
    }
}

coded! {
    /// One operation. `at` is a place of a dispatcher, `sub` the n-th handle that there is, each taken modulo how many
    /// there are; `script` and the like number a script, 0 for none; with an odd `catch`, or at the top, a panic ends here.
    enum Op {
        Subscribe { at: u8, how: How },
        Publish { at: u8, catch: u8 },
        Cancel { sub: u8 },
        Pause { sub: u8 },
        Resume { sub: u8 },
        DropHandle { sub: u8 },
        Detach { sub: u8 },
        CancelAndWait { sub: u8 },
        /// Asks a handle whether its subscriber is active, and whether it is paused.
        Look { sub: u8 },
        /// Asks a dispatcher for its subscribers, and how many there are.
        List { at: u8 },
        TryPublish { at: u8, catch: u8 },
        PublishAll { at: u8, catch: u8 },
        PublishOrUndo { at: u8, catch: u8 },
        PublishWith { at: u8, make: u8, catch: u8 },
        Edit { at: u8, steps: Vec<Step>, catch: u8 },
        /// Many silent subscribers in one edit, with no handles: lists longer than one run.
        Bulk { at: u8, count: u8, priority: u8 },
        Collect { at: u8 },
        Retired { at: u8 },
        SetAdd { set: u8, sub: u8 },
        SetCancel { set: u8 },
        SetWait { set: u8 },
        SetPause { set: u8 },
        SetResume { set: u8 },
        SetDetach { set: u8 },
        SetDrop { set: u8 },
        /// A new target for weak subscribers, in the place of the old one, which is let go of.
        MakeTarget { target: u8, on_drop: u8 },
        DropTarget { target: u8 },
        DropDispatcher { at: u8 },
        NewDispatcher { at: u8, limit: u8 },
        /// Subscribers that borrow; then a script, inside the scope.
        Scope { at: u8, subs: Vec<How>, early: Early, body: u8, catch: u8 },
        DropHandles,
    }

    /// One step of an edit.
    enum Step {
        Subscribe { how: How },
        Cancel { sub: u8 },
        Pause { sub: u8 },
        Resume { sub: u8 },
        SetPriority { sub: u8, priority: u8 },
        MoveBefore { sub: u8, other: u8 },
        MoveAfter { sub: u8, other: u8 },
        Clear,
        /// Runs a script inside the edit's closure.
        Run { script: u8 },
    }

    /// What is done to the first subscriber of a scope, before the body.
    enum Early {
        Nothing,
        Cancel,
        Pause,
        Resume,
    }

    /// What a script ends with.
    enum Answer {
        Fine,
        Stop,
        Panic,
        /// An error if it is told to undo.
        StopUndo,
        PanicUndo,
    }
}

/// How a subscriber is registered, and what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    pub(crate) flags: u8,
    pub(crate) priority: u8,
    /// What it does when it is called.
    pub(crate) script: u8,
    /// What the destructor of its captures does.
    pub(crate) on_drop: u8,
}

impl How {
    pub(crate) const ONCE: u8 = 1;
    pub(crate) const PAUSED: u8 = 2;
    pub(crate) const NAMED: u8 = 4;
    pub(crate) const WEAK: u8 = 8;

    pub(crate) fn once(self) -> bool {
        self.flags & Self::ONCE != 0
    }

    pub(crate) fn paused(self) -> bool {
        self.flags & Self::PAUSED != 0
    }

    /// The name of subscriber number `sub`.
    pub(crate) fn name(self, sub: u64) -> Option<&'static str> {
        (self.flags & Self::NAMED != 0).then(|| NAMES[sub as usize % NAMES.len()])
    }

    /// The place of the target that it is tied to.
    pub(crate) fn target(self) -> Option<usize> {
        (self.flags & Self::WEAK != 0).then(|| usize::from(self.flags >> 4) % TARGETS)
    }

    pub(crate) fn priority(self) -> i32 {
        priority(self.priority)
    }
}

impl Coded for How {
    fn decode(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let mut byte = || u8::decode(bytes);
        Ok(Self { flags: byte()?, priority: byte()?, script: byte()?, on_drop: byte()? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.flags, self.priority, self.script, self.on_drop]);
    }
}

/// The priority that a byte stands for.
pub(crate) fn priority(byte: u8) -> i32 {
    PRIORITIES[usize::from(byte) % PRIORITIES.len()]
}

/// How many silent subscribers a byte stands for: the most are more than one run of a list holds.
pub(crate) fn bulk(byte: u8) -> usize {
    [1, 4, 40, 70, 270][usize::from(byte) % 5]
}

/// The depth limit that a byte stands for; none is the dispatcher's own.
pub(crate) fn limit(byte: u8) -> Option<u32> {
    (!byte.is_multiple_of(4)).then(|| 7 + u32::from(byte % 4))
}

/// The limit of a dispatcher that nothing was said to, as its documentation gives it.
pub(crate) const USUAL_LIMIT: u32 = 64;

/// What runs inside a callback, a destructor, an edit or a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) answer: Answer,
    pub(crate) ops: Vec<Op>,
}

/// A whole history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// What is let go of first at the end: even, the dispatchers; odd, the handles.
    pub(crate) handles_first: u8,
    /// Named by numbers from 1.
    pub(crate) scripts: Vec<Script>,
    pub(crate) main: Vec<Op>,
}

/// Where an operation stands: in the script of that number, [`Program::MAIN`] or [`Program::END`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) script: u8,
    pub(crate) op: usize,
}

impl Program {
    pub(crate) const MAIN: u8 = 0;
    pub(crate) const END: u8 = u8::MAX;

    /// The program that these bytes stand for; what they are short of is 0.
    pub(crate) fn decode(data: &[u8]) -> Self {
        let mut bytes = Unstructured::new(data);
        Self::read(&mut bytes).expect("a byte short is a 0")
    }

    fn read(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let handles_first = u8::decode(bytes)?;
        let scripts = usize::from(u8::decode(bytes)?) % (MAX_SCRIPTS + 1);
        let script = |_| {
            let answer = Answer::decode(bytes)?;
            Ok(Script { answer, ops: decode_list(bytes, MAX_SCRIPT)? })
        };
        let scripts = (0..scripts).map(script).collect::<Result<_>>()?;
        let mut main = Vec::new();
        while !bytes.is_empty() && main.len() < MAX_MAIN {
            main.push(Op::decode(bytes)?);
        }
        Ok(Self { handles_first, scripts, main })
    }

    /// Bytes that stand for this program.
    ///
    /// # Panics
    /// If it has more scripts, or longer lists, than the format.
    pub(crate) fn encode(&self) -> Vec<u8> {
        assert!(self.scripts.len() <= MAX_SCRIPTS && self.main.len() <= MAX_MAIN, "too long for the format");
        let mut out = vec![self.handles_first, self.scripts.len() as u8];
        for Script { answer, ops } in &self.scripts {
            answer.encode(&mut out);
            encode_list(ops, MAX_SCRIPT, &mut out);
        }
        self.main.iter().for_each(|op| op.encode(&mut out));
        out
    }

    /// The script that a byte stands for, and its number.
    pub(crate) fn script(&self, byte: u8) -> Option<(u8, &Script)> {
        let number = usize::from(byte) % (self.scripts.len() + 1);
        Some((number as u8, self.scripts.get(number.checked_sub(1)?)?))
    }

    /// The operation at a place.
    pub(crate) fn op(&self, at: At) -> &Op {
        match at.script {
            Self::MAIN => &self.main[at.op],
            Self::END => &self.end()[at.op],
            number => &self.scripts[usize::from(number) - 1].ops[at.op],
        }
    }

    /// What every history ends with: a last look, then everything is let go of.
    pub(crate) fn end(&self) -> &'static [Op] {
        if self.handles_first & 1 == 0 { DISPATCHERS_FIRST } else { HANDLES_FIRST }
    }
}

const DISPATCHERS_FIRST: &[Op] = &[
    Op::List { at: 0 },
    Op::List { at: 1 },
    Op::Collect { at: 0 },
    Op::Collect { at: 1 },
    Op::DropDispatcher { at: 0 },
    Op::DropDispatcher { at: 1 },
    Op::Look { sub: 0 },
    Op::Cancel { sub: 0 },
    Op::CancelAndWait { sub: 1 },
    Op::SetWait { set: 0 },
    Op::SetDrop { set: 0 },
    Op::SetDrop { set: 1 },
    Op::DropHandles,
    Op::DropTarget { target: 0 },
    Op::DropTarget { target: 1 },
    Op::DropTarget { target: 2 },
];

const HANDLES_FIRST: &[Op] = &[
    Op::DropHandles,
    Op::SetDrop { set: 0 },
    Op::SetDrop { set: 1 },
    Op::List { at: 0 },
    Op::List { at: 1 },
    Op::Collect { at: 0 },
    Op::Collect { at: 1 },
    Op::Retired { at: 0 },
    Op::Retired { at: 1 },
    Op::DropTarget { target: 0 },
    Op::DropTarget { target: 1 },
    Op::DropTarget { target: 2 },
    Op::DropDispatcher { at: 0 },
    Op::DropDispatcher { at: 1 },
];

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "priority {}", self.priority())?;
        for (flag, word) in [(Self::ONCE, "once"), (Self::PAUSED, "paused"), (Self::NAMED, "named")] {
            if self.flags & flag != 0 {
                write!(f, ", {word}")?;
            }
        }
        if let Some(target) = self.target() {
            write!(f, ", weak on place {target}")?;
        }
        write!(f, ", script {}, on drop {}", self.script, self.on_drop)
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, script) in self.scripts.iter().enumerate() {
            writeln!(f, "script {} (answer {:?}):", index + 1, script.answer)?;
            script.ops.iter().try_for_each(|op| writeln!(f, "    {op:?}"))?;
        }
        writeln!(f, "main:")?;
        self.main.iter().try_for_each(|op| writeln!(f, "    {op:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_read_back_from_its_bytes() {
        for (name, bytes) in crate::seeds() {
            let program = Program::decode(&bytes);
            assert_eq!(program.encode(), bytes, "{name}");
            assert!(program.main.len() > 1, "{name} does nothing");
        }
    }

    #[test]
    fn any_bytes_are_a_program() {
        for bytes in [&[][..], &[0], &[255; 40], &[6, 6, 6, 6, 6, 6, 6]] {
            let program = Program::decode(bytes);
            // What the bytes are short of is read as zeros, and written.
            assert_eq!(Program::decode(&program.encode()), program);
        }
    }
}
