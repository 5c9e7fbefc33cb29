//! What happens while it is watched: events of the tracer, added up.

use std::net::IpAddr;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::diagnose::evidence::{
    Churn, ConnectError, FailedConnects, Resets, Retransmits, Traced, Worker,
};
use crate::event::{Direction, End, Event, Life, Opener, Owner, Resent, Subject, What};
use crate::netns;
use crate::socket::{InetEnd, State};
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
    here: Option<u32>,
    sums: Sums,
}

type Place = (InetEnd, Option<Worker>);

#[derive(Default)]
struct Sums {
    failed: FxHashMap<(Place, ConnectError, bool), u64>,
    churn: FxHashMap<Place, (u64, Duration)>,
    retransmits: FxHashMap<(IpAddr, Option<Worker>), (u64, u64)>,
    /// By local end, peer, whether it was sent, and whether there was no socket.
    resets: FxHashMap<(InetEnd, IpAddr, bool, bool), u64>,
    beyond: u64,
}

impl Recorder {
    /// Attaches: what happens from here on counts, in all network namespaces, because a client of
    /// this one may be in another.
    pub fn start() -> Result<Recorder, Refusal> {
        let (tracer, seeding) = Tracer::start(&TracePlan {
            wanted: Wanted::Digest,
            netns: None,
            family: None,
            probe: None,
            ring_size: RingSize::DEFAULT,
            log: LogLevel::Off,
            verifier_log: false,
        })?;
        let here = netns::current().and_then(|id| u32::try_from(id.0).ok());
        Ok(Recorder { tracer, _seeding: seeding, here, sums: Sums::default() })
    }

    /// Takes what has happened.
    pub fn drain(&mut self) {
        while let Some(record) = self.tracer.next_record() {
            if let Record::Event(event) = record {
                self.sums.add(&event, self.here);
            }
        }
    }

    /// Detaches, and adds up.
    pub fn finish(mut self) -> Traced {
        self.tracer.detach();
        self.drain();
        let lost = self.tracer.losses().map_or(0, |losses: Losses| losses.lost());
        self.sums.traced(lost)
    }
}

impl Sums {
    fn add(&mut self, event: &Event, here: Option<u32>) {
        let socket = &event.socket;
        // Of a segment without a socket, not every kernel tells where it was.
        let is_here = here.is_none_or(|here| socket.netns == 0 || socket.netns == here);
        match &event.what {
            What::Life(life) => self.life(event, socket, life, is_here),
            What::Retransmission(again) if is_here => {
                let key = (socket.peer.addr.to_canonical(), worker(socket.owner.as_ref()));
                if let Some((count, syns)) = slot(&mut self.retransmits, key, &mut self.beyond) {
                    *count += 1;
                    *syns += u64::from(again.kind != Resent::Data);
                }
            }
            What::Reset(reset) if is_here => {
                let key = (
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

    fn life(&mut self, event: &Event, socket: &Subject, life: &Life, is_here: bool) {
        let is_active = life.ending.opener == Some(Opener::Active);
        let duration = life.duration(event.at);
        let place = || (canonical(socket.peer), worker(socket.owner.as_ref()));
        if life.ending.last == State::SynSent {
            let has_port = socket.local.port != 0;
            let Some(error) = failure(life, duration, has_port) else { return };
            let key = (place(), error, is_here);
            if let Some(count) = slot(&mut self.failed, key, &mut self.beyond) {
                *count += 1;
            }
        } else if let (true, true, Some(duration)) = (is_active, is_here, duration)
            && let Some((count, lived)) = slot(&mut self.churn, place(), &mut self.beyond)
        {
            *count += 1;
            *lived += duration;
        }
    }

    fn traced(self, lost: u64) -> Traced {
        let failed = self.failed.into_iter().map(|(((peer, worker), error, is_here), count)| {
            FailedConnects { peer, error, worker, is_here, count }
        });
        let churn = self.churn.into_iter().map(|((peer, worker), (count, lived))| Churn {
            peer,
            worker,
            count,
            lived,
        });
        let retransmits = self
            .retransmits
            .into_iter()
            .map(|((peer, worker), (count, syns))| Retransmits { peer, worker, count, syns });
        let resets = self.resets.into_iter().map(|((local, peer, is_sent, is_refusal), count)| {
            Resets { local, peer, is_refusal, is_sent, count }
        });
        Traced {
            failed_connects: failed.collect(),
            churn: churn.collect(),
            retransmits: retransmits.collect(),
            resets: resets.collect(),
            lost: lost + self.beyond,
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
