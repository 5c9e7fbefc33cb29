//! The filter: whether anybody asked for what happened to a socket.
//!
//! Without one, the verifier removes all of it.

use aya_ebpf::Global;
use aya_ebpf::btf_maps::{Array, PerCpuArray};
use aya_ebpf::macros::btf_map;
use socktrace_common::probe::{Facts, Judgement, Probe, known};
use socktrace_common::{ACCEPTOR, Memory, NOT_LEARNT, OWN_EVENT, Owner, flag};

use crate::kernel::{AF_INET, Sock, now};
use crate::owner;

/// Whether there is a filter; set by the loader.
#[unsafe(no_mangle)]
static HAS_PROBE: Global<u8> = Global::new(0);

#[btf_map]
static PROBE: Array<Probe, 1> = Array::new();

/// Facts are gathered in a place for each program and CPU: programs interrupt each other, but none
/// itself.
#[btf_map]
static FACTS: PerCpuArray<Facts, { Program::COUNT }> = PerCpuArray::new();

#[derive(Clone, Copy)]
pub(crate) enum Program {
    Transition,
    Life,
    Retransmission,
    SynAck,
    ResetReceived,
    ResetSent,
}

impl Program {
    const COUNT: usize = 6;
}

/// What is known when.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The socket opens: its local end, and who owns it, may still be found out.
    Opening,
    /// An event is about to be told as it is.
    Told,
    /// An event that others may depend on.
    Loose,
    /// The connection is over.
    Ended,
}

/// Whether anybody asked for an event of a socket. `states` has a bit for each that it may be told
/// with; 0 if they do not decide.
#[inline(always)]
pub(crate) fn judge(
    program: Program,
    stage: Stage,
    sock: Sock,
    memory: &Memory,
    states: u64,
) -> Judgement {
    if HAS_PROBE.load() == 0 {
        return Judgement::Pass;
    }
    match judge_full(sock, memory, program as u32, stage as u32, states) {
        0 => Judgement::Pass,
        1 => Judgement::NotNow,
        _ => Judgement::Never,
    }
}

/// Once for all places, which the verifier would otherwise walk one by one.
#[inline(never)]
fn judge_full(sock: Sock, memory: &Memory, program: u32, stage: u32, states: u64) -> u32 {
    let Some((probe, facts)) = place(program) else { return 0 };
    let is = |other: Stage| stage == other as u32;
    let tcp = sock.tcp();
    if is(Stage::Opening) {
        sock.describe_opening(&mut facts.socket);
    } else {
        sock.describe(&mut facts.socket, tcp);
    }
    owner::copy(&memory.owner, &mut facts.owner);
    of_ends(facts);
    facts.states = states;
    if states != 0 {
        facts.known |= known::STATE;
    }
    if is(Stage::Opening) {
        facts.known &= !(known::LOCAL_ADDRESS | known::LOCAL_PORT);
    }
    let learnt = facts.owner.learnt;
    let is_final = is(Stage::Told) || is(Stage::Ended);
    if matches!(learnt, OWN_EVENT | ACCEPTOR) || is_final && learnt != NOT_LEARNT {
        facts.known |= known::OWNER;
    } else if is_final {
        facts.settled |= known::OWNER;
    }
    if is(Stage::Ended) && !sock.is_mptcp_connection() {
        sock.traffic(tcp, &mut facts.traffic);
        let traffic = &facts.traffic;
        let fin = u64::from((memory.flags | sock.flags_now()) & flag::PEER_FIN != 0);
        facts.sent = traffic.bytes_sent.saturating_sub(traffic.bytes_retrans);
        facts.received = traffic.bytes_received.saturating_sub(fin);
        facts.rtt_us = u64::from(traffic.srtt_us_8 >> 3);
        facts.known |= known::TRAFFIC;
        if facts.rtt_us != 0 {
            facts.known |= known::RTT;
        } else {
            facts.settled |= known::RTT;
        }
        if memory.opened_ns != 0 {
            facts.duration_ns = now().wrapping_sub(memory.opened_ns);
            facts.known |= known::DURATION;
        } else {
            facts.settled |= known::DURATION;
        }
    }
    number(probe.judge(facts))
}

/// As [`judge`], for what has only what all kinds of socket have, and an owner that is lent.
#[inline(always)]
pub(crate) fn judge_small(program: Program, sock: Sock, lent: &Owner, states: u64) -> Judgement {
    if HAS_PROBE.load() == 0 {
        return Judgement::Pass;
    }
    let Some((probe, facts)) = place(program as u32) else { return Judgement::Pass };
    sock.describe_small(&mut facts.socket);
    owner::copy(lent, &mut facts.owner);
    of_ends(facts);
    facts.states = states;
    facts.known |= known::STATE;
    if facts.owner.learnt != NOT_LEARNT {
        facts.known |= known::OWNER;
    } else {
        facts.settled |= known::OWNER;
    }
    probe.judge(facts)
}

#[inline(always)]
fn place(program: u32) -> Option<(&'static Probe, &'static mut Facts)> {
    let probe = PROBE.get(0)?;
    // SAFETY: a value of the map, of this CPU and this program.
    let facts = unsafe { FACTS.get_ptr_mut(program)?.as_mut()? };
    Some((probe, facts))
}

/// What follows from the description of the socket.
#[inline(always)]
fn of_ends(facts: &mut Facts) {
    let socket = &facts.socket;
    facts.local = mapped(socket.family, &socket.local);
    facts.peer = mapped(socket.family, &socket.peer);
    let mut bits = known::SOCKET | known::LOCAL_ADDRESS;
    if socket.cookie != 0 {
        bits |= known::COOKIE;
    }
    if socket.peer_port != 0 {
        bits |= known::PEER;
    }
    if socket.local_port != 0 {
        bits |= known::LOCAL_PORT;
    }
    facts.known = bits;
    facts.settled = 0;
}

/// An address in two words, those of IPv4 mapped into IPv6.
#[inline(always)]
fn mapped(family: u16, address: &[u8; 16]) -> [u64; 2] {
    let number = u128::from_ne_bytes(*address);
    let (first, second) = (number as u64, (number >> 64) as u64);
    if family == AF_INET {
        // Network order lies in memory as it is, so on this little-endian target it is mirrored.
        [0, 0xffff_0000 | first << 32]
    } else {
        [first, second]
    }
}

#[inline(always)]
fn number(judgement: Judgement) -> u32 {
    match judgement {
        Judgement::Pass => 0,
        Judgement::NotNow => 1,
        Judgement::Never => 2,
    }
}

/// The bit of a state.
#[inline(always)]
pub(crate) fn bit(state: i32) -> u64 {
    1 << (state as u64 & 63)
}
