//! Looks for reads of kernel memory that carry no relocation, by following where pointers go.
//!
//! A pointer into the kernel is what a program loads from its context, gets from certain helpers,
//! or reads through another such pointer. Loading through it is right only in an instruction that
//! the loader relocates, and bpf_probe_read_kernel only of an address that is such a pointer plus a
//! relocated offset.
//!
//! What this cannot see: pointers that go through memory other than the stack or are handed to a
//! function that was not inlined, and whether the relocated field is the one meant. Where two ways
//! meet it takes the worse, so it may object without cause, but not the other way round.

use std::collections::{BTreeMap, BTreeSet};

/// A kernel read without a relocation: the number of the instruction, and what it does.
pub type Finding = (usize, &'static str);

/// What a register or a place on the stack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Nothing that leads into the kernel.
    Other,
    Context,
    /// An address on the stack.
    Stack(i32),
    /// A pointer into the kernel, or one that was moved by a fixed number.
    Kernel,
    /// A number that the loader fills in.
    Offset,
    /// The address of a field: a pointer plus such a number.
    Field,
}

impl Value {
    fn join(self, other: Value) -> Value {
        let leads_into_kernel = |value| matches!(value, Value::Kernel | Value::Field);
        match (self, other) {
            (a, b) if a == b => a,
            (a, b) if leads_into_kernel(a) || leads_into_kernel(b) => Value::Kernel,
            _ => Value::Other,
        }
    }

    fn plus(self, other: Value) -> Value {
        match (self, other) {
            (Value::Kernel | Value::Field, Value::Offset)
            | (Value::Offset, Value::Kernel | Value::Field) => Value::Field,
            (Value::Kernel | Value::Field, _) | (_, Value::Kernel | Value::Field) => Value::Kernel,
            _ => Value::Other,
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
struct State {
    registers: [Value; 11],
    stack: BTreeMap<i32, Value>,
}

impl State {
    fn join(&self, other: &State) -> State {
        let mut joined = self.clone();
        for (mine, theirs) in joined.registers.iter_mut().zip(other.registers) {
            *mine = mine.join(theirs);
        }
        for at in self.stack.keys().chain(other.stack.keys()) {
            let value = self.slot(*at).join(other.slot(*at));
            joined.stack.insert(*at, value);
        }
        joined
    }

    fn slot(&self, at: i32) -> Value {
        self.stack.get(&at).copied().unwrap_or(Value::Other)
    }
}

struct Instruction {
    code: u8,
    destination: usize,
    source: usize,
    offset: i16,
    immediate: i32,
}

fn decode(bytes: &[u8]) -> Instruction {
    Instruction {
        code: bytes[0],
        destination: usize::from(bytes[1] & 0xf).min(10),
        source: usize::from(bytes[1] >> 4).min(10),
        offset: i16::from_le_bytes([bytes[2], bytes[3]]),
        immediate: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    }
}

// Classes and operations of instructions.
const LOAD_IMMEDIATE: u8 = 0x18;
const CLASS: u8 = 0x07;
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const SIZE: u8 = 0x18;
const DOUBLE_WORD: u8 = 0x18;
const MODE: u8 = 0xe0;
const ATOMIC: u8 = 0xc0;
const MOV_REGISTER: u8 = 0xbf;
const MOV_IMMEDIATE: u8 = 0xb7;
const ADD_REGISTER: u8 = 0x0f;
const ADD_IMMEDIATE: u8 = 0x07;
const GOTO: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

// Helpers that give a pointer into the kernel, and those that read through one.
const GIVE: &[i32] = &[35, 136, 137, 138, 158, 162];
const READ: &[i32] = &[4, 45, 113, 115];

/// The kernel reads of a program that carry no relocation; `relocated` has the places, in bytes, of
/// the instructions that do.
pub fn unrelocated_reads(code: &[u8], relocated: &BTreeSet<u32>) -> Vec<Finding> {
    let instructions: Vec<Instruction> = code.chunks_exact(8).map(decode).collect();
    let mut start = State { registers: [Value::Other; 11], stack: BTreeMap::new() };
    start.registers[1] = Value::Context;
    start.registers[10] = Value::Stack(0);

    let mut before: BTreeMap<usize, State> = BTreeMap::from([(0, start)]);
    let mut findings = BTreeSet::new();
    let mut work = vec![0];
    while let Some(at) = work.pop() {
        let Some(instruction) = instructions.get(at) else { continue };
        let mut state = before[&at].clone();
        let is_relocated = relocated.contains(&(at as u32 * 8));
        if let Some(what) = step(&mut state, instruction, is_relocated) {
            findings.insert((at, what));
        }
        for next in successors(at, instruction) {
            let joined = before.get(&next).map_or(state.clone(), |known| known.join(&state));
            if before.get(&next) != Some(&joined) {
                before.insert(next, joined);
                work.push(next);
            }
        }
    }
    findings.into_iter().collect()
}

fn successors(at: usize, instruction: &Instruction) -> Vec<usize> {
    let target = || (at as i64 + 1 + i64::from(instruction.offset)) as usize;
    match instruction.code {
        LOAD_IMMEDIATE => vec![at + 2],
        EXIT => vec![],
        GOTO => vec![target()],
        CALL => vec![at + 1],
        code if matches!(code & CLASS, JMP | JMP32) => vec![at + 1, target()],
        _ => vec![at + 1],
    }
}

/// What an instruction makes of a state, and what is wrong with it.
fn step(state: &mut State, i: &Instruction, relocated: bool) -> Option<&'static str> {
    let (destination, source) = (i.destination, i.source);
    let mut finding = None;
    let result = match i.code {
        LOAD_IMMEDIATE => Value::Other,
        CALL => return call(state, i),
        MOV_REGISTER => state.registers[source],
        MOV_IMMEDIATE if relocated => Value::Offset,
        ADD_REGISTER => state.registers[destination].plus(state.registers[source]),
        ADD_IMMEDIATE => match state.registers[destination] {
            Value::Stack(at) => Value::Stack(at + i.immediate),
            value if relocated => value.plus(Value::Offset),
            value => value.plus(Value::Other),
        },
        code if code & CLASS == LDX => {
            let base = state.registers[source];
            if base == Value::Kernel && !relocated {
                finding = Some("loads through a kernel pointer without a relocation");
            }
            match base {
                Value::Stack(at) => state.slot(at + i32::from(i.offset)),
                Value::Context | Value::Kernel | Value::Field if code & SIZE == DOUBLE_WORD => {
                    Value::Kernel
                }
                _ => Value::Other,
            }
        }
        code if code & CLASS == STX || code & CLASS == ST => {
            if let Value::Stack(at) = state.registers[destination] {
                let whole = code & CLASS == STX && code & SIZE == DOUBLE_WORD;
                let stored = whole && code & MODE != ATOMIC;
                let value = if stored { state.registers[source] } else { Value::Other };
                state.stack.insert(at + i32::from(i.offset), value);
            }
            return None;
        }
        code if matches!(code & CLASS, JMP | JMP32) => return None,
        _ => Value::Other,
    };
    state.registers[destination] = result;
    finding
}

fn call(state: &mut State, i: &Instruction) -> Option<&'static str> {
    // A source of 0 is a helper; others are functions of the program or the kernel.
    let is_helper = i.source == 0;
    let mut finding = None;
    if is_helper && READ.contains(&i.immediate) {
        if state.registers[3] != Value::Field {
            finding = Some("copies from the kernel without a relocation");
        }
        if let Value::Stack(at) = state.registers[1] {
            state.stack.insert(at, Value::Kernel);
        }
    }
    let gives = is_helper && GIVE.contains(&i.immediate);
    state.registers[0] = if gives { Value::Kernel } else { Value::Other };
    state.registers[1..=5].fill(Value::Other);
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(instructions: &[[u8; 8]]) -> Vec<u8> {
        instructions.concat()
    }

    /// r6 = *(u64 *)(r1 + 0): the first argument.
    const ARGUMENT: [u8; 8] = [0x79, 0x16, 0, 0, 0, 0, 0, 0];
    /// r0 = *(u16 *)(r6 + 14).
    const LOAD: [u8; 8] = [0x69, 0x60, 14, 0, 0, 0, 0, 0];
    /// r3 = r6, and r3 += 14.
    const COPY: [u8; 8] = [0xbf, 0x63, 0, 0, 0, 0, 0, 0];
    const ADD: [u8; 8] = [0x07, 0x03, 0, 0, 14, 0, 0, 0];
    /// call bpf_probe_read_kernel.
    const READ: [u8; 8] = [0x85, 0, 0, 0, 113, 0, 0, 0];
    const END: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn a_load_needs_a_relocation() {
        let code = program(&[ARGUMENT, LOAD, END]);
        assert_eq!(unrelocated_reads(&code, &BTreeSet::from([8])), []);
        let [(1, what)] = unrelocated_reads(&code, &BTreeSet::new())[..] else { panic!() };
        assert!(what.starts_with("loads"));
    }

    #[test]
    fn a_copy_needs_a_relocated_address() {
        let code = program(&[ARGUMENT, COPY, ADD, READ, END]);
        assert_eq!(unrelocated_reads(&code, &BTreeSet::from([16])), []);
        let [(3, what)] = unrelocated_reads(&code, &BTreeSet::new())[..] else { panic!() };
        assert!(what.starts_with("copies"));
    }

    #[test]
    fn the_worse_of_two_ways_counts() {
        // if r1 == 0 goto +1, over the addition that is relocated.
        let branch = [0x15, 0x01, 1, 0, 0, 0, 0, 0];
        let code = program(&[ARGUMENT, COPY, branch, ADD, READ, END]);
        assert_eq!(unrelocated_reads(&code, &BTreeSet::from([24])).len(), 1);
    }

    #[test]
    fn a_pointer_is_followed_over_the_stack() {
        // *(u64 *)(r10 - 8) = r6, r6 = 0, r6 = *(u64 *)(r10 - 8).
        let spill = [0x7b, 0x6a, 0xf8, 0xff, 0, 0, 0, 0];
        let clear = [0xb7, 0x06, 0, 0, 0, 0, 0, 0];
        let fill = [0x79, 0xa6, 0xf8, 0xff, 0, 0, 0, 0];
        let code = program(&[ARGUMENT, spill, clear, fill, LOAD, END]);
        assert_eq!(unrelocated_reads(&code, &BTreeSet::new()).len(), 1);
        let code = program(&[ARGUMENT, spill, clear, LOAD, END]);
        assert_eq!(unrelocated_reads(&code, &BTreeSet::new()), []);
    }
}
