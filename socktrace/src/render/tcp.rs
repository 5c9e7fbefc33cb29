//! The `-i` line of TCP: `struct tcp_info` and what congestion control and upper layers add.

use super::number::{RateStyle, hex, labelled, milli, quotient, rate, unsigned, write_to};
use crate::socket::{
    CongestionInfo, Inet, MptcpInfo, MptcpSubflow, ProcTcp, State, TcpInfo, TcpOption, Timer,
    TlsInfo, UlpInfo,
};

/// The retransmission timeout before anything was measured, which is not worth a word.
const INITIAL_RTO_US: u32 = 3_000_000;
const INITIAL_REORDERING: u32 = 3;
const NO_THRESHOLD: u32 = 0xffff;
/// What vegas reports before it has measured.
const VEGAS_NO_RTT: u32 = 0x7fff_ffff;

/// How the `-i` line is written.
#[derive(Debug, Clone, Copy)]
pub struct InfoStyle {
    pub rates: RateStyle,
    /// Whether to name the options that were negotiated.
    pub option_words: bool,
}

/// All of the line that comes from `tcp_info`.
pub fn info(out: &mut Vec<u8>, socket: &Inet<'_>, info: &TcpInfo, style: InfoStyle) {
    if style.option_words {
        option_words(out, info);
    }
    if let Some(name) = socket.ext.congestion.filter(|name| !name.is_empty()) {
        out.push(b' ');
        out.extend_from_slice(name);
    }
    if info.has(TcpOption::WindowScale) {
        let (sent, received) = info.window_scales();
        labelled(out, " wscale:", sent.into());
        labelled(out, ",", received.into());
    }
    if info.rto != INITIAL_RTO_US {
        thousandths(out, " rto:", info.rto);
    }
    number(out, " backoff:", info.backoff.into());
    if info.rtt != 0 {
        thousandths(out, " rtt:", info.rtt);
        out.push(b'/');
        milli(out, info.rttvar);
    }
    thousandths(out, " ato:", info.ato);
    for (label, value) in [
        (" mss:", info.snd_mss),
        (" pmtu:", info.pmtu),
        (" rcvmss:", info.rcv_mss),
        (" advmss:", info.advmss),
        (" cwnd:", info.snd_cwnd),
    ] {
        number(out, label, value.into());
    }
    if info.snd_ssthresh < NO_THRESHOLD {
        number(out, " ssthresh:", info.snd_ssthresh.into());
    }
    for (label, value) in [
        (" bytes_sent:", info.bytes_sent),
        (" bytes_retrans:", info.bytes_retrans),
        (" bytes_acked:", info.bytes_acked),
        (" bytes_received:", info.bytes_received),
        (" segs_out:", info.segs_out.into()),
        (" segs_in:", info.segs_in.into()),
        (" data_segs_out:", info.data_segs_out.into()),
        (" data_segs_in:", info.data_segs_in.into()),
    ] {
        number(out, label, value);
    }
    if let Some(congestion) = &socket.ext.congestion_info {
        congestion_info(out, congestion, style.rates);
    }
    rates(out, socket, info, style.rates);
    limits(out, info);
    counters(out, socket.state, info);
}

fn option_words(out: &mut Vec<u8>, info: &TcpInfo) {
    for word in option_names(info) {
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
    }
}

/// The options that were negotiated.
pub(super) fn option_names(info: &TcpInfo) -> impl Iterator<Item = &'static str> {
    [
        (TcpOption::Timestamps, "ts"),
        (TcpOption::MicrosecondTimestamps, "usec_ts"),
        (TcpOption::Sack, "sack"),
        (TcpOption::Ecn, "ecn"),
        (TcpOption::EcnSeen, "ecnseen"),
        (TcpOption::SynData, "fastopen"),
    ]
    .into_iter()
    .filter_map(|(option, word)| info.has(option).then_some(word))
}

fn congestion_info(out: &mut Vec<u8>, info: &CongestionInfo, style: RateStyle) {
    match *info {
        CongestionInfo::Vegas { .. } => {}
        CongestionInfo::Dctcp { enabled: false, .. } => {
            out.extend_from_slice(b" dctcp:fallback_mode");
        }
        CongestionInfo::Dctcp { ce_state, alpha, ab_ecn, ab_tot, .. } => write_to(
            out,
            format_args!(
                " dctcp:(ce_state:{ce_state},alpha:{alpha},ab_ecn:{ab_ecn},ab_tot:{ab_tot})"
            ),
        ),
        CongestionInfo::Bbr { bw_bytes_per_sec, min_rtt_us, pacing_gain, cwnd_gain } => {
            out.extend_from_slice(b" bbr:(bw:");
            rate(out, bw_bytes_per_sec as f64 * 8.0, style);
            out.extend_from_slice(b"bps,mrtt:");
            milli(out, min_rtt_us);
            for (label, gain) in [(",pacing_gain:", pacing_gain), (",cwnd_gain:", cwnd_gain)] {
                if gain != 0 {
                    out.extend_from_slice(label.as_bytes());
                    quotient(out, gain, 256);
                }
            }
            out.push(b')');
        }
    }
}

fn rates(out: &mut Vec<u8>, socket: &Inet<'_>, info: &TcpInfo, style: RateStyle) {
    if let Some(bits_per_second) = send_bits_per_second(socket, info) {
        out.extend_from_slice(b" send ");
        rate(out, bits_per_second, style);
        out.extend_from_slice(b"bps");
    }
    number(out, " lastsnd:", info.last_data_sent_ms.into());
    number(out, " lastrcv:", info.last_data_recv_ms.into());
    number(out, " lastack:", info.last_ack_recv_ms.into());
    let is_limit = |rate: u64| rate != 0 && rate != u64::MAX;
    if is_limit(info.pacing_rate) {
        out.extend_from_slice(b" pacing_rate ");
        rate(out, info.pacing_rate as f64 * 8.0, style);
        out.extend_from_slice(b"bps");
        if is_limit(info.max_pacing_rate) {
            out.push(b'/');
            rate(out, info.max_pacing_rate as f64 * 8.0, style);
            out.extend_from_slice(b"bps");
        }
    }
    if info.delivery_rate != 0 {
        out.extend_from_slice(b" delivery_rate ");
        rate(out, info.delivery_rate as f64 * 8.0, style);
        out.extend_from_slice(b"bps");
    }
    number(out, " delivered:", info.delivered.into());
    number(out, " delivered_ce:", info.delivered_ce.into());
    if info.delivery_rate_app_limited() {
        out.extend_from_slice(b" app_limited");
    }
}

/// What a window in a round trip makes.
pub(super) fn send_bits_per_second(socket: &Inet<'_>, info: &TcpInfo) -> Option<f64> {
    let rtt_us = match socket.ext.congestion_info {
        Some(CongestionInfo::Vegas { enabled: true, rtt_us, .. })
            if rtt_us != 0 && rtt_us != VEGAS_NO_RTT =>
        {
            rtt_us
        }
        _ => info.rtt,
    };
    (rtt_us > 0 && info.snd_mss > 0 && info.snd_cwnd > 0)
        .then(|| f64::from(info.snd_cwnd) * f64::from(info.snd_mss) * 8e6 / f64::from(rtt_us))
}

fn limits(out: &mut Vec<u8>, info: &TcpInfo) {
    if info.busy_time == 0 {
        return;
    }
    labelled(out, " busy:", info.busy_time / 1000);
    out.extend_from_slice(b"ms");
    for (label, time) in
        [("rwnd_limited", info.rwnd_limited), ("sndbuf_limited", info.sndbuf_limited)]
    {
        if time != 0 {
            let share = 100.0 * time as f64 / info.busy_time as f64;
            write_to(out, format_args!(" {label}:{}ms({share:.1}%)", time / 1000));
        }
    }
}

fn counters(out: &mut Vec<u8>, state: State, info: &TcpInfo) {
    number(out, " unacked:", info.unacked.into());
    if info.retrans != 0 || info.total_retrans != 0 {
        write_to(out, format_args!(" retrans:{}/{}", info.retrans, info.total_retrans));
    }
    number(out, " lost:", info.lost.into());
    // A listener keeps the limit of its accept queue in this field.
    if state != State::Listen {
        number(out, " sacked:", info.sacked.into());
    }
    number(out, " dsack_dups:", info.dsack_dups.into());
    number(out, " fackets:", info.fackets.into());
    if info.reordering != INITIAL_REORDERING {
        out.extend_from_slice(b" reordering:");
        unsigned(out, info.reordering.into());
    }
    number(out, " reord_seen:", info.reord_seen.into());
    thousandths(out, " rcv_rtt:", info.rcv_rtt);
    number(out, " rcv_space:", info.rcv_space.into());
    number(out, " rcv_ssthresh:", info.rcv_ssthresh.into());
    number(out, " notsent:", info.notsent_bytes.into());
    if info.min_rtt != u32::MAX {
        thousandths(out, " minrtt:", info.min_rtt);
    }
    number(out, " rcv_ooopack:", info.rcv_ooopack.into());
    number(out, " snd_wnd:", info.snd_wnd.into());
    number(out, " rcv_wnd:", info.rcv_wnd.into());
    number(out, " rehash:", info.rehash.into());
}

/// What /proc/net/tcp has of the line; times in seconds, as `ss` has them there.
pub fn proc_info(out: &mut Vec<u8>, text: &ProcTcp<'_>, timer: &Timer) {
    if text.rto_ms != INITIAL_RTO_US / 1000 {
        thousandths(out, " rto:", text.rto_ms);
    }
    thousandths(out, " ato:", text.ato_ms);
    number(out, " qack:", text.quick_acks.into());
    // The lowest bit of the kernel's number means this; `ss` looks at it after halving the number.
    if text.quick_acks & 1 != 0 {
        out.extend_from_slice(b" bidir");
    }
    number(out, " cwnd:", text.cwnd.into());
    number(out, " ssthresh:", text.ssthresh.into());
    if timer.retransmits != 0 {
        write_to(out, format_args!(" retrans:{}/0", timer.retransmits));
    }
    out.extend_from_slice(b" reordering:0");
}

/// A labelled number, unless it is zero.
pub(super) fn number(out: &mut Vec<u8>, label: &str, value: u64) {
    if value != 0 {
        labelled(out, label, value);
    }
}

/// A labelled number in the unit above (microseconds as milliseconds), unless it is zero.
fn thousandths(out: &mut Vec<u8>, label: &str, value: u32) {
    if value != 0 {
        out.extend_from_slice(label.as_bytes());
        milli(out, value);
    }
}

/// The upper layer protocol, with its own details.
pub fn ulp(out: &mut Vec<u8>, ulp: &UlpInfo<'_>) {
    if !ulp.name.is_empty() {
        out.extend_from_slice(b" tcp-ulp-");
        out.extend_from_slice(ulp.name);
    }
    if let Some(tls) = &ulp.tls {
        tls_info(out, tls);
    }
    if let Some(subflow) = &ulp.mptcp {
        mptcp_subflow(out, subflow);
    }
}

fn tls_info(out: &mut Vec<u8>, tls: &TlsInfo) {
    for (label, value, name) in [
        (" version: ", tls.version, tls.version.and_then(tls_version)),
        // A cipher without a name is passed over, as in ss.
        (" cipher: ", None, tls.cipher.and_then(tls_cipher)),
        (" rxconf: ", tls.rx_conf, tls.rx_conf.and_then(tls_conf)),
        (" txconf: ", tls.tx_conf, tls.tx_conf.and_then(tls_conf)),
    ] {
        match (name, value) {
            (Some(name), _) => write_to(out, format_args!("{label}{name}")),
            (None, Some(value)) => write_to(out, format_args!("{label}unknown({value})")),
            (None, None) => {}
        }
    }
    if tls.zc_ro_tx {
        out.extend_from_slice(b" zc_ro_tx");
    }
    if tls.no_pad_rx {
        out.extend_from_slice(b" no_pad_rx");
    }
}

pub(super) fn tls_version(version: u16) -> Option<&'static str> {
    match version {
        0x0303 => Some("1.2"),
        0x0304 => Some("1.3"),
        _ => None,
    }
}

pub(super) fn tls_cipher(cipher: u16) -> Option<&'static str> {
    match cipher {
        51 => Some("aes-gcm-128"),
        52 => Some("aes-gcm-256"),
        _ => None,
    }
}

/// Who encrypts or decrypts.
pub(super) fn tls_conf(conf: u16) -> Option<&'static str> {
    match conf {
        1 => Some("none"),
        2 => Some("sw"),
        3 => Some("hw"),
        4 => Some("hw-record"),
        _ => None,
    }
}

fn mptcp_subflow(out: &mut Vec<u8>, subflow: &MptcpSubflow) {
    if let Some(flags) = subflow.flags.filter(|flags| *flags != 0) {
        out.extend_from_slice(b" flags:");
        let letters = b"MmJjBbecv".iter().enumerate();
        out.extend(letters.filter(|(bit, _)| flags >> bit & 1 != 0).map(|(_, letter)| *letter));
    }
    if let (Some(remote), Some(remote_id), Some(local), Some(local_id)) =
        (subflow.token_remote, subflow.id_remote, subflow.token_local, subflow.id_local)
    {
        write_to(
            out,
            format_args!(" token:{remote:04x}(id:{remote_id})/{local:04x}(id:{local_id})"),
        );
    }
    for (label, value) in [
        (" seq:", subflow.map_seq),
        (" sfseq:", subflow.map_sfseq.map(u64::from)),
        (" ssnoff:", subflow.ssn_offset.map(u64::from)),
        (" maplen:", subflow.map_data_len.map(u64::from)),
    ] {
        if let Some(value) = value {
            out.extend_from_slice(label.as_bytes());
            unsigned(out, value);
        }
    }
}

/// The `-i` line of an MPTCP connection.
pub fn mptcp(out: &mut Vec<u8>, info: &MptcpInfo) {
    const FALLBACK: u32 = 1;
    const REMOTE_KEY_RECEIVED: u32 = 2;
    for (label, value) in [
        (" subflows:", info.subflows),
        (" add_addr_signal:", info.add_addr_signal),
        (" add_addr_accepted:", info.add_addr_accepted),
        (" subflows_max:", info.subflows_max),
        (" add_addr_signal_max:", info.add_addr_signal_max),
        (" add_addr_accepted_max:", info.add_addr_accepted_max),
    ] {
        number(out, label, value.into());
    }
    if info.flags & FALLBACK != 0 {
        out.extend_from_slice(b" fallback");
    }
    if info.flags & REMOTE_KEY_RECEIVED != 0 {
        out.extend_from_slice(b" remote_key");
    }
    if info.token != 0 {
        out.extend_from_slice(b" token:");
        hex(out, info.token.into());
    }
    for (label, value) in [
        (" write_seq:", info.write_seq),
        (" snd_una:", info.snd_una),
        (" rcv_nxt:", info.rcv_nxt),
        (" local_addr_used:", info.local_addr_used.into()),
        (" local_addr_max:", info.local_addr_max.into()),
        (" csum_enabled:", info.csum_enabled.into()),
        (" retransmits:", info.retransmits.into()),
        (" bytes_retrans:", info.bytes_retrans),
        (" bytes_sent:", info.bytes_sent),
        (" bytes_received:", info.bytes_received),
        (" bytes_acked:", info.bytes_acked),
        (" subflows_total:", info.subflows_total.into()),
        (" endp_laminar_max:", info.endp_laminar_max.into()),
        (" last_data_sent:", info.last_data_sent_ms.into()),
        (" last_data_recv:", info.last_data_recv_ms.into()),
        (" last_ack_recv:", info.last_ack_recv_ms.into()),
    ] {
        number(out, label, value);
    }
}
