//! What TCP, MPTCP and SCTP tell of a connection, under the kernel's names with their units.

use super::write::Object;
use crate::render::number::write_to;
use crate::render::sctp;
use crate::render::tcp::{option_names, send_bits_per_second, tls_cipher, tls_conf, tls_version};
use crate::socket::{
    CongestionInfo, Inet, MptcpInfo, MptcpSubflow, ProcTcp, SctpInfo, State, TcpInfo, TcpOption,
    Timer, TlsInfo, UlpInfo,
};

/// The threshold of a connection that has none so far.
const INFINITE_THRESHOLD: u64 = 0x7fff_ffff;

/// `tcp_info` as far as the kernel fills it, and what congestion control tells.
pub(super) fn info(object: &mut Object<'_>, socket: &Inet<'_>, bytes: &[u8]) {
    if let Some(name) = socket.ext.congestion.filter(|name| !name.is_empty()) {
        object.bytes("congestion", name);
    }
    if let Some(info) = &socket.ext.congestion_info {
        congestion_info(object, info);
    }
    let mut object = object.object("tcp_info");
    let info = TcpInfo::parse(bytes);
    object.words("options", option_names(&info));
    if info.has(TcpOption::WindowScale) {
        let (sent, received) = info.window_scales();
        object.value("snd_wscale", sent);
        object.value("rcv_wscale", received);
    }
    object.value("delivery_rate_app_limited", info.delivery_rate_app_limited());
    if let Some(bits_per_second) = send_bits_per_second(socket, &info) {
        object.value("send_rate_bytes_per_s", (bits_per_second / 8.0) as u64);
    }
    for (name, value) in TcpInfo::fields(bytes) {
        let key = match name {
            "options" | "wscale" | "flags" => continue,
            "snd_ssthresh" if value >= INFINITE_THRESHOLD => continue,
            // All ones: nothing was measured, or there is no limit.
            "min_rtt" if value == u64::from(u32::MAX) => continue,
            "pacing_rate" | "max_pacing_rate" if value == u64::MAX => continue,
            "rto" => "rto_us",
            "ato" => "ato_us",
            "rtt" => "rtt_us",
            "rttvar" => "rttvar_us",
            "rcv_rtt" => "rcv_rtt_us",
            "min_rtt" => "min_rtt_us",
            "busy_time" => "busy_time_us",
            "rwnd_limited" => "rwnd_limited_us",
            "sndbuf_limited" => "sndbuf_limited_us",
            "pacing_rate" => "pacing_rate_bytes_per_s",
            "max_pacing_rate" => "max_pacing_rate_bytes_per_s",
            "delivery_rate" => "delivery_rate_bytes_per_s",
            name => name,
        };
        object.value(key, value);
    }
}

fn congestion_info(object: &mut Object<'_>, info: &CongestionInfo) {
    match *info {
        CongestionInfo::Vegas { enabled, rttcnt, rtt_us, minrtt_us } => {
            let mut object = object.object("vegas");
            object.value("enabled", enabled);
            object.value("rttcnt", rttcnt);
            object.value("rtt_us", rtt_us);
            object.value("minrtt_us", minrtt_us);
        }
        CongestionInfo::Dctcp { enabled, ce_state, alpha, ab_ecn, ab_tot } => {
            let mut object = object.object("dctcp");
            object.value("enabled", enabled);
            object.value("ce_state", ce_state);
            object.value("alpha", alpha);
            object.value("ab_ecn", ab_ecn);
            object.value("ab_tot", ab_tot);
        }
        CongestionInfo::Bbr { bw_bytes_per_sec, min_rtt_us, pacing_gain, cwnd_gain } => {
            let mut object = object.object("bbr");
            object.value("bw_bytes_per_s", bw_bytes_per_sec);
            object.value("min_rtt_us", min_rtt_us);
            // The kernel counts in 1/256.
            object.value("pacing_gain", f64::from(pacing_gain) / 256.0);
            object.value("cwnd_gain", f64::from(cwnd_gain) / 256.0);
        }
    }
}

/// What /proc/net/tcp has.
pub(super) fn proc_info(object: &mut Object<'_>, text: &ProcTcp<'_>, timer: &Timer) {
    object.value("rto_us", u64::from(text.rto_ms) * 1000);
    object.value("ato_us", u64::from(text.ato_ms) * 1000);
    object.value("quick_acks", text.quick_acks);
    object.value("snd_cwnd", text.cwnd);
    object.known("snd_ssthresh", Some(text.ssthresh).filter(|threshold| *threshold != 0));
    object.value("retrans", timer.retransmits);
}

pub(super) fn ulp(object: &mut Object<'_>, ulp: &UlpInfo<'_>) {
    if !ulp.name.is_empty() {
        object.bytes("name", ulp.name);
    }
    if let Some(tls) = &ulp.tls {
        tls_info(&mut object.object("tls"), tls);
    }
    if let Some(subflow) = &ulp.mptcp {
        mptcp_subflow(&mut object.object("mptcp"), subflow);
    }
}

fn tls_info(object: &mut Object<'_>, tls: &TlsInfo) {
    type Name = fn(u16) -> Option<&'static str>;
    for (key, value, name) in [
        ("version", tls.version, tls_version as Name),
        ("cipher", tls.cipher, tls_cipher),
        ("rx_conf", tls.rx_conf, tls_conf),
        ("tx_conf", tls.tx_conf, tls_conf),
    ] {
        let Some(value) = value else { continue };
        match name(value) {
            Some(name) => object.value(key, name),
            None => object.written(key, |out| write_to(out, format_args!("unknown({value})"))),
        }
    }
    object.value("zc_ro_tx", tls.zc_ro_tx);
    object.value("no_pad_rx", tls.no_pad_rx);
}

fn mptcp_subflow(object: &mut Object<'_>, subflow: &MptcpSubflow) {
    if let Some(flags) = subflow.flags {
        // The letters of ss, by bit.
        object.written("flags", |out| {
            let letters = b"MmJjBbecv".iter().enumerate();
            out.extend(letters.filter(|(bit, _)| flags >> bit & 1 != 0).map(|(_, letter)| *letter));
        });
    }
    object.known("token_remote", subflow.token_remote);
    object.known("id_remote", subflow.id_remote);
    object.known("token_local", subflow.token_local);
    object.known("id_local", subflow.id_local);
    object.known("relative_write_seq", subflow.relative_write_seq);
    object.known("map_seq", subflow.map_seq);
    object.known("map_sfseq", subflow.map_sfseq);
    object.known("ssn_offset", subflow.ssn_offset);
    object.known("map_data_len", subflow.map_data_len);
}

pub(super) fn mptcp_info(object: &mut Object<'_>, bytes: &[u8]) {
    let flags = MptcpInfo::parse(bytes).flags;
    let names = [(1, "fallback"), (2, "remote_key")];
    object.words(
        "flags",
        names.into_iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| name),
    );
    for (name, value) in MptcpInfo::fields(bytes) {
        if name != "flags" {
            object.value(name, value);
        }
    }
}

pub(super) fn sctp_info(object: &mut Object<'_>, bytes: &[u8]) {
    for (name, value) in SctpInfo::fields(bytes) {
        if name == "state" {
            let state = State::from_raw(u8::try_from(value).unwrap_or(u8::MAX));
            object.value(name, sctp::state_name(state));
        } else {
            object.value(name, value);
        }
    }
}
