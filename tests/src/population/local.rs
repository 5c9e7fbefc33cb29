//! UNIX, PACKET, NETLINK, VSOCK and XDP sockets.

use std::ffi::c_int;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{AF_NETLINK, AF_PACKET, AF_UNIX, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};
use rustix::net::Shutdown;

use super::Holder;
use super::tcp::{send, statement};
use crate::sys::{attach, bind, bind_unix, connect_unix, open, own_as, pair, set};

pub(super) fn populate(holder: &mut Holder, directory: &Path) -> io::Result<()> {
    unix(holder, directory)?;
    netlink(holder)?;
    let result = vsock(holder);
    holder.unless_lacking("VSOCK", result);
    let result = open(libc::AF_XDP, SOCK_RAW, 0).map(|socket| holder.keep(socket));
    holder.unless_lacking("XDP", result);
    // Last, so that they see none of the traffic above.
    packet(holder)
}

fn unix(holder: &mut Holder, directory: &Path) -> io::Result<()> {
    let named = |kind: c_int, name: &[u8]| -> io::Result<(OwnedFd, Vec<u8>)> {
        let mut path = directory.as_os_str().as_bytes().to_vec();
        path.push(b'/');
        path.extend_from_slice(name);
        let socket = open(AF_UNIX, kind, 0)?;
        bind_unix(&socket, &path)?;
        Ok((socket, path))
    };
    for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
        let prefix: &[u8] = if kind == SOCK_STREAM { b"stream" } else { b"seqpacket" };
        let (listener, path) = named(kind, prefix)?;
        rustix::net::listen(&listener, 4)?;
        let client = open(AF_UNIX, kind, 0)?;
        connect_unix(&client, &path)?;
        let server = rustix::net::accept(&listener)?;
        send(&client, 123)?;
        send(&server, 45)?;
        holder.keep_pair((client, server));
        let pending = open(AF_UNIX, kind, 0)?;
        connect_unix(&pending, &path)?;
        holder.keep(pending);
        for how in [Shutdown::Read, Shutdown::Write, Shutdown::Both] {
            let client = open(AF_UNIX, kind, 0)?;
            connect_unix(&client, &path)?;
            let server = rustix::net::accept(&listener);
            rustix::net::shutdown(&client, how)?;
            holder.keep_pair((client, server?));
        }
        holder.keep(listener);
    }
    let names: [&[u8]; 9] = [
        b"with blank",
        b"new\nline",
        b"tab\tand\x1b[31mcolour",
        b"quote\"s'",
        "p\u{e4}th-\u{65e5}\u{672c}".as_bytes(),
        b"not\xff\xfeutf8",
        b"back\\slash",
        b"star*and[1]",
        b"UPPER:80",
    ];
    for name in names {
        holder.keep(named(SOCK_DGRAM, name)?.0);
    }
    let (target, path) = named(SOCK_DGRAM, b"dgram")?;
    let sender = open(AF_UNIX, SOCK_DGRAM, 0)?;
    connect_unix(&sender, &path)?;
    send(&sender, 17)?;
    holder.keep_pair((target, sender));
    let (gone, path) = named(SOCK_STREAM, b"unlinked")?;
    rustix::net::listen(&gone, 0)?;
    rustix::fs::unlink(&path[..])?;
    holder.keep(gone);

    for name in [&b"\0abstract"[..], b"\0embedded\0nul\0", b"\0with blank"] {
        let listener = open(AF_UNIX, SOCK_STREAM, 0)?;
        bind_unix(&listener, name)?;
        rustix::net::listen(&listener, 16)?;
        let client = open(AF_UNIX, SOCK_STREAM, 0)?;
        connect_unix(&client, name)?;
        holder.keep_pair((client, rustix::net::accept(&listener)?));
        holder.keep(listener);
    }
    let chosen = open(AF_UNIX, SOCK_DGRAM, 0)?;
    bind_unix(&chosen, b"")?;
    holder.keep(chosen);
    for kind in [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] {
        let [one, other] = pair(kind)?;
        send(&one, 64)?;
        holder.keep_pair((one, other));
        own_as(1000);
        holder.keep(open(AF_UNIX, kind, 0)?);
        own_as(0);
    }
    let [orphan, _] = pair(SOCK_STREAM)?;
    holder.keep(orphan);
    Ok(())
}

fn netlink(holder: &mut Holder) -> io::Result<()> {
    // ROUTE, USERSOCK, SOCK_DIAG, XFRM, AUDIT, NETFILTER, KOBJECT_UEVENT, GENERIC
    for (protocol, pid, groups) in [
        (0, 0, 0x11),
        (0, 424_242, 0x8000_0040),
        (0, 0xffff_fff0, 0),
        (2, 0, 1),
        (4, 0, 2),
        (6, 31337, 0),
        (9, 0, 1),
        (12, 0, 0),
        (15, 0, 1),
        (16, 0, 0),
    ] {
        let Ok(socket) = open(AF_NETLINK, SOCK_RAW, protocol) else { continue };
        // What the kernel announces meanwhile must not fill the queues.
        attach(&socket, &[statement(libc::BPF_RET | libc::BPF_K, 0)])?;
        // SAFETY: all zeroes is a valid sockaddr_nl.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = AF_NETLINK as libc::sa_family_t;
        address.nl_pid = pid;
        address.nl_groups = groups;
        bind(&socket, &address)?;
        holder.keep(socket);
    }
    holder.keep(open(AF_NETLINK, SOCK_DGRAM, 0)?);
    Ok(())
}

fn packet(holder: &mut Holder) -> io::Result<()> {
    const ALL: u16 = 3;
    let loopback = rustix::net::netdevice::name_to_index(holder.any_socket()?, "lo")?;
    let at = |socket: &OwnedFd, protocol: u16, device: u32| {
        // SAFETY: all zeroes is a valid sockaddr_ll.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = AF_PACKET as libc::sa_family_t;
        address.sll_protocol = protocol.to_be();
        address.sll_ifindex = device as c_int;
        bind(socket, &address)
    };
    // Nothing may reach them: their queues and counters would move.
    let drop_all = [
        statement(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 12),
        libc::sock_filter { code: 0x15, jt: 0, jf: 0, k: 0x0800 },
        statement(libc::BPF_RET | libc::BPF_K, 0),
    ];
    for (kind, protocol, device) in [
        (SOCK_RAW, ALL, loopback),
        (SOCK_DGRAM, ALL, 0),
        (SOCK_RAW, 0x88cc, 0),
        (SOCK_DGRAM, 0x0806, loopback),
        (SOCK_RAW, 0x0800, 0),
        (SOCK_DGRAM, 0x86dd, 0),
        (SOCK_RAW, 0x1234, 0),
        (SOCK_RAW, 0, 0),
    ] {
        let socket = open(AF_PACKET, kind, 0)?;
        attach(&socket, &drop_all)?;
        if protocol != 0 {
            at(&socket, protocol, device)?;
        }
        holder.keep(socket);
    }
    let flagged = open(AF_PACKET, SOCK_RAW, 0)?;
    // ORIGDEV, AUXDATA, VNET_HDR, LOSS, COPY_THRESH
    for (option, value) in [(9, 1), (8, 1), (15, 1), (14, 1), (7, 96)] {
        set(&flagged, libc::SOL_PACKET, option, &value)?;
    }
    holder.keep(flagged);

    for (version, kind) in [(0, libc::PACKET_RX_RING), (1, libc::PACKET_TX_RING)] {
        let ring = open(AF_PACKET, SOCK_RAW, 0)?;
        set(&ring, libc::SOL_PACKET, libc::PACKET_VERSION, &version)?;
        let shape = libc::tpacket_req {
            tp_block_size: 4096,
            tp_block_nr: 2,
            tp_frame_size: 2048,
            tp_frame_nr: 4,
        };
        set(&ring, libc::SOL_PACKET, kind, &shape)?;
        holder.keep(ring);
    }
    let ring = open(AF_PACKET, SOCK_RAW, 0)?;
    set(&ring, libc::SOL_PACKET, libc::PACKET_VERSION, &2)?;
    let shape = libc::tpacket_req3 {
        tp_block_size: 8192,
        tp_block_nr: 1,
        tp_frame_size: 2048,
        tp_frame_nr: 4,
        tp_retire_blk_tov: 100,
        tp_sizeof_priv: 0,
        tp_feature_req_word: 1,
    };
    set(&ring, libc::SOL_PACKET, libc::PACKET_RX_RING, &shape)?;
    holder.keep(ring);

    // hash, round robin, by processor, roll over, random, queue
    for kind in [0u32, 1, 2, 3, 4, 5] {
        let member = open(AF_PACKET, SOCK_DGRAM, 0)?;
        attach(&member, &drop_all)?;
        at(&member, 0x88b5, loopback)?;
        set(&member, libc::SOL_PACKET, libc::PACKET_FANOUT, &(kind << 16 | (7 + kind)))?;
        holder.keep(member);
    }
    Ok(())
}

fn vsock(holder: &mut Holder) -> io::Result<()> {
    for kind in [SOCK_STREAM, SOCK_SEQPACKET] {
        let socket = open(libc::AF_VSOCK, kind, 0)?;
        // SAFETY: all zeroes is a valid sockaddr_vm.
        let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        address.svm_cid = libc::VMADDR_CID_ANY;
        address.svm_port = libc::VMADDR_PORT_ANY;
        bind(&socket, &address)?;
        rustix::net::listen(&socket, 3)?;
        holder.keep(socket);
    }
    Ok(())
}
