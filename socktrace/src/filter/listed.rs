//! A socket of a listing as the subject of a filter: what it has itself, and what its surroundings
//! know of it.

use super::EphemeralPorts;
use super::missing::{Missing, Untold};
use super::subject::{Name, Number, StateOf, Subject};
use crate::container::{Home, Homes};
use crate::owner::{Holder, Owners};
use crate::socket::{
    End, Family, Inet, MptcpInfo, NetnsId, Socket, State, StateSet, Table, TcpInfo, TimerKind,
    UnixFile,
};

/// What is known around the sockets of a listing, as far as its filter asks for it.
#[derive(Default, Clone, Copy)]
pub struct Surroundings<'a> {
    pub ports: Option<&'a EphemeralPorts>,
    pub owners: Option<&'a Owners>,
    pub homes: Option<&'a Homes>,
    pub facts: Option<&'a dyn Facts>,
    /// The network namespace that is listed.
    pub netns: Option<NetnsId>,
    pub missing: Option<&'a Missing>,
}

/// What the system tells when it is asked about one thing.
pub trait Facts {
    /// The path of a cgroup below the root of its hierarchy.
    fn cgroup_path(&self, id: u64) -> Option<&[u8]>;
    /// The group of a process.
    fn group_of(&self, pid: u32) -> Option<u32>;
}

/// A socket in its surroundings.
#[derive(Clone, Copy)]
pub struct Listed<'a> {
    pub socket: &'a Socket<'a>,
    pub around: Surroundings<'a>,
}

impl<'a> Listed<'a> {
    fn holders(&self) -> impl Iterator<Item = Holder<'a>> {
        let inode = self.socket.inode();
        self.around.owners.into_iter().flat_map(move |owners| owners.holders(inode))
    }

    fn note(&self, what: Untold) {
        if let Some(missing) = self.around.missing {
            missing.note(what);
        }
    }

    fn number(&self, of: Number) -> Option<u64> {
        let socket = self.socket;
        match of {
            Number::Uid => {
                let uid = socket.uid();
                if uid.is_none() && matches!(socket, Socket::Unix(_)) {
                    self.note(Untold::UnixUser);
                }
                uid.map(u64::from)
            }
            Number::Inode => Some(socket.inode().0.into()).filter(|inode| *inode != 0),
            Number::Cookie => socket.cookie().map(|cookie| cookie.0),
            Number::Netns => self.around.netns.map(|netns| netns.0),
            Number::ReceiveQueue => socket.queues().map(|(receive, _)| receive.into()),
            Number::SendQueue => socket.queues().map(|(_, send)| send.into()),
            Number::Backlog => {
                let (waiting, limit) =
                    socket.queues().filter(|_| socket.state() == State::Listen)?;
                if matches!(socket, Socket::Inet(socket) if socket.ext.proc_text.is_some()) {
                    self.note(Untold::BacklogLimit);
                    return None;
                }
                Some(u64::from(waiting) * FULL / u64::from(limit.max(1)))
            }
            Number::Tos => match socket {
                Socket::Inet(socket) => traffic_class(socket).map(u64::from),
                _ => None,
            },
            Number::Priority => match socket {
                Socket::Inet(socket) => socket.ext.class_id.map(u64::from),
                _ => None,
            },
            of => match socket {
                Socket::Inet(socket) => self.of_protocol(socket, of),
                _ => None,
            },
        }
    }

    /// What the protocol itself tells of a connection.
    fn of_protocol(&self, socket: &Inet<'_>, of: Number) -> Option<u64> {
        // The fields of a listener stand for other things, or nothing.
        let info = socket.ext.info.filter(|_| socket.state != State::Listen);
        match (socket.table, info) {
            (Table::Tcp, Some(info)) => of_tcp(socket.state, info, of),
            (Table::Mptcp, Some(info)) => of_mptcp(socket.state, info, of),
            (Table::Tcp, None) if has_socket(socket.state) && socket.state != State::Listen => {
                self.note(Untold::Info);
                None
            }
            _ => None,
        }
    }

    fn cgroup_path(&self) -> Option<&'a [u8]> {
        let id = self.socket.cgroup_id();
        if id.is_none() && self.socket.table().is_inet() && has_socket(self.socket.state()) {
            self.note(Untold::Cgroup);
        }
        self.around.facts?.cgroup_path(id.filter(|id| *id != 0)?)
    }
}

/// Whether there is a socket, not only what was before it or is left of it.
fn has_socket(state: State) -> bool {
    !matches!(state, State::SynRecv | State::TimeWait)
}

impl Subject for Listed<'_> {
    fn table(&self) -> Table {
        self.socket.table()
    }

    fn ip_protocol(&self) -> Option<u16> {
        match self.socket {
            Socket::Inet(socket) => match socket.table {
                Table::Raw => socket.ext.protocol.map(u16::from).or(Some(socket.local.port)),
                table => table.ip_protocol(),
            },
            _ => None,
        }
    }

    fn local(&self) -> End<'_> {
        self.socket.local()
    }

    fn peer(&self) -> End<'_> {
        self.socket.peer()
    }

    fn is_ephemeral(&self, port: u16) -> bool {
        self.around.ports.is_some_and(|ports| ports.contains(port))
    }

    fn ifindex(&self) -> u32 {
        self.socket.ifindex()
    }

    fn mark(&self) -> u32 {
        self.socket.mark()
    }

    fn cgroup_id(&self) -> u64 {
        self.socket.cgroup_id().unwrap_or(0)
    }

    fn states(&self, of: StateOf) -> StateSet {
        match of {
            // A TCP socket that is bound and no more is listed as a closed one.
            StateOf::Now => match (self.socket.table(), self.socket.state()) {
                (Table::Tcp, State::Close) => StateSet::of(&[State::Close, State::BoundInactive]),
                (_, state) => StateSet::of(&[state]),
            },
            StateOf::Old | StateOf::New => StateSet::EMPTY,
        }
    }

    fn any_number(&self, of: Number, test: &mut dyn FnMut(u64) -> bool) -> bool {
        match of {
            Number::Pid => self.holders().any(|holder| test(holder.pid.into())),
            Number::Gid => self.around.facts.is_some_and(|facts| {
                self.holders()
                    .any(|holder| facts.group_of(holder.pid).is_some_and(|g| test(g.into())))
            }),
            of => self.number(of).is_some_and(test),
        }
    }

    fn any_name(&self, of: Name, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        match of {
            Name::Comm => self.holders().any(|holder| test(holder.comm)),
            Name::CongestionControl => match self.socket {
                Socket::Inet(socket) => {
                    socket.ext.congestion.filter(|name| !name.is_empty()).is_some_and(test)
                }
                _ => false,
            },
            Name::Path => match self.socket {
                Socket::Unix(socket) => {
                    [socket.name, socket.peer_name].into_iter().flatten().any(test)
                }
                _ => false,
            },
            Name::Timer => match self.socket {
                Socket::Inet(socket) => timer_name(socket.timer.kind).is_some_and(test),
                _ => false,
            },
            Name::Cgroup => self.cgroup_path().is_some_and(|path| is_at_or_below(path, test)),
            Name::Unit => self.cgroup_path().is_some_and(|path| units(path).any(test)),
            Name::Container | Name::Pod => false,
            Name::Reason | Name::Opened | Name::End => false,
        }
    }

    fn any_home(&self, test: &mut dyn FnMut(&Home) -> bool) -> bool {
        let Some(homes) = self.around.homes else { return false };
        self.cgroup_path().is_some_and(|path| test(&homes.of_cgroup(path)))
            || self.holders().any(|h| homes.of_process(h.pid).is_some_and(|home| test(&home)))
    }

    fn file(&self) -> Option<UnixFile> {
        match self.socket {
            Socket::Unix(socket) => {
                // sock_diag tells a file of each socket that has a path.
                if socket.file.is_none() && socket.name.is_some_and(|name| name.starts_with(b"/")) {
                    self.note(Untold::UnixFile);
                }
                socket.file
            }
            _ => None,
        }
    }
}

/// `test` holds for a path, or for what it looks like from below: so `/a/*` is `/a` and all in it.
pub(super) fn is_at_or_below(path: &[u8], test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    test(path) || !path.ends_with(b"/") && test(&[path, b"/"].concat())
}

/// The systemd units on the way to a cgroup.
pub(super) fn units(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    const SUFFIXES: [&[u8]; 6] =
        [b".service", b".scope", b".slice", b".socket", b".mount", b".swap"];
    path.split(|byte| *byte == b'/')
        .filter(|part| SUFFIXES.iter().any(|suffix| part.ends_with(suffix)))
}

/// All of the accept queue, in hundredths of a percent.
const FULL: u64 = 10_000;

/// What goes into the packets: IPv6 has a field of its own, but not on an IPv4 wire.
fn traffic_class(socket: &Inet<'_>) -> Option<u8> {
    let is_ipv4 = socket.family == Family::Inet || socket.peer.addr.to_canonical().is_ipv4();
    if is_ipv4 { socket.ext.tos } else { socket.ext.tclass }
}

const NS_PER_US: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;

fn of_tcp(state: State, bytes: &[u8], of: Number) -> Option<u64> {
    let info = TcpInfo::parse(bytes);
    // Older kernels end the structure earlier: what it does not reach is not zero, but unknown.
    let reaches = |end: usize| (bytes.len() >= end).then_some(());
    let us = |us: u32| Some(u64::from(us) * NS_PER_US);
    let measured = |value: u32| us(value).filter(|_| value != 0);
    let since = |ms: u32| has_opened(state).then_some(u64::from(ms) * NS_PER_MS);
    match of {
        Number::Rtt => measured(info.rtt),
        Number::RttVar => measured(info.rttvar).filter(|_| info.rtt != 0),
        Number::MinRtt => {
            reaches(152).and(measured(info.min_rtt)).filter(|_| info.min_rtt != u32::MAX)
        }
        Number::Rto => measured(info.rto),
        Number::Cwnd => Some(info.snd_cwnd.into()),
        Number::Mss => Some(info.snd_mss.into()),
        Number::Retrans => Some(info.total_retrans.into()),
        Number::Lost => Some(info.lost.into()),
        Number::Sent => reaches(216).map(|()| info.bytes_sent.saturating_sub(info.bytes_retrans)),
        Number::Received => reaches(136).map(|()| info.bytes_received),
        Number::LastSent => since(info.last_data_sent_ms),
        Number::LastReceived => since(info.last_data_recv_ms),
        Number::Idle => since(info.last_data_sent_ms.min(info.last_data_recv_ms)),
        _ => None,
    }
}

fn of_mptcp(state: State, bytes: &[u8], of: Number) -> Option<u64> {
    let info = MptcpInfo::parse(bytes);
    let reaches = |end: usize| (bytes.len() >= end).then_some(());
    let since =
        |ms: u32| reaches(96).filter(|()| has_opened(state)).map(|()| u64::from(ms) * NS_PER_MS);
    match of {
        Number::Retrans => reaches(48).map(|()| info.retransmits.into()),
        Number::Sent => reaches(64).map(|()| info.bytes_sent.saturating_sub(info.bytes_retrans)),
        Number::Received => reaches(72).map(|()| info.bytes_received),
        Number::LastSent => since(info.last_data_sent_ms),
        Number::LastReceived => since(info.last_data_recv_ms),
        Number::Idle => since(info.last_data_sent_ms.min(info.last_data_recv_ms)),
        _ => None,
    }
}

/// Before a connection is open, the clocks of its data have not been started.
fn has_opened(state: State) -> bool {
    !matches!(
        state,
        State::Listen | State::Close | State::BoundInactive | State::SynSent | State::SynRecv
    )
}

fn timer_name(kind: TimerKind) -> Option<&'static [u8]> {
    Some(match kind {
        TimerKind::Off => b"off",
        TimerKind::On => b"on",
        TimerKind::Keepalive => b"keepalive",
        TimerKind::TimeWait => b"timewait",
        TimerKind::Persist => b"persist",
        TimerKind::DelayedAck => b"delack",
        TimerKind::Unknown(_) => return None,
    })
}
