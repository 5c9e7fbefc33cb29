//! Sockets of protocols that many kernels lack, or have as modules: SCTP, TIPC, connected VSOCK.

use std::io;
use std::os::fd::OwnedFd;

use libc::{AF_INET, AF_INET6, AF_TIPC, AF_VSOCK, IPPROTO_SCTP, SOCK_SEQPACKET, SOCK_STREAM};

use super::Holder;
use super::tcp::address;
use crate::sys::{bind, open};

pub(super) fn populate(holder: &mut Holder) {
    let result = sctp(holder);
    holder.unless_lacking("SCTP", result);
    let result = tipc(holder);
    holder.unless_lacking("TIPC", result);
    let result = vsock_pair(holder);
    holder.unless_lacking("a loopback of VSOCK", result);
}

/// Listeners of both styles and both families, and an association.
fn sctp(holder: &mut Holder) -> io::Result<()> {
    for (domain, kind, at) in [
        (AF_INET, SOCK_STREAM, "127.0.0.1:50601"),
        (AF_INET6, SOCK_STREAM, "[::1]:50602"),
        (AF_INET, SOCK_SEQPACKET, "127.0.0.1:50603"),
    ] {
        let listener = open(domain, kind, IPPROTO_SCTP)?;
        rustix::net::bind(&listener, &address(at))?;
        rustix::net::listen(&listener, 3)?;
        if kind == SOCK_STREAM {
            let client = open(domain, kind, IPPROTO_SCTP)?;
            rustix::net::connect(&client, &address(at))?;
            let accepted = rustix::net::accept(&listener)?;
            holder.keep_pair((client, accepted));
        }
        holder.keep(listener);
    }
    Ok(())
}

/// A name, published for this node alone.
fn tipc(holder: &mut Holder) -> io::Result<()> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct SockaddrTipc {
        family: u16,
        addrtype: u8,
        scope: i8,
        kind: u32,
        lower: u32,
        upper: u32,
    }
    const TIPC_SERVICE_RANGE: u8 = 1;
    const TIPC_NODE_SCOPE: i8 = 3;
    for (kind, name) in [(SOCK_STREAM, 50611), (SOCK_SEQPACKET, 50612), (libc::SOCK_RDM, 50613)] {
        let socket = open(AF_TIPC, kind, 0)?;
        let address = SockaddrTipc {
            family: AF_TIPC as u16,
            addrtype: TIPC_SERVICE_RANGE,
            scope: TIPC_NODE_SCOPE,
            kind: name,
            lower: 1,
            upper: 3,
        };
        bind(&socket, &address)?;
        if kind != libc::SOCK_RDM {
            rustix::net::listen(&socket, 0)?;
        }
        holder.keep(socket);
    }
    Ok(())
}

fn vsock_pair(holder: &mut Holder) -> io::Result<()> {
    let socket = || -> io::Result<OwnedFd> { open(AF_VSOCK, SOCK_STREAM, 0) };
    // SAFETY: all zeroes is a valid sockaddr_vm.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = AF_VSOCK as libc::sa_family_t;
    address.svm_cid = libc::VMADDR_CID_LOCAL;
    address.svm_port = 50621;
    let listener = socket()?;
    bind(&listener, &address)?;
    rustix::net::listen(&listener, 3)?;
    let client = socket()?;
    super::sys::connect(&client, &address)?;
    let accepted = rustix::net::accept(&listener)?;
    holder.keep_pair((client, accepted));
    holder.keep(listener);
    Ok(())
}
