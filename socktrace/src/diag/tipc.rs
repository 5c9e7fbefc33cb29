//! TIPC sockets: `tipc_sock_diag_req`; all of the answer is in attributes.

use super::attrs::{attributes, u32_of, u64_of};
use super::{DiagError, DiagSocket, DumpEnd, Sink};
use crate::socket::{Cookie, Inode, Socket, State, StateSet, Tipc, TipcCongestion, TipcPeer};

const AF_TIPC: u8 = 30;

const TIPC_NLA_SOCK: u16 = 2;

const TIPC_NLA_SOCK_ADDR: u16 = 1;
const TIPC_NLA_SOCK_REF: u16 = 2;
const TIPC_NLA_SOCK_CON: u16 = 3;
const TIPC_NLA_SOCK_HAS_PUBL: u16 = 4;
const TIPC_NLA_SOCK_STAT: u16 = 5;
const TIPC_NLA_SOCK_TYPE: u16 = 6;
const TIPC_NLA_SOCK_INO: u16 = 7;
const TIPC_NLA_SOCK_UID: u16 = 8;
const TIPC_NLA_SOCK_TIPC_STATE: u16 = 9;
const TIPC_NLA_SOCK_COOKIE: u16 = 10;

const TIPC_NLA_CON_FLAG: u16 = 1;
const TIPC_NLA_CON_NODE: u16 = 2;
const TIPC_NLA_CON_SOCK: u16 = 3;
const TIPC_NLA_CON_TYPE: u16 = 4;
const TIPC_NLA_CON_INST: u16 = 5;

const TIPC_NLA_SOCK_STAT_RCVQ: u16 = 0;
const TIPC_NLA_SOCK_STAT_SENDQ: u16 = 1;
const TIPC_NLA_SOCK_STAT_LINK_CONG: u16 = 2;
const TIPC_NLA_SOCK_STAT_CONN_CONG: u16 = 3;
const TIPC_NLA_SOCK_STAT_DROP: u16 = 4;

/// Dumps the TIPC sockets in these states into `sink`.
pub fn dump(
    states: StateSet,
    diag: &mut DiagSocket,
    sink: &mut Sink<'_>,
) -> Result<DumpEnd, DiagError> {
    let mut request = [0; 8];
    request[0] = AF_TIPC;
    request[4..].copy_from_slice(&states.bits().to_ne_bytes());
    diag.dump(&request, &mut |payload| match decode(payload) {
        Some(socket) => sink(&Socket::Tipc(socket)),
        None => Ok(()),
    })
}

/// The socket of one message; `None` if it tells of none.
pub fn decode(message: &[u8]) -> Option<Tipc> {
    let (_, nested) = attributes(message).find(|(kind, _)| *kind == TIPC_NLA_SOCK)?;
    let mut socket = Tipc {
        socket_type: 0,
        state: State::Unknown,
        inode: Inode(0),
        uid: 0,
        cookie: Cookie(0),
        node: 0,
        port: 0,
        peer: None,
        recv_queue: 0,
        send_queue: 0,
        dropped: 0,
        congestion: TipcCongestion::None,
        is_published: false,
    };
    for (kind, payload) in attributes(nested) {
        let word = || u32_of(payload).unwrap_or(0);
        match kind {
            TIPC_NLA_SOCK_ADDR => socket.node = word(),
            TIPC_NLA_SOCK_REF => socket.port = word(),
            TIPC_NLA_SOCK_CON => socket.peer = Some(peer(payload)),
            TIPC_NLA_SOCK_HAS_PUBL => socket.is_published = true,
            TIPC_NLA_SOCK_STAT => counters(&mut socket, payload),
            TIPC_NLA_SOCK_TYPE => socket.socket_type = word(),
            TIPC_NLA_SOCK_INO => socket.inode = Inode(word()),
            TIPC_NLA_SOCK_UID => socket.uid = word(),
            TIPC_NLA_SOCK_TIPC_STATE => {
                socket.state = u8::try_from(word()).map_or(State::Unknown, State::from_raw);
            }
            TIPC_NLA_SOCK_COOKIE => socket.cookie = Cookie(u64_of(payload).unwrap_or(0)),
            _ => {}
        }
    }
    Some(socket)
}

fn peer(nested: &[u8]) -> TipcPeer {
    let (mut node, mut port, mut service, mut by_service) = (0, 0, (0, 0), false);
    for (kind, payload) in attributes(nested) {
        let word = u32_of(payload).unwrap_or(0);
        match kind {
            TIPC_NLA_CON_FLAG => by_service = true,
            TIPC_NLA_CON_NODE => node = word,
            TIPC_NLA_CON_SOCK => port = word,
            TIPC_NLA_CON_TYPE => service.0 = word,
            TIPC_NLA_CON_INST => service.1 = word,
            _ => {}
        }
    }
    TipcPeer { node, port, service: by_service.then_some(service) }
}

fn counters(socket: &mut Tipc, nested: &[u8]) {
    for (kind, payload) in attributes(nested) {
        let word = u32_of(payload).unwrap_or(0);
        match kind {
            TIPC_NLA_SOCK_STAT_RCVQ => socket.recv_queue = word,
            TIPC_NLA_SOCK_STAT_SENDQ => socket.send_queue = word,
            TIPC_NLA_SOCK_STAT_LINK_CONG => socket.congestion = TipcCongestion::Link,
            TIPC_NLA_SOCK_STAT_CONN_CONG if socket.congestion == TipcCongestion::None => {
                socket.congestion = TipcCongestion::Connection;
            }
            TIPC_NLA_SOCK_STAT_DROP => socket.dropped = word,
            _ => {}
        }
    }
}
