//! The columns of a listing, and sets of them.

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Column {
    /// What changed since the last listing.
    Mark,
    Netns,
    Netid,
    State,
    RecvQ,
    SendQ,
    LocalAddress,
    LocalPort,
    PeerAddress,
    PeerPort,
    Container,
    Process,
    /// Everything without a column of its own: timer, details, the `-i` line.
    Ext,
}

pub(super) const COUNT: usize = 13;

impl Column {
    pub(super) const ALL: [Column; COUNT] = [
        Column::Mark,
        Column::Netns,
        Column::Netid,
        Column::State,
        Column::RecvQ,
        Column::SendQ,
        Column::LocalAddress,
        Column::LocalPort,
        Column::PeerAddress,
        Column::PeerPort,
        Column::Container,
        Column::Process,
        Column::Ext,
    ];

    pub(super) fn header(self) -> &'static str {
        match self {
            Column::Netns => "Netns",
            Column::Netid => "Netid",
            Column::State => "State",
            Column::RecvQ => "Recv-Q",
            Column::SendQ => "Send-Q",
            Column::LocalAddress => "Local Address:",
            Column::PeerAddress => "Peer Address:",
            Column::LocalPort | Column::PeerPort => "Port",
            Column::Container => "Container",
            Column::Process => "Process",
            Column::Mark | Column::Ext => "",
        }
    }

    /// How far the column keeps from the one before it.
    pub(super) fn delimiter(self) -> usize {
        match self {
            Column::Mark | Column::LocalPort | Column::PeerPort | Column::Process | Column::Ext => {
                0
            }
            _ => 1,
        }
    }

    /// Addresses are aligned to the right, so that the colons stand in one line.
    pub(super) fn is_right_aligned(self) -> bool {
        matches!(self, Column::LocalAddress | Column::PeerAddress)
    }
}

/// Columns, with a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Columns(u16);

impl Columns {
    pub(super) const EMPTY: Columns = Columns(0);
    pub(super) const ALL: Columns = Columns((1 << COUNT) - 1);

    #[inline]
    pub(super) fn with(self, column: Column) -> Columns {
        Columns(self.0 | 1 << column as u8)
    }

    #[inline]
    pub(super) fn without(self, other: Columns) -> Columns {
        Columns(self.0 & !other.0)
    }

    #[inline]
    pub(super) fn contains(self, column: Column) -> bool {
        self.0 & (1 << column as u8) != 0
    }

    pub(super) fn to_bytes(self) -> [u8; 2] {
        self.0.to_ne_bytes()
    }

    pub(super) fn from_bytes(bytes: [u8; 2]) -> Columns {
        Columns(u16::from_ne_bytes(bytes))
    }

    /// From the left to the right.
    #[inline]
    pub(super) fn iter(self) -> impl Iterator<Item = Column> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let column = *Column::ALL.get(rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(column)
        })
    }
}

/// The columns to leave out.
#[derive(Debug, Clone, Copy)]
pub struct Hidden(Columns);

impl Default for Hidden {
    /// Those that `ss` does not have.
    fn default() -> Hidden {
        Hidden(Columns::EMPTY).and(Column::Mark).and(Column::Netns).and(Column::Container)
    }
}

impl Hidden {
    #[must_use]
    pub fn without(self, column: Column) -> Hidden {
        Hidden(self.0.without(Columns::EMPTY.with(column)))
    }

    #[must_use]
    pub fn and(self, column: Column) -> Hidden {
        Hidden(self.0.with(column))
    }

    pub(super) fn shown(self) -> Columns {
        Columns::ALL.without(self.0)
    }
}
