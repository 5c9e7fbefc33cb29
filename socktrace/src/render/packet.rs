//! The line of a PACKET socket.

use super::Printer;
use super::columns::Column;
use super::inet::skmem;
use super::number::write_to;
use super::show::Layout;
use crate::socket::{Packet, PacketDetail, PacketFanout, PacketRing, State, Table};

pub(super) const FLAGS: [&str; 5] = ["running", " auxdata", " origdev", " vnethdr", " loss"];
pub(super) const FANOUTS: [&str; 6] = ["hash", "lb", "cpu", "roll", "random", "qm"];

impl Printer<'_, '_> {
    pub(super) fn packet(&mut self, socket: &Packet<'_>) {
        let netid = match socket.table {
            Table::PacketRaw => "p_raw",
            _ => "p_dgr",
        };
        self.netid_and_state(netid, State::Close);
        self.queues(socket.recv_queue, 0);
        let out = self.listing.field(Column::LocalAddress);
        self.names.ethernet_protocol(socket.protocol, out);
        out.push(b':');
        let out = self.listing.field(Column::LocalPort);
        match socket.ifindex {
            0 => out.push(b'*'),
            index => self.names.interface(index, out),
        }
        self.listing.field(Column::PeerAddress).push(b'*');
        self.container();
        self.users(socket.inode);
        let out = self.listing.field(Column::Ext);
        if self.show.details {
            identity(out, socket.uid, socket.inode.0, socket.cookie.0);
            details(out, &socket.detail, self.show.layout);
        }
        if let Some(filter) = socket.detail.filter.filter(|_| self.show.bpf_filter) {
            out.extend_from_slice(self.show.layout.line_break());
            bpf_filter(out, filter);
        }
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            skmem(out, memory);
        }
    }
}

/// User, inode and cookie.
pub(super) fn identity(out: &mut Vec<u8>, uid: u32, inode: u32, cookie: u64) {
    if uid != 0 {
        write_to(out, format_args!(" uid:{uid}"));
    }
    write_to(out, format_args!(" ino:{inode} sk:{cookie:x}"));
}

fn details(out: &mut Vec<u8>, detail: &PacketDetail<'_>, layout: Layout) {
    if let (Some(version), Some(threshold), Some(set)) =
        (detail.version, detail.copy_threshold, detail.flags)
    {
        out.extend_from_slice(layout.line_break());
        let threshold = threshold.cast_signed();
        write_to(out, format_args!("ver:{} cpy_thresh:{threshold} flags( ", version.cast_signed()));
        for (bit, name) in FLAGS.into_iter().enumerate() {
            if set >> bit & 1 != 0 {
                out.extend_from_slice(name.as_bytes());
            }
        }
        out.extend_from_slice(if set == 0 { b"0 )" } else { b" )" });
    }
    for (label, ring) in [("ring_rx(", detail.rx_ring), ("ring_tx(", detail.tx_ring)] {
        if let Some(ring) = ring {
            out.extend_from_slice(layout.line_break());
            out.extend_from_slice(label.as_bytes());
            write_ring(out, &ring);
        }
    }
    if let Some(PacketFanout { id, kind }) = detail.fanout {
        out.extend_from_slice(layout.line_break());
        match FANOUTS.get(usize::from(kind)) {
            Some(name) => write_to(out, format_args!("fanout(id:{id},type:{name})")),
            None => write_to(out, format_args!("fanout(id:{id},type:0x{kind:x})")),
        }
    }
}

fn write_ring(out: &mut Vec<u8>, ring: &PacketRing) {
    write_to(
        out,
        format_args!(
            "blk_size:{},blk_nr:{},frm_size:{},frm_nr:{},tmo:{},features:0x{:x})",
            ring.block_size.cast_signed(),
            ring.block_count.cast_signed(),
            ring.frame_size.cast_signed(),
            ring.frame_count.cast_signed(),
            ring.retire_timeout_ms.cast_signed(),
            ring.features
        ),
    );
}

/// `struct sock_filter`s.
fn bpf_filter(out: &mut Vec<u8>, program: &[u8]) {
    let instructions = program.chunks_exact(8);
    write_to(out, format_args!("bpf filter ({}): ", instructions.len()));
    for i in instructions {
        let code = u16::from_ne_bytes([i[0], i[1]]);
        let k = u32::from_ne_bytes([i[4], i[5], i[6], i[7]]);
        write_to(out, format_args!(" 0x{code:02x} {} {} {k},", i[2], i[3]));
    }
}
