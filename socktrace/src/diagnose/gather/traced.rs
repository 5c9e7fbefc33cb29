//! What happens while it is watched: events of the tracer, added up.

use std::net::IpAddr;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::diagnose::evidence::{
    Churn, ConnectError, FailedConnects, Resets, Retransmits, Traced, Worker,
};
use crate::event::{Direction, End, Event, Life, Opener, Owner, Resent, Subject, What};
use crate::socket::{InetEnd, NetnsId, State};
use crate::trace::{
    LogLevel, Losses, Record, Refusal, RingSize, Seeding, TracePlan, Tracer, Wanted,
};

/// Sums of one kind that are kept; what goes beyond is counted as lost.
const MOST: usize = 65_536;
/// Who gives a connect up sooner has tried several addresses at once, and another was faster.
const PATIENCE: Duration = Duration::from_secs(1);

/// A trace in progress.
pub struct Recorder {
    tracer: Tracer,
    /// Goes on in the background: it ends with the trace.
    _seeding: Option<Seeding>,
    only: Option<NetnsId>,
    sums: Sums,
}

/// What a trace came to.
pub struct Recorded {
    sums: Sums,
    lost: u64,
}

type Place = (InetEnd, Option<Worker>);

/// The sums, each with the namespace of its sockets; 0 where the kernel does not tell it.
#[derive(Default)]
struct Sums {
    failed: FxHashMap<(NetnsId, Place, ConnectError), u64>,
    churn: FxHashMap<(NetnsId, Place), (u64, Duration)>,
    retransmits: FxHashMap<(NetnsId, IpAddr, Option<Worker>), (u64, u64)>,
    /// By local end, peer, whether it was sent, and whether there was no socket.
    resets: FxHashMap<(NetnsId, InetEnd, IpAddr, bool, bool), u64>,
    beyond: u64,
}

impl Recorder {
    /// Attaches: what happens from here on counts, if need be in `only` that namespace. Of connects
    /// that fail those of all count, because the client of a service may be elsewhere.
    pub fn start(only: Option<NetnsId>) -> Result<Recorder, Refusal> {
        let (tracer, seeding) = Tracer::start(&TracePlan {
            wanted: Wanted::Digest,
            netns: None,
            family: None,
            probe: None,
            ring_size: RingSize::DEFAULT,
            log: LogLevel::Off,
            verifier_log: false,
        })?;
        Ok(Recorder { tracer, _seeding: seeding, only, sums: Sums::default() })
    }

    /// Takes what has happened.
    pub fn drain(&mut self) {
        while let Some(record) = self.tracer.next_record() {
            if let Record::Event { event, .. } = record.decode() {
                self.sums.add(&event, self.only);
            }
        }
    }

    /// Detaches.
    pub fn finish(mut self) -> Recorded {
        self.tracer.detach();
        self.drain();
        let lost = self.tracer.losses().map_or(0, |losses: Losses| losses.lost());
        Recorded { lost: lost + self.sums.beyond, sums: self.sums }
    }
}

impl Recorded {
    /// What happened in a namespace, and which connects failed elsewhere.
    pub fn of(&self, here: Option<NetnsId>) -> Traced {
        let Recorded { sums, lost } = self;
        let is_here = |netns: NetnsId| is_in(netns, here);
        let failed = sums.failed.iter().map(|((netns, (peer, worker), error), &count)| {
            let (worker, is_here) = (worker.clone(), is_here(*netns));
            FailedConnects { peer: *peer, error: *error, worker, is_here, count }
        });
        let churn = sums.churn.iter().filter(|((netns, _), _)| is_here(*netns));
        let churn = churn.map(|((_, (peer, worker)), &(count, lived))| Churn {
            peer: *peer,
            worker: worker.clone(),
            count,
            lived,
        });
        let retransmits = sums.retransmits.iter().filter(|((netns, ..), _)| is_here(*netns));
        let retransmits = retransmits.map(|((_, peer, worker), &(count, syns))| Retransmits {
            peer: *peer,
            worker: worker.clone(),
            count,
            syns,
        });
        let resets = sums.resets.iter().filter(|((netns, ..), _)| is_here(*netns));
        let resets = resets.map(|((_, local, peer, is_sent, is_refusal), &count)| Resets {
            local: *local,
            peer: *peer,
            is_refusal: *is_refusal,
            is_sent: *is_sent,
            count,
        });
        Traced {
            failed_connects: failed.collect(),
            churn: churn.collect(),
            retransmits: retransmits.collect(),
            resets: resets.collect(),
            lost: *lost,
        }
    }
}

/// Of a segment without a socket, not every kernel tells where it was.
fn is_in(netns: NetnsId, here: Option<NetnsId>) -> bool {
    here.is_none_or(|here| netns.0 == 0 || netns == here)
}

impl Sums {
    fn add(&mut self, event: &Event, only: Option<NetnsId>) {
        let socket = &event.socket;
        let netns = NetnsId(u64::from(socket.netns));
        let is_wanted = is_in(netns, only);
        match &event.what {
            What::Life(life) => self.life(event, socket, life, netns, is_wanted),
            What::Retransmission(again) if is_wanted => {
                let key = (netns, socket.peer.addr.to_canonical(), worker(socket.owner.as_ref()));
                if let Some((count, syns)) = slot(&mut self.retransmits, key, &mut self.beyond) {
                    *count += 1;
                    *syns += u64::from(again.kind != Resent::Data);
                }
            }
            What::Reset(reset) if is_wanted => {
                let key = (
                    netns,
                    canonical(socket.local),
                    socket.peer.addr.to_canonical(),
                    reset.direction == Direction::Sent,
                    reset.state.is_none(),
                );
                if let Some(count) = slot(&mut self.resets, key, &mut self.beyond) {
                    *count += 1;
                }
            }
            What::Retransmission(_) | What::Reset(_) | What::Transition(_) => {}
        }
    }

    fn life(
        &mut self,
        event: &Event,
        socket: &Subject,
        life: &Life,
        netns: NetnsId,
        is_wanted: bool,
    ) {
        let is_active = life.ending.opener == Some(Opener::Active);
        let duration = life.duration(event.at);
        let place = || (canonical(socket.peer), worker(socket.owner.as_ref()));
        if life.ending.last == State::SynSent {
            let has_port = socket.local.port != 0;
            let Some(error) = failure(life, duration, has_port) else { return };
            let key = (netns, place(), error);
            if let Some(count) = slot(&mut self.failed, key, &mut self.beyond) {
                *count += 1;
            }
        } else if let (true, true, Some(duration)) = (is_active, is_wanted, duration)
            && let Some((count, lived)) = slot(&mut self.churn, (netns, place()), &mut self.beyond)
        {
            *count += 1;
            *lived += duration;
        }
    }
}

/// The sum under a key; `None` if there are too many sums.
fn slot<'s, K: std::hash::Hash + Eq, V: Default>(
    sums: &'s mut FxHashMap<K, V>,
    key: K,
    beyond: &mut u64,
) -> Option<&'s mut V> {
    if sums.len() >= MOST && !sums.contains_key(&key) {
        *beyond += 1;
        return None;
    }
    Some(sums.entry(key).or_default())
}

/// Why a connect failed; `None` if nobody waited for it.
fn failure(life: &Life, duration: Option<Duration>, has_port: bool) -> Option<ConnectError> {
    match life.ending.end() {
        End::Refused => Some(ConnectError::Refused),
        End::Timeout => Some(ConnectError::TimedOut),
        End::Unreachable => Some(ConnectError::Unreachable),
        End::Reset => Some(ConnectError::Reset),
        // The kernel chooses the port after it has entered SYN-SENT, and leaves it without one.
        End::Aborted if !has_port => Some(ConnectError::NoPort),
        End::Aborted if duration.is_some_and(|waited| waited >= PATIENCE) => {
            Some(ConnectError::GivenUp)
        }
        End::Aborted | End::Closed => None,
    }
}

fn canonical(end: InetEnd) -> InetEnd {
    InetEnd { addr: end.addr.to_canonical(), ..end }
}

fn worker(owner: Option<&Owner>) -> Option<Worker> {
    let owner = owner?;
    Some(Worker { pid: owner.pid, comm: owner.comm().to_vec(), uid: owner.uid })
}
