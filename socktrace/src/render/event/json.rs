//! Events as JSON: the names are those of listings, where they say the same thing.

use super::places::Places;
use super::{EventPrinter, errno, micros, since_boot};
use crate::event::{
    Bytes, Counted, Event, Life, Loss, Reset, Retransmission, Side, Subject, Traffic, Transition,
    What,
};
use crate::filter::Transport;
use crate::names::Names;
use crate::render::json::Object;
use crate::render::json::address::inet_end;
use crate::render::json::home::home;
use crate::socket::InetEnd;

impl EventPrinter {
    pub(super) fn json_event(&mut self, out: &mut Vec<u8>, event: &Event) {
        let mut object = Object::new(out);
        object.value(
            "event",
            match &event.what {
                What::Transition(_) => "state",
                What::Retransmission(_) => "retransmit",
                What::Reset(_) => "reset",
                What::Life(_) => "life",
            },
        );
        let unix_us = self.clock.unix_us(event.at);
        self.json_clock.write(&mut object, unix_us);
        subject(&mut object, &event.socket, &mut self.places, self.names.as_ref());
        match &event.what {
            What::Transition(step) => transition(&mut object, step),
            What::Retransmission(again) => retransmission(&mut object, again),
            What::Reset(reset) => self.json_reset(&mut object, reset),
            What::Life(life) => self.json_life(&mut object, event, life),
        }
        drop(object);
        out.push(b'\n');
    }

    pub(super) fn json_counted(&mut self, out: &mut Vec<u8>, counted: &Counted) {
        let mut object = Object::new(out);
        object.value("event", "retransmit_count");
        subject(&mut object, &counted.socket, &mut self.places, self.names.as_ref());
        object.value("retransmits", counted.total());
        object.value("data", counted.data);
        object.value("syn", counted.syn);
        object.value("synack", counted.synack);
        object.value("length", counted.bytes);
        drop(object);
        out.push(b'\n');
    }

    pub(super) fn json_loss(&mut self, out: &mut Vec<u8>, loss: &Loss) {
        let unix_us = self.clock.unix_us(since_boot());
        let mut object = Object::new(out);
        object.value("event", "lost");
        self.json_clock.write(&mut object, unix_us);
        object.value("cause", loss.cause.name());
        object.known("cpu", loss.cpu);
        object.value("count", loss.count);
        drop(object);
        out.push(b'\n');
    }

    fn json_reset(&self, object: &mut Object<'_>, reset: &Reset) {
        object.value("direction", reset.direction.name());
        object.known("reason", reset.reason.and_then(|reason| self.reason(reason)));
        object.known("state", reset.state.map(|state| state.name()));
    }

    fn json_life(&mut self, object: &mut Object<'_>, event: &Event, life: &Life) {
        let ending = &life.ending;
        if let Some(opened) = life.opened {
            object.value("opened_unix_us", self.clock.unix_us(opened));
        }
        object.known("duration_us", life.duration(event.at).map(micros));
        object.known("opened", ending.opener.map(|opener| opener.name()));
        object.known("connect_us", life.connect_latency().map(micros));
        if life.bytes() != Bytes::Unknown {
            object.value("bytes_sent", life.bytes_sent());
            object.value("bytes_received", life.bytes_received());
        }
        object.value("bytes", life.bytes().name());
        counters(object, &life.traffic);
        object.words("states", life.path().states().map(|state| state.name()));
        object.value("end", ending.end().name());
        object.known("closed_by", ending.closed_by().map(|by| by.name()));
        object.known("reset_by", ending.reset_by().map(Side::name));
        object.known("reason", ending.reason.and_then(|reason| self.reason(reason)));
        object.known("error", errno(ending.error));
        if !life.subflows.is_empty() {
            let mut subflows = object.array("subflows");
            for (socket, traffic) in &life.subflows {
                let mut subflow = subflows.object();
                subflow.known("cookie", socket.cookie.map(|cookie| cookie.0));
                end(&mut subflow, "local", &socket.local, socket.ifindex, self.names.as_ref());
                end(&mut subflow, "peer", &socket.peer, 0, self.names.as_ref());
                counters(&mut subflow, traffic);
            }
        }
    }
}

fn subject(object: &mut Object<'_>, socket: &Subject, places: &mut Places, names: Option<&Names>) {
    object.value("netid", socket.protocol.name());
    object.value("family", socket.family.name());
    object.known("cookie", socket.cookie.map(|cookie| cookie.0));
    object.value("generation", socket.generation);
    object.known("netns", (socket.netns != 0).then_some(socket.netns));
    if let Some(name) = places.netns_name(socket) {
        object.bytes("netns_name", name);
    }
    let place = socket.owner.as_ref().and_then(|owner| places.home_to_tell(owner));
    if let Some(place) = &place {
        home(object, place);
    }
    end(object, "local", &socket.local, socket.ifindex, names);
    end(object, "peer", &socket.peer, 0, names);
    if let Some(connection) = socket.subflow_of {
        object.value("subflow", true);
        object.known("mptcp_cookie", connection.cookie.map(|cookie| cookie.0));
    }
    let mut owners = object.array("owners");
    if let Some(owner) = &socket.owner {
        let mut one = owners.object();
        one.value("pid", owner.pid);
        one.bytes("comm", owner.comm());
        one.value("uid", owner.uid);
        one.value("cgroup_id", owner.cgroup_id);
        one.value("learnt", owner.learnt.name());
        if let Some(place) = &place {
            home(&mut one, place);
        }
    }
}

fn end(object: &mut Object<'_>, key: &str, end: &InetEnd, ifindex: u32, names: Option<&Names>) {
    let mut object = object.object(key);
    inet_end(&mut object, end);
    // The name would be one of this namespace; the socket may be in another.
    object.known("ifindex", (ifindex != 0).then_some(ifindex));
    let Some(names) = names else { return };
    let mut text = Vec::new();
    if names.host(end.addr, &mut text) {
        object.bytes("host", &text);
    }
    text.clear();
    names.port(end.port, Transport::Tcp, &mut text);
    if text.first().is_some_and(u8::is_ascii_alphabetic) {
        object.bytes("service", &text);
    }
}

fn transition(object: &mut Object<'_>, step: &Transition) {
    object.value("old_state", step.old.name());
    object.value("new_state", step.new.name());
    object.known("held_us", step.held.map(micros));
    object.known("error", errno(step.error));
    if let Some(traffic) = &step.traffic {
        let mut info = object.object("tcp_info");
        info.value("bytes_acked", traffic.bytes_acked);
        info.value("bytes_received", traffic.bytes_received);
        info.value("bytes_sent", traffic.bytes_sent);
        info.value("bytes_retrans", traffic.bytes_retrans);
        info.value("total_retrans", traffic.total_retrans);
        times(&mut info, traffic);
    }
}

fn retransmission(object: &mut Object<'_>, again: &Retransmission) {
    object.value("kind", again.kind.name());
    object.known("phase", again.phase.map(|phase| phase.name()));
    object.value("state", again.state.name());
    object.value("seq", again.sequence);
    object.value("length", again.length);
    object.value("segments", again.segments);
    object.value("ca_state", again.congestion.name());
    object.known("rto_us", again.rto.map(micros));
    object.value("retrans", again.total);
}

/// What the kernel counts alike for all.
fn counters(object: &mut Object<'_>, traffic: &Traffic) {
    object.value("bytes_retrans", traffic.bytes_retrans);
    object.value("retrans", traffic.total_retrans);
    times(object, traffic);
}

fn times(object: &mut Object<'_>, traffic: &Traffic) {
    object.known("rtt_us", traffic.rtt.map(|rtt| rtt.us));
    object.known("rttvar_us", traffic.rtt.map(|rtt| rtt.var_us));
    object.known("min_rtt_us", traffic.min_rtt_us);
}
