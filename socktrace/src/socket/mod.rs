//! The typed socket: what a source delivers, a filter judges and a renderer prints.
//!
//! Borrowed from the buffer that the source filled, so that a listing costs no allocation per
//! socket. This module does no I/O and imports nothing of the crate.

mod addr;
mod inet;
mod local;
mod set;
mod state;
mod table;
mod tcp_info;

pub use addr::{End, InetEnd};
pub use inet::{
    BpfStorage, CongestionInfo, Gone, Inet, InetExt, MemInfo, MptcpSubflow, PastOwner, ProcTcp,
    ProcText, SkMem, Timer, TimerKind, TlsInfo, UlpInfo,
};
pub use local::{
    Netlink, Packet, PacketDetail, PacketFanout, PacketRing, Tipc, TipcCongestion, TipcPeer, Unix,
    UnixFile, Vsock, Xdp, XdpDetail, XdpStats, XdpUmem,
};
pub use state::{State, StateSet};
pub use table::{Family, FamilySet, Table, TableSet};
pub use tcp_info::{MptcpInfo, SctpInfo, TcpInfo, TcpOption};

/// The kernel's identity of a socket for as long as it lives (`sk:` in `ss -e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Cookie(pub u64);

/// The inode of a socket in sockfs; 0 when no file refers to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Inode(pub u32);

/// A network namespace, by the inode that `ls -i` shows of its file in /proc/PID/ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetnsId(pub u64);

/// One socket of any family.
#[allow(clippy::large_enum_variant, reason = "a box would cost an allocation per socket")]
#[derive(Debug, Clone)]
pub enum Socket<'a> {
    Inet(Inet<'a>),
    Unix(Unix<'a>),
    Packet(Packet<'a>),
    Netlink(Netlink),
    Vsock(Vsock),
    Tipc(Tipc),
    Xdp(Xdp),
}

impl Socket<'_> {
    pub fn table(&self) -> Table {
        match self {
            Socket::Inet(s) => s.table,
            Socket::Unix(s) => s.table,
            Socket::Packet(s) => s.table,
            Socket::Netlink(_) => Table::Netlink,
            Socket::Vsock(s) => s.table,
            Socket::Tipc(_) => Table::Tipc,
            Socket::Xdp(_) => Table::Xdp,
        }
    }

    pub fn state(&self) -> State {
        match self {
            Socket::Inet(s) => s.state,
            Socket::Unix(s) => s.state,
            Socket::Vsock(s) => s.state,
            Socket::Tipc(s) => s.state,
            Socket::Packet(_) | Socket::Netlink(_) | Socket::Xdp(_) => State::Close,
        }
    }

    pub fn inode(&self) -> Inode {
        match self {
            Socket::Inet(s) => s.inode,
            Socket::Unix(s) => s.inode,
            Socket::Packet(s) => s.inode,
            Socket::Netlink(s) => s.inode,
            Socket::Vsock(s) => s.inode,
            Socket::Tipc(s) => s.inode,
            Socket::Xdp(s) => s.inode,
        }
    }

    /// `None` where the source does not tell it.
    pub fn cookie(&self) -> Option<Cookie> {
        let cookie = match self {
            // Text has an address in the kernel in its place.
            Socket::Inet(s) if s.ext.proc_text.is_some() => Cookie(0),
            Socket::Inet(s) => s.cookie,
            Socket::Unix(s) => s.cookie,
            Socket::Packet(s) => s.cookie,
            Socket::Netlink(s) => s.cookie,
            Socket::Vsock(s) => s.cookie,
            Socket::Tipc(s) => s.cookie,
            Socket::Xdp(s) => s.cookie,
        };
        (cookie != Cookie(0)).then_some(cookie)
    }

    /// The user that the socket belongs to; `None` where the kernel does not tell. Of connections
    /// that have no socket yet, or no longer, it always says 0.
    pub fn uid(&self) -> Option<u32> {
        match self {
            Socket::Inet(s) => {
                let is_bare = matches!(s.state, State::TimeWait | State::SynRecv);
                Some(s.uid).filter(|uid| *uid != 0 || !is_bare)
            }
            Socket::Unix(s) => s.uid,
            Socket::Packet(s) => Some(s.uid),
            Socket::Tipc(s) => Some(s.uid),
            Socket::Xdp(s) => Some(s.uid),
            Socket::Netlink(_) | Socket::Vsock(_) => None,
        }
    }

    /// The queues for receiving and for sending, as listings show them.
    pub fn queues(&self) -> Option<(u32, u32)> {
        match self {
            Socket::Inet(s) => Some((s.recv_queue, s.send_queue)),
            Socket::Unix(s) => Some((s.recv_queue, s.send_queue)),
            Socket::Packet(s) => Some((s.recv_queue, 0)),
            Socket::Netlink(s) => Some((s.recv_queue, s.send_queue)),
            Socket::Tipc(s) => Some((s.recv_queue, s.send_queue)),
            Socket::Vsock(_) | Socket::Xdp(_) => None,
        }
    }

    /// The interface that the socket is bound to; 0 for none.
    pub fn ifindex(&self) -> u32 {
        match self {
            Socket::Inet(s) => s.ifindex,
            Socket::Packet(s) => s.ifindex,
            Socket::Xdp(s) => s.ifindex,
            _ => 0,
        }
    }

    pub fn mark(&self) -> u32 {
        match self {
            Socket::Inet(s) => s.ext.mark.unwrap_or(0),
            _ => 0,
        }
    }

    pub fn cgroup_id(&self) -> Option<u64> {
        match self {
            Socket::Inet(s) => s.ext.cgroup_id,
            _ => None,
        }
    }

    pub fn local(&self) -> End<'_> {
        match self {
            Socket::Inet(s) => End::Inet(s.local),
            Socket::Unix(s) => End::Unix { name: s.name, inode: s.inode },
            Socket::Packet(s) => End::Packet { protocol: s.protocol, ifindex: s.ifindex },
            Socket::Netlink(s) => End::Netlink { protocol: s.protocol, port_id: s.port_id },
            Socket::Vsock(s) => End::Vsock { cid: s.local_cid, port: s.local_port },
            Socket::Tipc(_) => End::None,
            Socket::Xdp(s) => End::Xdp { queue: s.queue, ifindex: s.ifindex },
        }
    }

    pub fn peer(&self) -> End<'_> {
        match self {
            Socket::Inet(s) => End::Inet(s.peer),
            Socket::Unix(s) => End::Unix { name: s.peer_name, inode: s.peer_inode },
            Socket::Netlink(s) => End::Netlink { protocol: s.protocol, port_id: s.peer_port_id },
            Socket::Vsock(s) => End::Vsock { cid: s.peer_cid, port: s.peer_port },
            Socket::Packet(_) | Socket::Tipc(_) | Socket::Xdp(_) => End::None,
        }
    }
}
