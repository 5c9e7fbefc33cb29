//! A listing in one of its forms: the columns of `ss`, JSON, the services among the
//! sockets, or counts of them.

use std::io;

use super::Printer;
use super::counts::CountsListing;
use super::json::listing::JsonListing;
use super::listeners::ServicePrinter;
use crate::changes::Key;
use crate::netns::{self, Namespace};
use crate::render::columns::Row;
use crate::socket::{NetnsId, Socket};

#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Output<'a, 'w> {
    Columns(Printer<'a, 'w>),
    Json(JsonListing<'a, 'w>),
    Services(ServicePrinter<'a, 'w>),
    Counts(CountsListing<'a, 'w>),
    Recorder(Recorder<'a, 'w>),
}

impl Output<'_, '_> {
    /// What follows is of this network namespace.
    pub fn enter(&mut self, namespace: &Namespace) {
        match self {
            Output::Columns(printer) => printer.enter(namespace),
            Output::Json(listing) => listing.enter(namespace),
            Output::Services(printer) => printer.enter(namespace),
            // They are counted together.
            Output::Counts(_) => {}
            Output::Recorder(recorder) => recorder.enter(namespace),
        }
    }

    pub fn socket(&mut self, socket: &Socket<'_>) -> io::Result<()> {
        match self {
            Output::Columns(printer) => printer.socket(socket),
            Output::Json(listing) => listing.socket(socket),
            Output::Services(printer) => {
                printer.socket(socket);
                Ok(())
            }
            Output::Counts(listing) => {
                listing.socket(socket);
                Ok(())
            }
            Output::Recorder(recorder) => recorder.socket(socket),
        }
    }

    /// Writes what is held back, before a wait for more.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Columns(printer) => printer.finish(),
            Output::Json(listing) => listing.flush(),
            Output::Services(_) | Output::Counts(_) | Output::Recorder(_) => Ok(()),
        }
    }

    /// Writes the end.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Output::Columns(printer) => printer.finish(),
            Output::Json(listing) => listing.finish(),
            Output::Services(printer) => printer.finish(),
            Output::Counts(listing) => listing.finish(),
            Output::Recorder(_) => Ok(()),
        }
    }
}

/// What a recorder keeps of each socket.
#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Form<'a, 'w> {
    Columns(Printer<'a, 'w>),
    Json(JsonListing<'a, 'w>),
}

/// Keeps each socket as it would be written, to be compared with another listing.
pub struct Recorder<'a, 'w> {
    form: Form<'a, 'w>,
    netns: Option<NetnsId>,
    rows: Vec<(Key, Row)>,
}

impl<'a, 'w> Recorder<'a, 'w> {
    pub fn new(form: Form<'a, 'w>) -> Recorder<'a, 'w> {
        Recorder { form, netns: netns::current(), rows: Vec::new() }
    }

    pub fn into_rows(self) -> Vec<(Key, Row)> {
        self.rows
    }

    fn enter(&mut self, namespace: &Namespace) {
        self.netns = Some(namespace.id);
        match &mut self.form {
            Form::Columns(printer) => printer.enter(namespace),
            Form::Json(listing) => listing.enter(namespace),
        }
    }

    fn socket(&mut self, socket: &Socket<'_>) -> io::Result<()> {
        if is_own(socket) {
            return Ok(());
        }
        let row = match &mut self.form {
            Form::Columns(printer) => printer.record(socket),
            Form::Json(listing) => Row::of_text(listing.record(socket)),
        };
        self.rows.push((Key::of(self.netns, socket), row));
        Ok(())
    }
}

/// Whether it is the socket of the listing itself, which is another one each time.
fn is_own(socket: &Socket<'_>) -> bool {
    const SOCK_DIAG: u8 = 4;
    let Socket::Netlink(netlink) = socket else { return false };
    netlink.protocol == SOCK_DIAG && netlink.port_id == std::process::id()
}
