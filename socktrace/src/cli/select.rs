//! Which tables, families and states are listed: what the options chose, and what follows from it.

use std::ffi::OsString;

use super::plan::PlanError;
use crate::socket::{Family, FamilySet, State, StateSet, Table, TableSet};

/// What is listed where no table is chosen: TIPC has to be asked for, as in `ss`.
const DEFAULT_TABLES: TableSet = TableSet::ALL.without(TableSet::of(&[Table::Tipc]));
const INET_TABLES: TableSet =
    TableSet::of(&[Table::Udp, Table::Dccp, Table::Tcp, Table::Mptcp, Table::Raw]);

/// Which sockets are asked for, apart from the filter's expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Select {
    pub tables: TableSet,
    pub families: FamilySet,
    pub states: StateSet,
    /// The one family to ask the kernel for, if the last word about families named IPv6 or IPv4.
    pub preferred: Option<Family>,
    /// Those that an option named.
    pub(super) states_said: Option<StateSet>,
    anything_chosen: bool,
}

impl Select {
    pub(super) const NOTHING: Select = Select {
        tables: TableSet::EMPTY,
        families: FamilySet::EMPTY,
        states: StateSet::EMPTY,
        preferred: None,
        states_said: None,
        anything_chosen: false,
    };

    /// Whether any table or family was named; without, all are shown.
    pub fn is_default(&self) -> bool {
        !self.anything_chosen
    }

    pub(super) fn table(&mut self, table: Table) {
        self.states = self.states.union(table.default_states());
        self.tables = self.tables.union(TableSet::of(&[table]));
        self.anything_chosen = true;
    }

    /// Adds a family and the states that its tables show by default.
    pub fn family(&mut self, family: Family) {
        self.states = self.states.union(family_states(family));
        self.families = self.families.union(FamilySet::of(&[family]));
        self.anything_chosen = true;
        self.preferred = Some(family);
    }

    /// Narrows what was settled to one family, as a family prefix in a filter does.
    pub fn only(&mut self, family: Family) {
        self.families = FamilySet::of(&[family]);
        self.preferred = Some(family);
    }

    pub(super) fn query(&mut self, names: &str) -> Result<(), PlanError> {
        for name in names.split(',') {
            let (name, wanted) = match name.strip_prefix('!') {
                Some(name) => (name, false),
                None => (name, true),
            };
            let tables = tables_named(name).ok_or_else(|| PlanError::Table(name.to_owned()))?;
            if wanted {
                tables.iter().for_each(|table| self.table(table));
            } else {
                self.tables = self.tables.without(tables);
                self.anything_chosen = true;
            }
        }
        Ok(())
    }

    /// Settles tables and families: without any, all; tables bring in their families and families
    /// their tables.
    pub fn settle_tables(&mut self) {
        if !self.anything_chosen {
            self.tables = DEFAULT_TABLES;
            self.states = StateSet::CONNECTED;
        }
        for table in self.tables.iter() {
            if !self.families.intersects(table.families()) {
                self.families = self.families.union(table.families());
            }
        }
        for family in Family::ALL.into_iter().filter(|family| self.families.contains(*family)) {
            let tables = family_tables(family);
            if !self.tables.intersects(tables) {
                self.tables = self.tables.union(tables);
            }
        }
    }

    /// Settles the states, given what the filter said of them.
    pub fn settle_states(&mut self, filter_states: Option<StateSet>) {
        let said = filter_states.or(self.states_said).filter(|states| !states.is_empty());
        if let Some(states) = said {
            self.states = states;
        }
    }

    /// What is left out so that nothing is left to show.
    pub fn nothing_left(&self) -> Option<&'static str> {
        if self.tables.is_empty() {
            Some("no socket tables to show with such filter.")
        } else if self.families.is_empty() {
            Some("no families to show with such filter.")
        } else if self.states.is_empty() {
            Some("no socket states to show with such filter.")
        } else {
            None
        }
    }
}

/// The states that a family shows by default.
fn family_states(family: Family) -> StateSet {
    match family {
        Family::Packet | Family::Netlink | Family::Xdp => StateSet::of(&[State::Close]),
        _ => StateSet::CONNECTED,
    }
}

/// The tables that a family brings in where none of them was chosen.
fn family_tables(family: Family) -> TableSet {
    match family {
        Family::Inet | Family::Inet6 => INET_TABLES.union(TableSet::of(&[Table::Sctp])),
        Family::Unix => TableSet::of(&[Table::UnixDgram, Table::UnixStream, Table::UnixSeqpacket]),
        Family::Packet => TableSet::of(&[Table::PacketDgram, Table::PacketRaw]),
        Family::Netlink => TableSet::of(&[Table::Netlink]),
        Family::Vsock => TableSet::of(&[Table::VsockStream, Table::VsockDgram]),
        Family::Tipc => TableSet::of(&[Table::Tipc]),
        Family::Xdp => TableSet::of(&[Table::Xdp]),
    }
}

pub(super) fn family_named(name: &OsString) -> Result<Family, PlanError> {
    let name = name.to_string_lossy();
    Ok(match &*name {
        "inet" => Family::Inet,
        "inet6" => Family::Inet6,
        "link" => Family::Packet,
        "unix" => Family::Unix,
        "netlink" => Family::Netlink,
        "vsock" => Family::Vsock,
        "tipc" => Family::Tipc,
        "xdp" => Family::Xdp,
        _ => return Err(PlanError::Family(name.into_owned())),
    })
}

fn tables_named(name: &str) -> Option<TableSet> {
    Some(match name {
        "all" => DEFAULT_TABLES,
        "inet" => INET_TABLES.union(TableSet::of(&[Table::Sctp])),
        "tcp" => TableSet::of(&[Table::Tcp]),
        "mptcp" => TableSet::of(&[Table::Mptcp]),
        "udp" => TableSet::of(&[Table::Udp]),
        "raw" => TableSet::of(&[Table::Raw]),
        "dccp" => TableSet::of(&[Table::Dccp]),
        "sctp" => TableSet::of(&[Table::Sctp]),
        "unix" => family_tables(Family::Unix),
        "unix_stream" | "u_str" => TableSet::of(&[Table::UnixStream]),
        "unix_dgram" | "u_dgr" => TableSet::of(&[Table::UnixDgram]),
        "unix_seqpacket" | "u_seq" => TableSet::of(&[Table::UnixSeqpacket]),
        "packet" => family_tables(Family::Packet),
        "packet_raw" | "p_raw" => TableSet::of(&[Table::PacketRaw]),
        "packet_dgram" | "p_dgr" => TableSet::of(&[Table::PacketDgram]),
        "netlink" => TableSet::of(&[Table::Netlink]),
        "vsock" => family_tables(Family::Vsock),
        "vsock_stream" | "v_str" => TableSet::of(&[Table::VsockStream]),
        "vsock_dgram" | "v_dgr" => TableSet::of(&[Table::VsockDgram]),
        "tipc" => TableSet::of(&[Table::Tipc]),
        "xdp" => TableSet::of(&[Table::Xdp]),
        _ => return None,
    })
}
