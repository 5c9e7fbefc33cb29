/// Reads the fields of a kernel structure that is as long as the kernel at hand makes it: what is
/// missing reads as zero, what is beyond is ignored.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        self.0.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).unwrap_or([0; N])
    }

    fn u8(self, at: usize) -> u8 {
        u8::from_ne_bytes(self.array(at))
    }

    fn u16(self, at: usize) -> u16 {
        u16::from_ne_bytes(self.array(at))
    }

    fn u32(self, at: usize) -> u32 {
        u32::from_ne_bytes(self.array(at))
    }

    fn u64(self, at: usize) -> u64 {
        u64::from_ne_bytes(self.array(at))
    }
}

/// Names the fields of a structure and where each lies in it.
macro_rules! kernel_struct {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ident @ $at:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct $name { $(pub $field: $type,)* }

        impl $name {
            pub fn parse(bytes: &[u8]) -> $name {
                let fields = Fields(bytes);
                $name { $($field: fields.$type($at),)* }
            }

            /// The fields that the kernel filled, by name.
            pub fn fields(bytes: &[u8]) -> impl Iterator<Item = (&'static str, u64)> {
                const FIELDS: &[(&str, usize, usize)] =
                    &[$((stringify!($field), $at, size_of::<$type>()),)*];
                let is_there = |&&(_, at, size): &&(&str, usize, usize)| at + size <= bytes.len();
                FIELDS.iter().filter(is_there).map(|&(name, at, size)| {
                    let fields = Fields(bytes);
                    let value = match size {
                        1 => fields.u8(at).into(),
                        2 => fields.u16(at).into(),
                        4 => fields.u32(at).into(),
                        _ => fields.u64(at),
                    };
                    (name, value)
                })
            }
        }
    };
}

kernel_struct! {
    /// `struct tcp_info`, with the kernel's names; times are in microseconds unless the name says
    /// otherwise, rates in bytes per second.
    TcpInfo {
        backoff: u8 @ 4,
        options: u8 @ 5,
        wscale: u8 @ 6,
        flags: u8 @ 7,
        rto: u32 @ 8,
        ato: u32 @ 12,
        snd_mss: u32 @ 16,
        rcv_mss: u32 @ 20,
        unacked: u32 @ 24,
        sacked: u32 @ 28,
        lost: u32 @ 32,
        retrans: u32 @ 36,
        fackets: u32 @ 40,
        last_data_sent_ms: u32 @ 44,
        last_data_recv_ms: u32 @ 52,
        last_ack_recv_ms: u32 @ 56,
        pmtu: u32 @ 60,
        rcv_ssthresh: u32 @ 64,
        rtt: u32 @ 68,
        rttvar: u32 @ 72,
        snd_ssthresh: u32 @ 76,
        snd_cwnd: u32 @ 80,
        advmss: u32 @ 84,
        reordering: u32 @ 88,
        rcv_rtt: u32 @ 92,
        rcv_space: u32 @ 96,
        total_retrans: u32 @ 100,
        pacing_rate: u64 @ 104,
        max_pacing_rate: u64 @ 112,
        bytes_acked: u64 @ 120,
        bytes_received: u64 @ 128,
        segs_out: u32 @ 136,
        segs_in: u32 @ 140,
        notsent_bytes: u32 @ 144,
        min_rtt: u32 @ 148,
        data_segs_in: u32 @ 152,
        data_segs_out: u32 @ 156,
        delivery_rate: u64 @ 160,
        busy_time: u64 @ 168,
        rwnd_limited: u64 @ 176,
        sndbuf_limited: u64 @ 184,
        delivered: u32 @ 192,
        delivered_ce: u32 @ 196,
        bytes_sent: u64 @ 200,
        bytes_retrans: u64 @ 208,
        dsack_dups: u32 @ 216,
        reord_seen: u32 @ 220,
        rcv_ooopack: u32 @ 224,
        snd_wnd: u32 @ 228,
        rcv_wnd: u32 @ 232,
        rehash: u32 @ 236,
    }
}

/// What `TcpInfo::options` says was negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TcpOption {
    Timestamps = 1,
    Sack = 2,
    WindowScale = 4,
    Ecn = 8,
    EcnSeen = 16,
    SynData = 32,
    MicrosecondTimestamps = 64,
}

impl TcpInfo {
    pub fn has(&self, option: TcpOption) -> bool {
        self.options & option as u8 != 0
    }

    /// The window scales, as (sent, received).
    pub fn window_scales(&self) -> (u8, u8) {
        // C puts the first bit field into the low bits of a little-endian byte.
        if cfg!(target_endian = "little") {
            (self.wscale & 15, self.wscale >> 4)
        } else {
            (self.wscale >> 4, self.wscale & 15)
        }
    }

    pub fn delivery_rate_app_limited(&self) -> bool {
        self.flags & if cfg!(target_endian = "little") { 1 } else { 0x80 } != 0
    }
}

kernel_struct! {
    /// `struct mptcp_info`, with the kernel's names.
    MptcpInfo {
        subflows: u8 @ 0,
        add_addr_signal: u8 @ 1,
        add_addr_accepted: u8 @ 2,
        subflows_max: u8 @ 3,
        add_addr_signal_max: u8 @ 4,
        add_addr_accepted_max: u8 @ 5,
        flags: u32 @ 8,
        token: u32 @ 12,
        write_seq: u64 @ 16,
        snd_una: u64 @ 24,
        rcv_nxt: u64 @ 32,
        local_addr_used: u8 @ 40,
        local_addr_max: u8 @ 41,
        csum_enabled: u8 @ 42,
        retransmits: u32 @ 44,
        bytes_retrans: u64 @ 48,
        bytes_sent: u64 @ 56,
        bytes_received: u64 @ 64,
        bytes_acked: u64 @ 72,
        subflows_total: u8 @ 80,
        endp_laminar_max: u8 @ 81,
        last_data_sent_ms: u32 @ 84,
        last_data_recv_ms: u32 @ 88,
        last_ack_recv_ms: u32 @ 92,
    }
}

kernel_struct! {
    /// `struct sctp_info`, with the kernel's names.
    SctpInfo {
        tag: u32 @ 0,
        state: u32 @ 4,
        rwnd: u32 @ 8,
        unackdata: u16 @ 12,
        penddata: u16 @ 14,
        instrms: u16 @ 16,
        outstrms: u16 @ 18,
        fragmentation_point: u32 @ 20,
        inqueue: u32 @ 24,
        outqueue: u32 @ 28,
        overall_error: u32 @ 32,
        max_burst: u32 @ 36,
        maxseg: u32 @ 40,
        peer_rwnd: u32 @ 44,
        peer_tag: u32 @ 48,
        peer_capable: u8 @ 52,
        peer_sack: u8 @ 53,
        autoclose: u32 @ 344,
        adaptation_ind: u32 @ 348,
        pd_point: u32 @ 352,
        nodelay: u8 @ 356,
        disable_fragments: u8 @ 357,
        v4mapped: u8 @ 358,
        frag_interleave: u8 @ 359,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_structure_reads_as_zeros() {
        let mut bytes = [0xff; 240];
        assert_eq!(TcpInfo::parse(&bytes).rehash, u32::MAX);
        bytes[8..12].copy_from_slice(&7u32.to_ne_bytes());
        let info = TcpInfo::parse(&bytes[..106]);
        assert_eq!((info.rto, info.total_retrans), (7, u32::MAX));
        assert_eq!((info.pacing_rate, info.rehash), (0, 0));
        assert_eq!(TcpInfo::parse(&[]), TcpInfo::default());
        let fields: Vec<_> = TcpInfo::fields(&bytes[..14]).collect();
        let expected =
            [("backoff", 255), ("options", 255), ("wscale", 255), ("flags", 255), ("rto", 7)];
        assert_eq!(fields, expected);
    }
}
