//! The lines of a listing before they are laid out, to be compared with those of another.

use std::io;

use super::Printer;
use super::columns::Row;
use super::escape;
use super::json::listing::JsonListing;
use crate::changes::{Key, SocketKey};
use crate::netns::{Namespace, Place};
use crate::procfs::summary::Summary;
use crate::socket::Socket;

/// What is written for one thing of a listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Record {
    /// The fields of a socket.
    Row(Row),
    /// Those of a line of a small table.
    Cells(Vec<String>),
    /// JSON.
    Object(Vec<u8>),
}

/// What a recorder keeps of each socket.
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Form<'a, 'w> {
    Columns(Printer<'a, 'w>),
    Json(JsonListing<'a, 'w>),
}

/// Keeps each socket as it would be written.
pub struct Recorder<'a, 'w> {
    form: Form<'a, 'w>,
    place: Place,
    /// Whether there may be sockets of several namespaces.
    tells_netns: bool,
    records: Vec<(Key, Record)>,
}

impl<'a, 'w> Recorder<'a, 'w> {
    pub fn new(form: Form<'a, 'w>) -> Recorder<'a, 'w> {
        Recorder { form, place: Place::here(), tells_netns: false, records: Vec::new() }
    }

    pub fn into_records(self) -> Vec<(Key, Record)> {
        self.records
    }

    pub(super) fn enter(&mut self, namespace: &Namespace) {
        self.place = namespace.place();
        self.tells_netns = true;
        match &mut self.form {
            Form::Columns(printer) => printer.enter(namespace),
            Form::Json(listing) => listing.enter(namespace),
        }
    }

    pub(super) fn socket(&mut self, socket: &Socket<'_>) -> io::Result<()> {
        if is_own(socket) {
            return Ok(());
        }
        let record = match &mut self.form {
            Form::Columns(printer) => Record::Row(printer.record(socket)),
            Form::Json(listing) => Record::Object(listing.record(socket).to_vec()),
        };
        self.records.push((Key::Socket(SocketKey::of(self.place.id, socket)), record));
        Ok(())
    }

    /// Keeps the counts of a namespace: a line each, or one object.
    pub(super) fn summary(&mut self, counts: &Summary) {
        let mut text = Vec::new();
        let lines = match &mut self.form {
            Form::Json(listing) => vec![Record::Object(listing.summary_record(counts).to_vec())],
            Form::Columns(_) => {
                if self.tells_netns {
                    text.extend_from_slice(b"Netns: ");
                    escape::path(&mut text, &self.place.label());
                    text.push(b'\n');
                }
                super::summary::summary(&mut text, counts);
                let text = String::from_utf8_lossy(&text);
                text.lines().map(|line| Record::Cells(vec![line.to_owned()])).collect()
            }
        };
        let lines = lines.into_iter().enumerate();
        self.records.extend(lines.map(|(i, line)| (Key::Summary(self.place.id, i), line)));
    }
}

/// Whether it is the socket of the listing itself, which is another one each time.
fn is_own(socket: &Socket<'_>) -> bool {
    const SOCK_DIAG: u8 = 4;
    let Socket::Netlink(netlink) = socket else { return false };
    netlink.protocol == SOCK_DIAG && netlink.port_id == std::process::id()
}
