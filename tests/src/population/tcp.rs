//! TCP and MPTCP sockets in every state that can be held still.
//!
//! States that need a deaf peer get one by a socket filter that drops what arrives. Sockets with
//! something outstanding use 127.0.7.0/24, whose route has a retransmission timeout of 100
//! seconds, so that nothing is sent again while a test looks.

use std::ffi::c_int;
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::OwnedFd;

use libc::{IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOL_SOCKET};
use rustix::net::Shutdown;

use super::Holder;
use crate::namespace::on_device;
use crate::sys::{attach, open, own_as, set, set_bytes};

const IPPROTO_MPTCP: c_int = 262;

const DROP_ALL: &[libc::sock_filter] = &[statement(libc::BPF_RET | libc::BPF_K, 0)];
/// Takes a SYN and nothing else: what follows a handshake's first step never arrives.
const DROP_ALL_BUT_SYN: &[libc::sock_filter] = &[
    statement(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 13),
    statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0x12),
    libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: 2,
    },
    statement(libc::BPF_RET | libc::BPF_K, u32::MAX),
    statement(libc::BPF_RET | libc::BPF_K, 0),
];

pub(super) const fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

pub(super) fn populate(holder: &mut Holder) -> io::Result<()> {
    listeners(holder)?;
    backlog(holder)?;
    established(holder)?;
    queued(holder)?;
    closing(holder)?;
    for (congestion, port) in [("reno", 50201), ("cubic", 50202), ("bbr", 50203), ("dctcp", 50204)]
    {
        let result = congested(holder, congestion, port);
        holder.unless_lacking(congestion, result);
    }
    let result = signed(holder);
    holder.unless_lacking("TCP_MD5SIG", result);
    let result = tls(holder);
    holder.unless_lacking("the tls ULP", result);
    let result = fast_open(holder);
    holder.unless_lacking("TCP_FASTOPEN", result);
    let result = multipath(holder);
    holder.unless_lacking("MPTCP", result);
    Ok(())
}

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap_or_else(|_| panic!("{text}: no address"))
}

fn unbound(at: SocketAddr, protocol: c_int) -> io::Result<OwnedFd> {
    let domain = if at.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let socket = open(domain, libc::SOCK_STREAM, protocol)?;
    set(&socket, SOL_SOCKET, libc::SO_REUSEADDR, &1)?;
    Ok(socket)
}

pub(super) fn bind(socket: &OwnedFd, at: SocketAddr) -> io::Result<()> {
    rustix::net::bind(socket, &at)
        .map_err(|error| io::Error::other(format!("binding to {at}: {error}")))
}

fn listen(
    at: &str,
    backlog: i32,
    prepare: impl FnOnce(&OwnedFd) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let at = address(at);
    let socket = unbound(at, 0)?;
    prepare(&socket)?;
    bind(&socket, at)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket)
}

fn plain(_: &OwnedFd) -> io::Result<()> {
    Ok(())
}

fn dial(
    from: &str,
    to: &str,
    prepare: impl FnOnce(&OwnedFd) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let socket = unbound(address(from), 0)?;
    prepare(&socket)?;
    bind(&socket, address(from))?;
    match rustix::net::connect(&socket, &address(to)) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(socket),
        Err(error) => Err(io::Error::other(format!("connecting {from} to {to}: {error}"))),
    }
}

fn pair(listener: &OwnedFd, from: &str, to: &str) -> io::Result<(OwnedFd, OwnedFd)> {
    let client = dial(from, to, plain)?;
    Ok((client, rustix::net::accept(listener)?))
}

fn unblock(socket: &OwnedFd) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(socket, true)?)
}

fn listeners(holder: &mut Holder) -> io::Result<()> {
    let v6only =
        |value: c_int| move |socket: &OwnedFd| set(socket, IPPROTO_IPV6, libc::IPV6_V6ONLY, &value);
    holder.keep(listen("0.0.0.0:22", 128, plain)?);
    holder.keep(listen("[::]:22", 128, v6only(1))?);
    holder.keep(listen("0.0.0.0:80", 511, plain)?);
    holder.keep(listen("[::]:443", 4096, v6only(0))?);
    holder.keep(listen("127.0.0.1:5432", 244, plain)?);
    holder.keep(listen("[::1]:5432", 244, plain)?);
    holder.keep(listen("127.0.0.53:53", 4096, |socket| on_device(socket, "lo"))?);
    holder.keep(listen("[::ffff:127.0.0.9]:8080", 7, v6only(0))?);
    holder.keep(listen("127.0.0.1:41020", 3, |socket| {
        set(socket, SOL_SOCKET, libc::SO_MARK, &0x1234)?;
        set(socket, SOL_SOCKET, libc::SO_RCVBUF, &9000)?;
        set(socket, IPPROTO_IP, libc::IP_TOS, &0x10)?;
        set(socket, IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &30)
    })?);
    own_as(1000);
    holder.keep(listen("127.0.0.1:8000", 1, plain)?);
    own_as(65534);
    holder.keep(listen("[::1]:8000", 1, plain)?);
    own_as(0);
    let mut linked: SocketAddrV6 = "[fe80::1]:546".parse().expect("an address");
    linked.set_scope_id(rustix::net::netdevice::name_to_index(holder.any_socket()?, super::VETH)?);
    let socket = unbound(SocketAddr::V6(linked), 0)?;
    bind(&socket, SocketAddr::V6(linked))?;
    rustix::net::listen(&socket, 9)?;
    holder.keep(socket);
    Ok(())
}

/// Connections that nobody accepts, and one more that there is no room for (SYN-SENT); a
/// handshake that never ends (SYN-RECV).
fn backlog(holder: &mut Holder) -> io::Result<()> {
    holder.keep(listen("0.0.0.0:41004", 2, plain)?);
    for port in 50041..=50043 {
        holder.keep(dial(&format!("127.0.0.1:{port}"), "127.0.0.1:41004", plain)?);
    }
    holder.keep(dial("127.0.0.1:50044", "127.0.0.1:41004", |socket| {
        unblock(socket)?;
        set(socket, IPPROTO_TCP, libc::TCP_SYNCNT, &100)
    })?);
    for (listener, client) in
        [("127.0.7.5:41005", "127.0.7.6:50045"), ("[::1]:41005", "[::1]:50045")]
    {
        holder.keep(listen(listener, 5, |socket| attach(socket, DROP_ALL_BUT_SYN))?);
        holder.keep(dial(client, listener, plain)?);
    }
    Ok(())
}

fn established(holder: &mut Holder) -> io::Result<()> {
    let v4 = listen("127.0.0.1:41001", 5, plain)?;
    let v6 = listen("[::1]:41001", 5, plain)?;
    let both = listen("[::]:41002", 5, |s| set(s, IPPROTO_IPV6, libc::IPV6_V6ONLY, &0))?;
    holder.keep_pair(pair(&v4, "127.0.0.1:50001", "127.0.0.1:41001")?);
    holder.keep_pair(pair(&v4, "127.0.0.2:50002", "127.0.0.1:41001")?);
    holder.keep_pair(pair(&v6, "[::1]:50001", "[::1]:41001")?);
    holder.keep_pair(pair(&both, "127.0.0.3:50003", "127.0.0.1:41002")?);
    holder.keep_pair(pair(&both, "[::ffff:127.0.0.1]:50004", "[::ffff:127.0.0.1]:41002")?);

    let (client, server) = pair(&v4, "127.0.0.1:50005", "127.0.0.1:41001")?;
    for socket in [&client, &server] {
        set(socket, SOL_SOCKET, libc::SO_KEEPALIVE, &1)?;
    }
    set(&server, IPPROTO_TCP, libc::TCP_KEEPIDLE, &3000)?;
    set(&client, SOL_SOCKET, libc::SO_MARK, &0xbeef)?;
    set(&client, SOL_SOCKET, libc::SO_PRIORITY, &6)?;
    set(&client, IPPROTO_IP, libc::IP_TOS, &0xb8)?;
    set(&server, IPPROTO_IP, libc::IP_TOS, &0x08)?;
    for option in [libc::IP_RECVERR, libc::IP_FREEBIND, libc::IP_TRANSPARENT] {
        set(&client, IPPROTO_IP, option, &1)?;
    }
    holder.keep_pair((client, server));

    let (client, server) = pair(&v6, "[::1]:50006", "[::1]:41001")?;
    set(&client, IPPROTO_IPV6, libc::IPV6_TCLASS, &0xb8)?;
    set(&server, IPPROTO_IPV6, libc::IPV6_TCLASS, &0x20)?;
    set(&server, SOL_SOCKET, libc::SO_KEEPALIVE, &1)?;
    set(&client, IPPROTO_IPV6, libc::IPV6_RECVERR, &1)?;
    holder.keep_pair((client, server));

    // Talk both ways gives the counters of -i something to count.
    let (client, server) = pair(&v4, "127.0.0.1:50007", "127.0.0.1:41001")?;
    for size in [1, 1000, 20_000] {
        send(&client, size)?;
        receive(&server, size)?;
        send(&server, 2 * size)?;
        receive(&client, 2 * size)?;
    }
    holder.keep_pair((client, server));

    let device = dial("127.0.0.1:50008", "127.0.0.1:41001", |socket| on_device(socket, "lo"))?;
    holder.keep_pair((device, rustix::net::accept(&v4)?));
    let ssh = pair(&listen("127.0.0.4:21", 5, plain)?, "127.0.0.1:50009", "127.0.0.4:21")?;
    holder.keep_pair(ssh);

    super::sysctl("ipv4/tcp_ecn", "1");
    let (client, server) = pair(&v4, "127.0.0.1:50010", "127.0.0.1:41001")?;
    super::sysctl("ipv4/tcp_ecn", "2");
    send(&client, 100)?;
    receive(&server, 100)?;
    holder.keep_pair((client, server));
    super::sysctl("ipv4/tcp_timestamps", "0");
    super::sysctl("ipv4/tcp_sack", "0");
    super::sysctl("ipv4/tcp_window_scaling", "0");
    holder.keep_pair(pair(&v4, "127.0.0.1:50011", "127.0.0.1:41001")?);
    super::sysctl("ipv4/tcp_timestamps", "1");
    super::sysctl("ipv4/tcp_sack", "1");
    super::sysctl("ipv4/tcp_window_scaling", "1");
    for listener in [v4, v6, both] {
        holder.keep(listener);
    }
    Ok(())
}

/// Data that nobody reads, up to a full window, and data that never arrives.
fn queued(holder: &mut Holder) -> io::Result<()> {
    let listener = listen("127.0.7.1:41003", 9, |s| set(s, SOL_SOCKET, libc::SO_RCVBUF, &8192))?;
    let to = "127.0.7.1:41003";
    let (client, server) = pair(&listener, "127.0.7.2:50021", to)?;
    send(&client, 321)?;
    send(&server, 4321)?;
    holder.keep_pair((client, server));
    let (client, server) = pair(&listener, "127.0.7.2:50022", to)?;
    set(&client, SOL_SOCKET, libc::SO_SNDBUF, &32768)?;
    unblock(&client)?;
    while send(&client, 4096).is_ok() {}
    holder.keep_pair((client, server));
    let (client, server) = pair(&listener, "127.0.7.2:50023", to)?;
    attach(&server, DROP_ALL)?;
    send(&client, 777)?;
    holder.keep_pair((client, server));
    let (client, server) = pair(&listener, "127.0.7.2:50024", to)?;
    set(&client, IPPROTO_TCP, libc::TCP_CORK, &1)?;
    send(&client, 55)?;
    holder.keep_pair((client, server));
    holder.keep(listener);
    Ok(())
}

fn closing(holder: &mut Holder) -> io::Result<()> {
    let listener = listen("127.0.7.1:41006", 20, plain)?;
    let to = "127.0.7.1:41006";
    let connect = |port: u16| pair(&listener, &format!("127.0.7.3:{port}"), to);

    let (client, server) = connect(50061)?; // FIN-WAIT-1, and a peer that does not know
    attach(&server, DROP_ALL)?;
    shut(&client)?;
    holder.keep_pair((client, server));
    let (client, server) = connect(50062)?; // FIN-WAIT-1 without an owner, data still queued
    attach(&server, DROP_ALL)?;
    send(&client, 99)?;
    holder.keep(server);
    drop(client);
    let (client, server) = connect(50063)?; // FIN-WAIT-2 and CLOSE-WAIT
    shut(&client)?;
    holder.keep_pair((client, server));
    let (client, server) = connect(50064)?; // FIN-WAIT-2 without an owner
    drop(client);
    holder.keep(server);
    let (client, server) = connect(50065)?; // LAST-ACK
    shut(&server)?;
    attach(&server, DROP_ALL)?;
    shut(&client)?;
    holder.keep_pair((client, server));
    let (client, server) = connect(50066)?; // CLOSING
    attach(&server, DROP_ALL)?;
    shut(&client)?;
    shut(&server)?;
    holder.keep_pair((client, server));
    let (client, server) = connect(50067)?; // half open: unread data and the end
    send(&server, 1234)?;
    shut(&server)?;
    holder.keep_pair((client, server));

    let both = listen("[::]:41007", 5, |s| set(s, IPPROTO_IPV6, libc::IPV6_V6ONLY, &0))?;
    for (from, to) in [
        ("127.0.0.1:50071", "127.0.0.1:41007"),
        ("127.0.0.2:50072", "127.0.0.1:41007"),
        ("[::1]:50073", "[::1]:41007"),
        ("[::ffff:127.0.0.1]:50074", "[::ffff:127.0.0.1]:41007"),
    ] {
        let (client, server) = pair(&both, from, to)?; // TIME-WAIT
        shut(&client)?;
        drop(server);
        drop(client);
    }
    holder.keep(both);
    holder.keep(listener);
    Ok(())
}

pub(super) fn bound(holder: &mut Holder) -> io::Result<()> {
    for at in ["127.0.0.1:41008", "0.0.0.0:41009", "[::1]:41008", "[::]:41010"] {
        let socket = unbound(address(at), 0)?;
        bind(&socket, address(at))?;
        holder.keep(socket);
    }
    let device = unbound(address("127.0.0.1:41011"), 0)?;
    on_device(&device, "lo")?;
    bind(&device, address("127.0.0.1:41011"))?;
    holder.keep(device);
    holder.keep(unbound(address("127.0.0.1:0"), 0)?);
    Ok(())
}

fn congested(holder: &mut Holder, congestion: &str, port: u16) -> io::Result<()> {
    let listener = listen(&format!("127.0.0.1:{}", port - 9000), 5, |socket| {
        set_bytes(socket, IPPROTO_TCP, libc::TCP_CONGESTION, congestion.as_bytes())
    })?;
    let to = format!("127.0.0.1:{}", port - 9000);
    let client = dial(&format!("127.0.0.1:{port}"), &to, |socket| {
        set_bytes(socket, IPPROTO_TCP, libc::TCP_CONGESTION, congestion.as_bytes())
    })?;
    let server = rustix::net::accept(&listener)?;
    send(&client, 50_000)?;
    receive(&server, 50_000)?;
    holder.keep_pair((client, server));
    holder.keep(listener);
    Ok(())
}

/// `struct tcp_md5sig` of the kernel.
#[repr(C)]
#[derive(Clone, Copy)]
struct Md5Key {
    address: libc::sockaddr_storage,
    flags: u8,
    prefix: u8,
    length: u16,
    device: i32,
    key: [u8; 80],
}

fn signed(holder: &mut Holder) -> io::Result<()> {
    let sign = |socket: &OwnedFd, key: &[u8]| {
        // SAFETY: all zeroes is a valid tcp_md5sig.
        let mut signature: Md5Key = unsafe { std::mem::zeroed() };
        // SAFETY: a sockaddr_in fits into, and may lie at, a sockaddr_storage.
        let peer = unsafe { &mut *(&raw mut signature.address).cast::<libc::sockaddr_in>() };
        peer.sin_family = libc::AF_INET as libc::sa_family_t;
        peer.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        signature.length = key.len() as u16;
        signature.key[..key.len()].copy_from_slice(key);
        set(socket, IPPROTO_TCP, libc::TCP_MD5SIG, &signature)
    };
    let listener = listen("127.0.0.1:179", 5, |socket| sign(socket, b"secret key"))?;
    let client = dial("127.0.0.1:50179", "127.0.0.1:179", |socket| sign(socket, b"secret key"))?;
    holder.keep_pair((client, rustix::net::accept(&listener)?));
    holder.keep(listener);
    Ok(())
}

fn tls(holder: &mut Holder) -> io::Result<()> {
    let listener = listen("127.0.0.1:8443", 5, plain)?;
    let (client, server) = pair(&listener, "127.0.0.1:58443", "127.0.0.1:8443")?;
    set_bytes(&client, IPPROTO_TCP, libc::TCP_ULP, b"tls")?;
    holder.keep_pair((client, server));
    holder.keep(listener);
    Ok(())
}

fn fast_open(holder: &mut Holder) -> io::Result<()> {
    // Without a cookie, on both ends.
    super::sysctl("ipv4/tcp_fastopen", &(0x1 | 0x2 | 0x4 | 0x200).to_string());
    let listener =
        listen("127.0.0.1:8081", 5, |socket| set(socket, IPPROTO_TCP, libc::TCP_FASTOPEN, &5))?;
    let client = unbound(address("127.0.0.1:0"), 0)?;
    bind(&client, address("127.0.0.1:50081"))?;
    // MSG_FASTOPEN
    let flags = rustix::net::SendFlags::from_bits_retain(0x2000_0000);
    rustix::net::sendto(&client, b"early", flags, &address("127.0.0.1:8081"))?;
    let server = rustix::net::accept(&listener)?;
    receive(&server, 5)?;
    holder.keep_pair((client, server));
    holder.keep(listener);
    Ok(())
}

fn multipath(holder: &mut Holder) -> io::Result<()> {
    for (index, at) in ["127.0.0.1:41030", "[::1]:41031"].into_iter().enumerate() {
        let at = address(at);
        let listener = unbound(at, IPPROTO_MPTCP)?;
        bind(&listener, at)?;
        rustix::net::listen(&listener, 4)?;
        for nth in 0..2 {
            let client = unbound(at, IPPROTO_MPTCP)?;
            let mut from = at;
            from.set_port(50300 + 10 * index as u16 + nth);
            bind(&client, from)?;
            rustix::net::connect(&client, &at)?;
            let server = rustix::net::accept(&listener)?;
            send(&client, 500)?;
            receive(&server, 500)?;
            holder.keep_pair((client, server));
        }
        holder.keep(listener);
    }
    Ok(())
}

fn shut(socket: &OwnedFd) -> io::Result<()> {
    Ok(rustix::net::shutdown(socket, Shutdown::Write)?)
}

pub(super) fn send(socket: &OwnedFd, size: usize) -> io::Result<()> {
    let bytes = vec![b'x'; size];
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(socket, rest)?..];
    }
    Ok(())
}

fn receive(socket: &OwnedFd, mut size: usize) -> io::Result<()> {
    let mut buffer = [0; 4096];
    while size > 0 {
        let room = size.min(buffer.len());
        size -= rustix::io::read(socket, &mut buffer[..room])?;
    }
    Ok(())
}
