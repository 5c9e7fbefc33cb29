//! A connection from its beginning to its end.

use std::time::Duration;

use super::{Bytes, End, Ending, Protocol, SinceBoot, Subject, Traffic};
use crate::socket::State;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// `None` if it is older than the trace.
    pub opened: Option<SinceBoot>,
    /// When the handshake was done, of a connection that was opened from here.
    pub connected: Option<SinceBoot>,
    pub ending: Ending,
    pub traffic: Traffic,
    /// Of an MPTCP connection: those that have ended so far.
    pub subflows: Vec<(Subject, Traffic)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opener {
    /// This end called connect(2).
    Active,
    /// A listener accepted it.
    Passive,
}

impl Opener {
    pub const fn name(self) -> &'static str {
        match self {
            Opener::Active => "active",
            Opener::Passive => "passive",
        }
    }
}

impl Life {
    /// How long it was, given when it ended.
    pub fn duration(&self, ended: SinceBoot) -> Option<Duration> {
        self.opened.map(|opened| ended.since(opened))
    }

    /// From the first SYN to the answer.
    pub fn connect_latency(&self) -> Option<Duration> {
        Some(self.connected?.since(self.opened?))
    }

    /// Payload that was sent, each byte once.
    pub fn bytes_sent(&self) -> u64 {
        self.traffic.bytes_sent.saturating_sub(self.traffic.bytes_retrans)
    }

    /// Payload that was received: the kernel counts the peer's FIN as well.
    pub fn bytes_received(&self) -> u64 {
        let fin = self.ending.protocol == Protocol::Tcp && self.ending.peer_closed;
        self.traffic.bytes_received.saturating_sub(fin.into())
    }

    /// How exactly the bytes are known.
    pub fn bytes(&self) -> Bytes {
        match self.ending.protocol {
            Protocol::Mptcp if self.traffic == Traffic::default() => Bytes::Unknown,
            _ if self.bytes_acked() >= self.bytes_sent() => Bytes::Exact,
            _ if self.ending.end() == End::Closed => Bytes::Exact,
            _ => Bytes::Sent,
        }
    }

    /// Payload that the peer has acknowledged: the kernel counts the SYN of connect(2) as well, and
    /// the FIN, which is acknowledged last.
    fn bytes_acked(&self) -> u64 {
        let syn = self.ending.opener != Some(Opener::Passive);
        self.traffic.bytes_acked.saturating_sub(syn.into())
    }

    /// Whether both ends called connect(2): the answer to its SYN was a SYN, not what would have
    /// established it.
    fn both_connected(&self) -> bool {
        self.ending.protocol == Protocol::Tcp
            && self.ending.opener == Some(Opener::Active)
            && self.opened.is_some()
            && self.connected.is_none()
    }

    pub fn path(&self) -> Path {
        Path {
            protocol: self.ending.protocol,
            opener: self.ending.opener,
            both_connected: self.both_connected(),
            last: self.ending.last,
            begins_time_wait: self.ending.begins_time_wait(),
        }
    }
}

/// The states that a connection went through. They follow from how it was opened and from the last
/// of them, because each can then be reached in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    protocol: Protocol,
    opener: Option<Opener>,
    both_connected: bool,
    /// The last before CLOSE or TIME-WAIT.
    pub last: State,
    begins_time_wait: bool,
}

impl Path {
    pub fn states(self) -> impl Iterator<Item = State> {
        use State::{
            CloseWait, Closing, Established, FinWait1, FinWait2, LastAck, SynRecv, SynSent,
        };
        let last = self.last;
        let opening = match self.opener {
            Some(Opener::Active) if last != SynSent => Some(SynSent),
            // An MPTCP connection is accepted when it is established.
            Some(Opener::Passive) if last != SynRecv && self.protocol == Protocol::Tcp => {
                Some(SynRecv)
            }
            _ => None,
        };
        let crossing =
            (self.both_connected && !matches!(last, SynSent | SynRecv)).then_some(SynRecv);
        let middle: &'static [State] = match last {
            FinWait1 => &[Established, FinWait1],
            FinWait2 => &[Established, FinWait1, FinWait2],
            Closing => &[Established, FinWait1, Closing],
            CloseWait => &[Established, CloseWait],
            LastAck => &[Established, CloseWait, LastAck],
            Established => &[Established],
            SynSent => &[SynSent],
            SynRecv => &[SynRecv],
            _ => &[],
        };
        let after = self.begins_time_wait.then_some(State::TimeWait);
        opening.into_iter().chain(crossing).chain(middle.iter().copied()).chain(after)
    }
}
