//! An event of a trace as the subject of a filter: a change of state, a retransmission, a reset, or
//! a whole life.

use super::listed::{Surroundings, is_at_or_below, units};
use super::subject::{Name, Number, StateOf, Subject};
use crate::container::Home;
use crate::event::{Event, Life, Owner, Protocol, ResetReason, Traffic, What};
use crate::socket::{self, StateSet, Table, UnixFile};

/// An event in its surroundings.
#[derive(Clone, Copy)]
pub struct Occurred<'a> {
    pub event: &'a Event,
    pub around: Surroundings<'a>,
    /// The name of a reason for a reset, as this kernel numbers them.
    pub reason: &'a dyn Fn(ResetReason) -> Option<&'a str>,
}

impl<'a> Occurred<'a> {
    fn owner(&self) -> Option<&'a Owner> {
        self.event.socket.owner.as_ref()
    }

    fn life(&self) -> Option<&'a Life> {
        match &self.event.what {
            What::Life(life) => Some(life),
            _ => None,
        }
    }

    /// The kernel's counters, where the event has them.
    fn traffic(&self) -> Option<&'a Traffic> {
        match &self.event.what {
            What::Transition(step) => step.traffic.as_ref(),
            What::Life(life) => Some(&life.traffic),
            What::Retransmission(_) | What::Reset(_) => None,
        }
    }

    fn number(&self, of: Number) -> Option<u64> {
        let us = |us: u32| u64::from(us) * 1000;
        let socket = &self.event.socket;
        match of {
            Number::Pid => self.owner().map(|owner| owner.pid.into()),
            Number::Uid => self.owner().map(|owner| owner.uid.into()),
            Number::Gid => self.around.facts?.group_of(self.owner()?.pid).map(u64::from),
            Number::Cookie => socket.cookie.map(|cookie| cookie.0),
            Number::Netns => Some(socket.netns.into()).filter(|netns| *netns != 0),
            Number::Rtt => self.traffic()?.rtt.map(|rtt| us(rtt.us)),
            Number::RttVar => self.traffic()?.rtt.map(|rtt| us(rtt.var_us)),
            Number::MinRtt => self.traffic()?.min_rtt_us.map(us),
            Number::Rto => match &self.event.what {
                What::Retransmission(resent) => resent.rto.map(nanoseconds),
                _ => None,
            },
            Number::Retrans => match &self.event.what {
                What::Retransmission(resent) => Some(resent.total.into()),
                _ => self.traffic().map(|traffic| traffic.total_retrans.into()),
            },
            Number::Sent => match self.life() {
                Some(life) => Some(life.bytes_sent()),
                None => self.traffic().map(|t| t.bytes_sent.saturating_sub(t.bytes_retrans)),
            },
            Number::Received => match self.life() {
                Some(life) => Some(life.bytes_received()),
                None => self.traffic().map(|traffic| traffic.bytes_received),
            },
            Number::Duration | Number::Age => match &self.event.what {
                What::Life(life) => life.duration(self.event.at).map(nanoseconds),
                What::Transition(step) if of == Number::Duration => step.held.map(nanoseconds),
                _ => None,
            },
            Number::Inode
            | Number::ReceiveQueue
            | Number::SendQueue
            | Number::Backlog
            | Number::Cwnd
            | Number::Mss
            | Number::Lost
            | Number::LastSent
            | Number::LastReceived
            | Number::Idle
            | Number::Tos
            | Number::Priority => None,
        }
    }
}

impl Subject for Occurred<'_> {
    fn table(&self) -> Table {
        match self.event.socket.protocol {
            Protocol::Tcp => Table::Tcp,
            Protocol::Mptcp => Table::Mptcp,
        }
    }

    fn ip_protocol(&self) -> Option<u16> {
        self.table().ip_protocol()
    }

    fn local(&self) -> socket::End<'_> {
        socket::End::Inet(self.event.socket.local)
    }

    fn peer(&self) -> socket::End<'_> {
        socket::End::Inet(self.event.socket.peer)
    }

    fn is_ephemeral(&self, port: u16) -> bool {
        self.around.ports.is_some_and(|ports| ports.contains(port))
    }

    fn ifindex(&self) -> u32 {
        self.event.socket.ifindex
    }

    /// A trace tells no mark.
    fn mark(&self) -> u32 {
        0
    }

    fn cgroup_id(&self) -> u64 {
        self.owner().map_or(0, |owner| owner.cgroup_id)
    }

    fn states(&self, of: StateOf) -> StateSet {
        let one = |state| StateSet::of(&[state]);
        match (&self.event.what, of) {
            (What::Transition(step), StateOf::Old) => one(step.old),
            (What::Transition(step), StateOf::Now | StateOf::New) => one(step.new),
            (What::Retransmission(resent), StateOf::Now) => one(resent.state),
            (What::Reset(reset), StateOf::Now) => reset.state.map_or(StateSet::EMPTY, one),
            (What::Life(life), StateOf::Now) => {
                life.path().states().fold(StateSet::EMPTY, |states, state| states.union(one(state)))
            }
            _ => StateSet::EMPTY,
        }
    }

    fn any_number(&self, of: Number, test: &mut dyn FnMut(u64) -> bool) -> bool {
        self.number(of).is_some_and(test)
    }

    fn any_name(&self, of: Name, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let cgroup = || self.around.facts?.cgroup_path(self.owner()?.cgroup_id);
        let reason = || {
            let reason = match &self.event.what {
                What::Reset(reset) => reset.reason,
                What::Life(life) => life.ending.reason,
                What::Transition(_) | What::Retransmission(_) => None,
            };
            (self.reason)(reason?)
        };
        match of {
            Name::Comm => self.owner().is_some_and(|owner| test(owner.comm())),
            Name::Cgroup => cgroup().is_some_and(|path| is_at_or_below(path, test)),
            Name::Unit => cgroup().is_some_and(|path| units(path).any(test)),
            Name::Reason => reason().is_some_and(|name| test(name.as_bytes())),
            Name::Opened => {
                let opener = self.life().and_then(|life| life.ending.opener);
                opener.is_some_and(|opener| test(opener.name().as_bytes()))
            }
            Name::End => self.life().is_some_and(|life| test(life.ending.end().name().as_bytes())),
            Name::CongestionControl | Name::Container | Name::Pod | Name::Path | Name::Timer => {
                false
            }
        }
    }

    fn any_home(&self, test: &mut dyn FnMut(&Home) -> bool) -> bool {
        let (Some(homes), Some(owner)) = (self.around.homes, self.owner()) else { return false };
        match self.around.facts.and_then(|facts| facts.cgroup_path(owner.cgroup_id)) {
            Some(path) => test(&homes.of_cgroup(path)),
            // A cgroup that is newer than the trace: its process may still be there.
            None => homes.of_process(owner.pid).is_some_and(|home| test(&home)),
        }
    }

    fn file(&self) -> Option<UnixFile> {
        None
    }
}

fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
