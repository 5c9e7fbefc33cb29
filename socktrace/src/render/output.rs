//! A listing in one of its forms: the columns of `ss`, JSON, the services among the
//! sockets, or counts of them.

use std::io;

use super::Printer;
use super::counts::CountsListing;
use super::json::listing::JsonListing;
use super::listeners::ServicePrinter;
use super::record::{Record, Recorder};
use super::table::Align;
use crate::changes::Key;
use crate::netns::Namespace;
use crate::procfs::summary::Summary;
use crate::socket::Socket;

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
            Output::Counts(listing) => listing.enter(namespace),
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

    /// The counts of the namespace, where they are part of the form: columns have them beforehand.
    pub fn summary(&mut self, read: impl FnOnce() -> Summary) -> io::Result<()> {
        match self {
            Output::Json(listing) => listing.summary(&read()),
            Output::Recorder(recorder) => {
                recorder.summary(&read());
                Ok(())
            }
            Output::Columns(_) | Output::Services(_) | Output::Counts(_) => Ok(()),
        }
    }

    /// The heading of the small table that it would be written as.
    pub fn heading(&self) -> Vec<(String, Align)> {
        match self {
            Output::Services(printer) => printer.heading(),
            Output::Counts(listing) => super::counts::heading(&listing.counts),
            Output::Columns(_) | Output::Json(_) | Output::Recorder(_) => Vec::new(),
        }
    }

    /// What was taken, in place of writing it.
    pub fn into_records(self) -> Vec<(Key, Record)> {
        match self {
            Output::Services(printer) => printer.into_records(),
            Output::Counts(listing) => listing.into_records(),
            Output::Recorder(recorder) => recorder.into_records(),
            Output::Columns(_) | Output::Json(_) => Vec::new(),
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
