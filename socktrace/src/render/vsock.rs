//! The line of a VSOCK socket.

use super::Printer;
use super::columns::Column;
use super::number::unsigned;
use crate::socket::Vsock;

const ANY: u32 = u32::MAX;
const SOCK_STREAM: u8 = 1;
const SOCK_DGRAM: u8 = 2;

impl Printer<'_, '_> {
    pub(super) fn vsock(&mut self, socket: &Vsock) {
        self.netid_and_state(netid(socket), socket.state);
        // The kernel does not tell their queues.
        self.queues(0, 0);
        for (column, number) in [
            (Column::LocalAddress, socket.local_cid),
            (Column::LocalPort, socket.local_port),
            (Column::PeerAddress, socket.peer_cid),
            (Column::PeerPort, socket.peer_port),
        ] {
            let out = self.listing.field(column);
            match number {
                ANY => out.push(b'*'),
                number => unsigned(out, number.into()),
            }
            if matches!(column, Column::LocalAddress | Column::PeerAddress) {
                out.push(b':');
            }
        }
        self.container();
        self.users(socket.inode);
    }
}

pub(super) fn netid(socket: &Vsock) -> &'static str {
    match socket.socket_type {
        SOCK_STREAM => "v_str",
        SOCK_DGRAM => "v_dgr",
        _ => "???",
    }
}
