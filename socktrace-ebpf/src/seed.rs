//! Sockets that are older than the trace: a walk over the open files of all tasks, which remembers
//! whom each TCP socket belongs to, unless its events have told already.
//!
//! While the walk is at a file it holds it: if its process closes it at that moment, the file is
//! released by the walk, and not before its system call returns. So there is a byte for each file,
//! which makes the call return after as many files as its buffer has bytes.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_seq_write, bpf_sock_from_file};
use socktrace_common::OLDER_HOLDER;

use crate::kernel::{AF_INET, AF_INET6, RawSock, Sock, TCP_CLOSE, TCP_LISTEN, is_small, opaque};
use crate::task::{self, RawTask};
use crate::{listener, memory};

opaque! { RawWalk RawMeta }

// The bodies are in core.c.
unsafe extern "C" {
    fn core_walk_meta(walk: *const RawWalk) -> *const RawMeta;
    fn core_meta_seq(meta: *const RawMeta) -> *mut c_void;
    fn core_walk_task(walk: *const RawWalk) -> *const RawTask;
    fn core_walk_file(walk: *const RawWalk) -> *mut c_void;
    fn core_socket_sock(socket: *const c_void) -> *const RawSock;
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub(crate) extern "C" fn seed(walk: *const RawWalk) -> i32 {
    // SAFETY: the context of an iterator over files, whose pointers may be NULL at its end.
    let (task, sock) = unsafe {
        let (task, file) = (core_walk_task(walk), core_walk_file(walk));
        if task.is_null() || file.is_null() {
            return 0;
        }
        let byte = b'.';
        bpf_seq_write(core_meta_seq(core_walk_meta(walk)).cast(), (&raw const byte).cast(), 1);
        let socket = bpf_sock_from_file(file.cast());
        if socket.is_null() {
            return 0;
        }
        let sock = core_socket_sock(socket.cast());
        if sock.is_null() {
            return 0;
        }
        (task, Sock::from_argument(sock.cast()))
    };
    let state = sock.state();
    if !matches!(sock.family(), AF_INET | AF_INET6)
        || !sock.is_traced()
        || i32::from(state) == TCP_CLOSE
        || is_small(state)
    {
        return 0;
    }
    if memory::of(sock).is_some() {
        return 0;
    }
    let Some(memory) = memory::create(sock) else { return 0 };
    memory.state = state.into();
    // SAFETY: the pointer is the iterator's.
    unsafe { task::describe(task, &mut memory.owner, OLDER_HOLDER) };
    if i32::from(state) == TCP_LISTEN {
        listener::open(sock, memory);
    }
    // It may have closed before it was remembered. If it does so only now, its event forgets it, or
    // at worst the first event of its next life.
    if i32::from(sock.state()) == TCP_CLOSE {
        if i32::from(state) == TCP_LISTEN {
            listener::close(sock);
        }
        memory::forget(sock);
    }
    0
}
