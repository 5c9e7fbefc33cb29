//! What can be asked of whatever a filter judges: a socket of a listing, an event, a whole life.
//!
//! A subject answers from what it has. What it cannot have, or does not know, it gives no value
//! for, and so no predicate about it holds; its negation does.

use crate::container::Home;
use crate::socket::{End, StateSet, Table, UnixFile};

pub trait Subject {
    fn table(&self) -> Table;
    /// The number of the IP protocol, where it has one.
    fn ip_protocol(&self) -> Option<u16>;
    fn local(&self) -> End<'_>;
    fn peer(&self) -> End<'_>;
    /// Whether the kernel gives this port to sockets that ask for none.
    fn is_ephemeral(&self, port: u16) -> bool;
    /// The interface that the socket is bound to; 0 for none.
    fn ifindex(&self) -> u32;
    /// 0 for none.
    fn mark(&self) -> u32;
    /// 0 for none.
    fn cgroup_id(&self) -> u64;
    /// The state, or all of those that a life went through; empty for none.
    fn states(&self, of: StateOf) -> StateSet;
    /// Whether `test` holds for the number, or for one of them where there are several.
    fn any_number(&self, of: Number, test: &mut dyn FnMut(u64) -> bool) -> bool;
    /// Whether `test` holds for the name, or for one of them where there are several.
    fn any_name(&self, of: Name, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// Whether `test` holds for where the socket, or a process that holds it, is at home.
    fn any_home(&self, test: &mut dyn FnMut(&Home) -> bool) -> bool;
    /// The file of a UNIX socket, as inode and device; `None` if it has none.
    fn file(&self) -> Option<UnixFile>;
}

/// A number that a predicate compares, in the unit of [`Number::unit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Number {
    Pid,
    Uid,
    Gid,
    Inode,
    Cookie,
    Netns,
    ReceiveQueue,
    SendQueue,
    Backlog,
    Rtt,
    RttVar,
    MinRtt,
    Rto,
    Cwnd,
    Mss,
    Retrans,
    Lost,
    Sent,
    Received,
    LastSent,
    LastReceived,
    Idle,
    Age,
    Duration,
    Tos,
    Priority,
}

/// A name that a predicate compares with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    Comm,
    CongestionControl,
    /// The path of the cgroup below the root of its hierarchy.
    Cgroup,
    Unit,
    Container,
    Pod,
    /// The name of a UNIX socket or of its peer.
    Path,
    Timer,
    Reason,
    Opened,
    End,
}

/// Which of its states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateOf {
    Now,
    Old,
    New,
}

/// What a number counts, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    Plain,
    /// Written in hexadecimal.
    Hexadecimal,
    Bytes,
    Nanoseconds,
    /// Hundredths of a percent.
    BasisPoints,
}

impl Number {
    pub const fn unit(self) -> Unit {
        match self {
            Number::Pid
            | Number::Uid
            | Number::Gid
            | Number::Inode
            | Number::Netns
            | Number::Cwnd
            | Number::Retrans
            | Number::Lost
            | Number::Priority => Unit::Plain,
            Number::Cookie | Number::Tos => Unit::Hexadecimal,
            Number::ReceiveQueue
            | Number::SendQueue
            | Number::Mss
            | Number::Sent
            | Number::Received => Unit::Bytes,
            Number::Rtt
            | Number::RttVar
            | Number::MinRtt
            | Number::Rto
            | Number::LastSent
            | Number::LastReceived
            | Number::Idle
            | Number::Age
            | Number::Duration => Unit::Nanoseconds,
            Number::Backlog => Unit::BasisPoints,
        }
    }

    /// Whether more and less mean something, not only the same and another.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Number::Cookie | Number::Netns)
    }
}
