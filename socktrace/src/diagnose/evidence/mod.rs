//! The facts that rules judge, typed, gathered once. Nothing here reads anything: tests construct
//! evidence as they like.

mod processes;
mod settings;

use std::net::IpAddr;
use std::time::Duration;

pub use processes::{Doing, Executable, Growth, Process, Processes, Worker};
use rustc_hash::FxHashMap;
pub use settings::{HostSettings, Settings, TwReuse};

use crate::procfs::counters::Counters;
use crate::socket::{Cookie, Inet, InetEnd, Inode, SkMem, State, TcpInfo, Timer};

/// All that is known when the rules judge.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub watch: Watch,
    /// TCP sockets that a rule may name: quiet ones are only counted.
    pub tcp: Vec<Tcp>,
    pub states: StateCounts,
    /// Where many local ports of the ephemeral range are used towards one peer.
    pub destinations: Vec<Destination>,
    /// The peers to which something was sent again.
    pub loss: Vec<PeerLoss>,
    pub sent: Vec<SentFrom>,
    pub datagrams: Vec<Datagram>,
    pub unix_listeners: Vec<UnixListener>,
    pub netlink: Vec<NetlinkReceiver>,
    pub counters: Counters,
    pub counters_before: Counters,
    pub settings: Settings,
    pub host: HostSettings,
    pub processes: Processes,
    pub addresses: Vec<LocalAddress>,
    /// What happened meanwhile; `None` if it could not be traced, or nobody asked.
    pub traced: Option<Traced>,
    /// Who was seen to connect where, the most frequent first.
    pub callers: FxHashMap<InetEnd, Vec<Worker>>,
}

/// Between which moments, and how closely, it was watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Watch {
    /// From the first look to the last; zero if there was only one.
    pub span: Duration,
    pub looks: u32,
    /// Whether somebody asked to watch: then rates may be claimed.
    pub asked: bool,
}

impl Evidence {
    /// How far a counter rose while it was watched; `None` if nobody asked to watch.
    pub fn rise(&self, counter: &str) -> Option<u64> {
        self.watch.asked.then(|| self.counters.rise(&self.counters_before, counter)).flatten()
    }

    /// The value of a counter since the namespace began.
    pub fn total(&self, counter: &str) -> u64 {
        self.counters.get(counter).unwrap_or(0)
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Tcp> {
        self.tcp.iter().filter(|socket| socket.state == State::Listen)
    }

    /// Whether an address is one of this namespace's own.
    pub fn is_local(&self, addr: IpAddr) -> bool {
        let addr = addr.to_canonical();
        addr.is_loopback() || self.addresses.iter().any(|own| own.addr == addr)
    }

    /// The interface that has this address.
    pub fn interface_of(&self, addr: IpAddr) -> Option<&str> {
        let addr = addr.to_canonical();
        self.addresses.iter().find(|own| own.addr == addr).map(|own| own.interface.as_str())
    }
}

/// A TCP socket as it was at the last look.
#[derive(Debug, Clone)]
pub struct Tcp {
    pub state: State,
    pub local: InetEnd,
    pub peer: InetEnd,
    pub cookie: Cookie,
    /// 0: no process has it (yet, or any more).
    pub inode: Inode,
    pub uid: u32,
    pub recv_q: u32,
    pub send_q: u32,
    pub timer: Timer,
    pub skmem: SkMem,
    pub info: TcpInfo,
    pub earlier: Option<Earlier>,
}

/// What earlier looks saw of the same socket.
#[derive(Debug, Clone, Copy)]
pub struct Earlier {
    /// How long before the last look the first one was.
    pub ago: Duration,
    pub state: State,
    pub recv_q: u32,
    /// The smallest queues that any look saw, the last one included.
    pub least_recv_q: u32,
    pub least_send_q: u32,
    pub drops: u32,
    pub bytes_received: u64,
    pub bytes_acked: u64,
    pub busy_us: u64,
    pub rwnd_limited_us: u64,
    pub sndbuf_limited_us: u64,
}

impl Tcp {
    pub fn new(socket: &Inet<'_>) -> Tcp {
        Tcp {
            state: socket.state,
            local: socket.local,
            peer: socket.peer,
            cookie: socket.cookie,
            inode: socket.inode,
            uid: socket.uid,
            recv_q: socket.recv_queue,
            send_q: socket.send_queue,
            timer: socket.timer,
            skmem: socket.ext.skmem.unwrap_or_default(),
            info: TcpInfo::parse(socket.ext.info.unwrap_or_default()),
            earlier: None,
        }
    }

    pub fn drops(&self) -> u32 {
        self.skmem.drops.unwrap_or(0)
    }

    /// This look, as a later one will remember it.
    pub fn remember(&self) -> Earlier {
        Earlier {
            ago: Duration::ZERO,
            state: self.state,
            recv_q: self.recv_q,
            least_recv_q: self.recv_q,
            least_send_q: self.send_q,
            drops: self.drops(),
            bytes_received: self.info.bytes_received,
            bytes_acked: self.info.bytes_acked,
            busy_us: self.info.busy_time,
            rwnd_limited_us: self.info.rwnd_limited,
            sndbuf_limited_us: self.info.sndbuf_limited,
        }
    }

    /// Whether the socket came into its present state between the looks.
    pub fn is_new_in_state(&self) -> bool {
        self.earlier.is_none_or(|earlier| earlier.state != self.state)
    }
}

/// How many TCP sockets are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateCounts([u32; 16]);

impl StateCounts {
    pub fn add(&mut self, state: State) {
        self.0[state as usize] += 1;
    }

    pub fn get(&self, state: State) -> u32 {
        self.0[state as usize]
    }

    pub fn total(&self) -> u32 {
        self.0.iter().sum()
    }
}

impl FromIterator<(State, u32)> for StateCounts {
    fn from_iter<T: IntoIterator<Item = (State, u32)>>(counts: T) -> StateCounts {
        let mut all = StateCounts::default();
        for (state, count) in counts {
            all.0[state as usize] += count;
        }
        all
    }
}

/// The ports of the ephemeral range that one local address uses towards one peer.
#[derive(Debug, Clone)]
pub struct Destination {
    pub local: IpAddr,
    pub peer: InetEnd,
    /// In any state but TIME-WAIT.
    pub open: u32,
    /// TIME-WAIT younger than the time after which tcp_tw_reuse allows its port again.
    pub time_wait_young: u32,
    pub time_wait_old: u32,
    /// TIME-WAIT that began within the last ten seconds.
    pub time_wait_recent: u32,
    /// Some of the sockets that are open.
    pub inodes: Vec<Inode>,
    /// The user of one that is open.
    pub uid: Option<u32>,
}

impl Destination {
    pub fn ports(&self) -> u32 {
        self.open + self.time_wait_young + self.time_wait_old
    }
}

/// Segments with data that were sent from one address.
#[derive(Debug, Clone)]
pub struct SentFrom {
    pub local: IpAddr,
    pub segments: u64,
    pub segments_meanwhile: u64,
}

/// Segments sent again to one peer, over all of its sockets.
#[derive(Debug, Clone)]
pub struct PeerLoss {
    pub peer: IpAddr,
    pub local: IpAddr,
    pub sockets: u32,
    /// Over the life of the sockets.
    pub retransmitted: u64,
    pub segments: u64,
    /// While it was watched.
    pub retransmitted_meanwhile: u64,
    pub segments_meanwhile: u64,
    /// Those of `retransmitted` that the peer says it had already (DSACK).
    pub spurious: u64,
    pub spurious_meanwhile: u64,
    /// Whether some of the sockets have no SACK: then the peer cannot say so.
    pub lacks_sack: bool,
    pub inodes: Vec<Inode>,
}

/// A UDP socket.
#[derive(Debug, Clone)]
pub struct Datagram {
    pub local: InetEnd,
    pub cookie: Cookie,
    pub inode: Inode,
    pub recv_q: u32,
    pub rcvbuf: u32,
    pub drops: u32,
    pub drops_before: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct UnixListener {
    pub name: Vec<u8>,
    pub inode: Inode,
    pub waiting: u32,
    pub backlog: u32,
    /// The fewest that waited at any look.
    pub least_waiting: u32,
}

/// A NETLINK socket that dropped messages.
#[derive(Debug, Clone)]
pub struct NetlinkReceiver {
    pub protocol: u8,
    pub port_id: u32,
    pub inode: Inode,
    pub recv_q: u32,
    pub drops: u32,
    pub drops_before: Option<u32>,
}

/// An address of an interface of this namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    pub interface: String,
    pub addr: IpAddr,
}

/// What eBPF saw while it was watched, added up.
#[derive(Debug, Clone, Default)]
pub struct Traced {
    pub failed_connects: Vec<FailedConnects>,
    pub churn: Vec<Churn>,
    pub retransmits: Vec<Retransmits>,
    pub resets: Vec<Resets>,
    /// Events that were lost: the sums are too small.
    pub lost: u64,
}

impl Traced {
    /// Who connected where, or tried to: the most frequent first.
    pub fn callers(&self) -> FxHashMap<InetEnd, Vec<Worker>> {
        let churn = self.churn.iter().map(|churn| (churn.peer, &churn.worker, churn.count));
        let failed = self.failed_connects.iter().filter(|failed| failed.is_here);
        let failed = failed.map(|failed| (failed.peer, &failed.worker, failed.count));
        let mut counts: FxHashMap<InetEnd, Vec<(u64, Worker)>> = FxHashMap::default();
        for (peer, worker, count) in churn.chain(failed) {
            let Some(worker) = worker else { continue };
            let callers = counts.entry(peer).or_default();
            match callers.iter_mut().find(|(_, known)| known == worker) {
                Some((sum, _)) => *sum += count,
                None => callers.push((count, worker.clone())),
            }
        }
        let by_count = |mut callers: Vec<(u64, Worker)>| {
            callers.sort_by(|a, b| b.cmp(a));
            callers.into_iter().map(|(_, worker)| worker).collect()
        };
        counts.into_iter().map(|(peer, callers)| (peer, by_count(callers))).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConnectError {
    Refused,
    TimedOut,
    Reset,
    Unreachable,
    /// The process did not wait any longer.
    GivenUp,
    /// There was no local port left towards this peer.
    NoPort,
}

#[derive(Debug, Clone)]
pub struct FailedConnects {
    pub peer: InetEnd,
    pub error: ConnectError,
    pub worker: Option<Worker>,
    /// Whether the attempts came from the namespace that is audited.
    pub is_here: bool,
    pub count: u64,
}

/// Connections to one place that began and ended while it was watched.
#[derive(Debug, Clone)]
pub struct Churn {
    pub peer: InetEnd,
    pub worker: Option<Worker>,
    pub count: u64,
    /// How long they lived, all together.
    pub lived: Duration,
}

/// Segments to one peer that were seen to be sent again.
#[derive(Debug, Clone)]
pub struct Retransmits {
    pub peer: IpAddr,
    pub worker: Option<Worker>,
    pub count: u64,
    /// Those of `count` that were SYNs.
    pub syns: u64,
}

/// Connections that ended in a reset, or were refused with one.
#[derive(Debug, Clone)]
pub struct Resets {
    pub local: InetEnd,
    pub peer: IpAddr,
    /// No socket listens there.
    pub is_refusal: bool,
    pub is_sent: bool,
    pub count: u64,
}
