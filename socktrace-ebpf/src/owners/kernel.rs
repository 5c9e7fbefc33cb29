//! The kernel's types, opaque: their fields can be reached only through the accessors of core.c.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{
    bpf_get_socket_cookie, bpf_probe_read_kernel, bpf_sock_from_file,
};

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub(crate) struct $name {
            _opaque: [u8; 0],
        }
    )+};
}

opaque! {
    /// `struct bpf_iter__task_file`.
    Context
    /// `struct bpf_iter_meta`.
    Meta
    /// `struct seq_file`.
    Output
    /// `struct task_struct`.
    Task
    Cred
    CssSet
    Cgroup
    KernfsNode
    File
    Inode
    /// `struct socket`.
    Socket
    /// `struct sock`.
    Sock
    Net
}

// The bodies are in core.c.
unsafe extern "C" {
    fn core_context_meta(context: *const Context) -> *const Meta;
    fn core_context_task(context: *const Context) -> *const Task;
    fn core_context_fd(context: *const Context) -> u32;
    fn core_context_file(context: *const Context) -> *const File;
    fn core_meta_seq(meta: *const Meta) -> *mut Output;
    fn core_task_pid(task: *const Task) -> u32;
    fn core_task_tgid(task: *const Task) -> u32;
    fn core_task_group_leader(task: *const Task) -> *const Task;
    fn core_task_start_boottime(task: *const Task) -> u64;
    fn core_task_cred(task: *const Task) -> *const Cred;
    fn core_task_cgroups(task: *const Task) -> *const CssSet;
    fn core_task_comm(task: *const Task) -> *const c_void;
    fn core_cred_uid(cred: *const Cred) -> u32;
    fn core_css_set_dfl_cgrp(set: *const CssSet) -> *const Cgroup;
    fn core_cgroup_kn(cgroup: *const Cgroup) -> *const KernfsNode;
    fn core_kernfs_node_id(node: *const KernfsNode) -> u64;
    fn core_file_inode(file: *const File) -> *const Inode;
    fn core_inode_ino(inode: *const Inode) -> u64;
    fn core_socket_type(socket: *const Socket) -> u16;
    fn core_socket_sk(socket: *const Socket) -> *const Sock;
    fn core_sock_family(sock: *const Sock) -> u16;
    fn core_sock_protocol(sock: *const Sock) -> u16;
    fn core_sock_net(sock: *const Sock) -> *const Net;
    fn core_net_inum(net: *const Net) -> u32;
}

#[inline(always)]
fn some<T>(pointer: *const T) -> Option<*const T> {
    if pointer.is_null() { None } else { Some(pointer) }
}

/// One visit of the iterator: a descriptor of a task.
#[derive(Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) output: *mut Output,
    pub(crate) task: TaskRef,
    pub(crate) file: FileRef,
    pub(crate) fd: u32,
}

impl Visit {
    /// `None` for the visit that ends the walk.
    ///
    /// # Safety
    /// `context` is the argument of an iter/task_file program.
    #[inline(always)]
    pub(crate) unsafe fn from_argument(context: *const Context) -> Option<Visit> {
        // SAFETY: the fields are those of the context.
        unsafe {
            Some(Visit {
                output: core_meta_seq(core_context_meta(context)),
                task: TaskRef(some(core_context_task(context))?),
                file: FileRef(some(core_context_file(context))?),
                fd: core_context_fd(context),
            })
        }
    }
}

macro_rules! getters {
    ($($name:ident: $accessor:ident -> $type:ty,)+) => {$(
        #[inline(always)]
        pub(crate) fn $name(self) -> $type {
            // SAFETY: the pointer is what its type says: the verifier checks it.
            unsafe { $accessor(self.0) }
        }
    )+};
}

#[derive(Clone, Copy)]
pub(crate) struct TaskRef(*const Task);

impl TaskRef {
    getters! {
        tid: core_task_pid -> u32,
        tgid: core_task_tgid -> u32,
    }

    /// When the process began.
    #[inline(always)]
    pub(crate) fn process_start_ns(self) -> u64 {
        // SAFETY: as in `getters`.
        unsafe { core_task_start_boottime(core_task_group_leader(self.0)) }
    }

    #[inline(always)]
    pub(crate) fn uid(self) -> u32 {
        // SAFETY: as in `getters`.
        unsafe { core_cred_uid(core_task_cred(self.0)) }
    }

    #[inline(always)]
    pub(crate) fn cgroup_id(self) -> u64 {
        // SAFETY: as in `getters`.
        unsafe {
            let set = core_task_cgroups(self.0);
            core_kernfs_node_id(core_cgroup_kn(core_css_set_dfl_cgrp(set)))
        }
    }

    #[inline(always)]
    pub(crate) fn comm(self) -> [u8; 16] {
        let mut comm = MaybeUninit::<[u8; 16]>::uninit();
        // SAFETY: the address is that of the field, and the helper writes all of the bytes, zeroes
        // if it cannot read.
        unsafe {
            let field = core_task_comm(self.0);
            bpf_probe_read_kernel(comm.as_mut_ptr().cast(), 16, field.cast_mut());
            comm.assume_init()
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct FileRef(*const File);

impl FileRef {
    /// Sockets have numbers of 32 bits.
    #[inline(always)]
    pub(crate) fn inode(self) -> u32 {
        // SAFETY: as in `getters`.
        unsafe { core_inode_ino(core_file_inode(self.0)) as u32 }
    }

    #[inline(always)]
    pub(crate) fn socket(self) -> Option<SocketRef> {
        // SAFETY: the helper takes any file, and answers NULL for one that is no socket.
        let socket = unsafe { bpf_sock_from_file(self.0.cast_mut().cast()) };
        some(socket.cast_const().cast()).map(SocketRef)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct SocketRef(*const Socket);

impl SocketRef {
    getters! { kind: core_socket_type -> u16, }

    /// `None` once it is released.
    #[inline(always)]
    pub(crate) fn sock(self) -> Option<SockRef> {
        // SAFETY: as in `getters`.
        some(unsafe { core_socket_sk(self.0) }).map(SockRef)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct SockRef(*const Sock);

impl SockRef {
    getters! {
        family: core_sock_family -> u16,
        protocol: core_sock_protocol -> u16,
    }

    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    #[inline(always)]
    pub(crate) fn netns(self) -> u32 {
        // SAFETY: as in `getters`.
        unsafe { core_net_inum(core_sock_net(self.0)) }
    }

    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        // SAFETY: the helper takes any socket.
        unsafe { bpf_get_socket_cookie(self.0.cast_mut().cast()) }
    }
}
