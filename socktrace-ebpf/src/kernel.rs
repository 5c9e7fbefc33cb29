//! The kernel's types, opaque: their fields can be reached only through the accessors of core.c,
//! which carry relocations.
//!
//! Fields of sockets are loaded through the pointer that the tracepoint or a helper gave, whose type
//! the verifier knows; those of [`Task`] and [`Skb`] are copied by bpf_probe_read_kernel, because
//! there older kernels give or accept no typed pointer.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_socket_cookie, bpf_probe_read_kernel, bpf_skc_to_tcp_sock,
};

macro_rules! opaque {
    ($($name:ident)+) => {$(
        #[repr(C)]
        struct $name {
            _opaque: [u8; 0],
        }
    )+};
}

opaque! { RawSock RawNet RawTcp RawSkb RawTask }

// The bodies are in core.c.
unsafe extern "C" {
    fn core_sock_family(sock: *const RawSock) -> u16;
    fn core_sock_num(sock: *const RawSock) -> u16;
    fn core_sock_dport(sock: *const RawSock) -> u16;
    fn core_sock_daddr(sock: *const RawSock) -> u32;
    fn core_sock_rcv_saddr(sock: *const RawSock) -> u32;
    fn core_sock_v6_daddr(sock: *const RawSock) -> *const c_void;
    fn core_sock_v6_rcv_saddr(sock: *const RawSock) -> *const c_void;
    fn core_sock_state(sock: *const RawSock) -> u8;
    fn core_sock_bound_dev_if(sock: *const RawSock) -> u32;
    fn core_sock_net(sock: *const RawSock) -> *const RawNet;
    fn core_sock_owned(sock: *const RawSock) -> u32;
    fn core_sock_protocol(sock: *const RawSock) -> u16;
    fn core_sock_err(sock: *const RawSock) -> u32;
    fn core_inet_sport(sock: *const RawSock) -> *const c_void;
    fn core_net_inum(net: *const RawNet) -> u32;
    fn core_tcp_bytes_acked(tcp: *const RawTcp) -> u64;
    fn core_tcp_bytes_received(tcp: *const RawTcp) -> u64;
    fn core_tcp_bytes_sent(tcp: *const RawTcp) -> u64;
    fn core_tcp_bytes_retrans(tcp: *const RawTcp) -> u64;
    fn core_tcp_srtt_us(tcp: *const RawTcp) -> u32;
    fn core_tcp_total_retrans(tcp: *const RawTcp) -> u32;
    fn core_skb_cb(skb: *const RawSkb) -> *const c_void;
    fn core_cb_seq(cb: *const c_void) -> *const c_void;
    fn core_cb_end_seq(cb: *const c_void) -> *const c_void;
    fn core_task_flags(task: *const RawTask) -> *const c_void;
    fn core_task_group_leader(task: *const RawTask) -> *const c_void;
    fn core_task_start_boottime(task: *const RawTask) -> *const c_void;
    fn core_task_comm(task: *const RawTask) -> *const c_void;
}

/// Copies what a field's address points at; zero where nothing is mapped.
#[inline(always)]
fn copy<T: Copy>(from: *const c_void) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `value` has room for a T, and the helper writes all of it, zeroes if it cannot read.
    // T is an integer, a pointer or an array of bytes: any bytes are valid.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, from.cast_mut());
        value.assume_init()
    }
}

/// A `struct sock` that the running program got as an argument.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*const RawSock);

/// The two ends, as the socket has them.
pub(crate) struct Ends {
    pub(crate) local: [u8; 16],
    pub(crate) peer: [u8; 16],
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

const AF_INET: u16 = 2;

impl Sock {
    /// # Safety
    /// `argument` is the `struct sock *` of a tracepoint.
    #[inline(always)]
    pub(crate) unsafe fn from_argument(argument: *const c_void) -> Sock {
        Sock(argument.cast())
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0.cast_mut().cast()
    }

    getters! {
        family: core_sock_family -> u16,
        state: core_sock_state -> u8,
        bound_interface: core_sock_bound_dev_if -> u32,
        protocol: core_sock_protocol -> u16,
        error: core_sock_err -> u32,
    }

    #[inline(always)]
    pub(crate) fn local_port(self) -> u16 {
        // SAFETY: as in `getters`; each IP socket is an inet_sock.
        unsafe {
            match core_sock_num(self.0) {
                // Given back to the kernel at the end, but still in the header's template.
                0 => u16::from_be(copy(core_inet_sport(self.0))),
                port => port,
            }
        }
    }

    #[inline(always)]
    pub(crate) fn peer_port(self) -> u16 {
        // SAFETY: as in `getters`.
        u16::from_be(unsafe { core_sock_dport(self.0) })
    }

    #[inline(always)]
    pub(crate) fn ends(self) -> Ends {
        // SAFETY: as in `getters`.
        unsafe {
            if self.family() == AF_INET {
                Ends { local: v4(core_sock_rcv_saddr(self.0)), peer: v4(core_sock_daddr(self.0)) }
            } else {
                Ends {
                    local: copy(core_sock_v6_rcv_saddr(self.0)),
                    peer: copy(core_sock_v6_daddr(self.0)),
                }
            }
        }
    }

    /// The inode of its network namespace.
    #[inline(always)]
    pub(crate) fn netns(self) -> u32 {
        // SAFETY: as in `getters`; a socket has a namespace for as long as it lives.
        unsafe { core_net_inum(core_sock_net(self.0)) }
    }

    /// Whether a task, rather than the softirq that runs over it, works on the socket.
    #[inline(always)]
    pub(crate) fn is_owned(self) -> bool {
        // SAFETY: as in `getters`.
        unsafe { core_sock_owned(self.0) == 1 }
    }

    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        // SAFETY: the helper takes any socket.
        unsafe { bpf_get_socket_cookie(self.as_ptr()) }
    }

    #[inline(always)]
    pub(crate) fn tcp(self) -> Option<Tcp> {
        // SAFETY: the helper takes any socket, and answers NULL for one that is not TCP.
        let tcp = unsafe { bpf_skc_to_tcp_sock(self.as_ptr()) };
        if tcp.is_null() { None } else { Some(Tcp(tcp.cast())) }
    }
}

#[inline(always)]
fn v4(address: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&address.to_ne_bytes());
    bytes
}

/// A `struct tcp_sock`.
#[derive(Clone, Copy)]
pub(crate) struct Tcp(*const RawTcp);

impl Tcp {
    getters! {
        bytes_acked: core_tcp_bytes_acked -> u64,
        bytes_received: core_tcp_bytes_received -> u64,
        bytes_sent: core_tcp_bytes_sent -> u64,
        bytes_retrans: core_tcp_bytes_retrans -> u64,
        srtt_us_8: core_tcp_srtt_us -> u32,
        total_retrans: core_tcp_total_retrans -> u32,
    }
}

/// A `struct sk_buff` of TCP.
#[derive(Clone, Copy)]
pub(crate) struct Skb(*const RawSkb);

impl Skb {
    /// # Safety
    /// `argument` is the `struct sk_buff *` of a TCP tracepoint.
    #[inline(always)]
    pub(crate) unsafe fn from_argument(argument: *const c_void) -> Skb {
        Skb(argument.cast())
    }

    #[inline(always)]
    pub(crate) fn sequence(self) -> u32 {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_cb_seq(core_skb_cb(self.0)) })
    }

    #[inline(always)]
    pub(crate) fn end_sequence(self) -> u32 {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_cb_end_seq(core_skb_cb(self.0)) })
    }
}

/// A `struct task_struct`.
#[derive(Clone, Copy)]
pub(crate) struct Task(*const RawTask);

const PF_KTHREAD: u32 = 0x0020_0000;

impl Task {
    #[inline(always)]
    pub(crate) fn current() -> Task {
        // SAFETY: it takes nothing.
        Task(unsafe { bpf_get_current_task() } as *const RawTask)
    }

    #[inline(always)]
    pub(crate) fn is_kernel_thread(self) -> bool {
        // SAFETY: address arithmetic only.
        copy::<u32>(unsafe { core_task_flags(self.0) }) & PF_KTHREAD != 0
    }

    /// The task that stands for the process.
    #[inline(always)]
    pub(crate) fn leader(self) -> Task {
        // SAFETY: address arithmetic only.
        Task(copy(unsafe { core_task_group_leader(self.0) }))
    }

    #[inline(always)]
    pub(crate) fn start_ns(self) -> u64 {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_task_start_boottime(self.0) })
    }

    #[inline(always)]
    pub(crate) fn comm(self) -> [u8; 16] {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_task_comm(self.0) })
    }
}
