//! The line of a UNIX socket.

use super::columns::Column;
use super::inet::{shutdown, skmem};
use super::number::{unsigned, write_to};
use super::{Printer, escape};
use crate::socket::{Inode, Table, Unix, UnixFile};

impl Printer<'_, '_> {
    pub(super) fn unix(&mut self, socket: &Unix<'_>) {
        let netid = match socket.table {
            Table::UnixStream => "u_str",
            Table::UnixSeqpacket => "u_seq",
            _ => "u_dgr",
        };
        self.netid_and_state(netid, socket.state);
        self.queues(socket.recv_queue, socket.send_queue);
        self.unix_end(socket.name, socket.inode, Column::LocalAddress, Column::LocalPort);
        self.unix_end(socket.peer_name, socket.peer_inode, Column::PeerAddress, Column::PeerPort);
        self.container();
        self.users(socket.inode);
        let out = self.listing.field(Column::Ext);
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            skmem(out, memory);
        }
        if self.show.details {
            details(out, socket);
        }
    }

    fn unix_end(&mut self, name: Option<&[u8]>, inode: Inode, address: Column, port: Column) {
        let out = self.listing.field(address);
        match name {
            Some(name) => escape::path(out, name),
            None => out.push(b'*'),
        }
        out.push(b' ');
        unsigned(self.listing.field(port), inode.0.into());
    }
}

fn details(out: &mut Vec<u8>, socket: &Unix<'_>) {
    if let Some(uid) = socket.uid.filter(|uid| *uid != 0) {
        write_to(out, format_args!(" uid:{uid}"));
    }
    if let Some(mask) = socket.shutdown {
        out.push(b' ');
        shutdown(out, mask);
    }
    if let Some(UnixFile { inode, device }) = socket.file {
        let (major, minor) = device_numbers(device);
        write_to(out, format_args!(" ino:{inode} dev:{major}/{minor}"));
    }
    if let Some(pending) = socket.pending {
        out.extend_from_slice(b" peers:");
        for inode in pending.chunks_exact(4) {
            out.push(b' ');
            let inode = u32::from_ne_bytes(inode.try_into().unwrap_or_default());
            unsigned(out, inode.into());
        }
    }
}

/// The kernel's number, taken apart as the C library does with its own: so ss prints it.
pub(super) fn device_numbers(device: u32) -> (u32, u32) {
    (device >> 8 & 0xfff, device & 0xff | device >> 12 & !0xff)
}
