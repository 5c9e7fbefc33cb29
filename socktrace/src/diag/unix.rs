//! UNIX sockets: `unix_diag_req` and `unix_diag_msg`.

use netlink_packet_sock_diag::constants::{
    AF_UNIX, SOCK_DGRAM, SOCK_SEQPACKET, SOCK_STREAM, UDIAG_SHOW_ICONS, UDIAG_SHOW_MEMINFO,
    UDIAG_SHOW_NAME, UDIAG_SHOW_PEER, UDIAG_SHOW_RQLEN, UDIAG_SHOW_VFS, UNIX_DIAG_ICONS,
    UNIX_DIAG_MEMINFO, UNIX_DIAG_NAME, UNIX_DIAG_PEER, UNIX_DIAG_RQLEN, UNIX_DIAG_SHUTDOWN,
    UNIX_DIAG_VFS,
};

use super::attrs::{array, attributes, u8_of, u32_of};
use super::inet::skmem;
use super::{DiagError, DiagSocket, DumpEnd, Sink};
use crate::socket::{Cookie, Inode, Socket, State, StateSet, Table, TableSet, Unix, UnixFile};

const MESSAGE_LEN: usize = 16;

const UNIX_DIAG_UID: u16 = 7;
const UDIAG_SHOW_UID: u32 = 0x40;

/// What to ask for beyond names, peers and queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions(u32);

impl Extensions {
    /// The file of the name, and connections that wait.
    pub const DETAILS: Extensions = Extensions(UDIAG_SHOW_VFS | UDIAG_SHOW_ICONS);
    pub const MEMORY: Extensions = Extensions(UDIAG_SHOW_MEMINFO);
    pub const FILE: Extensions = Extensions(UDIAG_SHOW_VFS);
    /// Linux 5.3; an older one tells no user.
    pub const USER: Extensions = Extensions(UDIAG_SHOW_UID);

    #[must_use]
    pub const fn union(self, other: Extensions) -> Extensions {
        Extensions(self.0 | other.0)
    }
}

/// What to ask of the UNIX tables: the kernel chooses by state, the type is chosen here.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub tables: TableSet,
    pub states: StateSet,
    pub extensions: Extensions,
}

impl Request {
    pub fn encode(&self) -> [u8; 24] {
        let show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | self.extensions.0;
        let mut out = [0; 24];
        out[0] = AF_UNIX;
        out[4..8].copy_from_slice(&self.states.bits().to_ne_bytes());
        out[12..16].copy_from_slice(&show.to_ne_bytes());
        out
    }

    pub fn dump(&self, diag: &mut DiagSocket, sink: &mut Sink<'_>) -> Result<DumpEnd, DiagError> {
        diag.dump(&self.encode(), &mut |message| self.each(message, sink))
    }

    /// Hands on the socket of a message, if it is of the tables that are asked for.
    pub fn each(&self, message: &[u8], sink: &mut Sink<'_>) -> anyhow::Result<()> {
        match decode(message) {
            Some(socket) if self.tables.contains(socket.table) => sink(&Socket::Unix(socket)),
            _ => Ok(()),
        }
    }
}

/// The socket of one `unix_diag_msg`; `None` if it is too short or of an unknown type.
pub fn decode(message: &[u8]) -> Option<Unix<'_>> {
    let fixed: &[u8; MESSAGE_LEN] = message.get(..MESSAGE_LEN)?.try_into().ok()?;
    let mut socket = Unix {
        table: match fixed[1] {
            SOCK_STREAM => Table::UnixStream,
            SOCK_DGRAM => Table::UnixDgram,
            SOCK_SEQPACKET => Table::UnixSeqpacket,
            _ => return None,
        },
        state: State::from_raw(fixed[2]),
        name: None,
        peer_name: None,
        inode: Inode(u32_of(&fixed[4..])?),
        peer_inode: Inode(0),
        cookie: Cookie(u64::from_ne_bytes(array(fixed, 8)?)),
        recv_queue: 0,
        send_queue: 0,
        uid: None,
        shutdown: None,
        file: None,
        pending: None,
        skmem: None,
    };
    for (kind, payload) in attributes(&message[MESSAGE_LEN..]) {
        match kind {
            UNIX_DIAG_NAME => socket.name = name(payload),
            UNIX_DIAG_VFS => {
                socket.file = u32_of(payload)
                    .zip(payload.get(4..).and_then(u32_of))
                    .map(|(inode, device)| UnixFile { inode, device });
            }
            UNIX_DIAG_PEER => socket.peer_inode = Inode(u32_of(payload).unwrap_or(0)),
            UNIX_DIAG_ICONS => socket.pending = Some(payload),
            UNIX_DIAG_RQLEN => {
                socket.recv_queue = u32_of(payload).unwrap_or(0);
                socket.send_queue = payload.get(4..).and_then(u32_of).unwrap_or(0);
            }
            UNIX_DIAG_MEMINFO => socket.skmem = Some(skmem(payload)),
            UNIX_DIAG_SHUTDOWN => socket.shutdown = u8_of(payload),
            UNIX_DIAG_UID => socket.uid = u32_of(payload),
            _ => {}
        }
    }
    Some(socket)
}

/// A path comes with NULs after it on some kernels; in an abstract name each of them counts.
fn name(payload: &[u8]) -> Option<&[u8]> {
    let name = match payload.first()? {
        0 => payload,
        _ => super::attrs::c_string(payload),
    };
    Some(name)
}
