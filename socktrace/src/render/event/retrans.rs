//! `retrans`: a line for each segment that is sent again, or for each connection.

use super::EventPrinter;
use super::row::{Column, Row, SOCKET, TIME, common_details, milliseconds};
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
        row.field(|out| self.clock.write(out, event.at));
        row.socket(&event.socket, &mut self.places, self.names.as_ref());
        row.text(again.state.name());
        row.text(again.kind.name());
        row.text(again.phase.map_or("-", |phase| phase.name()));
        row.number(again.sequence.into());
        row.number(again.length.into());
        row.text(again.congestion.name());
        row.known(again.rto, milliseconds);
        row.number(again.total.into());
        common_details(row.out, event);
        row.finish();
    }

    pub(super) fn count_row(&mut self, out: &mut Vec<u8>, counted: &Counted) {
        let mut row = Row::new(out, &COUNT_COLUMNS);
        row.socket(&counted.socket, &mut self.places, self.names.as_ref());
        for number in [counted.total(), counted.data, counted.syn, counted.synack, counted.bytes] {
            row.number(number);
        }
        row.finish();
    }
}
