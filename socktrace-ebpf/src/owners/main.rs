//! Who holds which socket: a walk over the descriptors of all processes, one record per socket.
//!
//! The kernel visits the tasks in the order of their ids, and a thread only where its descriptors
//! are not those of its process.
#![no_std]
#![no_main]

mod kernel;

use aya_ebpf::helpers::generated::bpf_seq_write;
use socktrace_common::SocketDescriptor;

use kernel::{Context, SockRef, Visit};

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
extern "C" fn descriptors(context: *const Context) -> i32 {
    // SAFETY: the section says what it is the argument of.
    if let Some(visit) = unsafe { Visit::from_argument(context) } {
        tell(&visit);
    }
    0
}

#[inline(always)]
fn tell(visit: &Visit) {
    let Visit { output, task, file, fd } = *visit;
    let Some(socket) = file.socket() else { return };
    let sock = socket.sock();
    let record = SocketDescriptor {
        cookie: sock.map_or(0, SockRef::cookie),
        sock: sock.map_or(0, SockRef::address),
        start_ns: task.process_start_ns(),
        cgroup_id: task.cgroup_id(),
        netns: sock.map_or(0, SockRef::netns),
        inode: file.inode(),
        tgid: task.tgid(),
        tid: task.tid(),
        fd,
        uid: task.uid(),
        comm: task.comm(),
        family: sock.map_or(0, SockRef::family),
        protocol: sock.map_or(0, SockRef::protocol),
        kind: socket.kind(),
        reserved: 0,
    };
    // The kernel grows its buffer and visits again where a record does not fit.
    // SAFETY: the record is initialised to its last byte, of which there are as many as said.
    unsafe {
        bpf_seq_write(output.cast(), (&raw const record).cast(), size_of_val(&record) as u32);
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier refuses a program that could come here.
    loop {}
}

/// The helpers used are for programs under the GPL only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
