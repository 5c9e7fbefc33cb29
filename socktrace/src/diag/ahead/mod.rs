//! Several dumps, in their order, read ahead of whoever consumes them once they take long.
//!
//! The kernel makes a dump on the thread that reads it, and walks the whole table for each family.
//! So where there is much to list, a thread per dump reads while this one decodes and formats, or
//! still collects what it needs for that; a small listing never starts one. Where few TCP sockets are
//! of IPv6, one walk is for both families: a second would keep a core from whoever formats. Sockets
//! that listen or are only bound come from a walk of their own beside that over connections.

mod dumps;
mod kept;
mod tcp;

use std::time::{Duration, Instant};

pub use self::dumps::Room;
use self::dumps::{Begun, Dumps, Share};
use self::kept::Kept;
use self::tcp::Answers;
pub use self::tcp::FamilyWalks;
use super::inet::{self, Extensions, Request};
use super::transport::{DiagError, DiagSocket, DumpEnd};
use crate::socket::{Family, Inet, StateSet, Table};

/// How long dumps may take before threads are worth their start.
const PATIENCE: Duration = Duration::from_millis(2);
/// For sockets of IPv6 that come with those of IPv4.
const KEPT_IPV6_BYTES: usize = 256 << 10;

/// Every socket of a table, of either family.
pub fn each_inet(
    table: Table,
    states: StateSet,
    extensions: Extensions,
    each: &mut dyn FnMut(&Inet<'_>),
) -> anyhow::Result<()> {
    let request = Request { table, states, extensions, bytecode: None, bpf_storage: None };
    let requests: Result<Vec<_>, DiagError> =
        [Family::Inet, Family::Inet6].into_iter().map(|family| request.encode(family)).collect();
    let ends = dump_all(&requests?, &mut |message| {
        inet::decode(table, message).iter().for_each(&mut *each);
        Ok(())
    })?;
    // One family may be missing; both may not.
    let mut ends = ends.into_iter();
    let first = ends.next().transpose();
    if ends.all(|end| end.is_err()) {
        first?;
    }
    Ok(())
}

/// Runs dumps and hands each socket message's payload to `each`. How each dump ended, in their
/// order; an error of `each` ends everything. Threads read once that has taken long.
pub fn dump_all(
    requests: &[Vec<u8>],
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
    let mut ends = Vec::with_capacity(requests.len());
    let started = Instant::now();
    // There may be no more threads to be had.
    let mut is_alone = false;
    for (number, request) in requests.iter().enumerate() {
        let mut begun = match begin(request) {
            Ok(begun) => begun,
            Err(error) => {
                ends.push(Err(error));
                continue;
            }
        };
        let end = loop {
            if started.elapsed() > PATIENCE && !is_alone {
                let mut dumps = Dumps::new();
                match dumps.go_on(begun) {
                    Ok(()) => {
                        let later = &requests[number + 1..];
                        let begun = later.iter().take_while(|request| {
                            let request = (*request).clone();
                            dumps.begin(
                                Box::new(move || begin(&request)),
                                Room::SMALL,
                                Share::Spare,
                            )
                        });
                        let rest = &later[begun.count()..];
                        for number in 0..dumps.len() {
                            ends.push(unless_sink(dumps.consume(number, each))?);
                        }
                        ends.extend(dump_all(rest, each)?);
                        return Ok(ends);
                    }
                    Err(back) => (begun, is_alone) = (back, true),
                }
            }
            let Begun { diag, walk } = &mut begun;
            let step = diag.receive().and_then(|bytes| walk.read(bytes, each));
            match step {
                Ok(None) => {}
                Ok(Some(end)) => break Ok(end),
                Err(error) => break Err(error),
            }
        };
        ends.push(unless_sink(end)?);
    }
    Ok(ends)
}

/// Dumps that were begun before anyone consumes them.
pub struct Ahead {
    requests: Vec<Vec<u8>>,
    /// Which requests each of the dumps answers.
    answers: Vec<Answers>,
    dumps: Dumps,
}

impl Ahead {
    /// Begins them; `None` where there are no more threads to be had.
    pub fn begin(requests: Vec<Vec<u8>>, families: FamilyWalks, room: Room) -> Option<Ahead> {
        let unconnected_apart = || room.is_for_early_ones() && tcp::kernel_shows_bound();
        let mut dumps = Dumps::new();
        let mut answers = Vec::new();
        for planned in tcp::plan(&requests, families, unconnected_apart) {
            let share = match planned.answers {
                Answers::Request(number) if number > 0 => Share::Spare,
                _ => Share::Full,
            };
            answers.push(planned.answers);
            let begin = move || match planned.answers {
                Answers::BothFamilies => begin_both(&planned.request),
                Answers::Request(_) => begin(&planned.request),
            };
            if !dumps.begin(Box::new(begin), room, share) {
                return None;
            }
        }
        Some(Ahead { requests, answers, dumps })
    }

    pub fn is_of(&self, requests: &[Vec<u8>]) -> bool {
        self.requests == requests
    }

    /// As [`dump_all`] does. What is of IPv6 among IPv4 is kept until its turn, or asked for again if
    /// it is more than expected.
    pub fn consume(
        self,
        each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Result<DumpEnd, DiagError>>> {
        let Ahead { requests, answers, mut dumps } = self;
        let mut ends: Vec<_> = requests.iter().map(|_| Ok(DumpEnd::Whole)).collect();
        let mut has_begun = false;
        let mut ipv6 = Kept::new(KEPT_IPV6_BYTES);
        let mut is_ipv6_whole = true;
        for (dump, answers) in answers.into_iter().enumerate() {
            match answers {
                Answers::BothFamilies => {
                    let end = dumps.consume(dump, &mut |message| {
                        has_begun = true;
                        if !tcp::is_ipv6(message) {
                            return each(message);
                        }
                        is_ipv6_whole &= ipv6.has_room();
                        if is_ipv6_whole {
                            ipv6.keep(message);
                        }
                        Ok(())
                    });
                    let end = unless_sink(end)?;
                    if end.is_err() && !has_begun {
                        return dump_all(&requests, each);
                    }
                    is_ipv6_whole &= end.is_ok();
                    if let Ok(end) = end {
                        join(&mut ends[1], Ok(end));
                    }
                    join(&mut ends[0], end);
                }
                Answers::Request(number) => {
                    if number > 0 {
                        if !is_ipv6_whole {
                            continue;
                        }
                        take_all(&mut ipv6, each)?;
                    }
                    join(&mut ends[number], unless_sink(dumps.consume(dump, each))?);
                }
            }
        }
        if is_ipv6_whole {
            take_all(&mut ipv6, each)?;
        } else {
            ends.truncate(1);
            ends.extend(dump_all(&requests[1..], each)?);
        }
        Ok(ends)
    }
}

fn begin(request: &[u8]) -> Result<Begun, DiagError> {
    let mut diag = DiagSocket::open()?;
    let walk = diag.begin(request)?;
    Ok(Begun { diag, walk })
}

fn begin_both(request: &[u8]) -> Result<Begun, DiagError> {
    let mut diag = DiagSocket::open()?;
    let walk = diag.begin_both(request)?;
    Ok(Begun { diag, walk })
}

/// How the dumps of one request ended, together.
fn join(end: &mut Result<DumpEnd, DiagError>, more: Result<DumpEnd, DiagError>) {
    if matches!(end, Ok(DumpEnd::Whole)) || more.is_err() && end.is_ok() {
        *end = more;
    }
}

fn take_all(
    kept: &mut Kept,
    each: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    while let Some(taken) = kept.take_some(&mut |message| each(message)) {
        taken?;
    }
    Ok(())
}

/// The error of a sink is not one of the dump.
fn unless_sink(end: Result<DumpEnd, DiagError>) -> anyhow::Result<Result<DumpEnd, DiagError>> {
    match end {
        Err(DiagError::Sink(error)) => Err(error),
        end => Ok(end),
    }
}
