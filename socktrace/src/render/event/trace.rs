//! `trace`: a line for each event.

use super::row::{
    Column, Row, SOCKET, TIME, common_details, detail, milliseconds, milliseconds_of,
};
use super::{EventPrinter, write_errno};
use crate::event::{Event, Reset, Retransmission, Traffic, Transition};
use crate::render::number::unsigned;

pub(super) const COLUMNS: [Column; 11] = [
    TIME,
    SOCKET[0],
    SOCKET[1],
    SOCKET[2],
    SOCKET[3],
    SOCKET[4],
    SOCKET[5],
    SOCKET[6],
    ("From", 10),
    ("To", 10),
    ("Held(ms)", 9),
];

impl EventPrinter {
    fn begin<'a>(&mut self, out: &'a mut Vec<u8>, event: &Event) -> Row<'a> {
        let mut row = Row::new(out, &COLUMNS);
        row.field(|out| self.clock.write(out, event.at));
        row.socket(&event.socket, &mut self.places, self.names.as_ref());
        row
    }

    pub(super) fn transition(&mut self, out: &mut Vec<u8>, event: &Event, step: &Transition) {
        let mut row = self.begin(out, event);
        row.text(step.old.name());
        row.text(step.new.name());
        row.known(step.held, milliseconds);
        if step.error != 0 {
            detail(row.out, "error", |out| write_errno(out, step.error));
        }
        if let Some(traffic) = &step.traffic {
            counters(row.out, traffic);
        }
        common_details(row.out, event);
        row.finish();
    }

    pub(super) fn traced_retransmission(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
        again: &Retransmission,
    ) {
        let mut row = self.begin(out, event);
        row.text(again.state.name());
        row.text("retransmit");
        row.known(None::<()>, |_, ()| {});
        let out = &mut *row.out;
        detail(out, "kind", |out| out.extend_from_slice(again.kind.name().as_bytes()));
        if let Some(phase) = again.phase {
            detail(out, "phase", |out| out.extend_from_slice(phase.name().as_bytes()));
        }
        detail(out, "seq", |out| unsigned(out, again.sequence.into()));
        detail(out, "len", |out| unsigned(out, again.length.into()));
        detail(out, "retrans", |out| unsigned(out, again.total.into()));
        common_details(out, event);
        row.finish();
    }

    pub(super) fn reset(&mut self, out: &mut Vec<u8>, event: &Event, reset: &Reset) {
        let mut row = self.begin(out, event);
        row.known(reset.state, |out, state| out.extend_from_slice(state.name().as_bytes()));
        row.text("reset");
        row.known(None::<()>, |_, ()| {});
        detail(row.out, "direction", |out| {
            out.extend_from_slice(reset.direction.name().as_bytes());
        });
        if let Some(reason) = reset.reason {
            detail(row.out, "reason", |out| match self.reason(reason) {
                Some(name) => out.extend_from_slice(name.as_bytes()),
                None => unsigned(out, reason.0.into()),
            });
        }
        common_details(row.out, event);
        row.finish();
    }
}

fn counters(out: &mut Vec<u8>, traffic: &Traffic) {
    detail(out, "bytes_acked", |out| unsigned(out, traffic.bytes_acked));
    detail(out, "bytes_received", |out| unsigned(out, traffic.bytes_received));
    if traffic.total_retrans != 0 {
        detail(out, "retrans", |out| unsigned(out, traffic.total_retrans.into()));
    }
    if let Some(rtt) = traffic.rtt {
        detail(out, "rtt", |out| milliseconds_of(out, rtt.us));
    }
}
