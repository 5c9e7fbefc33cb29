//! IP sockets.

use super::address::ip;
use super::listing::Members;
use super::netns::netns;
use super::write::Object;
use super::{address, owner, tcp};
use crate::render::inet::{netid, sockopt_names, timer_name, transport};
use crate::render::sctp;
use crate::render::show::Holders;
use crate::socket::{
    Cookie, Family, Gone, Inet, InetEnd, InetExt, Inode, MemInfo, ProcText, SkMem, Table, Timer,
    TimerKind,
};

impl Members<'_> {
    pub(super) fn inet(&mut self, object: &mut Object<'_>, socket: &Inet<'_>) {
        let is_association = self.is_sctp_association(socket);
        object.value("netid", netid(socket));
        object.value("family", if socket.family == Family::Inet6 { "inet6" } else { "inet" });
        if socket.table == Table::Sctp {
            object.value("association", is_association);
        }
        object.value(
            "state",
            match is_association {
                true => sctp::state_name(socket.state),
                false => socket.state.name(),
            },
        );
        self.queues(object, socket.recv_queue, socket.send_queue);
        {
            let mut local = object.object("local");
            self.inet_end(&mut local, socket.table, &socket.local);
            if socket.ifindex != 0 {
                self.interface(&mut local, socket.ifindex);
            }
        }
        self.inet_end(&mut object.object("peer"), socket.table, &socket.peer);
        if socket.family == Family::Inet6 {
            object.known("v6only", socket.ext.v6only);
        }
        // Text has an address in the kernel in place of the cookie.
        let cookie = if socket.ext.proc_text.is_some() { Cookie(0) } else { socket.cookie };
        match &socket.ext.gone {
            Some(gone) => self.gone(object, socket, gone),
            None => {
                self.identity(object, Some(socket.uid), socket.inode, cookie);
                self.inet_options(object, socket);
            }
        }
    }

    /// A socket that is no more: whose it was, how long it lived, how it ended.
    fn gone(&self, object: &mut Object<'_>, socket: &Inet<'_>, gone: &Gone<'_>) {
        object.known("uid", gone.owner.map(|owner| owner.uid));
        object.value("inode", socket.inode.0);
        object.known("cookie", Some(socket.cookie.0).filter(|cookie| *cookie != 0));
        netns(object, &self.place);
        if self.show.holders != Holders::Hidden {
            owner::past(object, gone.owner);
        }
        let mut object = object.object("gone");
        object.known("duration_us", gone.lived.map(|lived| lived.as_micros() as u64));
        object.value("end", gone.end);
    }

    /// What the options of the command line ask for.
    fn inet_options(&mut self, object: &mut Object<'_>, socket: &Inet<'_>) {
        let (show, ext) = (self.show, &socket.ext);
        if matches!(ext.proc_text, Some(ProcText::Datagram)) {
            return;
        }
        if show.timer {
            timer(object, socket.table, &socket.timer);
        }
        if show.details {
            object.known("fwmark", ext.mark.filter(|mark| *mark != 0));
            if let Some(mask) = ext.shutdown {
                shutdown(object, mask);
            }
        }
        if show.details || show.cgroup {
            self.cgroup(object, ext.cgroup_id);
        }
        if let Some(ProcText::Tcp(text)) = ext.proc_text {
            if show.details && !text.rest.is_empty() {
                object.bytes("proc_rest", text.rest);
            }
            if show.info {
                tcp::proc_info(&mut object.object("tcp_info"), text, &socket.timer);
            }
            return;
        }
        if show.tos {
            object.known("tos", ext.tos);
            object.known("tclass", ext.tclass);
            object.known("class_id", ext.class_id);
        }
        if let Some(flags) = ext.sockopt.filter(|_| show.sockopt) {
            object.words("sockopt", sockopt_names(flags));
        }
        if show.memory {
            memory(object, ext);
        }
        if show.info {
            self.inet_info(object, socket);
        }
        self.bpf_storage(object, &ext.bpf_storage);
    }

    fn inet_info(&self, object: &mut Object<'_>, socket: &Inet<'_>) {
        let ext = &socket.ext;
        match (socket.table, ext.info) {
            (Table::Sctp, info) => {
                for (key, addresses) in
                    [("sctp_locals", ext.sctp_locals), ("sctp_peers", ext.sctp_peers)]
                {
                    let Some(addresses) = addresses else { continue };
                    let mut list = object.array(key);
                    for addr in sctp::parse_addresses(addresses) {
                        list.plain(|out| crate::render::address::ip(out, &addr));
                    }
                }
                if let Some(info) = info {
                    tcp::sctp_info(&mut object.object("sctp_info"), info);
                }
            }
            (Table::Mptcp, Some(info)) => tcp::mptcp_info(&mut object.object("mptcp_info"), info),
            (Table::Tcp | Table::Dccp, Some(info)) => tcp::info(object, socket, info),
            _ => {}
        }
        if let Some(keys) = ext.md5 {
            let mut list = object.array("md5_keys");
            for key in crate::render::inet::md5_parse(keys) {
                let mut entry = list.object();
                ip(&mut entry, "addr", &key.addr);
                entry.value("prefix_len", key.prefix_len);
                entry.bytes("key", key.key);
            }
        }
        if let Some(ulp) = &ext.ulp {
            tcp::ulp(&mut object.object("ulp"), ulp);
        }
    }

    fn inet_end(&self, object: &mut Object<'_>, table: Table, end: &InetEnd) {
        match transport(table) {
            Some(transport) => {
                address::inet_end(object, end);
                if let Some(service) = self.names.service(end.port, transport) {
                    object.bytes("service", service);
                }
            }
            // A RAW socket has an IP protocol in place of a port.
            None => {
                ip(object, "addr", &end.addr);
                object.value("protocol", end.port);
                if let Some(name) = self.names.ip_protocol_name(end.port) {
                    object.bytes("protocol_name", name);
                }
            }
        }
        self.host(object, end.addr);
    }

    /// Associations come after their endpoint, with which they share the inode.
    fn is_sctp_association(&mut self, socket: &Inet<'_>) -> bool {
        if socket.table != Table::Sctp {
            return false;
        }
        let endpoint = std::mem::replace(&mut self.sctp_endpoint, socket.inode);
        socket.inode != Inode(0) && endpoint == socket.inode
    }
}

fn timer(object: &mut Object<'_>, table: Table, timer: &Timer) {
    let name = match (table, timer.kind) {
        (_, TimerKind::Off) => None,
        (Table::Sctp, _) => Some("T3_RTX"),
        (_, kind) => timer_name(kind),
    };
    if let Some(name) = name {
        let mut object = object.object("timer");
        object.value("name", name);
        object.value("expires_ms", timer.expires_ms);
        object.value("retransmits", timer.retransmits);
    }
}

/// The directions that are shut down.
pub(super) fn shutdown(object: &mut Object<'_>, mask: u8) {
    let directions = [(1, "receive"), (2, "send")];
    object.words(
        "shutdown",
        directions.into_iter().filter(|(bit, _)| mask & bit != 0).map(|(_, name)| name),
    );
}

fn memory(object: &mut Object<'_>, ext: &InetExt<'_>) {
    match (&ext.skmem, &ext.mem) {
        (Some(mem), _) => skmem(object, mem),
        (None, Some(MemInfo { rmem, wmem, fmem, tmem })) => {
            let mut object = object.object("meminfo");
            object.value("rmem", rmem);
            object.value("wmem", wmem);
            object.value("fmem", fmem);
            object.value("tmem", tmem);
        }
        (None, None) => {}
    }
}

/// The kernel's names without their prefix; all in bytes but for the drops.
pub(super) fn skmem(object: &mut Object<'_>, mem: &SkMem) {
    let mut object = object.object("skmem");
    object.value("rmem_alloc", mem.rmem_alloc);
    object.value("rcvbuf", mem.rcvbuf);
    object.value("wmem_alloc", mem.wmem_alloc);
    object.value("sndbuf", mem.sndbuf);
    object.value("fwd_alloc", mem.fwd_alloc);
    object.value("wmem_queued", mem.wmem_queued);
    object.value("optmem", mem.optmem);
    object.known("backlog", mem.backlog);
    object.known("drops", mem.drops);
}
