//! The line of an XDP socket.

use super::Printer;
use super::columns::Column;
use super::inet::skmem;
use super::number::write_to;
use super::packet::identity;
use super::show::Layout;
use crate::socket::{State, Xdp, XdpDetail};

pub(super) const ZERO_COPY: u32 = 1;

impl Printer<'_, '_> {
    pub(super) fn xdp(&mut self, socket: &Xdp) {
        self.netid_and_state("xdp", State::Close);
        self.queues(socket.skmem.map_or(0, |memory| memory.rmem_alloc), 0);
        match socket.ifindex {
            0 => self.listing.field(Column::LocalAddress).push(b'*'),
            index => {
                let out = self.listing.field(Column::LocalAddress);
                self.names.interface(index, out);
                out.push(b':');
                let out = self.listing.field(Column::LocalPort);
                write_to(out, format_args!("q{}", socket.queue));
            }
        }
        self.listing.field(Column::PeerAddress).push(b'*');
        self.container();
        self.users(socket.inode);
        let out = self.listing.field(Column::Ext);
        if self.show.details {
            identity(out, socket.uid, socket.inode.0, socket.cookie.0);
            details(out, &socket.detail, self.show.layout);
        }
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            skmem(out, memory);
        }
    }
}

fn details(out: &mut Vec<u8>, detail: &XdpDetail, layout: Layout) {
    let ring = |out: &mut Vec<u8>, name: &str, entries: Option<u32>| {
        if let Some(entries) = entries {
            out.extend_from_slice(layout.line_break());
            write_to(out, format_args!("{name}(entries:{entries})"));
        }
    };
    ring(out, "rx", detail.rx_ring);
    ring(out, "tx", detail.tx_ring);
    if let Some(umem) = detail.umem {
        // On one line ss writes the letter of its tabulator.
        out.extend_from_slice(match layout {
            Layout::Lines => b"\n\tumem",
            Layout::OneLine => b" tumem",
        });
        write_to(
            out,
            format_args!(
                "(id:{},size:{},num_pages:{},chunk_size:{},headroom:{},ifindex:{},qid:{},zc:{},refs:{})",
                umem.id,
                umem.size,
                umem.page_count,
                umem.chunk_size,
                umem.headroom,
                umem.ifindex,
                umem.queue,
                umem.flags & ZERO_COPY,
                umem.references
            ),
        );
    }
    ring(out, "fr", detail.fill_ring);
    ring(out, "cr", detail.completion_ring);
    if let Some(stats) = detail.stats {
        out.extend_from_slice(layout.line_break());
        write_to(
            out,
            format_args!(
                "stats(rx dropped:{},rx invalid:{},rx queue full:{},rx fill ring empty:{},tx invalid:{},tx ring empty:{})",
                stats.rx_dropped,
                stats.rx_invalid,
                stats.rx_full,
                stats.fill_ring_empty,
                stats.tx_invalid,
                stats.tx_ring_empty
            ),
        );
    }
}
