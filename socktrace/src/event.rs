//! The typed event: what happened to a TCP socket, for whoever judges or prints it.
//!
//! As `socket`, it does no I/O, and knows neither where it came from nor how it looks.

use std::time::Duration;

use crate::socket::{Cookie, InetEnd, State};

/// Time since boot, suspended time included (CLOCK_BOOTTIME).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SinceBoot(pub Duration);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: SinceBoot,
    pub cookie: Cookie,
    /// How often the socket was opened anew before: connect(2) can be called on it again.
    pub generation: u32,
    /// The inode of the network namespace.
    pub netns: u32,
    pub protocol: Protocol,
    pub local: InetEnd,
    pub peer: InetEnd,
    /// The interface that the socket is bound to; 0 for none.
    pub ifindex: u32,
    /// `None` as long as no process could be believed to own the socket.
    pub owner: Option<Owner>,
    pub traffic: Traffic,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Subflows of an MPTCP connection are TCP sockets too.
    Tcp,
    Mptcp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Transition {
        old: State,
        new: State,
        /// Time spent in the old state; `None` if the socket had entered it unseen.
        held: Option<Duration>,
        /// The errno that is pending on the socket, or 0.
        error: u16,
    },
    Retransmission {
        state: State,
        sequence: u32,
        end_sequence: u32,
    },
}

/// The process that a socket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    pub pid: u32,
    pub uid: u32,
    pub cgroup_id: u64,
    pub started: SinceBoot,
    /// NUL-terminated unless it fills the array.
    pub comm: [u8; 16],
    pub learnt: Learnt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// It was seen at work on this socket.
    OwnEvent,
    /// It owned the listener that accepted the socket.
    FromListener,
}

/// The kernel's counters, as they are: bytes acknowledged count SYN and FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub smoothed_rtt: Duration,
    pub total_retrans: u32,
}
