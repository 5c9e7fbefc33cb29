//! Segments, as the tracepoints of TCP show them; opaque as the types of [`crate::kernel`].

use core::ffi::c_void;

use socktrace_common::Socket;

use crate::kernel::{AF_INET, AF_INET6, IPPROTO_TCP, copy, halves, opaque};

opaque! { RawSkb }

// The bodies are in core.c.
unsafe extern "C" {
    fn core_skb_len(skb: *const RawSkb) -> *const c_void;
    fn core_skb_protocol(skb: *const RawSkb) -> *const c_void;
    fn core_skb_cb(skb: *const RawSkb) -> *const c_void;
    fn core_skb_head(skb: *const RawSkb) -> *const c_void;
    fn core_skb_network_header(skb: *const RawSkb) -> *const c_void;
    fn core_skb_transport_header(skb: *const RawSkb) -> *const c_void;
    fn core_skb_dev(skb: *const RawSkb) -> *const c_void;
    fn core_dev_net(device: *const c_void) -> *const c_void;
    fn core_cb_seq(cb: *const c_void) -> *const c_void;
    fn core_cb_segments(cb: *const c_void) -> *const c_void;
    fn core_ip_saddr(header: *const c_void) -> *const c_void;
    fn core_ip_daddr(header: *const c_void) -> *const c_void;
    fn core_ipv6_saddr(header: *const c_void) -> *const c_void;
    fn core_ipv6_daddr(header: *const c_void) -> *const c_void;
    fn core_th_source(header: *const c_void) -> *const c_void;
    fn core_th_dest(header: *const c_void) -> *const c_void;
    fn core_net_inum_at(net: *const c_void) -> *const c_void;
}

const ETH_P_IP: u16 = 0x0800;

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
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// The first number of the sequence, of a segment that is on its way out.
    #[inline(always)]
    pub(crate) fn sequence(self) -> u32 {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_cb_seq(core_skb_cb(self.0)) })
    }

    /// How many segments it is, if it is on its way out.
    #[inline(always)]
    pub(crate) fn segments(self) -> u16 {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_cb_segments(core_skb_cb(self.0)) })
    }

    #[inline(always)]
    pub(crate) fn length(self) -> u32 {
        // SAFETY: address arithmetic only.
        copy(unsafe { core_skb_len(self.0) })
    }

    /// Writes the ends of a segment that came in, by its headers: local is where it went to.
    #[inline(always)]
    pub(crate) fn describe_received(self, to: &mut Socket) {
        *to = Socket {
            key: 0,
            cookie: 0,
            local: [0; 16],
            peer: [0; 16],
            local_port: 0,
            peer_port: 0,
            family: AF_INET,
            protocol: IPPROTO_TCP,
            netns: 0,
            ifindex: 0,
        };
        // SAFETY: address arithmetic only.
        unsafe {
            let head: *const c_void = copy(core_skb_head(self.0));
            let network = head.byte_add(copy::<u16>(core_skb_network_header(self.0)).into());
            let transport = head.byte_add(copy::<u16>(core_skb_transport_header(self.0)).into());
            if u16::from_be(copy(core_skb_protocol(self.0))) == ETH_P_IP {
                to.local = halves(copy::<u32>(core_ip_daddr(network)).into(), 0);
                to.peer = halves(copy::<u32>(core_ip_saddr(network)).into(), 0);
            } else {
                to.family = AF_INET6;
                to.local = copy(core_ipv6_daddr(network));
                to.peer = copy(core_ipv6_saddr(network));
            }
            to.local_port = u16::from_be(copy(core_th_dest(transport)));
            to.peer_port = u16::from_be(copy(core_th_source(transport)));
            let device: *const c_void = copy(core_skb_dev(self.0));
            if !device.is_null() {
                let net: *const c_void = copy(core_dev_net(device));
                to.netns = copy(core_net_inum_at(net));
            }
        }
    }
}
