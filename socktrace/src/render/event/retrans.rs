//! `retrans`: a line for each segment that is sent again, or for each connection.

use super::row::{Column, Row, SOCKET, TIME};
use super::{EventPrinter, micros, since_boot};
use crate::event::{Counted, Event, Retransmission};

pub(super) const COLUMNS: [Column; 16] = [
    TIME,
    SOCKET[0],
    SOCKET[1],
    SOCKET[2],
    SOCKET[3],
    SOCKET[4],
    SOCKET[5],
    SOCKET[6],
    ("State", 10),
    ("Kind", 6),
    ("Phase", 7),
    ("Seq", 10),
    ("Length", 6),
    ("CA", 8),
    ("RTO(ms)", 10),
    ("Retrans", 7),
];

pub(super) const COUNT_COLUMNS: [Column; 12] = [
    SOCKET[0],
    SOCKET[1],
    SOCKET[2],
    SOCKET[3],
    SOCKET[4],
    SOCKET[5],
    SOCKET[6],
    ("Retrans", 7),
    ("Data", 7),
    ("SYN", 7),
    ("SYN-ACK", 7),
    ("Bytes", 10),
];

impl EventPrinter {
    pub(super) fn retransmission(
        &mut self,
        out: &mut Vec<u8>,
        event: &Event,
        again: &Retransmission,
    ) {
        let mut row = Row::new(out, &COLUMNS);
        self.clock.write(&mut row, event.at).end();
        row.socket(event.at, &event.socket, &mut self.places, self.names.as_ref());
        row.state(again.state).end();
        row.text(again.kind.name()).end();
        row.text(again.phase.map_or("-", |phase| phase.name())).end();
        row.number(again.sequence.into()).end();
        row.number(again.length.into()).end();
        row.text(again.congestion.name()).end();
        row.milliseconds(again.rto.map(micros)).end();
        row.number(again.total.into()).end();
        row.common_details(event);
        row.finish();
    }

    pub(super) fn count_row(&mut self, out: &mut Vec<u8>, counted: &Counted) {
        let mut row = Row::new(out, &COUNT_COLUMNS);
        row.socket(since_boot(), &counted.socket, &mut self.places, self.names.as_ref());
        for number in [counted.total(), counted.data, counted.syn, counted.synack, counted.bytes] {
            row.number(number).end();
        }
        row.finish();
    }
}
