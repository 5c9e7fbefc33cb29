//! Columns that line up as long as their contents fit, none of them empty and none with a blank
//! inside, so that a pipe can split them.

use std::net::IpAddr;

use super::errno;
use super::places::{Field, Places, Shown};
use crate::event::{Event, Protocol, SinceBoot, Subject};
use crate::filter::Transport;
use crate::names::Names;
use crate::render::address;
use crate::render::number::{
    Digits, decimal, hex, hexadecimal, padded_decimal, thousandths, unsigned,
};
use crate::socket::{Cookie, InetEnd, State};

/// The name of a column, and its width unless a field is wider.
pub(super) type Column = (&'static str, usize);

/// What all events begin with.
pub(super) const TIME: Column = ("Time", 15);
pub(super) const SOCKET: [Column; 7] = [
    ("Netns", 10),
    ("Netid", 5),
    ("Socket", 8),
    ("Process", 22),
    ("Container", 14),
    ("Local", 21),
    ("Peer", 21),
];

/// A line that is being written, over blanks: what keeps fields apart is there already.
///
/// All of it is inlined into whoever writes a line, so that where the line goes on is kept in a
/// register: a field of a few bytes takes longer to account for than to write.
pub(super) struct Row<'a> {
    /// The line as far as it is written, and blanks.
    out: &'a mut Vec<u8>,
    /// Where it goes on.
    at: usize,
    /// Where the field begins.
    field: usize,
    /// Where the text of the field before it ends.
    text_end: usize,
    columns: std::slice::Iter<'static, Column>,
}

/// Blanks for a line: more than most lines take.
const ROOM: usize = 256;

impl<'a> Row<'a> {
    #[inline(always)]
    pub(super) fn new(out: &'a mut Vec<u8>, columns: &'static [Column]) -> Row<'a> {
        let at = out.len();
        out.extend_from_slice(&[b' '; ROOM]);
        Row { out, at, field: at, text_end: at, columns: columns.iter() }
    }

    /// Ends a field: blanks follow, one at least. Behind the columns there may be more fields.
    #[inline(always)]
    pub(super) fn end(&mut self) {
        let width = self.columns.next().map_or(0, |(_, width)| *width);
        self.text_end = self.at;
        self.field = (self.field + width).max(self.text_end) + 1;
        self.at = self.field;
    }

    /// Leaves out a column.
    #[inline(always)]
    fn skip(&mut self) {
        self.columns.next();
    }

    /// What is not known.
    #[inline(always)]
    pub(super) fn dash(&mut self) -> &mut Self {
        self.put(*b"-", 1)
    }

    #[inline(always)]
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// The columns of [`SOCKET`], as they are at that time.
    #[inline(always)]
    pub(super) fn socket(
        &mut self,
        at: SinceBoot,
        socket: &Subject,
        places: &mut Places,
        names: Option<&Names>,
    ) {
        if places.shown.netns {
            match places.netns(socket, at) {
                Field::Short(text, length) => self.put(*text, *length),
                Field::Long(text) => self.bytes(text),
            }
            .end();
        } else {
            self.skip();
        }
        match socket.protocol {
            Protocol::Tcp => self.put(*b"tcp", 3),
            Protocol::Mptcp => self.put(*b"mptcp", 5),
        }
        .end();
        self.cookie(socket.cookie);
        if socket.generation != 0 && socket.cookie.is_some() {
            self.text(".").number(socket.generation.into());
        }
        self.end();
        match &socket.owner {
            Some(owner) => {
                let (text, length) = places.owner(owner);
                self.put(*text, *length)
            }
            None => self.dash(),
        }
        .end();
        if places.shown.container {
            self.through_buffer(|out| places.container(out, socket.owner.as_ref())).end();
        } else {
            self.skip();
        }
        self.place(&socket.local, socket.ifindex, places, names).end();
        self.place(&socket.peer, 0, places, names).end();
    }

    /// One end of a socket.
    #[inline(always)]
    fn place(
        &mut self,
        end: &InetEnd,
        ifindex: u32,
        places: &mut Places,
        names: Option<&Names>,
    ) -> &mut Self {
        match (end.addr, names) {
            (IpAddr::V4(addr), None) => self.word(places.ipv4(addr)),
            (addr, names) => self.through_buffer(|out| host(out, addr, names)),
        };
        if ifindex != 0 {
            // The name would be one of this namespace; the socket may be in another.
            self.text("%").number(ifindex.into());
        }
        match (end.port, names) {
            (0, _) => self.text(":*"),
            (port, Some(names)) => {
                self.text(":").through_buffer(|out| names.port(port, Transport::Tcp, out))
            }
            (port, None) => self.text(":").number(port.into()),
        }
    }

    #[inline(always)]
    fn cookie(&mut self, cookie: Option<Cookie>) -> &mut Self {
        let Some(Cookie(cookie)) = cookie else { return self.dash() };
        match u32::try_from(cookie).map(hexadecimal) {
            Ok(Digits { text, length }) => self.put(text, length),
            Err(_) => self.through_buffer(|out| hex(out, cookie)),
        }
    }

    #[inline(always)]
    pub(super) fn state(&mut self, state: State) -> &mut Self {
        self.word(&STATES[state as usize])
    }

    #[inline(always)]
    pub(super) fn word(&mut self, (text, length): &Word) -> &mut Self {
        self.put(*text, *length)
    }

    #[inline(always)]
    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        match decimal(number) {
            Some(Digits { text, length }) => self.put(text, length),
            None => self.through_buffer(|out| unsigned(out, number)),
        }
    }

    #[inline(always)]
    pub(super) fn milliseconds(&mut self, micros: Option<u64>) -> &mut Self {
        let Some(micros) = micros else { return self.dash() };
        match thousandths(micros) {
            Some(Digits { text, length }) => self.put(text, length),
            None => {
                let rest = padded_decimal((micros % 1000) as u32, 3);
                self.number(micros / 1000).text(".").put(rest.text, rest.length)
            }
        }
    }

    /// What the system calls an errno.
    #[inline(always)]
    pub(super) fn errno(&mut self, number: u16) -> &mut Self {
        match errno(number) {
            Some(name) => self.text(name),
            None => self.number(number.into()),
        }
    }

    /// Details that any event can have.
    #[inline(always)]
    pub(super) fn common_details(&mut self, event: &Event) {
        if let Some(connection) = event.socket.subflow_of {
            self.text("subflow-of:").cookie(connection.cookie).end();
        }
    }

    /// The beginning of a text whose rest is blank. All of it is copied, because its length is
    /// known to the compiler, and then there is no call.
    #[inline(always)]
    pub(super) fn put<const LENGTH: usize>(
        &mut self,
        text: [u8; LENGTH],
        length: usize,
    ) -> &mut Self {
        match self.out.get_mut(self.at..self.at + LENGTH) {
            Some(place) => place.copy_from_slice(&text),
            None => put_beyond(self.out, self.at, text),
        }
        self.at += length;
        self
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self, text: &[u8]) -> &mut Self {
        let end = self.at + text.len();
        match self.out.get_mut(self.at..end) {
            Some(place) => place.copy_from_slice(text),
            None => put_beyond(self.out, self.at, text),
        }
        self.at = end;
        self
    }

    /// Appends by way of the buffer, for who knows no rows.
    #[inline(always)]
    fn through_buffer(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        self.out.resize(self.at, b' ');
        write(self.out);
        self.at = self.out.len();
        self.out.extend_from_slice(&[b' '; ROOM]);
        self
    }

    /// Ends the line, without blanks at its end.
    #[inline(always)]
    pub(super) fn finish(mut self) {
        self.at = self.text_end;
        self.text("\n");
        self.out.truncate(self.at);
    }
}

/// Puts a text where the blanks are not enough for it.
#[cold]
fn put_beyond(out: &mut Vec<u8>, at: usize, text: impl AsRef<[u8]>) {
    out.resize(at, b' ');
    out.extend_from_slice(text.as_ref());
    out.extend_from_slice(&[b' '; ROOM]);
}

/// A short text, with blanks behind it, and how long it is without them.
pub(super) type Word = ([u8; 16], usize);

/// The words of so many texts.
pub(super) const fn words<const NUMBER: usize>(texts: [&str; NUMBER]) -> [Word; NUMBER] {
    let mut words = [([b' '; 16], 0); NUMBER];
    let mut i = 0;
    while i < NUMBER {
        let (word, length) = &mut words[i];
        word.split_at_mut(texts[i].len()).0.copy_from_slice(texts[i].as_bytes());
        *length = texts[i].len();
        i += 1;
    }
    words
}

/// The names of states, by their numbers.
static STATES: [Word; State::ALL.len()] = {
    let mut names = [""; State::ALL.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = State::ALL[i].name();
        i += 1;
    }
    words(names)
};

pub(super) fn header(out: &mut Vec<u8>, columns: &'static [Column], shown: Shown) {
    let mut row = Row::new(out, columns);
    for (name, _) in columns {
        match *name {
            "Netns" if !shown.netns => row.skip(),
            "Container" if !shown.container => row.skip(),
            name => row.text(name).end(),
        }
    }
    row.finish();
}

fn host(out: &mut Vec<u8>, addr: IpAddr, names: Option<&Names>) {
    match addr {
        addr if names.is_some_and(|names| names.host(addr, out)) => {}
        IpAddr::V4(addr) => address::ipv4(out, &addr),
        IpAddr::V6(addr) => {
            out.push(b'[');
            address::ipv6(out, &addr);
            out.push(b']');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_be_longer_than_its_blanks() {
        let mut out = b"before\n".to_vec();
        let mut row = Row::new(&mut out, &[("Wide", 2 * ROOM), ("Long", 3)]);
        row.text("a").end();
        row.text(&"b".repeat(2 * ROOM)).end();
        row.number(12).end();
        row.finish();
        let expected = format!("before\n{:2$} {} 12\n", "a", "b".repeat(2 * ROOM), 2 * ROOM);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
