//! The line of an IP socket.

use std::net::IpAddr;

use super::columns::{Column, Value};
use super::number::{hex, hex_alternate, labelled, write_to};
use super::show::{Holders, Layout};
use super::{Printer, address, sctp, tcp, users};
use crate::filter::Transport;
use crate::names::Names;
use crate::socket::{
    Gone, Inet, InetEnd, InetExt, Inode, MptcpInfo, ProcTcp, ProcText, SctpInfo, SkMem, Table,
    TcpInfo, Timer, TimerKind,
};

impl Printer<'_, '_> {
    pub(super) fn inet(&mut self, socket: &Inet<'_>) {
        self.inet_state(socket);
        self.queues(socket.recv_queue, socket.send_queue);
        self.inet_end(
            socket,
            &socket.local,
            socket.ifindex,
            Column::LocalAddress,
            Column::LocalPort,
        );
        self.inet_end(socket, &socket.peer, 0, Column::PeerAddress, Column::PeerPort);
        self.container();
        match &socket.ext.gone {
            Some(gone) => self.gone(gone),
            None => self.users(socket.inode),
        }
        match socket.ext.proc_text {
            Some(ProcText::Datagram) => return,
            Some(ProcText::Tcp(text)) => {
                self.inet_details(socket);
                self.proc_tcp(text, &socket.timer);
                return;
            }
            None => self.inet_details(socket),
        }
        if self.show.tos {
            self.inet_tos(&socket.ext);
        }
        let out = self.listing.field(Column::Ext);
        if let Some(id) = socket.ext.cgroup_id.filter(|_| self.show.cgroup) {
            out.extend_from_slice(b" cgroup:");
            self.names.cgroup(id, out);
        }
        if let Some(flags) = socket.ext.sockopt.filter(|_| self.show.sockopt) {
            out.extend_from_slice(self.show.layout.line_break());
            sockopt(out, flags);
        }
        if self.show.memory || self.show.info && protocol(socket) != Some(Protocol::Udp) {
            if self.show.layout == Layout::Lines {
                out.extend_from_slice(b"\n\t");
            }
            self.inet_info(socket);
        }
        self.bpf_storage(&socket.ext.bpf_storage);
    }

    /// SCTP associations stand indented below their endpoint, with which they share the inode.
    fn inet_state(&mut self, socket: &Inet<'_>) {
        if socket.table != Table::Sctp {
            self.netid_and_state(netid(socket), socket.state);
            return;
        }
        let is_association = socket.inode != Inode(0) && self.sctp_endpoint == socket.inode;
        self.sctp_endpoint = socket.inode;
        if is_association {
            let out = self.listing.field(Column::State);
            out.extend_from_slice(b"`- ");
            out.extend_from_slice(sctp::state_name(socket.state).as_bytes());
        } else {
            self.netid_and_state("sctp", socket.state);
        }
    }

    /// A socket that is no more: whose it was, how long it lived, how it ended.
    fn gone(&mut self, gone: &Gone<'_>) {
        if let Some(owner) = gone.owner.filter(|_| self.show.holders != Holders::Hidden) {
            users::past(self.listing.field(Column::Process), owner);
        }
        let out = self.listing.field(Column::Ext);
        match gone.lived {
            Some(lived) => {
                write_to(out, format_args!(" gone:{:.3}ms", lived.as_secs_f64() * 1e3));
            }
            None => out.extend_from_slice(b" gone:-"),
        }
        write_to(out, format_args!(" end:{}", gone.end));
    }

    fn inet_end(
        &mut self,
        socket: &Inet<'_>,
        end: &InetEnd,
        ifindex: u32,
        address: Column,
        port: Column,
    ) {
        let v6only = socket.ext.v6only.unwrap_or(false);
        if let Some(out) = self.listing.field_of(address, host_value(end.addr, ifindex, v6only)) {
            match end.addr {
                IpAddr::V6(addr) if addr.is_unspecified() && !v6only => out.push(b'*'),
                addr => host(out, self.names, addr),
            }
            if ifindex != 0 {
                out.push(b'%');
                self.names.interface(ifindex, out);
            }
            out.push(b':');
        }
        let value = Value(end.port.into(), socket.table as u64);
        if let Some(out) = self.listing.field_of(port, value) {
            match transport(socket.table) {
                Some(transport) => self.names.port(end.port, transport, out),
                None => self.names.ip_protocol(end.port, out),
            }
        }
    }

    fn inet_details(&mut self, socket: &Inet<'_>) {
        let out = self.listing.field(Column::Ext);
        if self.show.timer {
            if socket.table == Table::Sctp {
                sctp::timer(out, &socket.timer);
            } else {
                timer(out, &socket.timer);
            }
        }
        if !self.show.details {
            return;
        }
        if socket.uid != 0 {
            labelled(out, " uid:", socket.uid.into());
        }
        labelled(out, " ino:", socket.inode.0.into());
        out.extend_from_slice(b" sk:");
        hex(out, socket.cookie.0);
        if let Some(mark) = socket.ext.mark.filter(|mark| *mark != 0) {
            write_to(out, format_args!(" fwmark:0x{mark:x}"));
        }
        if let Some(id) = socket.ext.cgroup_id.filter(|id| *id != 0) {
            out.extend_from_slice(b" cgroup:");
            self.names.cgroup(id, out);
        }
        if let (IpAddr::V6(_), Some(v6only)) = (socket.local.addr, socket.ext.v6only) {
            write_to(out, format_args!(" v6only:{}", u8::from(v6only)));
        }
        if let Some(mask) = socket.ext.shutdown {
            out.push(b' ');
            shutdown(out, mask);
        }
    }

    /// A line of /proc/net/tcp, which tells less and takes no line of its own for it.
    fn proc_tcp(&mut self, text: &ProcTcp<'_>, timer: &Timer) {
        let out = self.listing.field(Column::Ext);
        if self.show.details && !text.rest.is_empty() {
            out.extend_from_slice(b" opt:\"");
            out.extend_from_slice(text.rest);
            out.push(b'"');
        }
        if self.show.info {
            tcp::proc_info(out, text, timer);
        }
    }

    fn inet_tos(&mut self, ext: &InetExt<'_>) {
        let out = self.listing.field(Column::Ext);
        for (label, value) in [
            (" tos:", ext.tos.map(u32::from)),
            (" tclass:", ext.tclass.map(u32::from)),
            (" class_id:", ext.class_id),
        ] {
            if let Some(value) = value {
                out.extend_from_slice(label.as_bytes());
                hex_alternate(out, value.into());
            }
        }
    }

    fn inet_info(&mut self, socket: &Inet<'_>) {
        let ext = &socket.ext;
        let out = self.listing.field(Column::Ext);
        match (&ext.skmem, &ext.mem) {
            (Some(mem), _) => skmem(out, mem),
            (None, Some(mem)) => write_to(
                out,
                format_args!(" mem:(r{},w{},f{},t{})", mem.rmem, mem.wmem, mem.fmem, mem.tmem),
            ),
            (None, None) => {}
        }
        match (socket.table, ext.info) {
            (Table::Sctp, info) => {
                for (label, addresses) in
                    [(" locals:", ext.sctp_locals), (" peers:", ext.sctp_peers)]
                {
                    if let Some(addresses) = addresses {
                        out.extend_from_slice(label.as_bytes());
                        sctp::addresses(out, addresses);
                    }
                }
                if let Some(info) = info {
                    sctp::info(out, &SctpInfo::parse(info));
                }
                return;
            }
            (Table::Mptcp, Some(info)) => tcp::mptcp(out, &MptcpInfo::parse(info)),
            (_, Some(info)) => {
                tcp::info(out, socket, &TcpInfo::parse(info), self.show.info_style());
            }
            (_, None) => {}
        }
        if let Some(keys) = ext.md5 {
            md5_keys(out, keys);
        }
        if let Some(ulp) = &ext.ulp {
            tcp::ulp(out, ulp);
        }
    }
}

/// Whose ports the sockets of a table have; `None` for RAW, whose ports are protocols.
pub(super) fn transport(table: Table) -> Option<Transport> {
    match table {
        Table::Raw => None,
        Table::Udp => Some(Transport::Udp),
        Table::Dccp => Some(Transport::Dccp),
        Table::Sctp => Some(Transport::Sctp),
        _ => Some(Transport::Tcp),
    }
}

/// What the text of an address depends on.
fn host_value(addr: IpAddr, ifindex: u32, v6only: bool) -> Value {
    let (bits, is_ipv6) = match addr {
        IpAddr::V4(addr) => (addr.to_bits().into(), false),
        IpAddr::V6(addr) => (addr.to_bits(), true),
    };
    Value(bits, u64::from(ifindex) | u64::from(is_ipv6) << 32 | u64::from(v6only) << 33)
}

/// An address by the name of its host, if names are wanted, or in numbers: IPv6 in brackets.
pub(super) fn host(out: &mut Vec<u8>, names: &Names, addr: IpAddr) {
    if names.host(addr, out) {
        return;
    }
    match addr {
        IpAddr::V4(addr) => address::ipv4(out, &addr),
        IpAddr::V6(addr) => {
            out.push(b'[');
            address::ipv6(out, &addr);
            out.push(b']');
        }
    }
}

/// The protocols that have a name in the Netid column.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Raw,
    Tcp,
    Udp,
    Dccp,
    Sctp,
    Icmp6,
    Mptcp,
}

/// What the socket calls itself: for raw sockets, what the kernel says of their protocol, if it
/// does. `None` for a protocol without a name.
fn protocol(socket: &Inet<'_>) -> Option<Protocol> {
    match (socket.table, socket.ext.protocol) {
        (_, Some(0)) | (Table::Raw, None) => Some(Protocol::Raw),
        (_, Some(6)) | (Table::Tcp, None) => Some(Protocol::Tcp),
        (_, Some(17)) | (Table::Udp, None) => Some(Protocol::Udp),
        (_, Some(33)) | (Table::Dccp, None) => Some(Protocol::Dccp),
        (_, Some(132)) | (Table::Sctp, None) => Some(Protocol::Sctp),
        (_, Some(58)) => Some(Protocol::Icmp6),
        (Table::Mptcp, None) => Some(Protocol::Mptcp),
        _ => None,
    }
}

pub(super) fn netid(socket: &Inet<'_>) -> &'static str {
    match protocol(socket) {
        Some(Protocol::Raw) => "raw",
        Some(Protocol::Tcp) => "tcp",
        Some(Protocol::Udp) => "udp",
        Some(Protocol::Dccp) => "dccp",
        Some(Protocol::Sctp) => "sctp",
        Some(Protocol::Icmp6) => "icmp6",
        Some(Protocol::Mptcp) => "mptcp",
        None => "???",
    }
}

/// The name of a timer that runs.
pub(super) fn timer_name(kind: TimerKind) -> Option<&'static str> {
    Some(match kind {
        TimerKind::Off => return None,
        TimerKind::On => "on",
        TimerKind::Keepalive => "keepalive",
        TimerKind::TimeWait => "timewait",
        TimerKind::Persist => "persist",
        TimerKind::DelayedAck => "delack",
        TimerKind::Unknown(_) => "unknown",
    })
}

fn timer(out: &mut Vec<u8>, timer: &Timer) {
    let Some(name) = timer_name(timer.kind) else { return };
    write_to(out, format_args!(" timer:({name},"));
    timeout(out, timer.expires_ms);
    write_to(out, format_args!(",{})", timer.retransmits));
}

/// The time until a timer fires, the more coarsely the longer it is.
pub(super) fn timeout(out: &mut Vec<u8>, milliseconds: u32) {
    let (minutes, mut seconds) = (milliseconds / 60_000, milliseconds / 1000 % 60);
    let mut rest = milliseconds % 1000;
    if minutes > 0 {
        write_to(out, format_args!("{minutes}min"));
        rest = 0;
        if minutes > 9 {
            seconds = 0;
        }
    }
    if seconds > 9 {
        rest = 0;
    }
    match (seconds, rest) {
        (0, 0) => {}
        (0, _) => write_to(out, format_args!("{rest:03}ms")),
        (_, 0) => write_to(out, format_args!("{seconds}sec")),
        (_, _) => write_to(out, format_args!("{seconds}.{rest:03}sec")),
    }
}

/// The two directions of a socket, `-` for one that is shut down.
pub(super) fn shutdown(out: &mut Vec<u8>, mask: u8) {
    out.push(if mask & 1 == 0 { b'<' } else { b'-' });
    out.push(b'-');
    out.push(if mask & 2 == 0 { b'>' } else { b'-' });
}

pub(super) fn skmem(out: &mut Vec<u8>, mem: &SkMem) {
    for (label, value) in [
        (" skmem:(r", mem.rmem_alloc),
        (",rb", mem.rcvbuf),
        (",t", mem.wmem_alloc),
        (",tb", mem.sndbuf),
        (",f", mem.fwd_alloc),
        (",w", mem.wmem_queued),
        (",o", mem.optmem),
    ] {
        labelled(out, label, value.into());
    }
    for (label, value) in [(",bl", mem.backlog), (",d", mem.drops)] {
        if let Some(value) = value {
            labelled(out, label, value.into());
        }
    }
    out.push(b')');
}

/// The names of the set bits of `struct inet_diag_sockopt`: bit fields, the first in the lowest bit
/// on little-endian machines.
pub(super) fn sockopt_names(flags: [u8; 2]) -> impl Iterator<Item = &'static str> {
    const NAMES: [&str; 11] = [
        "recverr",
        "is_icsk",
        "freebind",
        "hdrincl",
        "mc_loop",
        "transparent",
        "mc_all",
        "nodefrag",
        "bind_addr_no_port",
        "recverr_rfc4884",
        "defer_connect",
    ];
    NAMES.into_iter().enumerate().filter_map(move |(i, name)| {
        let bit = if cfg!(target_endian = "little") { i % 8 } else { 7 - i % 8 };
        (flags[i / 8] >> bit & 1 != 0).then_some(name)
    })
}

fn sockopt(out: &mut Vec<u8>, flags: [u8; 2]) {
    out.extend_from_slice(b"inet-sockopt: (");
    for name in sockopt_names(flags) {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b')');
}

/// A key of `struct tcp_diag_md5sig`.
pub(super) struct Md5Key<'a> {
    pub(super) addr: IpAddr,
    pub(super) prefix_len: u8,
    pub(super) key: &'a [u8],
}

/// `struct tcp_diag_md5sig`s: family, prefix length, key length, address, key.
pub(super) fn md5_parse(keys: &[u8]) -> impl Iterator<Item = Md5Key<'_>> {
    const LEN: usize = 100;
    const AF_INET6: u8 = 10;
    keys.chunks_exact(LEN).map(|key| {
        let len = usize::from(u16::from_ne_bytes([key[2], key[3]])).min(80);
        let (v4, v6): ([u8; 4], [u8; 16]) =
            (key[4..8].try_into().unwrap_or_default(), key[4..20].try_into().unwrap_or_default());
        let addr = if key[0] == AF_INET6 { IpAddr::from(v6) } else { IpAddr::from(v4) };
        Md5Key { addr, prefix_len: key[1], key: &key[20..20 + len] }
    })
}

fn md5_keys(out: &mut Vec<u8>, keys: &[u8]) {
    out.extend_from_slice(b" md5keys:");
    for (i, Md5Key { addr, prefix_len, key }) in md5_parse(keys).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        address::ip(out, &addr);
        write_to(out, format_args!("/{prefix_len}="));
        for byte in key {
            match byte {
                b'\\' | b' ' | b',' => write_to(out, format_args!("\\{byte:03o}")),
                b'!'..=b'~' => out.push(*byte),
                _ => write_to(out, format_args!("\\{byte:03o}")),
            }
        }
    }
}
