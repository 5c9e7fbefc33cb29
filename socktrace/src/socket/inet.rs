use std::time::Duration;

use super::{Cookie, Family, InetEnd, Inode, State, Table};

/// A TCP, UDP, RAW, MPTCP, DCCP or SCTP socket.
#[derive(Debug, Clone)]
pub struct Inet<'a> {
    pub table: Table,
    pub family: Family,
    pub state: State,
    pub local: InetEnd,
    pub peer: InetEnd,
    pub ifindex: u32,
    pub cookie: Cookie,
    pub recv_queue: u32,
    pub send_queue: u32,
    pub uid: u32,
    pub inode: Inode,
    pub timer: Timer,
    pub ext: InetExt<'a>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Timer {
    pub kind: TimerKind,
    pub retransmits: u8,
    pub expires_ms: u32,
}

/// Which timer of the socket runs, with the kernel's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimerKind {
    #[default]
    Off,
    On,
    Keepalive,
    TimeWait,
    Persist,
    DelayedAck,
    Unknown(u8),
}

impl TimerKind {
    pub fn from_raw(raw: u8) -> TimerKind {
        match raw {
            0 => TimerKind::Off,
            1 => TimerKind::On,
            2 => TimerKind::Keepalive,
            3 => TimerKind::TimeWait,
            4 => TimerKind::Persist,
            5 => TimerKind::DelayedAck,
            other => TimerKind::Unknown(other),
        }
    }
}

/// What the source says of an IP socket beyond its fixed fields; each part only if it was asked
/// for and the kernel has it.
#[derive(Debug, Clone, Default)]
pub struct InetExt<'a> {
    pub mem: Option<MemInfo>,
    pub skmem: Option<SkMem>,
    /// The protocol's own structure (`tcp_info`, `mptcp_info`, `sctp_info`), as long as the
    /// kernel made it.
    pub info: Option<&'a [u8]>,
    pub congestion: Option<&'a [u8]>,
    pub congestion_info: Option<CongestionInfo>,
    pub tos: Option<u8>,
    pub tclass: Option<u8>,
    pub class_id: Option<u32>,
    pub shutdown: Option<u8>,
    /// The IP protocol, where the table alone does not say it (RAW; MPTCP's 262 does not fit).
    pub protocol: Option<u8>,
    pub v6only: Option<bool>,
    pub mark: Option<u32>,
    pub cgroup_id: Option<u64>,
    /// `struct tcp_diag_md5sig`, one after the other.
    pub md5: Option<&'a [u8]>,
    pub ulp: Option<UlpInfo<'a>>,
    /// The two bytes of `struct inet_diag_sockopt`.
    pub sockopt: Option<[u8; 2]>,
    /// SCTP: `struct sockaddr_storage`, one after the other.
    pub sctp_locals: Option<&'a [u8]>,
    pub sctp_peers: Option<&'a [u8]>,
    /// What BPF programs keep with the socket; empty unless it was asked for.
    pub bpf_storage: Vec<BpfStorage<'a>>,
    /// Set where the source was a text file of /proc/net, which tells less than sock_diag.
    pub proc_text: Option<&'a ProcText<'a>>,
    /// Set where the socket is no more: somebody watched it go.
    pub gone: Option<Gone<'a>>,
}

/// What there is to say of a connection that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone<'a> {
    /// `None` if it is older than whoever watched.
    pub lived: Option<Duration>,
    /// How it ended, in a word.
    pub end: &'static str,
    pub owner: Option<PastOwner<'a>>,
}

/// The process that a socket belonged to. Its descriptor is nobody's to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastOwner<'a> {
    pub pid: u32,
    pub uid: u32,
    /// As the process chose it: any bytes.
    pub comm: &'a [u8],
}

/// What a line of /proc/net has beyond the fixed fields. Datagram tables have nothing.
#[derive(Debug, Clone, Copy)]
pub enum ProcText<'a> {
    Tcp(ProcTcp<'a>),
    Datagram,
}

/// What /proc/net/tcp tells of a connection. (`ss` prints these times in seconds.)
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcTcp<'a> {
    pub rto_ms: u32,
    pub ato_ms: u32,
    pub quick_acks: u32,
    pub cwnd: u32,
    /// 0: none so far.
    pub ssthresh: u32,
    /// What newer kernels may add to the line (`opt:`).
    pub rest: &'a [u8],
}

/// What one map keeps with a socket.
#[derive(Debug, Clone, Copy)]
pub struct BpfStorage<'a> {
    pub map_id: u32,
    pub value: &'a [u8],
}

/// `struct inet_diag_meminfo`, all in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MemInfo {
    pub rmem: u32,
    pub wmem: u32,
    pub fmem: u32,
    pub tmem: u32,
}

/// The socket's memory (`skmem:`), in bytes; `backlog` and `drops` came later than the rest.
#[derive(Debug, Clone, Copy, Default)]
pub struct SkMem {
    pub rmem_alloc: u32,
    pub rcvbuf: u32,
    pub wmem_alloc: u32,
    pub sndbuf: u32,
    pub fwd_alloc: u32,
    pub wmem_queued: u32,
    pub optmem: u32,
    pub backlog: Option<u32>,
    pub drops: Option<u32>,
}

/// What a congestion control algorithm tells of itself.
#[derive(Debug, Clone, Copy)]
pub enum CongestionInfo {
    Vegas { enabled: bool, rttcnt: u32, rtt_us: u32, minrtt_us: u32 },
    Dctcp { enabled: bool, ce_state: u16, alpha: u32, ab_ecn: u32, ab_tot: u32 },
    Bbr { bw_bytes_per_sec: u64, min_rtt_us: u32, pacing_gain: u32, cwnd_gain: u32 },
}

/// The upper layer protocol of a TCP socket.
#[derive(Debug, Clone, Copy)]
pub struct UlpInfo<'a> {
    pub name: &'a [u8],
    pub tls: Option<TlsInfo>,
    pub mptcp: Option<MptcpSubflow>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct TlsInfo {
    pub version: Option<u16>,
    pub cipher: Option<u16>,
    pub rx_conf: Option<u16>,
    pub tx_conf: Option<u16>,
    pub zc_ro_tx: bool,
    pub no_pad_rx: bool,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct MptcpSubflow {
    pub flags: Option<u32>,
    pub token_remote: Option<u32>,
    pub token_local: Option<u32>,
    pub relative_write_seq: Option<u32>,
    pub id_remote: Option<u8>,
    pub id_local: Option<u8>,
    pub map_seq: Option<u64>,
    pub map_sfseq: Option<u32>,
    pub ssn_offset: Option<u32>,
    pub map_data_len: Option<u16>,
}
