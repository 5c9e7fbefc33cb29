//! IP sockets: the request (`inet_diag_req_v2`), its filter attributes, and `inet_diag_msg`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_sock_diag::constants::{
    AF_INET, AF_INET6, INET_DIAG_BBRINFO, INET_DIAG_CLASS_ID, INET_DIAG_CONG, INET_DIAG_DCTCPINFO,
    INET_DIAG_INFO, INET_DIAG_LOCALS, INET_DIAG_MARK, INET_DIAG_MD5SIG, INET_DIAG_MEMINFO,
    INET_DIAG_PEERS, INET_DIAG_PROTOCOL, INET_DIAG_SHUTDOWN, INET_DIAG_SKMEMINFO,
    INET_DIAG_SKV6ONLY, INET_DIAG_TCLASS, INET_DIAG_TOS, INET_DIAG_VEGASINFO, IPPROTO_DCCP,
    IPPROTO_RAW, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP,
};

use super::attrs::{array, attributes, c_string, push, u8_of, u16_of, u32_of, u64_of};
use super::{DiagError, DiagSocket, DumpEnd, Sink};
use crate::socket::{
    BpfStorage, CongestionInfo, Cookie, Family, Inet, InetEnd, InetExt, Inode, MemInfo,
    MptcpSubflow, SkMem, Socket, State, StateSet, Table, Timer, TimerKind, TlsInfo, UlpInfo,
};

const INET_DIAG_ULP_INFO: u16 = 19;
const INET_DIAG_SK_BPF_STORAGES: u16 = 20;
const INET_DIAG_CGROUP_ID: u16 = 21;
const INET_DIAG_SOCKOPT: u16 = 22;
pub(super) const INET_DIAG_REQ_BYTECODE: u16 = 1;
const INET_DIAG_REQ_SK_BPF_STORAGES: u16 = 2;
pub(super) const INET_DIAG_REQ_PROTOCOL: u16 = 3;
const IPPROTO_MPTCP: u32 = 262;
/// The length of `struct inet_diag_req_v2`.
pub(super) const REQUEST_LEN: usize = 56;
const MESSAGE_LEN: usize = 72;

/// Which extensions the kernel is asked for, beyond those it always sends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extensions(u8);

impl Extensions {
    pub const MEMORY: Extensions = Extensions::of(&[INET_DIAG_MEMINFO, INET_DIAG_SKMEMINFO]);
    pub const INFO: Extensions =
        Extensions::of(&[INET_DIAG_INFO, INET_DIAG_VEGASINFO, INET_DIAG_CONG]);
    /// What a filter asks of connections, a part of `INFO` each.
    pub const TCP_INFO: Extensions = Extensions::of(&[INET_DIAG_INFO]);
    pub const CONGESTION_CONTROL: Extensions = Extensions::of(&[INET_DIAG_CONG]);
    pub const TOS: Extensions = Extensions::of(&[INET_DIAG_TOS, INET_DIAG_TCLASS]);

    const fn of(kinds: &[u16]) -> Extensions {
        let mut bits = 0;
        let mut i = 0;
        while i < kinds.len() {
            bits |= 1 << (kinds[i] - 1);
            i += 1;
        }
        Extensions(bits)
    }

    pub const fn union(self, other: Extensions) -> Extensions {
        Extensions(self.0 | other.0)
    }
}

/// What to ask of one table.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub table: Table,
    pub states: StateSet,
    pub extensions: Extensions,
    /// INET_DIAG bytecode that the kernel runs on each socket.
    pub bytecode: Option<&'a [u8]>,
    /// The nested attributes that select BPF storage maps; empty for all of them.
    pub bpf_storage: Option<&'a [u8]>,
}

/// The protocol number of a table, and the byte that the request's fixed part has for it.
fn protocol(table: Table) -> (u32, u8) {
    match table {
        Table::Udp => (IPPROTO_UDP.into(), IPPROTO_UDP),
        Table::Dccp => (IPPROTO_DCCP.into(), IPPROTO_DCCP),
        Table::Sctp => (IPPROTO_SCTP.into(), IPPROTO_SCTP),
        Table::Raw => (IPPROTO_RAW.into(), IPPROTO_RAW),
        Table::Mptcp => (IPPROTO_MPTCP, IPPROTO_TCP),
        _ => (IPPROTO_TCP.into(), IPPROTO_TCP),
    }
}

impl Request<'_> {
    /// The request's bytes after the netlink header.
    pub fn encode(&self, family: Family) -> Result<Vec<u8>, DiagError> {
        let (protocol, protocol_byte) = protocol(self.table);
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(&[raw_family(family), protocol_byte, self.extensions.0, 0]);
        out.extend_from_slice(&self.states.bits().to_ne_bytes());
        out.resize(REQUEST_LEN, 0);
        let mut fits = true;
        if let Some(bytecode) = self.bytecode {
            fits &= push(&mut out, INET_DIAG_REQ_BYTECODE, bytecode);
        }
        if let Some(maps) = self.bpf_storage {
            fits &= push(&mut out, INET_DIAG_REQ_SK_BPF_STORAGES, maps);
        }
        if protocol != u32::from(protocol_byte) {
            fits &= push(&mut out, INET_DIAG_REQ_PROTOCOL, &protocol.to_ne_bytes());
        }
        if fits { Ok(out) } else { Err(DiagError::Damaged("the filter is too long for a request")) }
    }

    /// Dumps the table's sockets of one family into `sink`.
    pub fn dump(
        &self,
        diag: &mut DiagSocket,
        family: Family,
        sink: &mut Sink<'_>,
    ) -> Result<DumpEnd, DiagError> {
        let request = self.encode(family)?;
        let table = self.table;
        diag.dump(&request, &mut |payload| match decode(table, payload) {
            Some(socket) => sink(&Socket::Inet(socket)),
            None => Ok(()),
        })
    }

    /// The request that destroys the socket of `message`, an `inet_diag_msg` of this table.
    pub fn destroy(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (protocol, protocol_byte) = protocol(self.table);
        let mut out = Vec::with_capacity(REQUEST_LEN + 8);
        // RAW sockets are looked up by the protocol of their own, for which the request has a byte.
        let raw_protocol = match self.table {
            Table::Raw => decode(self.table, message)?.ext.protocol?,
            _ => 0,
        };
        out.extend_from_slice(&[*message.first()?, protocol_byte, 0, raw_protocol]);
        out.extend_from_slice(&0u32.to_ne_bytes());
        out.extend_from_slice(message.get(4..52)?);
        (protocol == u32::from(protocol_byte)
            || push(&mut out, INET_DIAG_REQ_PROTOCOL, &protocol.to_ne_bytes()))
        .then_some(out)
    }
}

/// The attribute that selects a map by its descriptor, for [`Request::bpf_storage`].
pub fn storage_map(fd: u32) -> [u8; 8] {
    const LENGTH_AND_KIND: [u16; 2] = [8, 1];
    let [[a, b], [c, d]] = LENGTH_AND_KIND.map(u16::to_ne_bytes);
    let [e, f, g, h] = fd.to_ne_bytes();
    [a, b, c, d, e, f, g, h]
}

pub fn raw_family(family: Family) -> u8 {
    match family {
        Family::Inet6 => AF_INET6,
        _ => AF_INET,
    }
}

/// An `inet_diag_msg` with its attributes.
pub struct Message<'a> {
    pub family: Family,
    fixed: &'a [u8; MESSAGE_LEN],
    attributes: &'a [u8],
}

impl<'a> Message<'a> {
    /// `None` if it is too short or of a family that is not IP.
    #[inline]
    pub fn new(message: &'a [u8]) -> Option<Message<'a>> {
        let (fixed, attributes) = message.split_first_chunk()?;
        let family = match fixed[0] {
            AF_INET => Family::Inet,
            AF_INET6 => Family::Inet6,
            _ => return None,
        };
        Some(Message { family, fixed, attributes })
    }

    /// Its socket. It is large: made where it is wanted, it need not be copied.
    pub fn socket(&self, table: Table) -> Inet<'a> {
        let fixed = self.fixed;
        let u16_be = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let u32_ne = |at: usize| {
            u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let mut socket = Inet {
            table,
            family: self.family,
            state: State::from_raw(fixed[1]),
            local: InetEnd { addr: self.address(8), port: u16_be(4) },
            peer: InetEnd { addr: self.address(24), port: u16_be(6) },
            ifindex: u32_ne(40),
            cookie: Cookie(u64::from(u32_ne(44)) | u64::from(u32_ne(48)) << 32),
            recv_queue: u32_ne(56),
            send_queue: u32_ne(60),
            uid: u32_ne(64),
            inode: Inode(u32_ne(68)),
            timer: Timer {
                kind: TimerKind::from_raw(fixed[2]),
                retransmits: fixed[3],
                expires_ms: u32_ne(52),
            },
            ext: InetExt::default(),
        };
        read_extensions(self.attributes, &mut socket.ext);
        socket
    }

    #[inline]
    fn address(&self, at: usize) -> IpAddr {
        let field = &self.fixed[at..at + 16];
        match self.family {
            Family::Inet6 => Ipv6Addr::from(array(field, 0).unwrap_or_default()).into(),
            _ => Ipv4Addr::from(array(field, 0).unwrap_or_default()).into(),
        }
    }
}

/// The socket of one `inet_diag_msg`, if it is one.
pub fn decode(table: Table, message: &[u8]) -> Option<Inet<'_>> {
    Some(Message::new(message)?.socket(table))
}

/// The socket of a message that announces its end; the kernel adds the protocol to those.
pub fn decode_event(message: &[u8]) -> Option<Inet<'_>> {
    let mut socket = decode(Table::Tcp, message)?;
    socket.table = match socket.ext.protocol? {
        IPPROTO_UDP => Table::Udp,
        IPPROTO_DCCP => Table::Dccp,
        IPPROTO_SCTP => Table::Sctp,
        _ => Table::Tcp,
    };
    Some(socket)
}

/// Not inlined, so that it writes where the socket is, and not into a copy of it all.
#[inline(never)]
fn read_extensions<'a>(bytes: &'a [u8], ext: &mut InetExt<'a>) {
    for (kind, payload) in attributes(bytes) {
        match kind {
            INET_DIAG_MEMINFO => ext.mem = mem_info(payload),
            INET_DIAG_INFO => ext.info = Some(payload),
            INET_DIAG_VEGASINFO => ext.congestion_info = vegas(payload),
            INET_DIAG_CONG => ext.congestion = Some(c_string(payload)),
            INET_DIAG_TOS => ext.tos = u8_of(payload),
            INET_DIAG_TCLASS => ext.tclass = u8_of(payload),
            INET_DIAG_SKMEMINFO => ext.skmem = Some(skmem(payload)),
            INET_DIAG_SHUTDOWN => ext.shutdown = u8_of(payload),
            INET_DIAG_DCTCPINFO => ext.congestion_info = dctcp(payload),
            INET_DIAG_PROTOCOL => ext.protocol = u8_of(payload),
            INET_DIAG_SKV6ONLY => ext.v6only = u8_of(payload).map(|byte| byte != 0),
            INET_DIAG_LOCALS => ext.sctp_locals = Some(payload),
            INET_DIAG_PEERS => ext.sctp_peers = Some(payload),
            INET_DIAG_MARK => ext.mark = u32_of(payload),
            INET_DIAG_BBRINFO => ext.congestion_info = bbr(payload),
            INET_DIAG_CLASS_ID => ext.class_id = u32_of(payload),
            INET_DIAG_MD5SIG => ext.md5 = Some(payload),
            INET_DIAG_ULP_INFO => ext.ulp = Some(ulp(payload)),
            INET_DIAG_SK_BPF_STORAGES => ext.bpf_storage = bpf_storage(payload),
            INET_DIAG_CGROUP_ID => ext.cgroup_id = u64_of(payload),
            INET_DIAG_SOCKOPT => ext.sockopt = array(payload, 0),
            _ => {}
        }
    }
}

fn bpf_storage(payload: &[u8]) -> Vec<BpfStorage<'_>> {
    const STORAGE: u16 = 1;
    const MAP_ID: u16 = 2;
    const MAP_VALUE: u16 = 3;
    let storages = attributes(payload).filter(|(kind, _)| *kind == STORAGE);
    storages
        .filter_map(|(_, storage)| {
            let find = |wanted| attributes(storage).find(|(kind, _)| *kind == wanted);
            let value = find(MAP_VALUE).map(|(_, value)| value).unwrap_or_default();
            Some(BpfStorage { map_id: u32_of(find(MAP_ID)?.1)?, value })
        })
        .collect()
}

fn mem_info(payload: &[u8]) -> Option<MemInfo> {
    let field = |i: usize| payload.get(i * 4..).and_then(u32_of);
    Some(MemInfo { rmem: field(0)?, wmem: field(1)?, fmem: field(2)?, tmem: field(3)? })
}

/// `INET_DIAG_SKMEMINFO` and its like of other families: an array of u32 that grew over time.
pub fn skmem(payload: &[u8]) -> SkMem {
    let field = |i: usize| payload.get(i * 4..).and_then(u32_of);
    let old = |i: usize| field(i).unwrap_or(0);
    SkMem {
        rmem_alloc: old(0),
        rcvbuf: old(1),
        wmem_alloc: old(2),
        sndbuf: old(3),
        fwd_alloc: old(4),
        wmem_queued: old(5),
        optmem: old(6),
        backlog: field(7),
        drops: field(8),
    }
}

fn vegas(payload: &[u8]) -> Option<CongestionInfo> {
    let field = |i: usize| payload.get(i * 4..).and_then(u32_of);
    Some(CongestionInfo::Vegas {
        enabled: field(0)? != 0,
        rttcnt: field(1)?,
        rtt_us: field(2)?,
        minrtt_us: field(3)?,
    })
}

fn dctcp(payload: &[u8]) -> Option<CongestionInfo> {
    let field = |at: usize| payload.get(at..).and_then(u32_of);
    Some(CongestionInfo::Dctcp {
        enabled: u16_of(payload)? != 0,
        ce_state: payload.get(2..).and_then(u16_of)?,
        alpha: field(4)?,
        ab_ecn: field(8)?,
        ab_tot: field(12)?,
    })
}

fn bbr(payload: &[u8]) -> Option<CongestionInfo> {
    let field = |i: usize| payload.get(i * 4..).and_then(u32_of);
    Some(CongestionInfo::Bbr {
        bw_bytes_per_sec: u64::from(field(0)?) | u64::from(field(1)?) << 32,
        min_rtt_us: field(2)?,
        pacing_gain: field(3)?,
        cwnd_gain: field(4)?,
    })
}

fn ulp(payload: &[u8]) -> UlpInfo<'_> {
    let mut info = UlpInfo { name: &[], tls: None, mptcp: None };
    for (kind, nested) in attributes(payload) {
        match kind {
            1 => info.name = c_string(nested),
            2 => info.tls = Some(tls(nested)),
            3 => info.mptcp = Some(mptcp_subflow(nested)),
            _ => {}
        }
    }
    info
}

fn tls(payload: &[u8]) -> TlsInfo {
    let mut info = TlsInfo::default();
    for (kind, value) in attributes(payload) {
        match kind {
            1 => info.version = u16_of(value),
            2 => info.cipher = u16_of(value),
            3 => info.tx_conf = u16_of(value),
            4 => info.rx_conf = u16_of(value),
            5 => info.zc_ro_tx = true,
            6 => info.no_pad_rx = true,
            _ => {}
        }
    }
    info
}

fn mptcp_subflow(payload: &[u8]) -> MptcpSubflow {
    let mut info = MptcpSubflow::default();
    for (kind, value) in attributes(payload) {
        match kind {
            1 => info.token_remote = u32_of(value),
            2 => info.token_local = u32_of(value),
            3 => info.relative_write_seq = u32_of(value),
            4 => info.map_seq = u64_of(value),
            5 => info.map_sfseq = u32_of(value),
            6 => info.ssn_offset = u32_of(value),
            7 => info.map_data_len = u16_of(value),
            8 => info.flags = u32_of(value),
            9 => info.id_remote = u8_of(value),
            10 => info.id_local = u8_of(value),
            _ => {}
        }
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_what_the_kernel_s_header_says() {
        let request = Request {
            table: Table::Tcp,
            states: StateSet::of(&[State::Listen]),
            extensions: Extensions::INFO.union(Extensions::MEMORY),
            bytecode: Some(&[1, 2, 3, 4]),
            bpf_storage: None,
        };
        let bytes = request.encode(Family::Inet6).unwrap();
        assert_eq!(bytes.len(), REQUEST_LEN + 8);
        assert_eq!(bytes[..4], [AF_INET6, IPPROTO_TCP, 0b0100_1111, 0]);
        assert_eq!(bytes[4..8], (1u32 << 10).to_ne_bytes());
        assert_eq!(bytes[56..], [8, 0, 1, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn mptcp_asks_by_attribute_for_its_number_is_above_a_byte() {
        let request = Request {
            table: Table::Mptcp,
            states: StateSet::ALL,
            extensions: Extensions::default(),
            bytecode: None,
            bpf_storage: None,
        };
        let bytes = request.encode(Family::Inet).unwrap();
        assert_eq!(bytes[1], IPPROTO_TCP);
        assert_eq!(bytes[56..], [8, 0, 3, 0, 6, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut message = bytes;
            if let Some(first) = message.first_mut() {
                *first = if *first & 1 == 0 { AF_INET } else { AF_INET6 };
            }
            let socket = decode(Table::Tcp, &message);
            prop_assert_eq!(socket.is_some(), message.len() >= MESSAGE_LEN);
        }
    }
}
