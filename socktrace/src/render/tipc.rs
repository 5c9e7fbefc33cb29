//! The line of a TIPC socket.

use super::Printer;
use super::columns::Column;
use super::number::{unsigned, write_to};
use super::packet::identity;
use super::show::Layout;
use crate::socket::{Tipc, TipcCongestion};

impl Printer<'_, '_> {
    pub(super) fn tipc(&mut self, socket: &Tipc) {
        let (netid, kind) = kind(socket.socket_type);
        self.netid_and_state(netid, socket.state);
        self.queues(socket.recv_queue, socket.send_queue);
        write_to(self.listing.field(Column::LocalAddress), format_args!("{}:", socket.node));
        unsigned(self.listing.field(Column::LocalPort), socket.port.into());
        match socket.peer {
            Some(peer) => {
                let out = self.listing.field(Column::PeerAddress);
                write_to(out, format_args!("{}:", peer.node));
                unsigned(self.listing.field(Column::PeerPort), peer.port.into());
            }
            None => self.listing.field(Column::PeerAddress).push(b'-'),
        }
        self.container();
        // ss has the details of these sockets in the Process column.
        if self.show.details {
            let out = self.listing.field(Column::Process);
            identity(out, socket.uid, socket.inode.0, socket.cookie.0);
        }
        self.users(socket.inode);
        if self.show.tipc_info {
            self.tipc_info(socket, kind);
        }
    }

    fn tipc_info(&mut self, socket: &Tipc, kind: &str) {
        let out = self.listing.field(Column::Ext);
        if self.show.layout == Layout::Lines {
            out.push(b'\n');
        }
        let congestion = match socket.congestion {
            TipcCongestion::None => "none",
            TipcCongestion::Link => "link",
            TipcCongestion::Connection => "conn",
        };
        let dropped = socket.dropped.cast_signed();
        write_to(out, format_args!(" type:{kind} cong:{congestion}  drop:{dropped} "));
        if socket.is_published {
            out.extend_from_slice(b" publ");
        }
        if let Some((service, instance)) = socket.peer.and_then(|peer| peer.service) {
            write_to(out, format_args!(" via {{{service},{instance}}} "));
        }
    }
}

/// The Netid and the name of a type of sockets.
pub(super) fn kind(socket_type: u32) -> (&'static str, &'static str) {
    match socket_type {
        1 => ("ti_st", "STREAM"),
        2 => ("ti_dg", "DGRAM"),
        4 => ("ti_rd", "RDM"),
        5 => ("ti_sq", "SEQPACKET"),
        _ => ("???", "(null)"),
    }
}
