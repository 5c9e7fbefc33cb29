//! The typed event: what happened to a TCP socket, for whoever judges or prints it.
//!
//! As `socket`, it does no I/O, and knows neither where it came from nor how it looks.

mod counted;
mod ending;
mod life;
mod loss;
mod owner;

pub use counted::Counted;
pub use ending::{Bytes, ClosedBy, End, Ending, Side};
pub use life::{Life, Opener, Path};
pub use loss::{Cause, Loss};
pub use owner::{Learnt, Owner};

use std::time::Duration;

use crate::socket::{Cookie, InetEnd, State};

/// Time since boot, suspended time included (CLOCK_BOOTTIME).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SinceBoot {
    pub nanos: u64,
}

impl SinceBoot {
    /// The time that has passed since an earlier one.
    pub fn since(self, earlier: SinceBoot) -> Duration {
        Duration::from_nanos(self.nanos.saturating_sub(earlier.nanos))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: SinceBoot,
    pub socket: Subject,
    pub what: What,
}

/// The socket that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Where it lies in the kernel: what tells sockets apart as long as they live.
    pub key: Key,
    /// `None` where the kernel does not tell it, or where there is no socket.
    pub cookie: Option<Cookie>,
    /// How often the socket was opened anew before: connect(2) can be called on it again.
    pub generation: u32,
    /// The inode of the network namespace; 0 if it is not known.
    pub netns: u32,
    pub protocol: Protocol,
    pub family: Family,
    pub local: InetEnd,
    pub peer: InetEnd,
    /// The interface that the socket is bound to; 0 for none.
    pub ifindex: u32,
    /// `None` as long as no process could be believed to own the socket.
    pub owner: Option<Owner>,
    /// The MPTCP connection that this is a subflow of.
    pub subflow_of: Option<Connection>,
}

/// Where a socket lies in the kernel; 0 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub u64);

/// An MPTCP connection, as its subflows know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    pub key: Key,
    /// Filled in from the events of the connection itself.
    pub cookie: Option<Cookie>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Subflows of an MPTCP connection are TCP sockets too.
    Tcp,
    Mptcp,
}

impl Protocol {
    /// The name in the column Netid.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Mptcp => "mptcp",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Inet,
    /// IPv4 over an IPv6 socket is of this family, as in `ss`.
    Inet6,
}

impl Family {
    pub fn name(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::Inet6 => "inet6",
        }
    }
}

#[allow(clippy::large_enum_variant, reason = "a box would cost an allocation per connection")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Transition(Transition),
    Retransmission(Retransmission),
    Reset(Reset),
    /// The end of a connection, and all that was before it.
    Life(Life),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    pub old: State,
    /// TIME-WAIT is told as the kernel enters it; it tells nothing of its end.
    pub new: State,
    /// Time spent in the old state; `None` if the socket had entered it unseen.
    pub held: Option<Duration>,
    /// What ended the connection, as an errno; 0 for nothing.
    pub error: u16,
    /// The counters at the end, where the kernel keeps them.
    pub traffic: Option<Traffic>,
    /// Whether the kernel may still send a reset that shows it to be no usual end.
    pub awaits_reset: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retransmission {
    pub kind: Resent,
    pub phase: Option<Phase>,
    pub state: State,
    /// The first number of the sequence.
    pub sequence: u32,
    /// Bytes of payload.
    pub length: u32,
    /// How many the kernel counts it as.
    pub segments: u16,
    pub congestion: Congestion,
    pub rto: Option<Duration>,
    /// How often the socket has sent something again so far, this time included.
    pub total: u32,
}

/// What was sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resent {
    Data,
    Syn,
    SynAck,
}

impl Resent {
    pub fn name(self) -> &'static str {
        match self {
            Resent::Data => "data",
            Resent::Syn => "syn",
            Resent::SynAck => "synack",
        }
    }
}

/// What made the kernel send it again, as far as the state of the socket tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The timer ran out, or what was lost then is being repaired.
    Timeout,
    /// Acknowledgements showed the loss.
    Fast,
    /// A probe for the loss of the last segments.
    Probe,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Timeout => "timeout",
            Phase::Fast => "fast",
            Phase::Probe => "probe",
        }
    }
}

/// The state of the congestion control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Congestion {
    Open,
    Disorder,
    Cwr,
    Recovery,
    Loss,
    Unknown,
}

impl Congestion {
    pub fn name(self) -> &'static str {
        match self {
            Congestion::Open => "open",
            Congestion::Disorder => "disorder",
            Congestion::Cwr => "cwr",
            Congestion::Recovery => "recovery",
            Congestion::Loss => "loss",
            Congestion::Unknown => "unknown",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset {
    pub direction: Direction,
    /// The kernel's number for why it sent it.
    pub reason: Option<ResetReason>,
    /// `None` where there is no socket.
    pub state: Option<State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Sent,
    Received,
}

impl Direction {
    pub fn name(self) -> &'static str {
        match self {
            Direction::Sent => "sent",
            Direction::Received => "received",
        }
    }
}

/// A value of the kernel's `enum sk_rst_reason`, whose numbers differ between kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResetReason(pub u32);

/// The kernel's counters, as they are: bytes acknowledged count SYN and FIN, bytes received FIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub rtt: Option<Rtt>,
    pub min_rtt_us: Option<u32>,
    pub total_retrans: u32,
}

/// The smoothed round-trip time and its mean deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtt {
    pub us: u32,
    pub var_us: u32,
}
