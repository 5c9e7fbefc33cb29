use super::{Cookie, Inode, SkMem, State, Table};

/// A UNIX socket.
#[derive(Debug, Clone)]
pub struct Unix<'a> {
    pub table: Table,
    pub state: State,
    /// Without the trailing NUL; an abstract name begins with NUL. `None`: unnamed.
    pub name: Option<&'a [u8]>,
    /// The peer's name, if somebody looked it up: the kernel gives only its inode, and `ss` prints
    /// no more than that.
    pub peer_name: Option<&'a [u8]>,
    pub inode: Inode,
    /// 0: no peer.
    pub peer_inode: Inode,
    pub cookie: Cookie,
    pub recv_queue: u32,
    pub send_queue: u32,
    pub uid: Option<u32>,
    pub shutdown: Option<u8>,
    pub file: Option<UnixFile>,
    /// Inodes of connections that wait for accept(), four bytes each.
    pub pending: Option<&'a [u8]>,
    pub skmem: Option<SkMem>,
}

/// The file that a UNIX socket is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnixFile {
    pub inode: u32,
    /// As the kernel numbers devices: twelve bits of major number, twenty of minor.
    pub device: u32,
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
    /// The group that a connected socket sends to. `None`: not connected, or not known.
    pub peer_group: Option<u32>,
    pub groups: u32,
    pub recv_queue: u32,
    pub send_queue: u32,
    pub inode: Inode,
    /// 0: not known.
    pub cookie: Cookie,
    /// The addresses in the kernel of the socket and of its dump in progress; sock_diag does not
    /// tell them.
    pub sk: u64,
    pub cb: u64,
    pub skmem: Option<SkMem>,
}

/// A VSOCK socket.
#[derive(Debug, Clone)]
pub struct Vsock {
    pub table: Table,
    pub socket_type: u8,
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
pub struct Tipc {
    pub socket_type: u32,
    pub state: State,
    pub inode: Inode,
    pub uid: u32,
    pub cookie: Cookie,
    pub node: u32,
    pub port: u32,
    pub peer: Option<TipcPeer>,
    pub recv_queue: u32,
    pub send_queue: u32,
    pub dropped: u32,
    pub congestion: TipcCongestion,
    /// Whether the socket is bound to a service.
    pub is_published: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TipcPeer {
    pub node: u32,
    pub port: u32,
    /// The type and instance of the service that was connected to.
    pub service: Option<(u32, u32)>,
}

/// What a TIPC socket waits for, where it cannot send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TipcCongestion {
    #[default]
    None,
    Link,
    Connection,
}

/// An XDP socket.
#[derive(Debug, Clone)]
pub struct Xdp {
    /// 0: not bound.
    pub ifindex: u32,
    pub queue: u32,
    pub inode: Inode,
    pub cookie: Cookie,
    pub uid: u32,
    pub skmem: Option<SkMem>,
    pub detail: XdpDetail,
}

/// The rings of an XDP socket, in entries, and what it counted.
#[derive(Debug, Clone, Default)]
pub struct XdpDetail {
    pub rx_ring: Option<u32>,
    pub tx_ring: Option<u32>,
    pub umem: Option<XdpUmem>,
    pub fill_ring: Option<u32>,
    pub completion_ring: Option<u32>,
    pub stats: Option<XdpStats>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpUmem {
    pub size: u64,
    pub id: u32,
    pub page_count: u32,
    pub chunk_size: u32,
    pub headroom: u32,
    pub ifindex: u32,
    pub queue: u32,
    pub flags: u32,
    pub references: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XdpStats {
    pub rx_dropped: u64,
    pub rx_invalid: u64,
    pub rx_full: u64,
    pub fill_ring_empty: u64,
    pub tx_invalid: u64,
    pub tx_ring_empty: u64,
}
