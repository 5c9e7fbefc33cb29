//! VSOCK sockets: `vsock_diag_req` and `vsock_diag_msg`.

use netlink_packet_sock_diag::constants::{SOCK_DGRAM, SOCK_STREAM};

use super::attrs::{array, u32_of};
use super::{DiagError, DiagSocket, DumpEnd, Sink};
use crate::socket::{Cookie, Inode, Socket, State, StateSet, Table, TableSet, Vsock};

const AF_VSOCK: u8 = 40;
const MESSAGE_LEN: usize = 32;

/// What to ask of the VSOCK tables.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub tables: TableSet,
    pub states: StateSet,
}

impl Request {
    pub fn dump(&self, diag: &mut DiagSocket, sink: &mut Sink<'_>) -> Result<DumpEnd, DiagError> {
        let mut request = [0; 24];
        request[0] = AF_VSOCK;
        request[4..8].copy_from_slice(&self.states.bits().to_ne_bytes());
        diag.dump(&request, &mut |payload| match decode(payload) {
            Some(socket) if self.wants(&socket) => sink(&Socket::Vsock(socket)),
            _ => Ok(()),
        })
    }

    /// A type without a table of its own (seqpacket) belongs to each of them, as in `ss`.
    fn wants(&self, socket: &Vsock) -> bool {
        !matches!(socket.socket_type, SOCK_STREAM | SOCK_DGRAM)
            || self.tables.contains(socket.table)
    }
}

/// The socket of one `vsock_diag_msg`; `None` if it is too short.
pub fn decode(message: &[u8]) -> Option<Vsock> {
    let fixed: &[u8; MESSAGE_LEN] = message.get(..MESSAGE_LEN)?.try_into().ok()?;
    Some(Vsock {
        table: match fixed[1] {
            SOCK_DGRAM => Table::VsockDgram,
            _ => Table::VsockStream,
        },
        socket_type: fixed[1],
        state: State::from_raw(fixed[2]),
        local_cid: u32_of(&fixed[4..])?,
        local_port: u32_of(&fixed[8..])?,
        peer_cid: u32_of(&fixed[12..])?,
        peer_port: u32_of(&fixed[16..])?,
        inode: Inode(u32_of(&fixed[20..])?),
        cookie: Cookie(u64::from_ne_bytes(array(fixed, 24)?)),
        shutdown: fixed[3],
    })
}
