//! How a connection ended, from what the kernel had noted when it did.

use super::{Opener, Protocol, ResetReason};
use crate::socket::State;

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Us,
    Peer,
}

impl Side {
    pub const fn name(self) -> &'static str {
        match self {
            Side::Us => "us",
            Side::Peer => "peer",
        }
    }
}

/// Who closed first, by a FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClosedBy {
    Us,
    Peer,
    /// Their FINs crossed.
    Both,
}

impl ClosedBy {
    pub const fn name(self) -> &'static str {
        match self {
            ClosedBy::Us => "us",
            ClosedBy::Peer => "peer",
            ClosedBy::Both => "both",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// Both directions were closed, and all that was sent was acknowledged.
    Closed,
    /// A reset ended it.
    Reset,
    /// The peer, or a host on the way, does not want the connection.
    Refused,
    /// Nobody answered for too long.
    Timeout,
    /// A host on the way says that there is no way.
    Unreachable,
    /// It was given up from this side without a word to the other.
    Aborted,
}

impl End {
    pub const fn name(self) -> &'static str {
        match self {
            End::Closed => "closed",
            End::Reset => "reset",
            End::Refused => "refused",
            End::Timeout => "timeout",
            End::Unreachable => "unreachable",
            End::Aborted => "aborted",
        }
    }
}

/// How exactly the two counts of bytes are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bytes {
    /// What either application sent and the other end has acknowledged.
    Exact,
    /// What was sent, of which the last may never have arrived.
    Sent,
    /// The kernel does not count them.
    Unknown,
}

impl Bytes {
    pub fn name(self) -> &'static str {
        match self {
            Bytes::Exact => "exact",
            Bytes::Sent => "sent",
            Bytes::Unknown => "unknown",
        }
    }
}

/// What the kernel had noted of a socket when it closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    pub protocol: Protocol,
    pub opener: Option<Opener>,
    /// The state before CLOSE.
    pub last: State,
    /// The errno that is pending on the socket, or 0.
    pub error: u16,
    pub was_reset_by_peer: bool,
    /// A reset was sent before it closed, or because it did.
    pub reset_sent: bool,
    /// The kernel's reason for that reset.
    pub reason: Option<ResetReason>,
    /// The peer's FIN has come.
    pub peer_closed: bool,
    /// A process did it, rather than a packet or a timer.
    pub by_process: bool,
}

impl Ending {
    /// How it ended.
    pub fn end(&self) -> End {
        match i32::from(self.error) {
            libc::ECONNREFUSED => return End::Refused,
            libc::ETIMEDOUT => return End::Timeout,
            // An administrator destroyed it, which the peer hears of by a reset.
            libc::ECONNABORTED => return End::Aborted,
            libc::EHOSTUNREACH
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EPROTO
            | libc::EACCES => return End::Unreachable,
            _ => {}
        }
        if self.was_reset_by_peer {
            return if self.last == State::SynSent { End::Refused } else { End::Reset };
        }
        if self.reset_sent || i32::from(self.error) == libc::ECONNRESET {
            return End::Reset;
        }
        match self.last {
            State::FinWait2 | State::Closing | State::LastAck => End::Closed,
            // An MPTCP connection closes when its subflows have acknowledged.
            State::FinWait1 | State::CloseWait if self.protocol == Protocol::Mptcp => End::Closed,
            _ => End::Aborted,
        }
    }

    /// Who closed first, if anybody did.
    pub fn closed_by(&self) -> Option<ClosedBy> {
        match self.last {
            State::FinWait1 | State::FinWait2 => Some(ClosedBy::Us),
            State::CloseWait | State::LastAck => Some(ClosedBy::Peer),
            State::Closing => Some(ClosedBy::Both),
            _ => None,
        }
    }

    /// Who reset it, if anybody did.
    pub fn reset_by(&self) -> Option<Side> {
        if self.was_reset_by_peer {
            Some(Side::Peer)
        } else if self.reset_sent {
            Some(Side::Us)
        } else if self.end() == End::Reset {
            Some(Side::Peer)
        } else {
            None
        }
    }

    /// Takes over what a subflow noted that ended with this connection, and had come as far: of
    /// itself, MPTCP notes little.
    pub fn explain_by(&mut self, subflow: &Ending) {
        if self.end() == End::Aborted && self.last == subflow.last {
            self.error = subflow.error;
            self.was_reset_by_peer = subflow.was_reset_by_peer;
            self.reset_sent = subflow.reset_sent;
            self.reason = subflow.reason;
        }
    }

    /// Whether the kernel goes on with a TIME-WAIT socket in place of this one.
    pub fn begins_time_wait(&self) -> bool {
        self.protocol == Protocol::Tcp
            && matches!(self.last, State::FinWait2 | State::Closing)
            && self.end() == End::Closed
    }

    /// Whether the kernel may still send a reset that explains this end: it closes first.
    pub fn may_be_followed_by_reset(&self) -> bool {
        let is_explained = self.error != 0 || self.was_reset_by_peer || self.reset_sent;
        let is_clean = match self.last {
            State::LastAck | State::Closing | State::SynSent => true,
            // The peer's FIN came, and nobody but the kernel was at work: TIME-WAIT begins.
            State::FinWait2 => self.peer_closed && !self.by_process,
            _ => false,
        };
        self.protocol == Protocol::Tcp && !is_explained && !is_clean
    }
}
