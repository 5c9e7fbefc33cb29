//! The kernel's types, opaque: their fields can be reached only through the accessors of core.c,
//! which carry relocations.
//!
//! Fields of sockets are loaded through the pointer that the tracepoint or a helper gave, whose
//! type the verifier knows; others are copied by bpf_probe_read_kernel, where older kernels give or
//! accept no typed pointer.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::Global;
use aya_ebpf::helpers::generated::{
    bpf_get_socket_cookie, bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_skc_to_tcp_sock,
};
use socktrace_common::{ListenerKey, Memory, Socket, Traffic, flag};

macro_rules! opaque {
    ($($name:ident)+) => {$(
        #[repr(C)]
        pub(crate) struct $name {
            _opaque: [u8; 0],
        }
    )+};
}
pub(crate) use opaque;

opaque! { RawSock RawNet RawTcp RawRequest }

// The bodies are in core.c.
unsafe extern "C" {
    fn core_sock_family(sock: *const RawSock) -> u16;
    fn core_sock_num(sock: *const RawSock) -> u16;
    fn core_sock_dport(sock: *const RawSock) -> u16;
    fn core_sock_daddr(sock: *const RawSock) -> u32;
    fn core_sock_rcv_saddr(sock: *const RawSock) -> u32;
    fn core_sock_v6_daddr_0(sock: *const RawSock) -> u64;
    fn core_sock_v6_daddr_1(sock: *const RawSock) -> u64;
    fn core_sock_v6_rcv_saddr_0(sock: *const RawSock) -> u64;
    fn core_sock_v6_rcv_saddr_1(sock: *const RawSock) -> u64;
    fn core_sock_state(sock: *const RawSock) -> u8;
    fn core_sock_bound_dev_if(sock: *const RawSock) -> u32;
    fn core_sock_net(sock: *const RawSock) -> *const RawNet;
    fn core_sock_cookie(sock: *const RawSock) -> u64;
    fn core_sock_owned(sock: *const RawSock) -> u32;
    fn core_sock_protocol(sock: *const RawSock) -> u16;
    fn core_sock_err(sock: *const RawSock) -> u32;
    fn core_sock_flags(sock: *const RawSock) -> u64;
    fn core_inet_sport(sock: *const RawSock) -> *const c_void;
    fn core_net_inum(net: *const RawNet) -> u32;
    fn core_tcp_sport(tcp: *const RawTcp) -> u16;
    fn core_tcp_rto(tcp: *const RawTcp) -> u32;
    fn core_tcp_ulp_data(tcp: *const RawTcp) -> *const c_void;
    fn core_tcp_ca_state(tcp: *const RawTcp) -> u32;
    fn core_tcp_bytes_acked(tcp: *const RawTcp) -> u64;
    fn core_tcp_bytes_received(tcp: *const RawTcp) -> u64;
    fn core_tcp_bytes_sent(tcp: *const RawTcp) -> u64;
    fn core_tcp_bytes_retrans(tcp: *const RawTcp) -> u64;
    fn core_tcp_srtt_us(tcp: *const RawTcp) -> u32;
    fn core_tcp_mdev_us(tcp: *const RawTcp) -> u32;
    fn core_tcp_rtt_min(tcp: *const RawTcp) -> u32;
    fn core_tcp_total_retrans(tcp: *const RawTcp) -> u32;
    fn core_tcp_is_mptcp(tcp: *const RawTcp) -> u32;
    fn core_tcp_has_is_mptcp() -> u32;
    fn core_subflow_conn(subflow: *const c_void) -> *const c_void;
    fn core_mptcp_has_bytes() -> u32;
    fn core_mptcp_bytes_acked(sock: *const RawSock) -> *const c_void;
    fn core_mptcp_bytes_received(sock: *const RawSock) -> *const c_void;
    fn core_mptcp_bytes_sent(sock: *const RawSock) -> *const c_void;
    fn core_mptcp_bytes_retrans(sock: *const RawSock) -> *const c_void;
    fn core_request_num_retrans(request: *const RawRequest) -> u32;
    fn core_request_snt_isn(request: *const RawRequest) -> *const c_void;
}

/// Copies what a field's address points at; zero where nothing is mapped.
#[inline(always)]
pub(crate) fn copy<T: Copy>(from: *const c_void) -> T {
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `value` has room for a T, and the helper writes all of it, zeroes if it cannot read.
    // T is an integer, a pointer or an array of bytes: any bytes are valid.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, from.cast_mut());
        value.assume_init()
    }
}

/// Nanoseconds since boot, suspended time included.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: it takes nothing.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// Whether tracing programs may ask for the cookie of a socket (Linux 5.12); set by the loader.
#[unsafe(no_mangle)]
static HAS_COOKIES: Global<u8> = Global::new(1);
/// The network namespace to trace, by inode, or 0 for all; set by the loader.
#[unsafe(no_mangle)]
static NETNS: Global<u32> = Global::new(0);
/// The address family to trace, or 0 for both; set by the loader.
#[unsafe(no_mangle)]
static FAMILY: Global<u32> = Global::new(0);

pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
pub(crate) const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;

pub(crate) const TCP_ESTABLISHED: i32 = 1;
pub(crate) const TCP_SYN_SENT: i32 = 2;
pub(crate) const TCP_SYN_RECV: i32 = 3;
pub(crate) const TCP_FIN_WAIT1: i32 = 4;
pub(crate) const TCP_TIME_WAIT: i32 = 6;
pub(crate) const TCP_CLOSE: i32 = 7;
pub(crate) const TCP_LAST_ACK: i32 = 9;
pub(crate) const TCP_LISTEN: i32 = 10;
pub(crate) const TCP_NEW_SYN_RECV: i32 = 12;

/// A `struct sock` that the running program got as an argument.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*const RawSock);

macro_rules! getters {
    ($($name:ident: $accessor:ident -> $type:ty,)+) => {$(
        #[inline(always)]
        pub(crate) fn $name(self) -> $type {
            // SAFETY: the pointer is what its type says: the verifier checks it.
            unsafe { $accessor(self.0) }
        }
    )+};
}

impl Sock {
    /// # Safety
    /// `argument` is the `struct sock *` of a tracepoint, or a structure that begins as one does.
    #[inline(always)]
    pub(crate) unsafe fn from_argument(argument: *const c_void) -> Sock {
        Sock(argument.cast())
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut c_void {
        self.0.cast_mut().cast()
    }

    /// Where it lies: one socket at a time.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    /// Whether its cookie tells it apart: on old kernels not every socket has one, and an accepted
    /// MPTCP connection has that of its listener.
    #[inline(always)]
    pub(crate) fn has_own_cookie(self) -> bool {
        HAS_COOKIES.load() != 0 && !self.is_mptcp_connection()
    }

    /// Its cookie, or 0 if it has none yet, because nobody asked for it.
    #[inline(always)]
    pub(crate) fn known_cookie(self) -> u64 {
        // SAFETY: as in `getters`.
        unsafe { core_sock_cookie(self.0) }
    }

    getters! {
        family: core_sock_family -> u16,
        state: core_sock_state -> u8,
        bound_interface: core_sock_bound_dev_if -> u32,
        protocol: core_sock_protocol -> u16,
        error: core_sock_err -> u32,
        flags: core_sock_flags -> u64,
    }

    #[inline(always)]
    pub(crate) fn is_mptcp_connection(self) -> bool {
        self.protocol() == IPPROTO_MPTCP
    }

    /// Whether the socket is one that is to be traced.
    #[inline(always)]
    pub(crate) fn is_traced(self) -> bool {
        matches!(self.protocol(), IPPROTO_TCP | IPPROTO_MPTCP) && self.is_asked_for()
    }

    /// Whether its family and namespace are those that are to be traced.
    #[inline(always)]
    pub(crate) fn is_asked_for(self) -> bool {
        (NETNS.load() == 0 || self.netns() == NETNS.load())
            && (FAMILY.load() == 0 || u32::from(self.family()) == FAMILY.load())
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

    /// Its cookie; 0 where it has none and cannot be given one.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        match self.known_cookie() {
            // SAFETY: the helper takes any socket, and gives it a cookie.
            0 if HAS_COOKIES.load() != 0 => unsafe { bpf_get_socket_cookie(self.as_ptr()) },
            cookie => cookie,
        }
    }

    #[inline(always)]
    pub(crate) fn tcp(self) -> Option<Tcp> {
        // SAFETY: the helper takes any socket, and answers NULL for one that is not TCP.
        let tcp = unsafe { bpf_skc_to_tcp_sock(self.as_ptr()) };
        if tcp.is_null() { None } else { Some(Tcp(tcp.cast())) }
    }

    /// Writes which socket it is. One that opens has no port yet, unless it was bound to one.
    #[inline(always)]
    pub(crate) fn describe_opening(self, to: &mut Socket) {
        to.key = self.address();
        to.cookie = self.cookie();
        self.ends(to);
        // SAFETY: as in `getters`.
        to.local_port = unsafe { core_sock_num(self.0) };
        to.protocol = self.protocol();
    }

    /// Writes which socket it is.
    #[inline(always)]
    pub(crate) fn describe(self, to: &mut Socket, tcp: Option<Tcp>) {
        to.key = self.address();
        to.cookie = self.cookie();
        self.ends(to);
        // SAFETY: as in `getters`; each IP socket is an inet_sock.
        unsafe {
            to.local_port = match (core_sock_num(self.0), tcp) {
                // Given back to the kernel at the end, but still in the header's template.
                (0, Some(tcp)) => u16::from_be(core_tcp_sport(tcp.0)),
                (0, None) => u16::from_be(copy(core_inet_sport(self.0))),
                (port, _) => port,
            };
        }
        to.protocol = self.protocol();
    }

    /// Writes the parts that requests and TIME-WAIT sockets have as well.
    #[inline(always)]
    fn ends(self, to: &mut Socket) {
        to.family = self.family();
        to.netns = self.netns();
        to.ifindex = self.bound_interface();
        // SAFETY: as in `getters`.
        unsafe {
            to.peer_port = u16::from_be(core_sock_dport(self.0));
            if to.family == AF_INET {
                to.local = halves(core_sock_rcv_saddr(self.0).into(), 0);
                to.peer = halves(core_sock_daddr(self.0).into(), 0);
            } else {
                to.local =
                    halves(core_sock_v6_rcv_saddr_0(self.0), core_sock_v6_rcv_saddr_1(self.0));
                to.peer = halves(core_sock_v6_daddr_0(self.0), core_sock_v6_daddr_1(self.0));
            }
        }
    }

    /// Where it listens, or where its listener does if that has no address more general.
    #[inline(always)]
    pub(crate) fn listener_key(self) -> ListenerKey {
        // SAFETY: as in `getters`.
        unsafe {
            let address = if self.family() == AF_INET {
                // ::ffff:a.b.c.d
                let mapped = u64::from(core_sock_rcv_saddr(self.0)) << 32;
                halves(0, mapped | 0xffff_0000)
            } else {
                halves(core_sock_v6_rcv_saddr_0(self.0), core_sock_v6_rcv_saddr_1(self.0))
            };
            let port = match core_sock_num(self.0) {
                0 => u16::from_be(copy(core_inet_sport(self.0))),
                port => port,
            };
            ListenerKey { address, netns: self.netns(), port: port.into() }
        }
    }

    /// As [`Sock::describe`], for what has only what all kinds of socket have.
    #[inline(always)]
    pub(crate) fn describe_small(self, to: &mut Socket) {
        to.key = self.address();
        self.ends(to);
        to.cookie = self.known_cookie();
        // SAFETY: as in `getters`.
        to.local_port = unsafe { core_sock_num(self.0) };
        to.protocol = IPPROTO_TCP;
    }

    /// The errno that is pending since this life of the socket began, or 0.
    #[inline(always)]
    pub(crate) fn new_error(self, memory: &Memory) -> u16 {
        let error = self.error();
        if error == memory.stale_error { 0 } else { error as u16 }
    }

    /// What is true of it at the running event, in the bits of [`flag`].
    #[inline(always)]
    pub(crate) fn flags_now(self) -> u32 {
        // enum sock_flags begins so since 2.6.
        const SOCK_DEAD: u64 = 1 << 0;
        const SOCK_DONE: u64 = 1 << 1;
        let sock_flags = self.flags();
        let mut flags = 0;
        if sock_flags & SOCK_DONE != 0 {
            flags |= flag::PEER_FIN;
        }
        if sock_flags & SOCK_DEAD != 0 {
            flags |= flag::ORPHAN;
        }
        if self.is_owned() {
            flags |= flag::BY_PROCESS;
        }
        flags
    }

    /// Reads the counters.
    #[inline(always)]
    pub(crate) fn traffic(self, tcp: Option<Tcp>, to: &mut Traffic) {
        match tcp {
            Some(tcp) => tcp.traffic(to),
            None => self.mptcp_traffic(to),
        }
    }

    /// The counters of an MPTCP connection.
    #[inline(always)]
    fn mptcp_traffic(self, to: &mut Traffic) {
        *to = Traffic::NONE;
        // SAFETY: address arithmetic only.
        unsafe {
            if self.is_mptcp_connection() && core_mptcp_has_bytes() != 0 {
                to.bytes_acked = copy(core_mptcp_bytes_acked(self.0));
                to.bytes_received = copy(core_mptcp_bytes_received(self.0));
                to.bytes_sent = copy(core_mptcp_bytes_sent(self.0));
                to.bytes_retrans = copy(core_mptcp_bytes_retrans(self.0));
            }
        }
    }
}

/// Sixteen bytes from two numbers as they lie in memory.
#[inline(always)]
pub(crate) fn halves(first: u64, second: u64) -> [u8; 16] {
    (u128::from(second) << 64 | u128::from(first)).to_ne_bytes()
}

/// A `struct tcp_sock`.
#[derive(Clone, Copy)]
pub(crate) struct Tcp(*const RawTcp);

impl Tcp {
    getters! {
        rto_ticks: core_tcp_rto -> u32,
        congestion_state: core_tcp_ca_state -> u32,
        total_retrans: core_tcp_total_retrans -> u32,
    }

    #[inline(always)]
    fn traffic(self, to: &mut Traffic) {
        // SAFETY: as in `getters`.
        unsafe {
            to.bytes_acked = core_tcp_bytes_acked(self.0);
            to.bytes_received = core_tcp_bytes_received(self.0);
            to.bytes_sent = core_tcp_bytes_sent(self.0);
            to.bytes_retrans = core_tcp_bytes_retrans(self.0);
            to.srtt_us_8 = core_tcp_srtt_us(self.0);
            to.mdev_us_4 = core_tcp_mdev_us(self.0);
            to.min_rtt_us = core_tcp_rtt_min(self.0);
            to.total_retrans = core_tcp_total_retrans(self.0);
        }
    }

    /// The key of the MPTCP connection that it is a subflow of, or 0.
    #[inline(always)]
    pub(crate) fn connection(self) -> u64 {
        // SAFETY: as in `getters`; what the ULP keeps is a context of MPTCP where the flag is set.
        unsafe {
            if core_tcp_has_is_mptcp() == 0 || core_tcp_is_mptcp(self.0) == 0 {
                return 0;
            }
            copy(core_subflow_conn(core_tcp_ulp_data(self.0)))
        }
    }
}

/// A `struct request_sock`: a handshake that a listener has not finished.
#[derive(Clone, Copy)]
pub(crate) struct Request(*const RawRequest);

impl Request {
    /// # Safety
    /// `argument` is the `struct request_sock *` of a TCP tracepoint.
    #[inline(always)]
    pub(crate) unsafe fn from_argument(argument: *const c_void) -> Request {
        Request(argument.cast())
    }

    /// As the kind of socket that it begins as.
    #[inline(always)]
    pub(crate) fn as_sock(self) -> Sock {
        Sock(self.0.cast())
    }

    getters! {
        retransmits: core_request_num_retrans -> u32,
    }

    #[inline(always)]
    pub(crate) fn sequence(self) -> u32 {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_request_snt_isn(self.0) })
    }
}

/// Whether it is nothing but the common part of a socket: a handshake or what is left of an end.
pub(crate) fn is_small(state: u8) -> bool {
    matches!(i32::from(state), TCP_TIME_WAIT | TCP_NEW_SYN_RECV)
}
