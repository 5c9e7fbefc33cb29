//! `life`: a line for each connection, when it has ended.

use super::row::{
    Column, Row, SOCKET, TIME, common_details, detail, milliseconds, milliseconds_of,
};
use super::{EventPrinter, write_errno};
use crate::event::{Bytes, End, Event, Life, Side};
use crate::render::number::unsigned;

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
        row.field(|out| self.clock.write(out, event.at));
        row.socket(&event.socket, &mut self.places, self.names.as_ref());
        row.text(life.ending.opener.map_or("-", |opener| opener.name()));
        row.known(life.duration(event.at), milliseconds);
        let bytes = life.bytes();
        let count = |row: &mut Row<'_>, number: u64, is_exact: bool| {
            row.field(|out| match bytes {
                Bytes::Unknown => out.push(b'-'),
                _ => {
                    if !is_exact {
                        out.extend_from_slice(b"<=");
                    }
                    unsigned(out, number);
                }
            });
        };
        count(&mut row, life.bytes_sent(), bytes == Bytes::Exact);
        count(&mut row, life.bytes_received(), true);
        row.number(life.traffic.total_retrans.into());
        row.known(life.traffic.rtt, |out, rtt| milliseconds_of(out, rtt.us));
        row.known(life.connect_latency(), milliseconds);
        row.field(|out| self.end(out, life));
        row.field(|out| path(out, life));
        if life.ending.error != 0 && life.ending.end() != End::Refused {
            detail(row.out, "error", |out| write_errno(out, life.ending.error));
        }
        if !life.subflows.is_empty() {
            detail(row.out, "subflows", |out| unsigned(out, life.subflows.len() as u64));
        }
        common_details(row.out, event);
        row.finish();
    }

    /// How it ended, and who did it.
    fn end(&self, out: &mut Vec<u8>, life: &Life) {
        let ending = &life.ending;
        let end = ending.end();
        out.extend_from_slice(end.name().as_bytes());
        let by = match end {
            End::Closed => ending.closed_by().map(|by| by.name()),
            End::Reset => ending.reset_by().map(Side::name),
            _ => None,
        };
        if let Some(by) = by {
            out.extend_from_slice(b"-by-");
            out.extend_from_slice(by.as_bytes());
        }
        if let Some(reason) = ending.reason {
            out.push(b':');
            match self.reason(reason) {
                Some(name) => out.extend_from_slice(name.as_bytes()),
                None => unsigned(out, reason.0.into()),
            }
        }
    }
}

fn path(out: &mut Vec<u8>, life: &Life) {
    let start = out.len();
    for state in life.path().states() {
        if out.len() > start {
            out.push(b'>');
        }
        out.extend_from_slice(state.name().as_bytes());
    }
    if out.len() == start {
        out.push(b'-');
    }
}
