//! Cookies where programs at tracepoints may not ask for them, as before Linux 5.12: programs of
//! the root control group may. These have each new socket given its cookie, and change nothing
//! else; the others read it where it lies.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::macros::{cgroup_sock, sock_ops};
use aya_ebpf::programs::{SockContext, SockOpsContext};

/// `BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB`: a handshake ends, the socket is not yet ESTAB.
const ACCEPTED: u32 = 5;
/// The answer that lets the kernel go on.
const ALLOW: i32 = 1;

#[cgroup_sock(sock_create)]
pub(crate) fn created(ctx: SockContext) -> i32 {
    // SAFETY: the context of a program at the creation of a socket.
    unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    ALLOW
}

#[sock_ops]
pub(crate) fn established(ctx: SockOpsContext) -> u32 {
    if ctx.op() == ACCEPTED {
        // SAFETY: the context of a program at the operations of a socket.
        unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    }
    ALLOW as u32
}
