use super::{Cookie, Inode, SkMem, State, Table};

/// A UNIX socket.
#[derive(Debug, Clone)]
pub struct Unix<'a> {
    pub table: Table,
    pub state: State,
    /// Without the trailing NUL; an abstract name begins with NUL. `None`: unnamed.
    pub name: Option<&'a [u8]>,
    /// The peer's name, once somebody looked it up; the kernel gives only its inode.
    pub peer_name: Option<&'a [u8]>,
    pub inode: Inode,
    /// 0: no peer.
    pub peer_inode: Inode,
    pub cookie: Cookie,
    pub recv_queue: u32,
    pub send_queue: u32,
    pub uid: Option<u32>,
    pub shutdown: Option<u8>,
    /// The device and inode of the file that the socket is bound to.
    pub vfs: Option<(u32, u32)>,
    /// Inodes of connections that wait for accept().
    pub pending: Option<&'a [u8]>,
    pub skmem: Option<SkMem>,
}

/// A PACKET socket.
#[derive(Debug, Clone)]
pub struct Packet<'a> {
    pub table: Table,
    /// The Ethernet protocol, in host order; 0 for a socket that receives nothing.
    pub protocol: u16,
    pub ifindex: u32,
    pub inode: Inode,
    pub cookie: Cookie,
    pub recv_queue: u32,
    pub uid: u32,
    pub skmem: Option<SkMem>,
    pub detail: PacketDetail<'a>,
}

#[derive(Debug, Clone, Default)]
pub struct PacketDetail<'a> {
    pub version: Option<u32>,
    pub copy_threshold: Option<u32>,
    pub flags: Option<u32>,
    pub rx_ring: Option<PacketRing>,
    pub tx_ring: Option<PacketRing>,
    pub fanout: Option<PacketFanout>,
    /// The classic BPF program, as `struct sock_filter`s.
    pub filter: Option<&'a [u8]>,
}

#[derive(Debug, Clone, Copy)]
pub struct PacketRing {
    pub block_size: u32,
    pub block_count: u32,
    pub frame_size: u32,
    pub frame_count: u32,
    pub retire_timeout_ms: u32,
    pub private_size: u32,
    pub features: u32,
}

#[derive(Debug, Clone, Copy)]
pub struct PacketFanout {
    pub id: u16,
    pub kind: u16,
}

/// A NETLINK socket.
#[derive(Debug, Clone)]
pub struct Netlink {
    pub protocol: u8,
    pub port_id: u32,
    pub peer_port_id: u32,
    pub groups: u32,
    pub recv_queue: u32,
    pub send_queue: u32,
    pub inode: Inode,
    pub sk: u64,
    pub cb: u64,
    pub skmem: Option<SkMem>,
}

/// A VSOCK socket.
#[derive(Debug, Clone)]
pub struct Vsock {
    pub table: Table,
    pub state: State,
    pub local_cid: u32,
    pub local_port: u32,
    pub peer_cid: u32,
    pub peer_port: u32,
    pub inode: Inode,
    pub cookie: Cookie,
    pub shutdown: u8,
}

/// A TIPC socket.
#[derive(Debug, Clone)]
pub struct Tipc<'a> {
    pub socket_type: u32,
    pub state: State,
    pub inode: Inode,
    pub uid: u32,
    pub cookie: Cookie,
    /// The nested attributes of the socket; TIPC tells everything in them.
    pub attributes: &'a [u8],
}

/// An XDP socket.
#[derive(Debug, Clone)]
pub struct Xdp {
    pub ifindex: u32,
    pub queue: u32,
    pub inode: Inode,
    pub cookie: Cookie,
    pub uid: u32,
    pub skmem: Option<SkMem>,
}
