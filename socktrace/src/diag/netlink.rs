//! NETLINK sockets: `netlink_diag_req` and `netlink_diag_msg`.

use netlink_packet_sock_diag::constants::AF_NETLINK;

use super::attrs::{array, attributes, u32_of};
use super::inet::skmem;
use super::{DiagError, DiagSocket, DumpEnd, Sink};
use crate::socket::{Cookie, Inode, Netlink, Socket};

const MESSAGE_LEN: usize = 28;
const NDIAG_PROTO_ALL: u8 = 255;
const NDIAG_SHOW_MEMINFO: u32 = 1;
const NDIAG_SHOW_GROUPS: u32 = 2;
const NETLINK_DIAG_MEMINFO: u16 = 0;
const NETLINK_DIAG_GROUPS: u16 = 1;
const NETLINK_CONNECTED: u8 = 1;

/// Dumps all NETLINK sockets into `sink`.
pub fn dump(diag: &mut DiagSocket, sink: &mut Sink<'_>) -> Result<DumpEnd, DiagError> {
    let mut request = [0; 20];
    request[..2].copy_from_slice(&[AF_NETLINK, NDIAG_PROTO_ALL]);
    request[8..12].copy_from_slice(&(NDIAG_SHOW_MEMINFO | NDIAG_SHOW_GROUPS).to_ne_bytes());
    diag.dump(&request, &mut |payload| match decode(payload) {
        Some(socket) => sink(&Socket::Netlink(socket)),
        None => Ok(()),
    })
}

/// The socket of one `netlink_diag_msg`; `None` if it is too short.
pub fn decode(message: &[u8]) -> Option<Netlink> {
    let fixed: &[u8; MESSAGE_LEN] = message.get(..MESSAGE_LEN)?.try_into().ok()?;
    let mut socket = Netlink {
        protocol: fixed[2],
        port_id: u32_of(&fixed[4..])?,
        peer_port_id: u32_of(&fixed[8..])?,
        peer_group: u32_of(&fixed[12..]).filter(|_| fixed[3] == NETLINK_CONNECTED),
        groups: 0,
        recv_queue: 0,
        send_queue: 0,
        inode: Inode(u32_of(&fixed[16..])?),
        cookie: Cookie(u64::from_ne_bytes(array(fixed, 20)?)),
        sk: 0,
        cb: 0,
        skmem: None,
    };
    for (kind, payload) in attributes(&message[MESSAGE_LEN..]) {
        match kind {
            NETLINK_DIAG_MEMINFO => {
                let memory = skmem(payload);
                socket.recv_queue = memory.rmem_alloc;
                socket.send_queue = memory.wmem_alloc;
                socket.skmem = Some(memory);
            }
            // A bit per group; the first 32 of them are all that is shown.
            NETLINK_DIAG_GROUPS => socket.groups = u32_of(payload).unwrap_or(0),
            _ => {}
        }
    }
    Some(socket)
}
