//! From registers and the bytes of a stack to the functions that are on it, by the tables that exceptions use.
//!
//! Owns the walk, and the rows of those tables that it met. Not here: who copied the stack, and what the code is called.
//!
//! All that it needs of a table is read from memory by address: nothing large is kept, and what was unloaded meanwhile is an error
//! and no fault. Where the tables say nothing the walk ends and says so; it never guesses by frame pointers, which give a stack
//! that looks right and is wrong where code is built without them.

use super::memory;
use super::modules::{Module, Modules};
use crate::stack::trace::{Incomplete, Place, StackTrace};
use gimli::{
    BaseAddresses, CfaRule, EhFrame, EhFrameOffset, Encoding, EndianSlice, Evaluation, EvaluationResult,
    Expression, Format, LittleEndian, Location, Register, RegisterRule, UnwindContext, UnwindExpression,
    UnwindSection, Value,
};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How many functions a stack is followed.
const MOST_FRAMES: usize = 4_096;
/// How many rows are kept.
const MOST_ROWS: usize = 2_048;
/// An entry of a table that is longer than this is none.
const MOST_ENTRY: u32 = 1 << 16;
/// Steps of one expression.
const MOST_STEPS: u32 = 1_000;

/// How many registers the tables may name: the general ones, and where to return to.
const REGISTERS: usize = 33;

#[cfg(target_arch = "x86_64")]
mod arch {
    pub(super) const SP: u16 = 7;
    pub(super) const RETURN: u16 = 16;
    /// What a function gives back as it found it: rbx, rbp, r12 to r15.
    pub(super) const PRESERVED: &[u16] = &[3, 6, 12, 13, 14, 15];

    pub(super) fn code(address: u64) -> u64 {
        address
    }
}

#[cfg(target_arch = "aarch64")]
mod arch {
    pub(super) const SP: u16 = 31;
    pub(super) const RETURN: u16 = 30;
    /// What a function gives back as it found it: x19 to x29. The link register too, as long as it calls nobody.
    pub(super) const PRESERVED: &[u16] = &[19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30];

    /// Without the signature that pointer authentication may have put into the high bits: addresses have at most 52.
    pub(super) fn code(address: u64) -> u64 {
        address & ((1 << 52) - 1)
    }
}

/// A thread's registers by the numbers of the tables; none: not known.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    pub(super) pc: u64,
    values: [Option<u64>; REGISTERS],
}

impl Registers {
    /// Only these two.
    pub(super) fn new(pc: u64, sp: u64) -> Self {
        let mut registers = Self { pc, values: [None; REGISTERS] };
        registers.set(arch::SP, Some(sp));
        registers
    }

    pub(super) fn set(&mut self, register: u16, value: Option<u64>) {
        if let Some(place) = self.values.get_mut(register as usize) {
            *place = value;
        }
    }

    fn get(&self, register: u16) -> Option<u64> {
        self.values.get(register as usize).copied().flatten()
    }
}

/// Bytes of a stack.
pub(super) struct Copied<'a> {
    /// The address of the first.
    pub(super) start: u64,
    pub(super) bytes: &'a [u8],
    /// There is more above that was not copied.
    pub(super) cut: bool,
    /// It is the stack that the thread was started with.
    pub(super) own: bool,
    /// The thread was held while they were copied.
    pub(super) held: bool,
}

impl Copied<'_> {
    fn word(&self, address: u64) -> Option<u64> {
        let at = usize::try_from(address.checked_sub(self.start)?).ok()?;
        let word = self.bytes.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(word.try_into().ok()?))
    }
}

/// What the tables say of one instruction: how to find what its function's caller had in its registers.
struct Row {
    /// Where the function starts.
    function: u64,
    cfa: Cfa,
    /// Those that are not as they were.
    rules: Vec<(u16, Rule)>,
    /// The kernel's way into a signal handler: what it returns to was interrupted, and did not call.
    interrupted: bool,
}

/// Where the caller's frame ends.
enum Cfa {
    Register(u16, i64),
    Expression(Box<[u8]>),
}

/// What the caller had in a register.
enum Rule {
    /// Nobody knows; of the return address: there is no caller.
    Undefined,
    Same,
    /// It is stored so far from the end of the caller's frame.
    At(i64),
    /// It is that address.
    Is(i64),
    Register(u16),
    AtExpression(Box<[u8]>),
    IsExpression(Box<[u8]>),
    Constant(u64),
}

/// Walks stacks.
pub(super) struct Unwinder {
    modules: Modules,
    rows: HashMap<u64, Arc<Row>>,
    context: UnwindContext<usize>,
}

impl Unwinder {
    pub(super) fn new() -> Self {
        Self { modules: Modules::default(), rows: HashMap::new(), context: UnwindContext::new() }
    }

    /// The stack of a thread that was there.
    pub(super) fn unwind(&mut self, registers: Registers, stack: &Copied<'_>) -> StackTrace {
        if !self.modules.are_there() {
            self.read_again();
        }
        let mut walk =
            Walk { registers, exact: true, frames: 0, places: Vec::new(), hasher: DefaultHasher::new() };
        let mut fresh = false;
        let ended = loop {
            let at = walk.lookup();
            if !fresh && !self.modules.has(at) {
                fresh = true;
                self.read_again();
            }
            let module = self.modules.find(at);
            walk.push(module.clone());
            let Some(module) = module else {
                walk.registers.pc.hash(&mut walk.hasher);
                break Some(Incomplete::NoModule { address: walk.registers.pc });
            };
            let Some(row) = self.row(at, &module) else {
                walk.registers.pc.hash(&mut walk.hasher);
                break Some(Incomplete::NoTables { address: walk.registers.pc });
            };
            walk.count(&row);
            match walk.step(&row, stack) {
                Step::Caller if walk.frames >= MOST_FRAMES => break Some(Incomplete::TooDeep),
                Step::Caller => {}
                Step::First => break None,
                Step::Beyond if stack.cut => break Some(Incomplete::TooLarge),
                Step::Beyond | Step::Lost if !stack.held => break Some(Incomplete::Passive),
                Step::Beyond | Step::Lost => break Some(Incomplete::Lost { address: walk.registers.pc }),
            }
        };
        // That of another stack ends where that was begun, which some say in their tables and others do not.
        let ended = match ended {
            _ if !stack.own => Some(Incomplete::OtherStack),
            None if !stack.held => Some(Incomplete::Passive),
            ended => ended,
        };
        StackTrace::new(walk.places, walk.hasher.finish(), ended)
    }

    fn read_again(&mut self) {
        self.modules.read_again();
        self.rows.clear();
    }

    fn row(&mut self, at: u64, module: &Module) -> Option<Arc<Row>> {
        if let Some(row) = self.rows.get(&at) {
            return Some(row.clone());
        }
        let row = Arc::new(read_row(at, module.eh_frame_hdr?, &mut self.context)?);
        if self.rows.len() >= MOST_ROWS {
            self.rows.clear();
        }
        self.rows.insert(at, row.clone());
        Some(row)
    }
}

/// The row for an instruction, by the index at `header`.
fn read_row(at: u64, header: u64, context: &mut UnwindContext<usize>) -> Option<Row> {
    let fde = find_entry(at, header)?;
    let entry = bytes_of_entry(fde)?;
    // The entry says how far before it the one is that it shares with others. Both side by side are a section of their own,
    // which starts where the addresses relative to the entry come out right.
    let back = u32::from_le_bytes(entry.get(4..8)?.try_into().ok()?);
    let mut section = bytes_of_entry((fde + 4).checked_sub(back.into())?)?;
    let common = section.len();
    section.extend_from_slice(&entry);
    section[common + 4..common + 8].copy_from_slice(&u32::try_from(common + 4).ok()?.to_le_bytes());
    let mut frames = EhFrame::new(&section, LittleEndian);
    frames.set_address_size(8);
    let bases = BaseAddresses::default().set_eh_frame(fde.wrapping_sub(common as u64));
    let fde = frames.fde_from_offset(&bases, EhFrameOffset(common), EhFrame::cie_from_offset).ok()?;
    let row = fde.unwind_info_for_address(&frames, &bases, context, at).ok()?;
    let expression = |e: &UnwindExpression<usize>| {
        e.get(&frames).ok().map(|found: Expression<_>| Box::from(found.0.slice()))
    };
    let cfa = match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Cfa::Register(register.0, *offset),
        CfaRule::Expression(e) => Cfa::Expression(expression(e)?),
    };
    let mut rules = Vec::new();
    for (register, rule) in row.registers() {
        let rule = match rule {
            RegisterRule::Undefined => Rule::Undefined,
            RegisterRule::SameValue => Rule::Same,
            RegisterRule::Offset(n) => Rule::At(*n),
            RegisterRule::ValOffset(n) => Rule::Is(*n),
            RegisterRule::Register(Register(other)) => Rule::Register(*other),
            RegisterRule::Expression(e) => Rule::AtExpression(expression(e)?),
            RegisterRule::ValExpression(e) => Rule::IsExpression(expression(e)?),
            RegisterRule::Constant(value) => Rule::Constant(*value),
            _ => Rule::Undefined,
        };
        rules.push((register.0, rule));
    }
    Some(Row { function: fde.initial_address(), cfa, rules, interrupted: fde.is_signal_trampoline() })
}

/// An entry with its length word.
fn bytes_of_entry(at: u64) -> Option<Vec<u8>> {
    let len = u32::from_le_bytes(memory::array(at)?);
    // 0: the end of the section; more than that, or the mark of the wide format: nothing that linkers write for code.
    (len > 8 && len <= MOST_ENTRY).then(|| memory::bytes(at, len as usize + 4)).flatten()
}

/// Where the entry is that may cover an instruction: the index at `header` is sorted.
fn find_entry(at: u64, header: u64) -> Option<u64> {
    /// What all linkers write: version 1; the section's address relative, 4 bytes; a count of 4 bytes; and a table of pairs of
    /// 4 bytes each, relative to the header.
    const FORMAT: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
    let start: [u8; 12] = memory::array(header)?;
    let count = u32::from_le_bytes(start[8..].try_into().ok()?);
    if start[..4] != FORMAT {
        return None;
    }
    let pair = |n: u32| {
        let pair: [u8; 8] = memory::array(header + 12 + u64::from(n) * 8)?;
        let relative =
            |four: &[u8]| Some(header.wrapping_add_signed(i32::from_le_bytes(four.try_into().ok()?).into()));
        Some((relative(&pair[..4])?, relative(&pair[4..])?))
    };
    let (mut low, mut high, mut found) = (0, count, None);
    while low < high {
        let middle = low + (high - low) / 2;
        let (function, entry) = pair(middle)?;
        if function <= at {
            (low, found) = (middle + 1, Some(entry));
        } else {
            high = middle;
        }
    }
    found
}

/// A walk up a stack.
struct Walk {
    registers: Registers,
    /// The instruction itself, not the one after a call.
    exact: bool,
    frames: usize,
    places: Vec<Place>,
    hasher: DefaultHasher,
}

/// What came of a step.
enum Step {
    Caller,
    /// There is no caller: the thread's first function.
    First,
    /// It needs bytes that were not copied.
    Beyond,
    /// It needs what is not known, or does not come nearer to the first function.
    Lost,
}

impl Walk {
    /// An instruction that is surely of the function. A call may be the function's last.
    fn lookup(&self) -> u64 {
        if self.exact { self.registers.pc } else { self.registers.pc.wrapping_sub(1) }
    }

    fn push(&mut self, module: Option<Arc<Module>>) {
        self.frames += 1;
        self.places.push(Place { address: self.registers.pc, exact: self.exact, module });
    }

    /// A thread that runs is elsewhere in its function each time: of the innermost only the function counts.
    fn count(&mut self, row: &Row) {
        if self.exact { row.function } else { self.registers.pc }.hash(&mut self.hasher);
    }

    fn step(&mut self, row: &Row, stack: &Copied<'_>) -> Step {
        let Some(cfa) = self.cfa(row, stack) else { return Step::Lost };
        let mut caller = Registers::new(0, cfa);
        for &register in arch::PRESERVED {
            caller.set(register, self.registers.get(register));
        }
        let mut first = false;
        for (register, rule) in &row.rules {
            let value = match self.value(*register, rule, cfa, stack) {
                Ok(value) => value,
                // What was already popped may be below the end of the stack, where nothing was copied: it is as it was.
                Err(Step::Beyond) if self.exact && *register != arch::RETURN => self.registers.get(*register),
                Err(step) => return step,
            };
            first |= *register == arch::RETURN && matches!(rule, Rule::Undefined);
            caller.set(*register, value);
        }
        if first {
            return Step::First;
        }
        let Some(to) = caller.get(arch::RETURN).map(arch::code) else { return Step::Lost };
        if to == 0 {
            return Step::First;
        }
        let before = self.registers.get(arch::SP).unwrap_or(0);
        let now = caller.get(arch::SP).unwrap_or(0);
        // Each call takes room, but for the innermost on aarch64; after a signal it may be another stack.
        if !row.interrupted && (now < before || now == before && (!self.exact || to == self.registers.pc)) {
            return Step::Lost;
        }
        caller.pc = to;
        self.registers = caller;
        self.exact = row.interrupted;
        Step::Caller
    }

    fn cfa(&self, row: &Row, stack: &Copied<'_>) -> Option<u64> {
        match &row.cfa {
            Cfa::Register(register, offset) => {
                Some(self.registers.get(*register)?.wrapping_add_signed(*offset))
            }
            Cfa::Expression(expression) => self.evaluate(expression, None, stack).ok(),
        }
    }

    fn value(&self, register: u16, rule: &Rule, cfa: u64, stack: &Copied<'_>) -> Result<Option<u64>, Step> {
        let at = |address| stack.word(address).ok_or(Step::Beyond);
        Ok(match rule {
            Rule::Undefined => None,
            Rule::Same => self.registers.get(register),
            Rule::At(offset) => Some(at(cfa.wrapping_add_signed(*offset))?),
            Rule::Is(offset) => Some(cfa.wrapping_add_signed(*offset)),
            Rule::Register(other) => self.registers.get(*other),
            Rule::AtExpression(expression) => Some(at(self.evaluate(expression, Some(cfa), stack)?)?),
            Rule::IsExpression(expression) => Some(self.evaluate(expression, Some(cfa), stack)?),
            Rule::Constant(value) => Some(*value),
        })
    }

    fn evaluate(&self, expression: &[u8], cfa: Option<u64>, stack: &Copied<'_>) -> Result<u64, Step> {
        let encoding = Encoding { address_size: 8, format: Format::Dwarf32, version: 4 };
        let mut machine = Evaluation::new(EndianSlice::new(expression, LittleEndian), encoding);
        machine.set_max_iterations(MOST_STEPS);
        if let Some(cfa) = cfa {
            machine.set_initial_value(cfa);
        }
        let mut needs = machine.evaluate().map_err(|_| Step::Lost)?;
        loop {
            let next = match needs {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register: Register(number), .. } => {
                    let value =
                        self.registers.get(number).or((number == arch::RETURN).then_some(self.registers.pc));
                    machine.resume_with_register(Value::Generic(value.ok_or(Step::Lost)?))
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    machine.resume_with_memory(Value::Generic(stack.word(address).ok_or(Step::Beyond)?))
                }
                EvaluationResult::RequiresCallFrameCfa => {
                    machine.resume_with_call_frame_cfa(cfa.ok_or(Step::Lost)?)
                }
                _ => return Err(Step::Lost),
            };
            needs = next.map_err(|_| Step::Lost)?;
        }
        match machine.result().last().map(|piece| &piece.location) {
            Some(Location::Address { address }) => Ok(*address),
            _ => Err(Step::Lost),
        }
    }
}
