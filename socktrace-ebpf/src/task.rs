//! The running task, opaque as the types of [`crate::kernel`].

use core::ffi::c_void;

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_pid_tgid, bpf_get_current_task,
    bpf_get_current_task_btf, bpf_get_current_uid_gid,
};
use socktrace_common::{Learnt, Owner};

use crate::kernel::{copy, opaque};

opaque! { RawTask }

// The bodies are in core.c.
unsafe extern "C" {
    fn core_task_flags(task: *const RawTask) -> u32;
    fn core_task_tgid(task: *const RawTask) -> u32;
    fn core_task_group_leader(task: *const RawTask) -> *const RawTask;
    fn core_task_start_boottime(task: *const RawTask) -> u64;
    fn core_task_comm_0(task: *const RawTask) -> u64;
    fn core_task_comm_1(task: *const RawTask) -> u64;
    fn core_task_cred(task: *const RawTask) -> *const c_void;
    fn core_cred_uid(cred: *const c_void) -> u32;
    fn core_task_cgroups(task: *const RawTask) -> *const c_void;
    fn core_css_set_dfl_cgrp(set: *const c_void) -> *const c_void;
    fn core_cgroup_kn(cgroup: *const c_void) -> *const c_void;
    fn core_kernfs_id(node: *const c_void) -> u64;
    fn core_task_flags_at(task: *const RawTask) -> *const c_void;
    fn core_task_group_leader_at(task: *const RawTask) -> *const c_void;
    fn core_task_start_boottime_at(task: *const RawTask) -> *const c_void;
    fn core_task_comm_at(task: *const RawTask) -> *const c_void;
}

/// Whether the kernel gives a typed pointer to the running task (Linux 5.11); set by the loader.
#[unsafe(no_mangle)]
static HAS_TASK_BTF: Global<u8> = Global::new(1);

const PF_KTHREAD: u32 = 0x0020_0000;

/// The process that traces, or 0 if its number is not known; set by the loader. What others close
/// while its walk is at it is released by it, which does not make it theirs.
#[unsafe(no_mangle)]
static TRACER: Global<u32> = Global::new(0);

/// Writes who the running process is; `false`, and nothing written, if that says nothing of a
/// socket: for a thread of the kernel, and for whoever traces.
#[inline(always)]
pub(crate) fn current(owner: &mut Owner, learnt: Learnt) -> bool {
    if HAS_TASK_BTF.load() == 0 {
        return current_untyped(owner, learnt);
    }
    // SAFETY: the helper takes nothing, and its pointer is what its type says.
    unsafe {
        let task = bpf_get_current_task_btf().cast::<RawTask>().cast_const();
        if core_task_flags(task) & PF_KTHREAD != 0 || core_task_tgid(task) == TRACER.load() {
            return false;
        }
        describe(task, owner, learnt);
    }
    true
}

/// Writes who a task belongs to.
///
/// # Safety
/// The verifier knows the type of the pointer.
#[inline(always)]
pub(crate) unsafe fn describe(task: *const RawTask, owner: &mut Owner, learnt: Learnt) {
    // SAFETY: as the caller promises.
    unsafe {
        let leader = core_task_group_leader(task);
        owner.start_ns = core_task_start_boottime(leader);
        owner.comm = [core_task_comm_0(leader), core_task_comm_1(leader)];
        owner.cgroup_id =
            core_kernfs_id(core_cgroup_kn(core_css_set_dfl_cgrp(core_task_cgroups(task))));
        owner.tgid = core_task_tgid(task);
        owner.uid = core_cred_uid(core_task_cred(task));
    }
    owner.learnt = learnt;
}

#[inline(always)]
fn current_untyped(owner: &mut Owner, learnt: Learnt) -> bool {
    // SAFETY: these helpers take nothing; the accessors do address arithmetic only.
    unsafe {
        let task = bpf_get_current_task() as *const RawTask;
        let tgid = (bpf_get_current_pid_tgid() >> 32) as u32;
        if copy::<u32>(core_task_flags_at(task)) & PF_KTHREAD != 0 || tgid == TRACER.load() {
            return false;
        }
        let leader: *const RawTask = copy(core_task_group_leader_at(task));
        owner.start_ns = copy(core_task_start_boottime_at(leader));
        owner.comm = copy(core_task_comm_at(leader));
        owner.cgroup_id = bpf_get_current_cgroup_id();
        owner.tgid = tgid;
        owner.uid = bpf_get_current_uid_gid() as u32;
    }
    owner.learnt = learnt;
    true
}
