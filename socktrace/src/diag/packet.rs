//! PACKET sockets: `packet_diag_req` and `packet_diag_msg`.

use netlink_packet_sock_diag::constants::{AF_PACKET, SOCK_RAW};

use super::attrs::{array, attributes, u32_of};
use super::inet::skmem;
use super::{DiagError, DiagSocket, DumpEnd, Sink};
use crate::socket::{Cookie, Inode, Packet, PacketDetail, PacketFanout, PacketRing, Socket, Table};

const MESSAGE_LEN: usize = 16;

const PACKET_SHOW_INFO: u32 = 1;
const PACKET_SHOW_RING_CFG: u32 = 4;
const PACKET_SHOW_FANOUT: u32 = 8;
const PACKET_SHOW_MEMINFO: u32 = 0x10;
const PACKET_SHOW_FILTER: u32 = 0x20;

const PACKET_DIAG_INFO: u16 = 0;
const PACKET_DIAG_RX_RING: u16 = 2;
const PACKET_DIAG_TX_RING: u16 = 3;
const PACKET_DIAG_FANOUT: u16 = 4;
const PACKET_DIAG_UID: u16 = 5;
const PACKET_DIAG_MEMINFO: u16 = 6;
const PACKET_DIAG_FILTER: u16 = 7;

/// What to ask beyond the interface and the memory, of which the receive queue is part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions(u32);

impl Extensions {
    pub const DETAILS: Extensions = Extensions(PACKET_SHOW_RING_CFG | PACKET_SHOW_FANOUT);
    pub const FILTER: Extensions = Extensions(PACKET_SHOW_FILTER);

    #[must_use]
    pub const fn union(self, other: Extensions) -> Extensions {
        Extensions(self.0 | other.0)
    }
}

/// Dumps all PACKET sockets into `sink`.
pub fn dump(
    extensions: Extensions,
    diag: &mut DiagSocket,
    sink: &mut Sink<'_>,
) -> Result<DumpEnd, DiagError> {
    let show = PACKET_SHOW_INFO | PACKET_SHOW_MEMINFO | extensions.0;
    let mut request = [0; 20];
    request[0] = AF_PACKET;
    request[8..12].copy_from_slice(&show.to_ne_bytes());
    diag.dump(&request, &mut |payload| match decode(payload) {
        Some(socket) => sink(&Socket::Packet(socket)),
        None => Ok(()),
    })
}

/// The socket of one `packet_diag_msg`; `None` if it is too short.
pub fn decode(message: &[u8]) -> Option<Packet<'_>> {
    let fixed: &[u8; MESSAGE_LEN] = message.get(..MESSAGE_LEN)?.try_into().ok()?;
    let mut socket = Packet {
        table: match fixed[1] {
            SOCK_RAW => Table::PacketRaw,
            // Sockets of the obsolete type SOCK_PACKET too, as in ss.
            _ => Table::PacketDgram,
        },
        protocol: u16::from_ne_bytes(array(fixed, 2)?),
        ifindex: 0,
        inode: Inode(u32_of(&fixed[4..])?),
        cookie: Cookie(u64::from_ne_bytes(array(fixed, 8)?)),
        recv_queue: 0,
        uid: 0,
        skmem: None,
        detail: PacketDetail::default(),
    };
    for (kind, payload) in attributes(&message[MESSAGE_LEN..]) {
        let field = |i: usize| payload.get(i * 4..).and_then(u32_of);
        let detail = &mut socket.detail;
        match kind {
            PACKET_DIAG_INFO => {
                socket.ifindex = field(0).unwrap_or(0);
                detail.version = field(1);
                detail.copy_threshold = field(3);
                detail.flags = field(5);
            }
            PACKET_DIAG_RX_RING => detail.rx_ring = ring(payload),
            PACKET_DIAG_TX_RING => detail.tx_ring = ring(payload),
            PACKET_DIAG_FANOUT => {
                detail.fanout = field(0)
                    .map(|word| PacketFanout { id: word as u16, kind: (word >> 16) as u16 });
            }
            PACKET_DIAG_UID => socket.uid = field(0).unwrap_or(0),
            PACKET_DIAG_MEMINFO => {
                let memory = skmem(payload);
                socket.recv_queue = memory.rmem_alloc;
                socket.skmem = Some(memory);
            }
            PACKET_DIAG_FILTER => detail.filter = Some(payload),
            _ => {}
        }
    }
    Some(socket)
}

fn ring(payload: &[u8]) -> Option<PacketRing> {
    let field = |i: usize| payload.get(i * 4..).and_then(u32_of);
    Some(PacketRing {
        block_size: field(0)?,
        block_count: field(1)?,
        frame_size: field(2)?,
        frame_count: field(3)?,
        retire_timeout_ms: field(4)?,
        private_size: field(5)?,
        features: field(6)?,
    })
}
