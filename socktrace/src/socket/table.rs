use super::StateSet;
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

/// A set of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableSet(u32);

impl TableSet {
    pub const EMPTY: TableSet = TableSet(0);
    pub const ALL: TableSet = TableSet((1 << Table::ALL.len()) - 1);

    pub const fn of(tables: &[Table]) -> TableSet {
        let mut bits = 0;
        let mut i = 0;
        while i < tables.len() {
            bits |= 1 << tables[i] as u8;
            i += 1;
        }
        TableSet(bits)
    }

    pub const fn contains(self, table: Table) -> bool {
        self.0 & (1 << table as u8) != 0
    }

    pub const fn intersects(self, other: TableSet) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn union(self, other: TableSet) -> TableSet {
        TableSet(self.0 | other.0)
    }

    pub const fn intersection(self, other: TableSet) -> TableSet {
        TableSet(self.0 & other.0)
    }

    pub const fn without(self, other: TableSet) -> TableSet {
        TableSet(self.0 & !other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub fn iter(self) -> impl Iterator<Item = Table> {
        Table::ALL.into_iter().filter(move |table| self.contains(*table))
    }
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

/// A set of address families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FamilySet(u16);

impl FamilySet {
    pub const EMPTY: FamilySet = FamilySet(0);
    pub const ALL: FamilySet = FamilySet((1 << Family::ALL.len()) - 1);

    pub const fn of(families: &[Family]) -> FamilySet {
        let mut bits = 0;
        let mut i = 0;
        while i < families.len() {
            bits |= 1 << families[i] as u8;
            i += 1;
        }
        FamilySet(bits)
    }

    pub const fn contains(self, family: Family) -> bool {
        self.0 & (1 << family as u8) != 0
    }

    pub const fn intersects(self, other: FamilySet) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn union(self, other: FamilySet) -> FamilySet {
        FamilySet(self.0 | other.0)
    }

    pub const fn without(self, other: FamilySet) -> FamilySet {
        FamilySet(self.0 & !other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }
}
