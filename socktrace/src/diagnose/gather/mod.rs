//! Evidence from the kernel: looks at the sockets, counters and settings, at the start, in between
//! and at the end of a watch; then at the processes that matter.

mod addresses;
mod growth;
mod look;
mod processes;
mod settings;
mod tcp;
mod traced;

pub use growth::Growing;
pub use settings::of_the_host;
pub use traced::{Recorded, Recorder};

use std::time::Duration;

use anyhow::Result;
use rustc_hash::FxHashMap;

use self::look::Look;
use super::evidence::{Earlier, Evidence, HostSettings, Settings, Traced, Watch};
use crate::container::Homes;
use crate::owner::Owners;
use crate::socket::{Cookie, Inode, State};

/// After how long a look that saw something suspicious is repeated: long enough to tell what waits
/// from what has just come.
const SECOND_LOOK: Duration = Duration::from_millis(1100);
/// From how many connections in ten seconds somebody may ask whose they were.
const RECENT: u32 = 200;
/// How many looks between the first and the last.
const LOOKS_BETWEEN: u32 = 9;
/// A look may take this share of the time until the next.
const LOAD: u32 = 20;

/// A watch in progress in one network namespace: what was seen so far, in as little as the rules
/// need.
pub struct Watcher {
    asked: bool,
    settings: Settings,
    host: HostSettings,
    first: Look,
    last: Look,
    looks: u32,
    memory: FxHashMap<Cookie, Earlier>,
    unix_waiting: FxHashMap<Inode, u32>,
}

impl Watcher {
    /// Looks for the first time. `asked` says whether somebody asked to watch, so that rates will
    /// be claimed. `host` is from before another namespace was entered, where less is to be seen.
    pub fn start(asked: bool, host: HostSettings) -> Result<Watcher> {
        let settings = settings::read();
        let first = Look::take(&settings, None)?;
        let memory =
            first.tcp.kept.iter().map(|socket| (socket.cookie, socket.remember())).collect();
        let unix_waiting =
            first.unix_listeners.iter().map(|socket| (socket.inode, socket.waiting)).collect();
        let last = first.clone();
        Ok(Watcher { asked, settings, host, first, last, looks: 1, memory, unix_waiting })
    }

    /// When to look again, if nobody asked to watch: only if something may be wrong or may just be
    /// busy.
    pub fn second_look(&self) -> Option<Duration> {
        (!self.asked && (self.first.is_suspicious() || self.lacks_owners())).then_some(SECOND_LOOK)
    }

    /// Whether many ports towards one peer are in TIME-WAIT, which has no process: then only a
    /// trace tells whose they were.
    pub fn lacks_owners(&self) -> bool {
        let many = self.settings.ephemeral_ports() / 2;
        self.first.tcp.destinations().iter().any(|destination| {
            destination.inodes.is_empty()
                && (destination.ports() >= many || destination.time_wait_recent >= RECENT)
        })
    }

    /// Looks again.
    pub fn look(&mut self) -> Result<()> {
        self.last = Look::take(&self.settings, Some(&self.first))?;
        self.looks += 1;
        // What is not kept any more has become quiet.
        let now: FxHashMap<Cookie, (u32, u32)> = (self.last.tcp.kept.iter())
            .map(|socket| (socket.cookie, (socket.recv_q, socket.send_q)))
            .collect();
        for (cookie, earlier) in &mut self.memory {
            let (recv_q, send_q) = now.get(cookie).copied().unwrap_or_default();
            earlier.least_recv_q = earlier.least_recv_q.min(recv_q);
            earlier.least_send_q = earlier.least_send_q.min(send_q);
        }
        for listener in &self.last.unix_listeners {
            let least = self.unix_waiting.entry(listener.inode).or_insert(listener.waiting);
            *least = (*least).min(listener.waiting);
        }
        Ok(())
    }

    /// Adds what the processes and settings tell, and ends the watch.
    pub fn finish(
        self,
        traced: Option<Traced>,
        growing: Option<&Growing>,
        owners: &Owners,
        homes: &Homes,
    ) -> Evidence {
        let Watcher { asked, settings, host, first, last, looks, memory, unix_waiting } = self;
        let span = last.at.duration_since(first.at);
        let mut evidence = Evidence {
            watch: Watch { span, looks, asked },
            states: last.tcp.states,
            destinations: last.tcp.destinations(),
            sent: last.tcp.sent(),
            loss: last.tcp.loss.into_values().collect(),
            tcp: last.tcp.kept,
            datagrams: last.datagrams,
            unix_listeners: last.unix_listeners,
            netlink: last.netlink,
            counters: last.counters,
            counters_before: first.counters,
            settings,
            host,
            addresses: addresses::read(),
            callers: traced.as_ref().map(Traced::callers).unwrap_or_default(),
            // A glimpse names who connects; how often something happens takes a watch.
            traced: traced.filter(|_| asked),
            ..Evidence::default()
        };
        if looks > 1 {
            for socket in &mut evidence.tcp {
                let earlier = memory.get(&socket.cookie);
                socket.earlier = earlier.map(|earlier| Earlier { ago: span, ..*earlier });
            }
            let udp: FxHashMap<_, _> =
                first.datagrams.iter().map(|socket| (socket.cookie, socket.drops)).collect();
            for socket in &mut evidence.datagrams {
                socket.drops_before = udp.get(&socket.cookie).copied();
            }
            let netlink: FxHashMap<_, _> =
                first.netlink.iter().map(|socket| (socket.inode, socket.drops)).collect();
            for socket in &mut evidence.netlink {
                // Only those that have dropped something are kept.
                socket.drops_before = Some(netlink.get(&socket.inode).copied().unwrap_or(0));
            }
        }
        for listener in &mut evidence.unix_listeners {
            let least = unix_waiting.get(&listener.inode).copied();
            listener.least_waiting = least.unwrap_or(listener.waiting);
        }
        processes::add(&mut evidence, owners, homes);
        for process in evidence.processes.known.values_mut() {
            process.growth = growing.and_then(|all| all.of(process.pid, owners));
        }
        evidence
    }
}

/// How far apart the looks of a watch of this length are, when each costs so much.
pub fn interval(span: Duration, cost: Duration) -> Duration {
    (span / (LOOKS_BETWEEN + 1)).max(cost * LOAD).max(Duration::from_millis(200))
}

impl Look {
    /// Whether something waits that may have come this very moment.
    fn is_suspicious(&self) -> bool {
        /// Less is in flight in any host that works.
        const WAITING_BYTES: u32 = 2048;
        self.tcp.kept.iter().any(|socket| match socket.state {
            State::Listen => socket.recv_q > 1,
            State::SynSent | State::SynRecv => false,
            _ => socket.recv_q >= WAITING_BYTES && socket.inode.0 != 0,
        }) || self.unix_listeners.iter().any(|listener| listener.waiting > 1)
            || self.datagrams.iter().any(|socket| socket.recv_q > 0 && socket.drops > 0)
    }
}
