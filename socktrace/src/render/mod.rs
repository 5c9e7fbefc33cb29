//! Text from sockets: the lines of `ss`. Takes typed sockets, names and owners; knows no source.

pub mod address;
pub mod audit;
mod bpf_storage;
pub mod columns;
pub mod counts;
pub mod doctor;
pub mod escape;
pub mod event;
mod inet;
pub mod json;
pub mod known;
pub mod listeners;
#[cfg(test)]
mod local_tests;
mod markdown;
mod netlink;
pub mod number;
pub mod output;
mod packet;
pub mod record;
pub mod report;
mod sctp;
pub mod show;
pub mod summary;
pub mod table;
pub mod tcp;
mod tipc;
mod unix;
pub mod users;
mod vsock;
mod xdp;

use std::io;

use columns::{Column, Listing, Row, Value};
use known::Known;
use show::{Holders, Show};
use users::HolderStyle;

use crate::bpfmap::ValueTypes;
use crate::names::Names;
use crate::netns::Namespace;
use crate::socket::{Inode, Socket, State};

/// Prints sockets into a listing, one row each.
pub struct Printer<'a, 'w> {
    listing: Listing<'w>,
    show: Show,
    names: &'a Names,
    known: Known<'a>,
    /// The name of the network namespace, where that is shown.
    netns: Vec<u8>,
    /// The container or unit of the current socket, where that is shown.
    home: Vec<u8>,
    value_types: ValueTypes,
    /// The SCTP endpoint that was printed last: associations of it stand indented below it.
    sctp_endpoint: Inode,
}

impl<'a, 'w> Printer<'a, 'w> {
    pub fn new(listing: Listing<'w>, show: Show, known: Known<'a>) -> Printer<'a, 'w> {
        Printer {
            listing,
            show,
            names: known.names,
            known,
            netns: Vec::new(),
            home: Vec::new(),
            value_types: ValueTypes::default(),
            sctp_endpoint: Inode(0),
        }
    }

    pub fn header(&mut self) -> io::Result<()> {
        self.listing.header()
    }

    /// What follows is of this network namespace.
    pub fn enter(&mut self, namespace: &Namespace) {
        self.netns.clear();
        // Another interface may have the same number there.
        self.listing.forget_values();
        escape::path(&mut self.netns, &namespace.place().label());
    }

    pub fn socket(&mut self, socket: &Socket<'_>) -> io::Result<()> {
        self.row(socket);
        self.listing.end_row()
    }

    /// The row of a socket, taken out of the listing.
    pub fn record(&mut self, socket: &Socket<'_>) -> Row {
        self.row(socket);
        self.listing.take_row()
    }

    fn row(&mut self, socket: &Socket<'_>) {
        if self.show.container {
            self.find_home(socket);
        }
        if !self.netns.is_empty() {
            self.listing.field(Column::Netns).extend_from_slice(&self.netns);
        }
        match socket {
            Socket::Inet(socket) => self.inet(socket),
            Socket::Unix(socket) => self.unix(socket),
            Socket::Packet(socket) => self.packet(socket),
            Socket::Netlink(socket) => self.netlink(socket),
            Socket::Vsock(socket) => self.vsock(socket),
            Socket::Tipc(socket) => self.tipc(socket),
            Socket::Xdp(socket) => self.xdp(socket),
        }
    }

    /// Prints what is held back for its widths.
    pub fn finish(&mut self) -> io::Result<()> {
        self.listing.finish()
    }

    fn netid_and_state(&mut self, netid: &str, state: State) {
        if self.listing.shows(Column::Netid) {
            self.listing.field(Column::Netid).extend_from_slice(netid.as_bytes());
        }
        if let Some(out) = self.listing.field_of(Column::State, Value(0, state as u64)) {
            out.extend_from_slice(state.name().as_bytes());
        }
    }

    fn queues(&mut self, recv_queue: u32, send_queue: u32) {
        for (column, queue) in [(Column::RecvQ, recv_queue), (Column::SendQ, send_queue)] {
            if let Some(out) = self.listing.field_of(column, Value(0, queue.into())) {
                number::queue(out, queue);
            }
        }
    }

    /// The Process column.
    fn users(&mut self, inode: Inode) {
        let style = match self.show.holders {
            Holders::Hidden => return,
            Holders::Processes => HolderStyle::Process,
            Holders::Threads => HolderStyle::Thread,
        };
        let inside = self.known.homes.filter(|_| self.show.inner_pids);
        users::users(self.listing.field(Column::Process), self.known.holders(inode), style, inside);
    }

    /// The Container column.
    fn container(&mut self) {
        if self.show.container {
            self.listing.field(Column::Container).extend_from_slice(&self.home);
        }
    }

    fn find_home(&mut self, socket: &Socket<'_>) {
        self.home.clear();
        match self.known.home(socket).and_then(|home| home.label()) {
            Some(label) => escape::path(&mut self.home, label.as_bytes()),
            None => self.home.push(b'-'),
        }
    }
}
