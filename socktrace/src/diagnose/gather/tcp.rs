//! TCP sockets as they stream by: those that a rule may name are kept, all others only counted.

use std::net::IpAddr;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diagnose::evidence::{Destination, PeerLoss, SentFrom, Settings, StateCounts, Tcp};
use crate::socket::{Cookie, Inet, InetEnd, Inode, State, TcpInfo, TcpOption, TimerKind};

/// How long TIME-WAIT lasts.
const TIME_WAIT_MS: u32 = 60_000;
/// How recent a TIME-WAIT is from which a rate is told.
const RECENT_MS: u32 = 10_000;
/// How many sockets stand for all those that lead to the same peer.
const SAMPLE: usize = 8;
/// A destination with fewer ports in use is no finding.
const FEWEST_PORTS: u32 = 16;

#[derive(Clone)]
pub(super) struct TcpLook {
    pub(super) kept: Vec<Tcp>,
    pub(super) states: StateCounts,
    pub(super) loss: FxHashMap<(IpAddr, IpAddr), PeerLoss>,
    ports: FxHashMap<(IpAddr, InetEnd), Ports>,
    sent: FxHashMap<IpAddr, (u64, u64)>,
    /// What each connection had sent, for a later look to compare with.
    segments: FxHashMap<Cookie, Segments>,
    /// Ports on which somebody listens: connections from them were accepted.
    listening: FxHashSet<u16>,
}

#[derive(Clone, Copy, Default)]
struct Segments {
    sent: u32,
    again: u32,
    duplicates: u32,
}

/// The ports towards one peer.
#[derive(Clone, Default)]
struct Ports {
    open: u32,
    time_wait_young: u32,
    time_wait_old: u32,
    time_wait_recent: u32,
    inodes: Vec<Inode>,
    uid: Option<u32>,
}

impl TcpLook {
    pub(super) fn new(before: Option<&TcpLook>) -> TcpLook {
        let like = |count: fn(&TcpLook) -> usize| before.map_or(0, count);
        TcpLook {
            kept: Vec::with_capacity(like(|before| before.kept.len())),
            states: StateCounts::default(),
            loss: FxHashMap::default(),
            ports: FxHashMap::default(),
            sent: FxHashMap::default(),
            segments: FxHashMap::default(),
            listening: FxHashSet::default(),
        }
    }

    /// Adds a socket. Those that listen come first.
    pub(super) fn add(&mut self, socket: &Inet<'_>, settings: &Settings, before: Option<&TcpLook>) {
        self.states.add(socket.state);
        match socket.state {
            State::Listen => drop(self.listening.insert(socket.local.port)),
            State::Close | State::BoundInactive => {}
            State::TimeWait => self.count_ports(socket, settings),
            _ => {
                self.count_ports(socket, settings);
                self.count_segments(socket, before);
            }
        }
        if is_of_interest(socket) {
            self.kept.push(Tcp::new(socket));
        }
    }

    /// Counts a port that the kernel chose.
    fn count_ports(&mut self, socket: &Inet<'_>, settings: &Settings) {
        let port = socket.local.port;
        if !settings.local_ports.contains(&port) || self.listening.contains(&port) {
            return;
        }
        let ports = self.ports.entry((socket.local.addr, socket.peer)).or_default();
        if socket.timer.kind == TimerKind::TimeWait {
            let age_ms = TIME_WAIT_MS.saturating_sub(socket.timer.expires_ms);
            let is_young = u128::from(age_ms) < settings.tcp_tw_reuse_delay.as_millis();
            ports.time_wait_young += u32::from(is_young);
            ports.time_wait_old += u32::from(!is_young);
            ports.time_wait_recent += u32::from(age_ms < RECENT_MS);
            return;
        }
        ports.open += 1;
        if socket.inode.0 == 0 {
            return;
        }
        ports.uid = Some(socket.uid);
        if ports.inodes.len() < SAMPLE {
            ports.inodes.push(socket.inode);
        }
    }

    fn count_segments(&mut self, socket: &Inet<'_>, before: Option<&TcpLook>) {
        let Some(info) = socket.ext.info else { return };
        let info = TcpInfo::parse(info);
        if info.data_segs_out == 0 {
            return;
        }
        let now = Segments {
            sent: info.data_segs_out,
            again: info.total_retrans,
            duplicates: info.dsack_dups,
        };
        // Of what is new since, all was sent meanwhile.
        let then = before.and_then(|before| before.segments.get(&socket.cookie).copied());
        let then = then.unwrap_or_default();
        let meanwhile = u64::from(now.sent.saturating_sub(then.sent));
        let sent = self.sent.entry(socket.local.addr).or_default();
        sent.0 += u64::from(now.sent);
        sent.1 += meanwhile;
        if before.is_none() {
            self.segments.insert(socket.cookie, now);
        }
        if now.again == 0 {
            return;
        }
        let key = (socket.local.addr, socket.peer.addr);
        let peer = self.loss.entry(key).or_insert_with(|| PeerLoss {
            peer: socket.peer.addr,
            local: socket.local.addr,
            sockets: 0,
            retransmitted: 0,
            segments: 0,
            retransmitted_meanwhile: 0,
            segments_meanwhile: 0,
            spurious: 0,
            spurious_meanwhile: 0,
            lacks_sack: false,
            inodes: Vec::new(),
        });
        peer.sockets += 1;
        peer.retransmitted += u64::from(now.again);
        peer.segments += u64::from(now.sent);
        peer.retransmitted_meanwhile += u64::from(now.again.saturating_sub(then.again));
        peer.segments_meanwhile += meanwhile;
        peer.spurious += u64::from(now.duplicates);
        peer.spurious_meanwhile += u64::from(now.duplicates.saturating_sub(then.duplicates));
        peer.lacks_sack |= !info.has(TcpOption::Sack);
        if peer.inodes.len() < SAMPLE && socket.inode.0 != 0 {
            peer.inodes.push(socket.inode);
        }
    }

    /// What was sent from each address.
    pub(super) fn sent(&self) -> Vec<SentFrom> {
        self.sent
            .iter()
            .map(|(local, (segments, segments_meanwhile))| SentFrom {
                local: *local,
                segments: *segments,
                segments_meanwhile: *segments_meanwhile,
            })
            .collect()
    }

    /// Where many ports are in use, among those that the kernel chooses from.
    pub(super) fn destinations(&self) -> Vec<Destination> {
        let mut destinations: Vec<Destination> = (self.ports.iter())
            .map(|((local, peer), ports)| Destination {
                local: *local,
                peer: *peer,
                open: ports.open,
                time_wait_young: ports.time_wait_young,
                time_wait_old: ports.time_wait_old,
                time_wait_recent: ports.time_wait_recent,
                inodes: ports.inodes.clone(),
                uid: ports.uid,
            })
            .filter(|destination| destination.ports() >= FEWEST_PORTS)
            .collect();
        destinations.sort_by_key(|destination| (destination.peer, destination.local));
        destinations
    }
}

/// Whether a rule may name the socket.
fn is_of_interest(socket: &Inet<'_>) -> bool {
    match socket.state {
        State::TimeWait | State::Close | State::BoundInactive => false,
        State::Established => {
            socket.recv_queue > 0
                || socket.send_queue > 0
                || socket.timer.retransmits > 0
                || socket.timer.kind == TimerKind::Persist
        }
        _ => socket.timer.kind != TimerKind::TimeWait,
    }
}
