//! What SCTP shows beyond other IP sockets.

use std::net::IpAddr;

use super::address;
use super::inet::timeout;
use super::number::write_to;
use super::tcp::number;
use crate::socket::{SctpInfo, State, Timer, TimerKind};

/// The state of an association; SCTP numbers its own within those of sockets.
pub(super) fn state_name(state: State) -> &'static str {
    const NAMES: [&str; 8] = [
        "CLOSED",
        "COOKIE_WAIT",
        "COOKIE_ECHOED",
        "ESTAB",
        "SHUTDOWN_PENDING",
        "SHUTDOWN_SENT",
        "SHUTDOWN_RECEIVED",
        "ACK_SENT",
    ];
    NAMES.get(state as usize).copied().unwrap_or("UNKNOWN")
}

pub(super) fn timer(out: &mut Vec<u8>, timer: &Timer) {
    if timer.kind != TimerKind::Off {
        out.extend_from_slice(b" timer:(T3_RTX,");
        timeout(out, timer.expires_ms);
        write_to(out, format_args!(",{})", timer.retransmits));
    }
}

/// `struct sockaddr_storage`s, comma separated.
pub(super) fn addresses(out: &mut Vec<u8>, storages: &[u8]) {
    for (i, addr) in parse_addresses(storages).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        address::ip(out, &addr);
    }
}

pub(super) fn parse_addresses(storages: &[u8]) -> impl Iterator<Item = IpAddr> {
    const STORAGE: usize = 128;
    const AF_INET6: u16 = 10;
    storages.chunks_exact(STORAGE).map(|storage| {
        let v4: [u8; 4] = storage[4..8].try_into().unwrap_or_default();
        let v6: [u8; 16] = storage[8..24].try_into().unwrap_or_default();
        let family = u16::from_ne_bytes([storage[0], storage[1]]);
        if family == AF_INET6 { IpAddr::from(v6) } else { IpAddr::from(v4) }
    })
}

pub(super) fn info(out: &mut Vec<u8>, info: &SctpInfo) {
    if info.tag != 0 {
        write_to(out, format_args!(" tag:{:x}", info.tag));
    }
    let state = State::from_raw(u8::try_from(info.state).unwrap_or(u8::MAX));
    if info.state != 0 {
        write_to(out, format_args!(" state:{}", state_name(state)));
    }
    for (label, value) in [
        (" rwnd:", info.rwnd),
        (" unackdata:", info.unackdata.into()),
        (" penddata:", info.penddata.into()),
        (" instrms:", info.instrms.into()),
        (" outstrms:", info.outstrms.into()),
        (" inqueue:", info.inqueue),
        (" outqueue:", info.outqueue),
        (" overerr:", info.overall_error),
        (" maxburst:", info.max_burst),
        (" maxseg:", info.maxseg),
        (" prwnd:", info.peer_rwnd),
    ] {
        number(out, label, value.into());
    }
    if info.peer_tag != 0 {
        write_to(out, format_args!(" ptag:{:x}", info.peer_tag));
    }
    for (label, value) in [
        (" pcapable:", info.peer_capable.into()),
        (" psack:", info.peer_sack.into()),
        (" autoclose:", info.autoclose),
        (" adapind:", info.adaptation_ind),
        (" pdpoint:", info.pd_point),
        (" nodelay:", info.nodelay.into()),
        (" nofrag:", info.disable_fragments.into()),
        (" v4mapped:", info.v4mapped.into()),
        (" fraginl:", info.frag_interleave.into()),
    ] {
        number(out, label, value.into());
    }
}
