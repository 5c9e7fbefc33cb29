//! Whom a socket belongs to.
//!
//! TCP events run in whatever task the CPU was at: a process is believed only while it holds the
//! lock of the socket, and a kernel thread never.

use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
};
use socktrace_common::{OWN_EVENT, Owner};

use crate::kernel::{Sock, Task};

/// Fills in the owner from the running task, if that is believable.
#[inline(always)]
pub(crate) fn learn(sock: Sock, owner: &mut Owner) {
    if owner.learnt == OWN_EVENT || !sock.is_owned() {
        return;
    }
    let task = Task::current();
    if task.is_kernel_thread() {
        return;
    }
    let leader = task.leader();
    owner.start_ns = leader.start_ns();
    owner.comm = leader.comm();
    // SAFETY: these helpers take nothing.
    unsafe {
        owner.cgroup_id = bpf_get_current_cgroup_id();
        owner.tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        owner.uid = bpf_get_current_uid_gid() as u32;
    }
    owner.learnt = OWN_EVENT;
}
