//! The line of a NETLINK socket.

use super::columns::Column;
use super::inet::skmem;
use super::number::write_to;
use super::show::Holders;
use super::{Printer, escape};
use crate::owner::Contexts;
use crate::owner::selinux::UNAVAILABLE;
use crate::socket::{Netlink, State};

impl Printer<'_, '_> {
    pub(super) fn netlink(&mut self, socket: &Netlink) {
        self.netid_and_state("nl", State::Close);
        self.queues(socket.recv_queue, socket.send_queue);
        let out = self.listing.field(Column::LocalAddress);
        self.names.netlink_protocol(socket.protocol, out);
        out.push(b':');
        let out = self.listing.field(Column::LocalPort);
        let start = out.len();
        self.names.netlink_port(socket.port_id, out);
        escape::controls(&mut out[start..]);
        match socket.peer_group {
            Some(group) => {
                let out = self.listing.field(Column::PeerAddress);
                write_to(out, format_args!("{}:", group.cast_signed()));
                let out = self.listing.field(Column::PeerPort);
                write_to(out, format_args!("{}", socket.peer_port_id.cast_signed()));
            }
            None => self.listing.field(Column::PeerAddress).push(b'*'),
        }
        self.container();
        // ss has the details of these sockets, and nothing else, in the Process column.
        let out = self.listing.field(Column::Process);
        if let Some(owners) = self.known.owners.filter(|_| {
            self.show.contexts != Contexts::None && self.show.holders != Holders::Hidden
        }) {
            out.extend_from_slice(b" proc_ctx=");
            out.extend_from_slice(owners.context(socket.port_id).unwrap_or(UNAVAILABLE));
        }
        if self.show.details {
            let (sk, cb, groups) = (socket.sk, socket.cb, socket.groups);
            write_to(out, format_args!(" sk={sk:x} cb={cb:x} groups=0x{groups:08x}"));
        }
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            out.push(b'\t');
            skmem(out, memory);
        }
    }
}
