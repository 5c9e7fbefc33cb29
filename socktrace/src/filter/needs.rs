//! What an expression asks for, before any socket is seen: what has to be fetched for it, and what
//! the table or the state of a socket alone decide.

use super::subject::{Name, Number, StateOf};
use super::tree::{Expr, Predicate, Protocol, Verdict};
use crate::socket::{State, StateSet, Table, TableSet};

/// What a source tells, or somebody looks up, only if it is asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Who holds which socket.
    Owners,
    /// `INET_DIAG_INFO`.
    Info,
    /// `INET_DIAG_CONG`.
    CongestionControl,
    /// `INET_DIAG_TOS`, `INET_DIAG_TCLASS`, and with them the class.
    Tos,
    /// `UDIAG_SHOW_UID`.
    UnixUser,
    /// `UDIAG_SHOW_VFS`.
    UnixFile,
    /// The network namespace that is listed.
    Netns,
}

impl Need {
    pub const ALL: [Need; 7] = [
        Need::Owners,
        Need::Info,
        Need::CongestionControl,
        Need::Tos,
        Need::UnixUser,
        Need::UnixFile,
        Need::Netns,
    ];

    /// Where it comes from, for whoever asks.
    pub(super) fn source(self) -> &'static str {
        match self {
            Need::Owners => "the descriptors of processes",
            Need::Info => "INET_DIAG_INFO",
            Need::CongestionControl => "INET_DIAG_CONG",
            Need::Tos => "INET_DIAG_TOS",
            Need::UnixUser => "UDIAG_SHOW_UID",
            Need::UnixFile => "UDIAG_SHOW_VFS",
            Need::Netns => "/proc/self/ns/net",
        }
    }

    /// The tables of whose sockets it has to be asked.
    pub(super) fn tables(self) -> TableSet {
        match self {
            Need::Owners | Need::Netns => TableSet::ALL,
            Need::Info | Need::CongestionControl => CONNECTIONS,
            Need::Tos => INET,
            Need::UnixUser | Need::UnixFile => UNIX,
        }
    }
}

impl Predicate {
    pub(super) fn needs(&self, need: Need) -> bool {
        match self {
            Predicate::Number { of, .. } => of.facts().need == Some(need),
            Predicate::Name {
                of: Name::Comm | Name::Container | Name::Pod | Name::Unit, ..
            } => need == Need::Owners,
            Predicate::Name { of: Name::CongestionControl, .. } => need == Need::CongestionControl,
            Predicate::Path { file, .. } => need == Need::UnixFile && file.is_some(),
            _ => false,
        }
    }

    /// What the table of a socket alone says of the predicate.
    fn in_table(&self, table: Table) -> Option<bool> {
        match self {
            Predicate::Protocol(Protocol::Tables(tables)) => Some(tables.contains(table)),
            Predicate::Protocol(Protocol::Ip(number)) if table != Table::Raw => {
                Some(table.ip_protocol() == Some(*number))
            }
            Predicate::Number { of, .. } if !of.facts().tables.contains(table) => Some(false),
            Predicate::Name { of, .. } if !of.tables().contains(table) => Some(false),
            Predicate::Path { .. } if !UNIX.contains(table) => Some(false),
            Predicate::State { of: StateOf::Old | StateOf::New, .. } => Some(false),
            _ => None,
        }
    }
}

impl Expr {
    pub fn needs(&self, need: Need) -> bool {
        self.mentions(&|predicate| predicate.needs(need))
    }

    /// What is left to judge of the sockets of one table.
    pub fn in_table(&self, table: Table) -> Verdict {
        self.given(&|predicate| predicate.in_table(table))
    }

    /// What is left to judge where sockets in other states than these are not listed.
    pub fn in_states(&self, listed: StateSet) -> Verdict {
        self.given(&|predicate| match predicate {
            Predicate::State { of: StateOf::Now, set } if !set.intersects(listed) => Some(false),
            Predicate::State { of: StateOf::Now, set } if listed.without(*set).is_empty() => {
                Some(true)
            }
            _ => None,
        })
    }

    /// The states that a socket may be in for the expression to hold, if it speaks of states.
    pub fn states(&self) -> Option<StateSet> {
        let mut said = false;
        let mut possible = StateSet::EMPTY;
        for state in State::ALL {
            let verdict = self.given(&|predicate| match predicate {
                Predicate::State { of: StateOf::Now, set } => Some(set.contains(state)),
                _ => None,
            });
            said |= verdict != Verdict::Open(self.clone());
            if verdict != Verdict::Known(false) {
                possible = possible.union(StateSet::of(&[state]));
            }
        }
        said.then_some(possible)
    }

    /// What a listing never has, whatever socket it is of: the first word for such.
    pub fn only_of_events(&self) -> Option<Predicate> {
        self.first(&|predicate| match predicate {
            Predicate::Number { of, .. } => of.facts().tables.is_empty(),
            Predicate::Name { of, .. } => of.tables().is_empty(),
            Predicate::State { of, .. } => *of != StateOf::Now,
            _ => false,
        })
    }

    /// What no event has: the first word for such.
    pub fn only_of_listings(&self) -> Option<Predicate> {
        self.first(&|predicate| match predicate {
            Predicate::Number { of, .. } => !of.facts().is_of_events,
            Predicate::Name { of, .. } => matches!(of, Name::CongestionControl | Name::Timer),
            Predicate::Path { .. } | Predicate::Mark { .. } => true,
            _ => false,
        })
    }

    /// The first predicate that `test` holds for.
    fn first(&self, test: &dyn Fn(&Predicate) -> bool) -> Option<Predicate> {
        match self {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().find_map(|part| part.first(test)),
            Expr::Not(inner) => inner.first(test),
            Expr::Pred(predicate) => test(predicate).then(|| predicate.clone()),
        }
    }
}

const UNIX: TableSet = TableSet::of(&[Table::UnixStream, Table::UnixDgram, Table::UnixSeqpacket]);
const INET: TableSet =
    TableSet::of(&[Table::Tcp, Table::Mptcp, Table::Dccp, Table::Udp, Table::Raw, Table::Sctp]);
const TCP: TableSet = TableSet::of(&[Table::Tcp]);
const CONNECTIONS: TableSet = TableSet::of(&[Table::Tcp, Table::Mptcp]);

/// What of a number is known before any socket is seen.
struct Facts {
    /// What it takes to know it.
    need: Option<Need>,
    /// The tables whose sockets may have it, as a listing shows them.
    tables: TableSet,
    /// Whether some kind of event has it.
    is_of_events: bool,
}

impl Number {
    fn facts(self) -> Facts {
        const SILENT: TableSet =
            TableSet::of(&[Table::Netlink, Table::VsockStream, Table::VsockDgram]);
        const WITHOUT_QUEUES: TableSet =
            TableSet::of(&[Table::VsockStream, Table::VsockDgram, Table::Xdp]);
        let all = TableSet::ALL;
        let (need, tables, is_of_events) = match self {
            Number::Pid | Number::Gid => (Some(Need::Owners), all, true),
            Number::Uid => (Some(Need::UnixUser), all.without(SILENT), true),
            Number::Netns => (Some(Need::Netns), all, true),
            Number::Cookie => (None, all, true),
            Number::Inode => (None, all, false),
            Number::ReceiveQueue | Number::SendQueue => (None, all.without(WITHOUT_QUEUES), false),
            Number::Backlog => (None, INET.union(UNIX), false),
            Number::Tos | Number::Priority => (Some(Need::Tos), INET, false),
            Number::Rtt | Number::RttVar | Number::MinRtt | Number::Rto => {
                (Some(Need::Info), TCP, true)
            }
            Number::Cwnd | Number::Mss | Number::Lost => (Some(Need::Info), TCP, false),
            Number::Retrans | Number::Sent | Number::Received => {
                (Some(Need::Info), CONNECTIONS, true)
            }
            Number::LastSent | Number::LastReceived | Number::Idle => {
                (Some(Need::Info), CONNECTIONS, false)
            }
            Number::Age | Number::Duration => (None, TableSet::EMPTY, true),
        };
        Facts { need, tables, is_of_events }
    }
}

impl Name {
    /// The tables whose sockets may have it, as a listing shows them.
    fn tables(self) -> TableSet {
        match self {
            Name::Comm | Name::Unit | Name::Container | Name::Pod => TableSet::ALL,
            Name::CongestionControl => CONNECTIONS,
            Name::Cgroup | Name::Timer => INET,
            Name::Path => UNIX,
            Name::Reason | Name::Opened | Name::End => TableSet::EMPTY,
        }
    }
}
