//! Records to events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use socktrace_common as raw;
use socktrace_common::{flag, read};

use super::generations::Generations;
use crate::event::{
    Congestion, Connection, Direction, Ending, Event, Family, Key, Learnt, Life, Opener, Owner,
    Phase, Protocol, Resent, Reset, ResetReason, Retransmission, Rtt, SinceBoot, Subject, Traffic,
    Transition, What,
};
use crate::socket::{Cookie, InetEnd, State};

const AF_INET: u16 = 2;
const IPPROTO_MPTCP: u16 = 262;

/// What a record says.
#[allow(clippy::large_enum_variant, reason = "it is taken apart at once")]
#[derive(Debug, PartialEq, Eq)]
pub enum Record {
    /// What happened; and when the socket was born, if that had not been told before.
    Event { event: Event, born: Option<SinceBoot> },
    /// A reset that was sent for a socket whose life was told already.
    LateReset { key: Key, reason: Option<ResetReason> },
    /// What the kernel half of this version does not write.
    Unknown,
}

/// What turns records into events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decoder {
    /// The length of a tick of the kernel.
    pub(crate) tick: Duration,
    pub(crate) has_reset_reason: bool,
}

impl Record {
    /// When it happened, for what is an event.
    pub fn at(&self) -> Option<SinceBoot> {
        match self {
            Record::Event { event, .. } => Some(event.at),
            Record::LateReset { .. } | Record::Unknown => None,
        }
    }
}

impl Decoder {
    /// What a record says. Each kind has a function of its own, so that its fields go from the record
    /// to the event one by one, rather than by way of what all kinds have in common.
    pub(crate) fn record(&self, bytes: &[u8], generations: &mut Generations) -> Record {
        match read(bytes).map_or(0, |header: raw::Header| header.kind) {
            raw::LIFE => self.life_record(bytes, generations),
            raw::TRANSITION => self.transition_record(bytes, generations),
            raw::CLOSING => self.closing_record(bytes, generations),
            raw::RETRANSMISSION => self.retransmission_record(bytes, generations),
            raw::RESET => self.reset_record(bytes, generations),
            raw::LATE_RESET => self.late_reset_record(bytes),
            _ => Record::Unknown,
        }
    }

    #[inline(never)]
    fn life_record(&self, bytes: &[u8], generations: &mut Generations) -> Record {
        let Some(record) = read::<raw::Life>(bytes) else { return Record::Unknown };
        let generation = generation(generations, &record.header, &record.socket, true, true);
        Record::Event {
            event: Event {
                at: since_boot(record.header.time_ns),
                socket: subject(&record.socket, &record.owner, record.connection, generation),
                what: What::Life(self.life(&record)),
            },
            born: None,
        }
    }

    #[inline(never)]
    fn transition_record(&self, bytes: &[u8], generations: &mut Generations) -> Record {
        let Some(record) = read::<raw::Transition>(bytes) else { return Record::Unknown };
        self.step(&record, None, generations)
    }

    #[inline(never)]
    fn closing_record(&self, bytes: &[u8], generations: &mut Generations) -> Record {
        let Some(record) = read::<raw::Closing>(bytes) else { return Record::Unknown };
        self.step(&record.transition, Some(traffic(&record.traffic)), generations)
    }

    #[inline(always)]
    fn step(
        &self,
        record: &raw::Transition,
        traffic: Option<Traffic>,
        generations: &mut Generations,
    ) -> Record {
        let is_close = |raw| State::from_raw(raw) == State::Close;
        let (opens, closes) = (is_close(record.old), is_close(record.new));
        let generation = generation(generations, &record.header, &record.socket, opens, closes);
        Record::Event {
            event: Event {
                at: since_boot(record.header.time_ns),
                socket: subject(&record.socket, &record.owner, record.connection, generation),
                what: What::Transition(self.transition(record, traffic)),
            },
            born: (record.born_ns != 0).then(|| since_boot(record.born_ns)),
        }
    }

    fn retransmission_record(&self, bytes: &[u8], generations: &mut Generations) -> Record {
        let Some(record) = read::<raw::Retransmission>(bytes) else { return Record::Unknown };
        let what = What::Retransmission(self.retransmission(&record));
        between(&record.header, &record.socket, &record.owner, what, generations)
    }

    fn reset_record(&self, bytes: &[u8], generations: &mut Generations) -> Record {
        let Some(record) = read::<raw::Reset>(bytes) else { return Record::Unknown };
        let what = What::Reset(self.reset(&record));
        between(&record.header, &record.socket, &record.owner, what, generations)
    }

    fn late_reset_record(&self, bytes: &[u8]) -> Record {
        let Some(record) = read::<raw::LateReset>(bytes) else { return Record::Unknown };
        Record::LateReset { key: Key(record.key), reason: self.reason(record.reason) }
    }

    fn reason(&self, reason: u32) -> Option<ResetReason> {
        self.has_reset_reason.then_some(ResetReason(reason))
    }

    #[inline]
    fn transition(&self, record: &raw::Transition, traffic: Option<Traffic>) -> Transition {
        let old = State::from_raw(record.old);
        let mut new = State::from_raw(record.new);
        let mut awaits_reset = false;
        if new == State::Close {
            let ending = self.ending(&record.header, &record.socket, old, record.error, 0);
            awaits_reset = ending.may_be_followed_by_reset();
            if ending.begins_time_wait() {
                new = State::TimeWait;
            }
        }
        // Handshakes have no events: what SYN-RECV lasts is the time since the last ACK.
        let is_time = record.held_ns != raw::UNKNOWN_NS && old != State::SynRecv;
        Transition {
            old,
            new,
            held: is_time.then(|| Duration::from_nanos(record.held_ns)),
            error: if traffic.is_some() { record.error } else { 0 },
            traffic,
            awaits_reset,
        }
    }

    fn reset(&self, record: &raw::Reset) -> Reset {
        let is_sent = record.sent != 0;
        Reset {
            direction: if is_sent { Direction::Sent } else { Direction::Received },
            reason: if is_sent { self.reason(record.reason) } else { None },
            state: (record.state != 0).then(|| State::from_raw(record.state)),
        }
    }

    fn retransmission(&self, record: &raw::Retransmission) -> Retransmission {
        let state = State::from_raw(record.state);
        let congestion = match record.congestion {
            0 => Congestion::Open,
            1 => Congestion::Disorder,
            2 => Congestion::Cwr,
            3 => Congestion::Recovery,
            4 => Congestion::Loss,
            _ => Congestion::Unknown,
        };
        let kind = match (record.resent, state) {
            (raw::SYN_ACK, _) => Resent::SynAck,
            (_, State::SynSent) => Resent::Syn,
            (_, State::SynRecv) => Resent::SynAck,
            _ => Resent::Data,
        };
        let phase = match (kind, congestion) {
            (Resent::Syn | Resent::SynAck, _) | (Resent::Data, Congestion::Loss) => {
                Some(Phase::Timeout)
            }
            (Resent::Data, Congestion::Recovery) => Some(Phase::Fast),
            (Resent::Data, Congestion::Open | Congestion::Disorder) => Some(Phase::Probe),
            (Resent::Data, Congestion::Cwr | Congestion::Unknown) => None,
        };
        Retransmission {
            kind,
            phase,
            state,
            sequence: record.sequence,
            length: record.length,
            segments: record.segments.max(1),
            congestion,
            rto: (record.rto_ticks != 0).then(|| self.tick * record.rto_ticks),
            total: record.total,
        }
    }

    #[inline]
    fn life(&self, record: &raw::Life) -> Life {
        let time = |ns| (ns != 0).then(|| since_boot(ns));
        Life {
            opened: time(record.opened_ns),
            connected: time(record.connected_ns),
            ending: self.ending(
                &record.header,
                &record.socket,
                State::from_raw(record.last),
                record.error,
                record.reason,
            ),
            traffic: traffic(&record.traffic),
            subflows: Vec::new(),
        }
    }

    #[inline]
    fn ending(
        &self,
        header: &raw::Header,
        socket: &raw::Socket,
        last: State,
        error: u16,
        reason: u32,
    ) -> Ending {
        let has = |flag| header.flags & flag != 0;
        Ending {
            protocol: protocol(socket.protocol),
            opener: if has(flag::ACTIVE) {
                Some(Opener::Active)
            } else if has(flag::PASSIVE) {
                Some(Opener::Passive)
            } else {
                None
            },
            last,
            error,
            was_reset_by_peer: has(flag::RESET_RECEIVED),
            reset_sent: has(flag::RESET_SENT),
            reason: if has(flag::RESET_SENT) { self.reason(reason) } else { None },
            peer_closed: has(flag::PEER_FIN),
            by_process: has(flag::BY_PROCESS),
        }
    }
}

/// What happened to a socket without opening or closing it.
fn between(
    header: &raw::Header,
    socket: &raw::Socket,
    owner: &raw::Owner,
    what: What,
    generations: &mut Generations,
) -> Record {
    let generation = generation(generations, header, socket, false, false);
    let socket = subject(socket, owner, 0, generation);
    Record::Event { event: Event { at: since_boot(header.time_ns), socket, what }, born: None }
}

/// The generation of the socket at an event.
#[inline(always)]
fn generation(
    of: &mut Generations,
    header: &raw::Header,
    socket: &raw::Socket,
    opens: bool,
    closes: bool,
) -> u32 {
    if socket.cookie == 0 {
        return 0;
    }
    let cookie = Cookie(socket.cookie);
    let generation = if opens { of.open(cookie) } else { of.of(cookie) };
    if closes && header.flags & flag::ORPHAN == 0 {
        of.close(cookie);
    }
    generation
}

#[inline]
fn subject(socket: &raw::Socket, owner: &raw::Owner, connection: u64, generation: u32) -> Subject {
    let end = |bytes: [u8; 16], port| InetEnd { addr: address(socket.family, bytes), port };
    Subject {
        key: Key(socket.key),
        cookie: (socket.cookie != 0).then_some(Cookie(socket.cookie)),
        generation,
        netns: socket.netns,
        protocol: protocol(socket.protocol),
        family: if socket.family == AF_INET { Family::Inet } else { Family::Inet6 },
        local: end(socket.local, socket.local_port),
        peer: end(socket.peer, socket.peer_port),
        ifindex: socket.ifindex,
        owner: learnt(owner.learnt).map(|learnt| Owner {
            pid: owner.tgid,
            uid: owner.uid,
            cgroup_id: owner.cgroup_id,
            started: since_boot(owner.start_ns),
            comm: comm(owner.comm),
            learnt,
        }),
        subflow_of: (connection != 0).then_some(Connection { key: Key(connection), cookie: None }),
    }
}

fn protocol(raw: u16) -> Protocol {
    if raw == IPPROTO_MPTCP { Protocol::Mptcp } else { Protocol::Tcp }
}

fn traffic(traffic: &raw::Traffic) -> Traffic {
    Traffic {
        bytes_acked: traffic.bytes_acked,
        bytes_received: traffic.bytes_received,
        bytes_sent: traffic.bytes_sent,
        bytes_retrans: traffic.bytes_retrans,
        rtt: (traffic.srtt_us_8 != 0)
            .then_some(Rtt { us: traffic.srtt_us_8 / 8, var_us: traffic.mdev_us_4 / 4 }),
        min_rtt_us: (traffic.min_rtt_us != u32::MAX).then_some(traffic.min_rtt_us),
        total_retrans: traffic.total_retrans,
    }
}

fn since_boot(nanos: u64) -> SinceBoot {
    SinceBoot { nanos }
}

fn learnt(raw: raw::Learnt) -> Option<Learnt> {
    match raw {
        raw::OWN_EVENT => Some(Learnt::OwnEvent),
        raw::LISTENER => Some(Learnt::Listener),
        raw::ACCEPTOR => Some(Learnt::Acceptor),
        raw::OLDER_HOLDER => Some(Learnt::Older),
        _ => None,
    }
}

fn comm([first, second]: [u64; 2]) -> [u8; 16] {
    (u128::from(second) << 64 | u128::from(first)).to_ne_bytes()
}

fn address(family: u16, bytes: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    match family {
        AF_INET => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from(bytes).into(),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
