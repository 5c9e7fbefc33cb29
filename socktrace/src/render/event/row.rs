//! Columns that line up as long as their contents fit, none of them empty and none with a blank
//! inside, so that a pipe can split them.

use std::net::IpAddr;
use std::time::Duration;

use super::places::{Places, Shown};
use crate::event::{Event, Learnt, Owner, Subject};
use crate::filter::Transport;
use crate::names::Names;
use crate::render::address;
use crate::render::number::{hex, shortened, unsigned, zero_padded};
use crate::socket::InetEnd;

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

/// A line that is being written.
pub(super) struct Row<'a> {
    pub(super) out: &'a mut Vec<u8>,
    columns: std::slice::Iter<'static, Column>,
}

impl<'a> Row<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, columns: &'static [Column]) -> Row<'a> {
        Row { out, columns: columns.iter() }
    }

    /// The next field, and blanks: one at least.
    #[inline]
    pub(super) fn field(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.out.len();
        write(self.out);
        let width = self.columns.next().map_or(0, |(_, width)| *width);
        let end = (start + width).max(self.out.len()) + 1;
        // As many as any column may want, so that the compiler knows how many.
        self.out.extend_from_slice(&[b' '; 24]);
        self.out.resize(end, b' ');
    }

    pub(super) fn text(&mut self, text: &str) {
        self.field(|out| out.extend_from_slice(text.as_bytes()));
    }

    pub(super) fn number(&mut self, number: u64) {
        self.field(|out| unsigned(out, number));
    }

    /// What is not known is a dash.
    pub(super) fn known<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
        self.field(|out| match value {
            Some(value) => write(out, value),
            None => out.push(b'-'),
        });
    }

    /// Leaves out a column.
    fn skip(&mut self) {
        self.columns.next();
    }

    /// The columns of [`SOCKET`].
    pub(super) fn socket(&mut self, socket: &Subject, places: &mut Places, names: Option<&Names>) {
        match places.shown.netns {
            true => self.field(|out| places.netns(out, socket)),
            false => self.skip(),
        }
        self.text(socket.protocol.name());
        self.known(socket.cookie, |out, cookie| {
            hex(out, cookie.0);
            if socket.generation != 0 {
                out.push(b'.');
                unsigned(out, socket.generation.into());
            }
        });
        self.known(socket.owner.as_ref(), |out, owner| places.owner(out, owner));
        match places.shown.container {
            true => self.field(|out| places.container(out, socket.owner.as_ref())),
            false => self.skip(),
        }
        self.field(|out| end(out, &socket.local, socket.ifindex, names));
        self.field(|out| end(out, &socket.peer, 0, names));
    }

    /// Ends the line, without blanks at its end.
    pub(super) fn finish(self) {
        let end = self.out.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        self.out.truncate(end);
        self.out.push(b'\n');
    }
}

pub(super) fn header(out: &mut Vec<u8>, columns: &'static [Column], shown: Shown) {
    let mut row = Row::new(out, columns);
    for (name, _) in columns {
        match *name {
            "Netns" if !shown.netns => row.skip(),
            "Container" if !shown.container => row.skip(),
            name => row.text(name),
        }
    }
    row.finish();
}

fn end(out: &mut Vec<u8>, end: &InetEnd, ifindex: u32, names: Option<&Names>) {
    let is_named = names.is_some_and(|names| names.host(end.addr, out));
    match end.addr {
        _ if is_named => {}
        IpAddr::V4(addr) => address::ipv4(out, &addr),
        IpAddr::V6(addr) => {
            out.push(b'[');
            address::ipv6(out, &addr);
            out.push(b']');
        }
    }
    if ifindex != 0 {
        // The name would be one of this namespace; the socket may be in another.
        out.push(b'%');
        unsigned(out, ifindex.into());
    }
    out.push(b':');
    match (end.port, names) {
        (0, _) => out.push(b'*'),
        (port, Some(names)) => names.port(port, Transport::Tcp, out),
        (port, None) => unsigned(out, port.into()),
    }
}

pub(super) fn owner(out: &mut Vec<u8>, owner: &Owner) {
    // Anybody can choose the name of a process: it must neither split lines nor steer a terminal.
    let comm = owner.comm.map(|byte| match byte {
        b'!'..=b'~' => byte,
        b' ' => b'_',
        0..=0x7f => b'.',
        _ => b'?',
    });
    shortened(out, comm, owner.comm().len());
    out.push(b'[');
    unsigned(out, owner.pid.into());
    out.push(b']');
    if owner.learnt == Learnt::Listener {
        out.push(b'*');
    }
}

pub(super) fn milliseconds(out: &mut Vec<u8>, duration: Duration) {
    let micros = duration.as_micros() as u64;
    unsigned(out, micros / 1000);
    out.push(b'.');
    zero_padded(out, micros % 1000, 3);
}

/// Milliseconds of a number of microseconds.
pub(super) fn milliseconds_of(out: &mut Vec<u8>, micros: u32) {
    milliseconds(out, Duration::from_micros(micros.into()));
}

/// Behind the columns: a name, a colon, and what `write` appends.
pub(super) fn detail(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    write(out);
    out.push(b' ');
}

/// Details that any event can have.
pub(super) fn common_details(out: &mut Vec<u8>, event: &Event) {
    if let Some(connection) = event.socket.subflow_of {
        detail(out, "subflow-of", |out| match connection.cookie {
            Some(cookie) => hex(out, cookie.0),
            None => out.push(b'-'),
        });
    }
}
