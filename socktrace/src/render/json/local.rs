//! Sockets of the other families.

use super::inet::{shutdown, skmem};
use super::listing::Members;
use super::write::Object;
use crate::owner::Contexts;
use crate::render::number::write_to;
use crate::render::packet::{FANOUTS, FLAGS};
use crate::render::unix::device_numbers;
use crate::socket::{
    Netlink, Packet, PacketDetail, PacketRing, State, Tipc, TipcCongestion, Unix, Vsock, Xdp,
    XdpDetail,
};

/// What stands for any CID or port of VSOCK.
const VSOCK_ANY: u32 = u32::MAX;

impl Members<'_> {
    pub(super) fn unix(&self, object: &mut Object<'_>, socket: &Unix<'_>) {
        object.value("netid", socket.table.netid());
        object.value("family", "unix");
        object.value("state", socket.state.name());
        self.queues(object, socket.recv_queue, socket.send_queue);
        unix_name(&mut object.object("local"), socket.name);
        {
            let mut peer = object.object("peer");
            unix_name(&mut peer, socket.peer_name);
            peer.known("inode", Some(socket.peer_inode.0).filter(|inode| *inode != 0));
        }
        self.identity(object, socket.uid, socket.inode, socket.cookie);
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            skmem(object, memory);
        }
        if !self.show.details {
            return;
        }
        if let Some(mask) = socket.shutdown {
            shutdown(object, mask);
        }
        if let Some(file) = socket.file {
            let (major, minor) = device_numbers(file.device);
            let mut object = object.object("file");
            object.value("inode", file.inode);
            object.value("device_major", major);
            object.value("device_minor", minor);
        }
        if let Some(pending) = socket.pending {
            let mut list = object.array("pending");
            for inode in pending.chunks_exact(4) {
                list.value(u32::from_ne_bytes(inode.try_into().unwrap_or_default()));
            }
        }
    }

    pub(super) fn packet(&self, object: &mut Object<'_>, socket: &Packet<'_>) {
        object.value("netid", socket.table.netid());
        object.value("family", "packet");
        object.value("state", State::Close.name());
        self.queues(object, socket.recv_queue, 0);
        {
            let mut local = object.object("local");
            local.value("protocol", socket.protocol);
            local.known("protocol_name", self.names.ethernet_protocol_name(socket.protocol));
            if socket.ifindex != 0 {
                self.interface(&mut local, socket.ifindex);
            }
        }
        self.identity(object, Some(socket.uid), socket.inode, socket.cookie);
        if self.show.details {
            packet_detail(&mut object.object("packet"), &socket.detail);
        }
        if let Some(program) = socket.detail.filter.filter(|_| self.show.bpf_filter) {
            let mut list = object.array("bpf_filter");
            for i in program.chunks_exact(8) {
                let mut instruction = list.object();
                instruction.value("code", u16::from_ne_bytes([i[0], i[1]]));
                instruction.value("jt", i[2]);
                instruction.value("jf", i[3]);
                instruction.value("k", u32::from_ne_bytes([i[4], i[5], i[6], i[7]]));
            }
        }
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            skmem(object, memory);
        }
    }

    pub(super) fn netlink(&self, object: &mut Object<'_>, socket: &Netlink) {
        object.value("netid", "nl");
        object.value("family", "netlink");
        object.value("state", State::Close.name());
        self.queues(object, socket.recv_queue, socket.send_queue);
        {
            let mut local = object.object("local");
            local.value("protocol", socket.protocol);
            if let Some(name) = self.names.netlink_protocol_name(socket.protocol) {
                local.bytes("protocol_name", name);
            }
            local.value("port_id", socket.port_id);
            let mut name = Vec::new();
            if self.names.netlink_process(socket.port_id.cast_signed(), &mut name) {
                local.bytes("process", &name);
            }
        }
        if let Some(group) = socket.peer_group {
            let mut peer = object.object("peer");
            peer.value("group", group);
            peer.value("port_id", socket.peer_port_id);
        }
        self.identity(object, None, socket.inode, socket.cookie);
        if let Some(owners) = self.known.owners.filter(|_| self.show.contexts != Contexts::None)
            && let Some(context) = owners.context(socket.port_id)
        {
            object.bytes("process_context", context);
        }
        if self.show.details {
            object.value("groups", socket.groups);
            // Addresses in the kernel, which only the text of /proc/net has.
            object.known("sk", Some(socket.sk).filter(|sk| *sk != 0));
            object.known("cb", Some(socket.cb).filter(|cb| *cb != 0));
        }
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            skmem(object, memory);
        }
    }

    pub(super) fn vsock(&self, object: &mut Object<'_>, socket: &Vsock) {
        object.value("netid", crate::render::vsock::netid(socket));
        object.value("family", "vsock");
        object.value("state", socket.state.name());
        // The kernel does not tell their queues.
        for (key, cid, port) in [
            ("local", socket.local_cid, socket.local_port),
            ("peer", socket.peer_cid, socket.peer_port),
        ] {
            let mut end = object.object(key);
            end.known("cid", Some(cid).filter(|cid| *cid != VSOCK_ANY));
            end.known("port", Some(port).filter(|port| *port != VSOCK_ANY));
        }
        self.identity(object, None, socket.inode, socket.cookie);
    }

    pub(super) fn tipc(&self, object: &mut Object<'_>, socket: &Tipc) {
        let (netid, kind) = crate::render::tipc::kind(socket.socket_type);
        object.value("netid", netid);
        object.value("family", "tipc");
        object.value("state", socket.state.name());
        self.queues(object, socket.recv_queue, socket.send_queue);
        {
            let mut local = object.object("local");
            local.value("node", socket.node);
            local.value("port", socket.port);
        }
        if let Some(peer) = socket.peer {
            let mut end = object.object("peer");
            end.value("node", peer.node);
            end.value("port", peer.port);
        }
        self.identity(object, Some(socket.uid), socket.inode, socket.cookie);
        if self.show.tipc_info {
            let mut info = object.object("tipc_info");
            info.value("type", kind);
            info.value(
                "congestion",
                match socket.congestion {
                    TipcCongestion::None => "none",
                    TipcCongestion::Link => "link",
                    TipcCongestion::Connection => "conn",
                },
            );
            info.value("dropped", socket.dropped);
            info.value("published", socket.is_published);
            if let Some((kind, instance)) = socket.peer.and_then(|peer| peer.service) {
                let mut service = info.object("service");
                service.value("type", kind);
                service.value("instance", instance);
            }
        }
    }

    pub(super) fn xdp(&self, object: &mut Object<'_>, socket: &Xdp) {
        object.value("netid", "xdp");
        object.value("family", "xdp");
        object.value("state", State::Close.name());
        self.queues(object, socket.skmem.map_or(0, |memory| memory.rmem_alloc), 0);
        {
            let mut local = object.object("local");
            if socket.ifindex != 0 {
                self.interface(&mut local, socket.ifindex);
                local.value("queue", socket.queue);
            }
        }
        self.identity(object, Some(socket.uid), socket.inode, socket.cookie);
        if self.show.details {
            xdp_detail(&mut object.object("xdp"), &socket.detail);
        }
        if let Some(memory) = socket.skmem.as_ref().filter(|_| self.show.memory) {
            skmem(object, memory);
        }
    }
}

/// `path`, or `abstract` without the NUL before it; neither for a socket without a name.
pub fn unix_name(object: &mut Object<'_>, name: Option<&[u8]>) {
    match name {
        Some([0, name @ ..]) => object.bytes("abstract", name),
        // In the text of /proc/net.
        Some([b'@', name @ ..]) => object.bytes("abstract", name),
        Some(path) => object.bytes("path", path),
        None => {}
    }
}

fn packet_detail(object: &mut Object<'_>, detail: &PacketDetail<'_>) {
    object.known("version", detail.version);
    object.known("copy_threshold", detail.copy_threshold);
    if let Some(set) = detail.flags {
        let named = FLAGS.into_iter().enumerate();
        object.words(
            "flags",
            named.filter(|(bit, _)| set >> bit & 1 != 0).map(|(_, name)| name.trim()),
        );
    }
    for (key, ring) in [("rx_ring", detail.rx_ring), ("tx_ring", detail.tx_ring)] {
        if let Some(ring) = ring {
            packet_ring(&mut object.object(key), &ring);
        }
    }
    if let Some(fanout) = detail.fanout {
        let mut object = object.object("fanout");
        object.value("id", fanout.id);
        match FANOUTS.get(usize::from(fanout.kind)) {
            Some(name) => object.value("type", name),
            None => object.written("type", |out| write_to(out, format_args!("{:#x}", fanout.kind))),
        }
    }
}

fn packet_ring(object: &mut Object<'_>, ring: &PacketRing) {
    object.value("block_size_bytes", ring.block_size);
    object.value("blocks", ring.block_count);
    object.value("frame_size_bytes", ring.frame_size);
    object.value("frames", ring.frame_count);
    object.value("retire_timeout_ms", ring.retire_timeout_ms);
    object.value("features", ring.features);
}

fn xdp_detail(object: &mut Object<'_>, detail: &XdpDetail) {
    object.known("rx_ring_entries", detail.rx_ring);
    object.known("tx_ring_entries", detail.tx_ring);
    object.known("fill_ring_entries", detail.fill_ring);
    object.known("completion_ring_entries", detail.completion_ring);
    if let Some(umem) = detail.umem {
        let mut object = object.object("umem");
        object.value("id", umem.id);
        object.value("size_bytes", umem.size);
        object.value("pages", umem.page_count);
        object.value("chunk_size_bytes", umem.chunk_size);
        object.value("headroom_bytes", umem.headroom);
        object.value("ifindex", umem.ifindex);
        object.value("queue", umem.queue);
        object.value("zero_copy", umem.flags & crate::render::xdp::ZERO_COPY != 0);
        object.value("references", umem.references);
    }
    if let Some(stats) = detail.stats {
        let mut object = object.object("stats");
        object.value("rx_dropped", stats.rx_dropped);
        object.value("rx_invalid", stats.rx_invalid);
        object.value("rx_full", stats.rx_full);
        object.value("fill_ring_empty", stats.fill_ring_empty);
        object.value("tx_invalid", stats.tx_invalid);
        object.value("tx_ring_empty", stats.tx_ring_empty);
    }
}
