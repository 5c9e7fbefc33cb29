//! `life`: a line for each connection, when it has ended.

use super::places::Written;
use super::row::{Column, Row, SOCKET, TIME, Word, words};
use super::{EventPrinter, micros};
use crate::event::{Bytes, ClosedBy, End, Ending, Event, Life, Opener, Path, Side};
use crate::socket::State;

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

static OPENERS: [Word; 2] = words([Opener::Active.name(), Opener::Passive.name()]);
static SIDES: [Word; 2] = words([Side::Us.name(), Side::Peer.name()]);
static CLOSERS: [Word; 3] =
    words([ClosedBy::Us.name(), ClosedBy::Peer.name(), ClosedBy::Both.name()]);
static ENDS: [Word; 6] = words([
    End::Closed.name(),
    End::Reset.name(),
    End::Refused.name(),
    End::Timeout.name(),
    End::Unreachable.name(),
    End::Aborted.name(),
]);

impl EventPrinter {
    pub(super) fn life(&mut self, out: &mut Vec<u8>, event: &Event, life: &Life) {
        let mut row = Row::new(out, &COLUMNS);
        self.clock.write(&mut row, event.at).end();
        row.socket(event.at, &event.socket, &mut self.places, self.names.as_ref());
        match life.ending.opener {
            Some(opener) => row.word(&OPENERS[opener as usize]),
            None => row.dash(),
        }
        .end();
        row.milliseconds(life.duration(event.at).map(micros)).end();
        let bytes = life.bytes();
        match bytes {
            Bytes::Exact => row.number(life.bytes_sent()).end(),
            Bytes::Sent => row.text("<=").number(life.bytes_sent()).end(),
            Bytes::Unknown => row.dash().end(),
        }
        match bytes {
            Bytes::Exact | Bytes::Sent => row.number(life.bytes_received()).end(),
            Bytes::Unknown => row.dash().end(),
        }
        row.number(life.traffic.total_retrans.into()).end();
        row.milliseconds(life.traffic.rtt.map(|rtt| rtt.us.into())).end();
        row.milliseconds(life.connect_latency().map(micros)).end();
        self.end(&mut row, &life.ending).end();
        let (text, length) = self.paths.text(life.path());
        row.put(*text, *length).end();
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
        row.word(&ENDS[end as usize]);
        match end {
            End::Closed => {
                if let Some(by) = ending.closed_by() {
                    row.text("-by-").word(&CLOSERS[by as usize]);
                }
            }
            End::Reset => {
                if let Some(by) = ending.reset_by() {
                    row.text("-by-").word(&SIDES[by as usize]);
                }
            }
            _ => {}
        }
        if let Some(reason) = ending.reason {
            row.text(":");
            self.reset_reason(row, reason);
        }
        row
    }
}

/// The paths that were written last, by the states that they end in: most lives share theirs with
/// one of those before.
pub(super) struct Paths([Written<Path, PathText>; State::ALL.len()]);

/// The states with what is between them, of 55 bytes at most, and blanks; and how long they are
/// without these.
type PathText = ([u8; 56], usize);

impl Default for Paths {
    fn default() -> Paths {
        Paths([const { Written { of: None, text: ([b' '; 56], 0) } }; State::ALL.len()])
    }
}

impl Paths {
    #[inline(always)]
    fn text(&mut self, path: Path) -> &PathText {
        let written = &mut self.0[path.last as usize];
        if written.of != Some(path) {
            *written = Written { of: Some(path), text: path_text(path) };
        }
        &written.text
    }
}

#[cold]
fn path_text(path: Path) -> PathText {
    let mut states = path.states().map(State::name).collect::<Vec<_>>().join(">");
    if states.is_empty() {
        states.push('-');
    }
    let mut text = [b' '; 56];
    text[..states.len()].copy_from_slice(states.as_bytes());
    (text, states.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_where_they_are_looked_for() {
        let word = |name| words([name])[0];
        for opener in [Opener::Active, Opener::Passive] {
            assert_eq!(OPENERS[opener as usize], word(opener.name()));
        }
        for side in [Side::Us, Side::Peer] {
            assert_eq!(SIDES[side as usize], word(side.name()));
        }
        for closer in [ClosedBy::Us, ClosedBy::Peer, ClosedBy::Both] {
            assert_eq!(CLOSERS[closer as usize], word(closer.name()));
        }
        use End::{Aborted, Closed, Refused, Reset, Timeout, Unreachable};
        for end in [Closed, Reset, Refused, Timeout, Unreachable, Aborted] {
            assert_eq!(ENDS[end as usize], word(end.name()));
        }
    }
}
