use super::StateSet;
use super::set::set_of;
use super::state::State;

/// A table of sockets that the kernel keeps, in the numbering of `ss -A`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    Tcp,
    Mptcp,
    Dccp,
    Udp,
    Raw,
    UnixDgram,
    UnixStream,
    UnixSeqpacket,
    PacketDgram,
    PacketRaw,
    Netlink,
    Sctp,
    VsockStream,
    VsockDgram,
    Tipc,
    Xdp,
}

impl Table {
    pub const ALL: [Table; 16] = [
        Table::Tcp,
        Table::Mptcp,
        Table::Dccp,
        Table::Udp,
        Table::Raw,
        Table::UnixDgram,
        Table::UnixStream,
        Table::UnixSeqpacket,
        Table::PacketDgram,
        Table::PacketRaw,
        Table::Netlink,
        Table::Sctp,
        Table::VsockStream,
        Table::VsockDgram,
        Table::Tipc,
        Table::Xdp,
    ];

    /// As `ss` names it in its first column, where the socket itself says no more.
    pub fn netid(self) -> &'static str {
        match self {
            Table::Tcp => "tcp",
            Table::Mptcp => "mptcp",
            Table::Dccp => "dccp",
            Table::Udp => "udp",
            Table::Raw => "raw",
            Table::UnixDgram => "u_dgr",
            Table::UnixStream => "u_str",
            Table::UnixSeqpacket => "u_seq",
            Table::PacketDgram => "p_dgr",
            Table::PacketRaw => "p_raw",
            Table::Netlink => "nl",
            Table::Sctp => "sctp",
            Table::VsockStream => "v_str",
            Table::VsockDgram => "v_dgr",
            Table::Tipc => "tipc",
            Table::Xdp => "xdp",
        }
    }

    /// The families whose sockets the table holds.
    pub fn families(self) -> FamilySet {
        match self {
            Table::Tcp | Table::Mptcp | Table::Dccp | Table::Udp | Table::Raw | Table::Sctp => {
                FamilySet::of(&[Family::Inet, Family::Inet6])
            }
            Table::UnixDgram | Table::UnixStream | Table::UnixSeqpacket => {
                FamilySet::of(&[Family::Unix])
            }
            Table::PacketDgram | Table::PacketRaw => FamilySet::of(&[Family::Packet]),
            Table::Netlink => FamilySet::of(&[Family::Netlink]),
            Table::VsockStream | Table::VsockDgram => FamilySet::of(&[Family::Vsock]),
            Table::Tipc => FamilySet::of(&[Family::Tipc]),
            Table::Xdp => FamilySet::of(&[Family::Xdp]),
        }
    }

    /// Whether the table holds IP sockets.
    pub fn is_inet(self) -> bool {
        self.families().contains(Family::Inet)
    }

    /// The IP protocol of all its sockets; those of RAW have any.
    pub fn ip_protocol(self) -> Option<u16> {
        match self {
            Table::Tcp => Some(6),
            Table::Udp => Some(17),
            Table::Dccp => Some(33),
            Table::Sctp => Some(132),
            Table::Mptcp => Some(262),
            _ => None,
        }
    }

    /// The states shown when nothing was said about states.
    pub fn default_states(self) -> StateSet {
        match self {
            Table::Udp | Table::Raw => StateSet::of(&[State::Established]),
            Table::UnixDgram
            | Table::PacketDgram
            | Table::PacketRaw
            | Table::Netlink
            | Table::Xdp => StateSet::of(&[State::Close]),
            _ => StateSet::CONNECTED,
        }
    }
}

set_of! {
    /// A set of tables.
    TableSet of Table
}

/// An address family that has socket tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Family {
    Inet,
    Inet6,
    Unix,
    Packet,
    Netlink,
    Vsock,
    Tipc,
    Xdp,
}

impl Family {
    pub const ALL: [Family; 8] = [
        Family::Inet,
        Family::Inet6,
        Family::Unix,
        Family::Packet,
        Family::Netlink,
        Family::Vsock,
        Family::Tipc,
        Family::Xdp,
    ];
}

set_of! {
    /// A set of address families.
    FamilySet of Family
}
