//! `trace`: a line for each event.

use super::row::{Column, Row, SOCKET, TIME};
use super::{EventPrinter, micros};
use crate::event::{Event, Reset, Retransmission, Traffic, Transition};

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
    #[inline(always)]
    fn begin<'a>(&mut self, out: &'a mut Vec<u8>, event: &Event) -> Row<'a> {
        let mut row = Row::new(out, &COLUMNS);
        self.clock.write(&mut row, event.at).end();
        row.socket(event.at, &event.socket, &mut self.places, self.names.as_ref());
        row
    }

    pub(super) fn transition(&mut self, out: &mut Vec<u8>, event: &Event, step: &Transition) {
        let mut row = self.begin(out, event);
        row.state(step.old).end();
        row.state(step.new).end();
        row.milliseconds(step.held.map(micros)).end();
        if step.error != 0 {
            row.text("error:").errno(step.error).end();
        }
        if let Some(traffic) = &step.traffic {
            counters(&mut row, traffic);
        }
        row.common_details(event);
        row.finish();
    }

    pub(super) fn traced_retransmission(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
        again: &Retransmission,
    ) {
        let mut row = self.begin(out, event);
        row.state(again.state).end();
        row.text("retransmit").end();
        row.dash().end();
        row.text("kind:").text(again.kind.name()).end();
        if let Some(phase) = again.phase {
            row.text("phase:").text(phase.name()).end();
        }
        row.text("seq:").number(again.sequence.into()).end();
        row.text("len:").number(again.length.into()).end();
        row.text("retrans:").number(again.total.into()).end();
        row.common_details(event);
        row.finish();
    }

    pub(super) fn reset(&mut self, out: &mut Vec<u8>, event: &Event, reset: &Reset) {
        let mut row = self.begin(out, event);
        match reset.state {
            Some(state) => row.state(state).end(),
            None => row.dash().end(),
        }
        row.text("reset").end();
        row.dash().end();
        row.text("direction:").text(reset.direction.name()).end();
        if let Some(reason) = reset.reason {
            row.text("reason:");
            self.reset_reason(&mut row, reason).end();
        }
        row.common_details(event);
        row.finish();
    }
}

#[inline(always)]
fn counters(row: &mut Row<'_>, traffic: &Traffic) {
    row.text("bytes_acked:").number(traffic.bytes_acked).end();
    row.text("bytes_received:").number(traffic.bytes_received).end();
    if traffic.total_retrans != 0 {
        row.text("retrans:").number(traffic.total_retrans.into()).end();
    }
    if let Some(rtt) = traffic.rtt {
        row.text("rtt:").milliseconds(Some(rtt.us.into())).end();
    }
}
