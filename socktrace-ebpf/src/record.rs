//! The parts that records share.

use aya_ebpf::helpers::generated::bpf_get_smp_processor_id;
use socktrace_common::{Flow, Header, Kind, Traffic};

use crate::kernel::Sock;

const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;

/// Whether the socket is of a protocol that is traced.
#[inline(always)]
pub(crate) fn is_traced(sock: Sock) -> bool {
    matches!(sock.protocol(), IPPROTO_TCP | IPPROTO_MPTCP)
}

#[inline(always)]
pub(crate) fn header(kind: Kind, sock: Sock, time_ns: u64, cookie: u64, generation: u32) -> Header {
    // SAFETY: it takes nothing.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    Header { kind, cpu, time_ns, cookie, netns: sock.netns(), generation }
}

#[inline(always)]
pub(crate) fn flow(sock: Sock) -> Flow {
    let ends = sock.ends();
    Flow {
        local: ends.local,
        peer: ends.peer,
        local_port: sock.local_port(),
        peer_port: sock.peer_port(),
        family: sock.family(),
        protocol: sock.protocol(),
        ifindex: sock.bound_interface(),
        reserved: 0,
    }
}

#[inline(always)]
pub(crate) fn traffic(sock: Sock) -> Traffic {
    let Some(tcp) = sock.tcp() else { return Traffic::NONE };
    Traffic {
        bytes_acked: tcp.bytes_acked(),
        bytes_received: tcp.bytes_received(),
        bytes_sent: tcp.bytes_sent(),
        bytes_retrans: tcp.bytes_retrans(),
        srtt_us_8: tcp.srtt_us_8(),
        total_retrans: tcp.total_retrans(),
    }
}
