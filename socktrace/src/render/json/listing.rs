//! A listing as one array, or as an object per line.

use std::io::{self, Write};
use std::net::IpAddr;

use super::netns::netns;
use super::owner::Extras;
use super::write::Object;
use super::{bpf_value, home, owner, summary};
use crate::bpfmap::ValueTypes;
use crate::names::Names;
use crate::netns::{Namespace, Place};
use crate::procfs::summary::Summary;
use crate::render::known::Known;
use crate::render::show::{Holders, Queues, Show};
use crate::render::users::HolderStyle;
use crate::socket::{BpfStorage, Cookie, Inode, Socket};

const WRITE_BYTES: usize = 128 << 10;

/// How objects follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    Array,
    Lines,
}

impl Framing {
    pub fn before(self, is_first: bool) -> &'static [u8] {
        match (self, is_first) {
            (Framing::Array, true) => b"[",
            (Framing::Array, false) => b",\n",
            (Framing::Lines, _) => b"",
        }
    }

    pub fn after(self) -> &'static [u8] {
        match self {
            Framing::Array => b"",
            Framing::Lines => b"\n",
        }
    }

    pub fn end(self, is_empty: bool) -> &'static [u8] {
        match (self, is_empty) {
            (Framing::Array, true) => b"[]\n",
            (Framing::Array, false) => b"]\n",
            (Framing::Lines, _) => b"",
        }
    }
}

/// Sockets on their way to `out`: what is written does not stay in memory.
pub struct JsonListing<'a, 'w> {
    out: &'w mut dyn Write,
    framing: Framing,
    is_empty: bool,
    pending: Vec<u8>,
    members: Members<'a>,
}

/// What the objects of sockets are made from.
pub(super) struct Members<'a> {
    pub(super) show: Show,
    pub(super) names: &'a Names,
    pub(super) known: Known<'a>,
    pub(super) value_types: ValueTypes,
    /// Where the sockets are.
    pub(super) place: Place,
    /// The inode of the SCTP socket that was written last.
    pub(super) sctp_endpoint: Inode,
}

impl<'a, 'w> JsonListing<'a, 'w> {
    pub fn new(
        out: &'w mut dyn Write,
        framing: Framing,
        show: Show,
        known: Known<'a>,
    ) -> JsonListing<'a, 'w> {
        let members = Members {
            show,
            names: known.names,
            known,
            value_types: ValueTypes::default(),
            place: Place::here(),
            sctp_endpoint: Inode(0),
        };
        JsonListing { out, framing, is_empty: true, pending: Vec::new(), members }
    }

    /// What follows is of this network namespace.
    pub fn enter(&mut self, namespace: &Namespace) {
        self.members.place = namespace.place();
    }

    pub fn socket(&mut self, socket: &Socket<'_>) -> io::Result<()> {
        self.separate();
        self.members.socket(&mut Object::new(&mut self.pending), socket);
        self.end_object()
    }

    /// The object of a socket, which is not written.
    pub fn record(&mut self, socket: &Socket<'_>) -> &[u8] {
        self.pending.clear();
        self.members.socket(&mut Object::new(&mut self.pending), socket);
        &self.pending
    }

    /// The object of a summary, which is not written.
    pub fn summary_record(&mut self, counts: &Summary) -> &[u8] {
        self.pending.clear();
        self.members.summary(&mut Object::new(&mut self.pending), counts);
        &self.pending
    }

    pub fn summary(&mut self, counts: &Summary) -> io::Result<()> {
        self.separate();
        self.members.summary(&mut Object::new(&mut self.pending), counts);
        self.end_object()
    }

    /// Writes what is held back.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.pending)?;
        self.pending.clear();
        self.out.flush()
    }

    pub fn finish(&mut self) -> io::Result<()> {
        self.pending.extend_from_slice(self.framing.end(self.is_empty));
        self.flush()
    }

    fn separate(&mut self) {
        let was_empty = std::mem::replace(&mut self.is_empty, false);
        self.pending.extend_from_slice(self.framing.before(was_empty));
    }

    fn end_object(&mut self) -> io::Result<()> {
        self.pending.extend_from_slice(self.framing.after());
        if self.pending.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }
}

impl Members<'_> {
    fn socket(&mut self, object: &mut Object<'_>, socket: &Socket<'_>) {
        match socket {
            Socket::Inet(socket) => self.inet(object, socket),
            Socket::Unix(socket) => self.unix(object, socket),
            Socket::Packet(socket) => self.packet(object, socket),
            Socket::Netlink(socket) => self.netlink(object, socket),
            Socket::Vsock(socket) => self.vsock(object, socket),
            Socket::Tipc(socket) => self.tipc(object, socket),
            Socket::Xdp(socket) => self.xdp(object, socket),
        }
        if self.show.container
            && let Some(place) = self.known.home(socket)
        {
            home::home(object, &place);
        }
    }

    fn summary(&self, object: &mut Object<'_>, counts: &Summary) {
        netns(object, &self.place);
        summary::summary(object, counts);
    }

    pub(super) fn queues(&self, object: &mut Object<'_>, recv_queue: u32, send_queue: u32) {
        if self.show.queues == Queues::Shown {
            // The kernel's number is signed: what is destroyed may be one short.
            object.value("recv_q", recv_queue.cast_signed());
            object.value("send_q", send_queue.cast_signed());
        }
    }

    /// Which socket it is, and whose. A cookie of 0 is not known.
    pub(super) fn identity(
        &self,
        object: &mut Object<'_>,
        uid: Option<u32>,
        inode: Inode,
        cookie: Cookie,
    ) {
        object.known("uid", uid);
        object.value("inode", inode.0);
        object.known("cookie", Some(cookie.0).filter(|cookie| *cookie != 0));
        netns(object, &self.place);
        self.owners(object, inode);
    }

    fn owners(&self, object: &mut Object<'_>, inode: Inode) {
        let style = match self.show.holders {
            Holders::Hidden => return,
            Holders::Processes => HolderStyle::Process,
            Holders::Threads => HolderStyle::Thread,
        };
        let extras = Extras { inner_pids: self.show.inner_pids, homes: self.show.container };
        owner::owners(object, &self.known, [inode], style, extras);
    }

    pub(super) fn interface(&self, object: &mut Object<'_>, ifindex: u32) {
        object.value("ifindex", ifindex);
        object.written("interface", |out| self.names.interface(ifindex, out));
    }

    pub(super) fn host(&self, object: &mut Object<'_>, addr: IpAddr) {
        let mut name = Vec::new();
        if self.names.host(addr, &mut name) {
            object.bytes("host", &name);
        }
    }

    pub(super) fn cgroup(&self, object: &mut Object<'_>, id: Option<u64>) {
        let Some(id) = id.filter(|id| *id != 0) else { return };
        object.value("cgroup_id", id);
        if let Some(path) = self.names.cgroup_path(id) {
            object.bytes("cgroup", path);
        }
    }

    /// Each value in terms of its type where that is known, and in bytes.
    pub(super) fn bpf_storage(&self, object: &mut Object<'_>, storages: &[BpfStorage<'_>]) {
        if storages.is_empty() {
            return;
        }
        let mut list = object.array("bpf_storage");
        for BpfStorage { map_id, value } in storages {
            let mut entry = list.object();
            entry.value("map_id", map_id);
            self.value_types.with(*map_id, value, |btf, id| {
                bpf_value::value(&mut entry, btf, id, value);
            });
            entry.binary("bytes_hex", value);
        }
    }
}
