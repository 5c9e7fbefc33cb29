//! XDP sockets: `xdp_diag_req` and `xdp_diag_msg`.

use super::attrs::{array, attributes, u32_of, u64_of};
use super::inet::skmem;
use super::{DiagError, DiagSocket, DumpEnd, Sink};
use crate::socket::{Cookie, Inode, Socket, Xdp, XdpDetail, XdpStats, XdpUmem};

const AF_XDP: u8 = 44;
const MESSAGE_LEN: usize = 16;
/// Information, rings, memory area, memory and counters.
const XDP_SHOW_ALL: u32 = 0x1f;

const XDP_DIAG_INFO: u16 = 1;
const XDP_DIAG_UID: u16 = 2;
const XDP_DIAG_RX_RING: u16 = 3;
const XDP_DIAG_TX_RING: u16 = 4;
const XDP_DIAG_UMEM: u16 = 5;
const XDP_DIAG_UMEM_FILL_RING: u16 = 6;
const XDP_DIAG_UMEM_COMPLETION_RING: u16 = 7;
const XDP_DIAG_MEMINFO: u16 = 8;
const XDP_DIAG_STATS: u16 = 9;

/// Dumps all XDP sockets into `sink`.
pub fn dump(diag: &mut DiagSocket, sink: &mut Sink<'_>) -> Result<DumpEnd, DiagError> {
    let mut request = [0; 20];
    request[0] = AF_XDP;
    request[8..12].copy_from_slice(&XDP_SHOW_ALL.to_ne_bytes());
    diag.dump(&request, &mut |payload| match decode(payload) {
        Some(socket) => sink(&Socket::Xdp(socket)),
        None => Ok(()),
    })
}

/// The socket of one `xdp_diag_msg`; `None` if it is too short.
pub fn decode(message: &[u8]) -> Option<Xdp> {
    let fixed: &[u8; MESSAGE_LEN] = message.get(..MESSAGE_LEN)?.try_into().ok()?;
    let mut socket = Xdp {
        ifindex: 0,
        queue: 0,
        inode: Inode(u32_of(&fixed[4..])?),
        cookie: Cookie(u64::from_ne_bytes(array(fixed, 8)?)),
        uid: 0,
        skmem: None,
        detail: XdpDetail::default(),
    };
    for (kind, payload) in attributes(&message[MESSAGE_LEN..]) {
        let detail = &mut socket.detail;
        match kind {
            XDP_DIAG_INFO => {
                socket.ifindex = u32_of(payload).unwrap_or(0);
                socket.queue = payload.get(4..).and_then(u32_of).unwrap_or(0);
            }
            XDP_DIAG_UID => socket.uid = u32_of(payload).unwrap_or(0),
            XDP_DIAG_RX_RING => detail.rx_ring = u32_of(payload),
            XDP_DIAG_TX_RING => detail.tx_ring = u32_of(payload),
            XDP_DIAG_UMEM => detail.umem = umem(payload),
            XDP_DIAG_UMEM_FILL_RING => detail.fill_ring = u32_of(payload),
            XDP_DIAG_UMEM_COMPLETION_RING => detail.completion_ring = u32_of(payload),
            XDP_DIAG_MEMINFO => socket.skmem = Some(skmem(payload)),
            XDP_DIAG_STATS => detail.stats = stats(payload),
            _ => {}
        }
    }
    Some(socket)
}

fn umem(payload: &[u8]) -> Option<XdpUmem> {
    let field = |i: usize| payload.get(8 + i * 4..).and_then(u32_of);
    Some(XdpUmem {
        size: u64_of(payload)?,
        id: field(0)?,
        page_count: field(1)?,
        chunk_size: field(2)?,
        headroom: field(3)?,
        ifindex: field(4)?,
        queue: field(5)?,
        flags: field(6)?,
        references: field(7)?,
    })
}

fn stats(payload: &[u8]) -> Option<XdpStats> {
    let field = |i: usize| payload.get(i * 8..).and_then(u64_of);
    Some(XdpStats {
        rx_dropped: field(0)?,
        rx_invalid: field(1)?,
        rx_full: field(2)?,
        fill_ring_empty: field(3)?,
        tx_invalid: field(4)?,
        tx_ring_empty: field(5)?,
    })
}
