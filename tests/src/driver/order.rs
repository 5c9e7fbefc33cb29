//! What a test orders, and what an actor replies.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A socket, as both sides name it: the same in a forked child.
pub(super) type Handle = u32;

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    Rename(String),
    /// A uid.
    Become(u32),
    Socket(Kind),
    Bind(Handle, SocketAddr),
    Listen(Handle, i32),
    Connect(Handle, SocketAddr),
    Disconnect(Handle),
    Accept(Handle),
    Send(Handle, usize),
    Receive(Handle, usize),
    Shutdown(Handle),
    Close(Handle),
    LingerZero(Handle),
    /// Has calls not wait.
    Unblock(Handle),
    /// Level, name and value of an option.
    Set(Handle, i32, i32, i32),
    Deafen(Handle),
    Undeafen(Handle),
    TcpInfo(Handle),
    /// To the actor with this pid.
    Pass(Handle, u32),
    Take,
    Fork,
    InThread(String, Box<Order>),
    Exit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Tcp4,
    Tcp6,
    Mptcp4,
}

impl Kind {
    pub(super) fn tcp(addr: SocketAddr) -> Kind {
        if addr.is_ipv4() { Kind::Tcp4 } else { Kind::Tcp6 }
    }
}

/// The time around a system call, since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub before_us: u64,
    pub after_us: u64,
}

impl Span {
    /// Both, and what is between them.
    pub fn until(self, later: Span) -> Span {
        Span { before_us: self.before_us, after_us: later.after_us }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) span: Span,
    /// Or an errno; 0 at the end of what can be received.
    pub(super) result: Result<Answer, i32>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) end: Option<End>,
    pub(super) pid: Option<u32>,
    pub(super) info: Vec<u8>,
}

/// A socket, as its owner sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) handle: Handle,
    pub(super) cookie: u64,
    pub(super) local: SocketAddr,
    pub(super) peer: Option<SocketAddr>,
}
