//! `life`: a line for each connection, when it has ended.

use super::row::{Column, Row, SOCKET, TIME};
use super::{EventPrinter, micros};
use crate::event::{Bytes, End, Ending, Event, Life, Side};

pub(super) const COLUMNS: [Column; 17] = [
    TIME,
    SOCKET[0],
    SOCKET[1],
    SOCKET[2],
    SOCKET[3],
    SOCKET[4],
    SOCKET[5],
    SOCKET[6],
    ("Opened", 7),
    ("Lasted(ms)", 10),
    ("Sent", 8),
    ("Received", 8),
    ("Retrans", 7),
    ("RTT(ms)", 7),
    ("Connect(ms)", 11),
    ("End", 15),
    ("States", 0),
];

impl EventPrinter {
    pub(super) fn life(&mut self, out: &mut Vec<u8>, event: &Event, life: &Life) {
        let mut row = Row::new(out, &COLUMNS);
        self.clock.write(&mut row, event.at).end();
        row.socket(&event.socket, &mut self.places, self.names.as_ref());
        row.text(life.ending.opener.map_or("-", |opener| opener.name())).end();
        row.milliseconds(life.duration(event.at).map(micros)).end();
        match life.bytes() {
            Bytes::Exact => row.number(life.bytes_sent()).end(),
            Bytes::Sent => row.text("<=").number(life.bytes_sent()).end(),
            Bytes::Unknown => row.dash().end(),
        }
        match life.bytes() {
            Bytes::Exact | Bytes::Sent => row.number(life.bytes_received()).end(),
            Bytes::Unknown => row.dash().end(),
        }
        row.number(life.traffic.total_retrans.into()).end();
        row.milliseconds(life.traffic.rtt.map(|rtt| rtt.us.into())).end();
        row.milliseconds(life.connect_latency().map(micros)).end();
        self.end(&mut row, &life.ending).end();
        path(&mut row, life).end();
        if life.ending.error != 0 && life.ending.end() != End::Refused {
            row.text("error:").errno(life.ending.error).end();
        }
        if !life.subflows.is_empty() {
            row.text("subflows:").number(life.subflows.len() as u64).end();
        }
        row.common_details(event);
        row.finish();
    }

    /// How it ended, and who did it.
    #[inline(always)]
    fn end<'r, 'a>(&self, row: &'r mut Row<'a>, ending: &Ending) -> &'r mut Row<'a> {
        let end = ending.end();
        row.text(end.name());
        let by = match end {
            End::Closed => ending.closed_by().map(|by| by.name()),
            End::Reset => ending.reset_by().map(Side::name),
            _ => None,
        };
        if let Some(by) = by {
            row.text("-by-").text(by);
        }
        if let Some(reason) = ending.reason {
            row.text(":");
            self.reset_reason(row, reason);
        }
        row
    }
}

#[inline(always)]
fn path<'r, 'a>(row: &'r mut Row<'a>, life: &Life) -> &'r mut Row<'a> {
    let mut states = life.path().states();
    match states.next() {
        Some(first) => row.state(first),
        None => row.dash(),
    };
    for next in states {
        row.text(">").state(next);
    }
    row
}
