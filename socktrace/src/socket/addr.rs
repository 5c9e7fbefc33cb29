use std::net::IpAddr;

use super::Inode;

/// One end of an IP socket, as the kernel gives it (a v4-mapped address stays an IPv6 one).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InetEnd {
    pub addr: IpAddr,
    pub port: u16,
}

/// One end of a socket of any family, for whoever compares addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End<'a> {
    Inet(InetEnd),
    /// The name without its trailing NUL; an abstract one still begins with NUL. `None`: unnamed,
    /// or (for a peer) not known.
    Unix {
        name: Option<&'a [u8]>,
        inode: Inode,
    },
    Packet {
        /// An Ethernet protocol, in host order.
        protocol: u16,
        ifindex: u32,
    },
    Netlink {
        protocol: u8,
        port_id: u32,
    },
    Vsock {
        cid: u32,
        port: u32,
    },
    Xdp {
        queue: u32,
        ifindex: u32,
    },
    None,
}
