//! Text from sockets: the lines of `ss`. Takes typed sockets, names and owners; knows no source.

pub mod address;
mod bpf_storage;
pub mod columns;
pub mod escape;
pub mod event;
mod inet;
pub mod json;
#[cfg(test)]
mod local_tests;
mod netlink;
pub mod number;
pub mod output;
mod packet;
mod sctp;
pub mod show;
pub mod summary;
pub mod tcp;
mod tipc;
mod unix;
pub mod users;
mod vsock;
mod xdp;

use std::io;

use columns::{Column, Listing};
use show::{Holders, Show};
use users::HolderStyle;

use crate::bpfmap::ValueTypes;
use crate::names::Names;
use crate::owner::Owners;
use crate::socket::{Inode, Socket, State};

/// Prints sockets into a listing, one row each.
pub struct Printer<'a, 'w> {
    listing: Listing<'w>,
    show: Show,
    names: &'a Names,
    owners: Option<&'a Owners>,
    value_types: ValueTypes,
    /// The SCTP endpoint that was printed last: associations of it stand indented below it.
    sctp_endpoint: Inode,
}

impl<'a, 'w> Printer<'a, 'w> {
    /// `owners` fills the Process column.
    pub fn new(
        listing: Listing<'w>,
        show: Show,
        names: &'a Names,
        owners: Option<&'a Owners>,
    ) -> Printer<'a, 'w> {
        Printer {
            listing,
            show,
            names,
            owners,
            value_types: ValueTypes::default(),
            sctp_endpoint: Inode(0),
        }
    }

    pub fn header(&mut self) -> io::Result<()> {
        self.listing.header()
    }

    pub fn socket(&mut self, socket: &Socket<'_>) -> io::Result<()> {
        match socket {
            Socket::Inet(socket) => self.inet(socket),
            Socket::Unix(socket) => self.unix(socket),
            Socket::Packet(socket) => self.packet(socket),
            Socket::Netlink(socket) => self.netlink(socket),
            Socket::Vsock(socket) => self.vsock(socket),
            Socket::Tipc(socket) => self.tipc(socket),
            Socket::Xdp(socket) => self.xdp(socket),
        }
        self.listing.end_row()
    }

    /// Prints what is held back for its widths.
    pub fn finish(&mut self) -> io::Result<()> {
        self.listing.finish()
    }

    fn netid_and_state(&mut self, netid: &str, state: State) {
        self.listing.field(Column::Netid).extend_from_slice(netid.as_bytes());
        self.listing.field(Column::State).extend_from_slice(state.name().as_bytes());
    }

    fn queues(&mut self, recv_queue: u32, send_queue: u32) {
        number::queue(self.listing.field(Column::RecvQ), recv_queue);
        number::queue(self.listing.field(Column::SendQ), send_queue);
    }

    /// The Process column.
    fn users(&mut self, inode: Inode) {
        let Some(owners) = self.owners else { return };
        let style = match self.show.holders {
            Holders::Threads => HolderStyle::Thread,
            Holders::Hidden | Holders::Processes => HolderStyle::Process,
        };
        users::users(self.listing.field(Column::Process), owners.holders(inode), style);
    }
}
