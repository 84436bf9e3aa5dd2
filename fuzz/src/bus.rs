//! The bus target: a history of one bus after another, with six event types, three families and handles that outlive them,
//! against plain vectors. Subscribers publish, register and edit in their turn.
//!
//! Owns the byte format and what is compared: the lines that the run and the model each write, of what was done and what came
//! of it. Not here: the run on signalpost (`bus/world.rs`), the model (`bus/model.rs`).

mod model;
mod seeds;
mod world;

use crate::coded::{Coded, coded, decode_list, encode_list};
use crate::quietly;
use arbitrary::{Result, Unstructured};
pub use seeds::bus_seeds;

coded! {
    /// One operation. `list` is that of everything (0), of an event type (1 to 6) or of a family (7 to 9); `nth` the n-th
    /// subscriber there ever was; each is taken modulo how many there are.
    enum Op {
        Subscribe { list: u8, how: How },
        Publish { event: u8, way: u8 },
        Cancel { nth: u8 },
        Pause { nth: u8 },
        Resume { nth: u8 },
        DropHandle { nth: u8 },
        Detach { nth: u8 },
        Look { nth: u8 },
        /// Cancels every so many-th of all that have a handle, as a set.
        CancelSome { every: u8 },
        DropTarget { target: u8 },
        Edit { steps: Vec<Step> },
        /// Keeps a handle of a type or family of the bus that there is.
        Keep { list: u8 },
        LetGo { list: u8 },
        List,
        Sizes,
        DropBus,
        NewBus,
    }

    /// A step of an edit; the last two are done at once.
    enum Step {
        Subscribe { list: u8, how: How },
        Cancel { nth: u8 },
        Pause { nth: u8 },
        Resume { nth: u8 },
        SetPriority { nth: u8, priority: u8 },
        MoveBefore { nth: u8, other: u8 },
        MoveAfter { nth: u8, other: u8 },
        Clear,
        Publish { event: u8, way: u8 },
        CancelNow { nth: u8 },
    }

    /// What a subscriber answers when its script is done.
    enum Answer {
        Fine,
        Veto,
        Fail,
        Panic,
    }
}

/// How one is registered. `script` is what it does when it is called, 0 for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct How {
    flags: u8,
    priority: u8,
    script: u8,
}

impl How {
    const ONCE: u8 = 1;
    const PAUSED: u8 = 2;
    const WEAK: u8 = 4;
    /// By the handle that was kept, not by the bus.
    const KEPT: u8 = 8;

    fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn priority(self) -> i32 {
        priority(self.priority)
    }
}

fn priority(byte: u8) -> i32 {
    [0, 0, 1, -1][usize::from(byte) % 4]
}

impl Coded for How {
    fn decode(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let mut byte = || u8::decode(bytes);
        Ok(Self { flags: byte()?, priority: byte()?, script: byte()? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend([self.flags, self.priority, self.script]);
    }
}

const MOST_STEPS: usize = 8;
const MOST_OPS: usize = 6;
const MOST_SCRIPTS: usize = 6;
const MOST_MAIN: usize = 60;
/// Scripts are run by calls nested less deep than this.
const DEPTH: usize = 3;
/// After so many calls scripts are no longer run.
const MOST_CALLS: usize = 400;

const EVENTS: usize = 6;
const FAMILIES: usize = 3;
const LISTS: usize = 1 + EVENTS + FAMILIES;
const TARGETS: usize = 3;

impl Coded for Vec<Step> {
    fn decode(bytes: &mut Unstructured<'_>) -> Result<Self> {
        decode_list(bytes, MOST_STEPS)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        encode_list(self, MOST_STEPS, out);
    }
}

#[derive(Clone, Debug)]
struct Script {
    answer: Answer,
    ops: Vec<Op>,
}

#[derive(Clone, Debug, Default)]
struct Program {
    scripts: Vec<Script>,
    main: Vec<Op>,
}

impl Program {
    /// Bytes that end too soon make a shorter program.
    fn decode(data: &[u8]) -> Self {
        let mut bytes = Unstructured::new(data);
        Self::read(&mut bytes).unwrap_or_default()
    }

    fn read(bytes: &mut Unstructured<'_>) -> Result<Self> {
        let count = usize::from(u8::decode(bytes)?) % (MOST_SCRIPTS + 1);
        let script = |_| Ok(Script { answer: Answer::decode(bytes)?, ops: decode_list(bytes, MOST_OPS)? });
        let scripts = (0..count).map(script).collect::<Result<_>>()?;
        let mut main = Vec::new();
        while !bytes.is_empty() && main.len() < MOST_MAIN {
            main.push(Op::decode(bytes)?);
        }
        Ok(Self { scripts, main })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.scripts.len() as u8];
        for Script { answer, ops } in &self.scripts {
            answer.encode(&mut out);
            encode_list(ops, MOST_OPS, &mut out);
        }
        self.main.iter().for_each(|op| op.encode(&mut out));
        out
    }

    /// What a subscriber does when it is called.
    fn script(&self, byte: u8) -> Script {
        let number = usize::from(byte) % (self.scripts.len() + 1);
        let script = number.checked_sub(1).map(|number| self.scripts[number].clone());
        script.unwrap_or(Script { answer: Answer::Fine, ops: Vec::new() })
    }
}

/// A rule of the model turned round: then the model is wrong, and must disagree with the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusTwist {
    /// Paused subscribers run.
    PauseIsIgnored,
    /// A once subscriber runs each time.
    OnceIsIgnored,
    /// A publish walks the lists as they are.
    LiveWalk,
    /// A stop does not stop.
    StopIsIgnored,
    /// Paused subscribers have no position.
    PausedHaveNoPlace,
    /// Handlers run behind all plain subscribers.
    HandlersLast,
    /// The place of handlers is fixed anew when all are cleared.
    ClearTakesThePlace,
    /// The place of handlers is fixed anew when the last of them has gone.
    PlaceGoesWithTheLast,
    /// Families run the most general first.
    FamiliesInReverse,
    /// Families run before the type's own handlers.
    FamiliesFirst,
    /// A veto that comes too late is passed on as a veto.
    LateVetoPasses,
    /// What an edit registers is there at once.
    EditAtOnce,
    /// A handle that is dropped lets its subscriber stay.
    DropDetaches,
    /// What is moved keeps its priority.
    MoveKeepsPriority,
    /// Within a priority, the newest comes first.
    NewestFirst,
    /// Each write sweeps all lists.
    SweepsAll,
    /// What has ended by itself is found until it is swept.
    EndedIsFound,
    /// What is cancelled before its edit is made is registered all the same.
    EditForgetsCancel,
    /// What is registered by handles that outlive the bus is not heard.
    NothingOutlivesTheBus,
    /// What the bus had stays for those who publish by a topic that outlives it.
    TheBusLeavesItsOwn,
    /// Moves go from list to list.
    MovesCrossLists,
    /// A target that is gone lets its subscriber run.
    WeakIsIgnored,
}

impl BusTwist {
    /// Every one.
    pub const ALL: &[Self] = &[
        Self::PauseIsIgnored,
        Self::OnceIsIgnored,
        Self::LiveWalk,
        Self::StopIsIgnored,
        Self::PausedHaveNoPlace,
        Self::HandlersLast,
        Self::ClearTakesThePlace,
        Self::PlaceGoesWithTheLast,
        Self::FamiliesInReverse,
        Self::FamiliesFirst,
        Self::LateVetoPasses,
        Self::EditAtOnce,
        Self::DropDetaches,
        Self::MoveKeepsPriority,
        Self::NewestFirst,
        Self::SweepsAll,
        Self::EndedIsFound,
        Self::EditForgetsCancel,
        Self::NothingOutlivesTheBus,
        Self::TheBusLeavesItsOwn,
        Self::MovesCrossLists,
        Self::WeakIsIgnored,
    ];
}

/// Runs the history that the bytes stand for and checks it against the model.
///
/// # Panics
/// If they disagree; the message is the history, up to where they part.
pub fn bus(data: &[u8]) {
    if let Err(report) = BusHistory::run(data).check(&[]) {
        panic!("{report}");
    }
}

/// A history that was run: what was to be done, and what happened.
#[derive(Debug)]
pub struct BusHistory {
    program: Program,
    lines: Vec<String>,
}

impl BusHistory {
    /// Runs what the bytes stand for; any will do.
    pub fn run(data: &[u8]) -> Self {
        let program = Program::decode(data);
        let lines = quietly(|| world::run(&program));
        Self { program, lines }
    }

    /// Checks what happened against the model, with rules turned round as the twists say.
    ///
    /// # Errors
    /// A report for people: the program, what happened, and where the model parts from it.
    pub fn check(&self, twists: &[BusTwist]) -> std::result::Result<(), String> {
        let expected = model::run(&self.program, twists);
        let alike = self.lines.iter().zip(&expected).take_while(|(run, model)| run == model).count();
        if alike == self.lines.len() && alike == expected.len() {
            return Ok(());
        }
        let (run, model) = (self.lines.get(alike), expected.get(alike));
        let same = self.lines[..alike].join("\n");
        Err(format!("{:#?}\n{same}\nthe run goes on: {run:?}\nthe model expects: {model:?}", self.program))
    }

    /// What happened, a line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}
