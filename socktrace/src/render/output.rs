//! A listing in one of its forms: the columns of `ss`, JSON, the services among the
//! sockets, or counts of them.

use std::io;

use super::Printer;
use super::counts::CountsListing;
use super::json::listing::JsonListing;
use super::listeners::ServicePrinter;
use crate::netns::Namespace;
use crate::socket::Socket;

#[allow(clippy::large_enum_variant, reason = "there is one")]
pub enum Output<'a, 'w> {
    Columns(Printer<'a, 'w>),
    Json(JsonListing<'a, 'w>),
    Services(ServicePrinter<'a, 'w>),
    Counts(CountsListing<'a, 'w>),
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
        }
    }

    /// Writes what is held back, before a wait for more.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Columns(printer) => printer.finish(),
            Output::Json(listing) => listing.flush(),
            Output::Services(_) | Output::Counts(_) => Ok(()),
        }
    }

    /// Writes the end.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            Output::Columns(printer) => printer.finish(),
            Output::Json(listing) => listing.finish(),
            Output::Services(printer) => printer.finish(),
            Output::Counts(listing) => listing.finish(),
        }
    }
}
