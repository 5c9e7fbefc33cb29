//! `--window`: a listing that also holds the TCP sockets that are gone by the time it is made.
//!
//! They are watched first and listed afterwards, so that each is there once: as a socket if the
//! kernel still had it, as a row of its own if not.

use std::cell::RefCell;
use std::time::Duration;

use anyhow::Context;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{CANNOT_WRITE, Session, SnapshotError};
use crate::cli::select::Select;
use crate::event::{self, Event, Life, Protocol, ResetReason, What};
use crate::filter::{Missing, Occurred};
use crate::live::signals::HeldSignals;
use crate::live::window::Window;
use crate::netns;
use crate::owner::Owners;
use crate::render::output::Output;
use crate::say::complain;
use crate::socket::{
    Cookie, Family, Gone, Inet, InetExt, Inode, PastOwner, Socket, State, Table, Timer,
};
use crate::trace::{LogLevel, Losses, RingSize, TracePlan, Wanted};

/// Sockets that were listed, so that they are not listed again when they go.
#[derive(Debug, Default)]
pub(super) struct Listings(RefCell<FxHashSet<Cookie>>);

impl Listings {
    /// A TIME-WAIT socket has the cookie of the one whose place it took: that one is gone.
    pub(super) fn note(&self, socket: &Socket<'_>) {
        if let Socket::Inet(socket) = socket
            && socket.state != State::TimeWait
        {
            self.0.borrow_mut().insert(socket.cookie);
        }
    }

    fn has(&self, cookie: Option<Cookie>) -> bool {
        cookie.is_some_and(|cookie| self.0.borrow().contains(&cookie))
    }
}

/// Watches TCP in the network namespace of this thread for so long, or until a signal.
pub(super) fn watch(
    select: &Select,
    duration: Duration,
    ring_size: RingSize,
) -> Result<Window, SnapshotError> {
    if ![Table::Tcp, Table::Mptcp].iter().any(|table| select.tables.contains(*table)) {
        complain("only TCP and MPTCP sockets are watched: no other that goes will be listed");
    }
    let signals = HeldSignals::hold();
    let mut window = Window::open(&TracePlan {
        wanted: Wanted::Lives,
        netns: netns::current().and_then(|id| u32::try_from(id.0).ok()),
        family: None,
        probe: None,
        ring_size,
        log: LogLevel::Off,
        verifier_log: false,
    })?;
    window.tracer().missing().iter().for_each(|what| complain(what));
    complain(&format!(
        "tracing TCP in this network namespace for {duration:?}; Ctrl-C lists at once"
    ));
    window.wait(duration, &signals);
    Ok(window)
}

impl Session {
    /// Lists what has gone, but for what was listed when it was still there; what is
    /// not known of it.
    pub(super) fn list_gone(
        &self,
        window: Window,
        owners: Option<&Owners>,
        output: &mut Output<'_, '_>,
    ) -> Result<Losses, SnapshotError> {
        let missing = Missing::default();
        let around = self.around(owners, &missing);
        let reasons: FxHashMap<u32, String> =
            window.tracer().reset_reasons().map(|(id, name)| (id.0, name.to_owned())).collect();
        let reason = |id: ResetReason| reasons.get(&id.0).map(String::as_str);
        let (ended, losses) = window.close()?;
        for loss in losses.since(&Losses::default()) {
            complain(&loss.to_string());
        }
        for event in &ended {
            let What::Life(life) = &event.what else { continue };
            if self.listed.as_ref().is_some_and(|listed| listed.has(event.socket.cookie)) {
                continue;
            }
            let gone = gone(event, life);
            let occurred = Occurred { event, around, reason: &reason };
            if self.shows(&gone, life)
                && self.expr.as_ref().is_none_or(|expr| expr.matches(&occurred))
            {
                output.socket(&Socket::Inet(gone)).context(CANNOT_WRITE)?;
            }
        }
        Ok(losses)
    }

    /// Whether it is of what is listed. A state is meant that it was in.
    fn shows(&self, socket: &Inet<'_>, life: &Life) -> bool {
        let select = &self.plan.select;
        select.tables.contains(socket.table)
            && select.families.contains(socket.family)
            && life.path().states().any(|state| select.states.contains(state))
    }
}

/// A life as the row of a socket.
fn gone<'a>(event: &'a Event, life: &Life) -> Inet<'a> {
    let subject = &event.socket;
    let owner = subject.owner.as_ref();
    let gone = Gone {
        lived: life.duration(event.at),
        end: life.ending.end().name(),
        owner: owner.map(|owner| PastOwner { pid: owner.pid, uid: owner.uid, comm: owner.comm() }),
    };
    Inet {
        table: match subject.protocol {
            Protocol::Tcp => Table::Tcp,
            Protocol::Mptcp => Table::Mptcp,
        },
        family: match subject.family {
            event::Family::Inet => Family::Inet,
            event::Family::Inet6 => Family::Inet6,
        },
        state: State::Close,
        local: subject.local,
        peer: subject.peer,
        ifindex: subject.ifindex,
        cookie: subject.cookie.unwrap_or_default(),
        recv_queue: 0,
        send_queue: 0,
        uid: owner.map_or(0, |owner| owner.uid),
        inode: Inode(0),
        timer: Timer::default(),
        ext: InetExt { gone: Some(gone), ..InetExt::default() },
    }
}
