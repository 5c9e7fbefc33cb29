//! Records to events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use socktrace_common as raw;
use socktrace_common::read;

use crate::event::{Event, Learnt, Owner, Protocol, SinceBoot, Traffic, What};
use crate::socket::{Cookie, InetEnd, State};

const AF_INET: u16 = 2;
const IPPROTO_MPTCP: u16 = 262;

/// The event of a record; `None` for one that the kernel half of this version does not write.
pub(super) fn event(record: &[u8]) -> Option<Event> {
    match read::<raw::Header>(record)?.kind {
        raw::TRANSITION => {
            let record: raw::Transition = read(record)?;
            let what = What::Transition {
                old: State::from_raw(record.old),
                new: State::from_raw(record.new),
                held: (record.held_ns != raw::UNKNOWN_NS)
                    .then(|| Duration::from_nanos(record.held_ns)),
                error: record.error,
            };
            Some(assemble(&record.header, &record.flow, &record.owner, &record.traffic, what))
        }
        raw::RETRANSMISSION => {
            let record: raw::Retransmission = read(record)?;
            let what = What::Retransmission {
                state: State::from_raw(record.state as u8),
                sequence: record.sequence,
                end_sequence: record.end_sequence,
            };
            Some(assemble(&record.header, &record.flow, &record.owner, &record.traffic, what))
        }
        _ => None,
    }
}

fn assemble(
    header: &raw::Header,
    flow: &raw::Flow,
    owner: &raw::Owner,
    traffic: &raw::Traffic,
    what: What,
) -> Event {
    let end = |bytes: [u8; 16], port| InetEnd { addr: address(flow.family, bytes), port };
    Event {
        at: since_boot(header.time_ns),
        cookie: Cookie(header.cookie),
        generation: header.generation,
        netns: header.netns,
        protocol: match flow.protocol {
            IPPROTO_MPTCP => Protocol::Mptcp,
            _ => Protocol::Tcp,
        },
        local: end(flow.local, flow.local_port),
        peer: end(flow.peer, flow.peer_port),
        ifindex: flow.ifindex,
        owner: learnt(owner.learnt).map(|learnt| Owner {
            pid: owner.tgid,
            uid: owner.uid,
            cgroup_id: owner.cgroup_id,
            started: since_boot(owner.start_ns),
            comm: owner.comm,
            learnt,
        }),
        traffic: Traffic {
            bytes_acked: traffic.bytes_acked,
            bytes_received: traffic.bytes_received,
            bytes_sent: traffic.bytes_sent,
            bytes_retrans: traffic.bytes_retrans,
            smoothed_rtt: Duration::from_micros(u64::from(traffic.srtt_us_8) / 8),
            total_retrans: traffic.total_retrans,
        },
        what,
    }
}

fn since_boot(ns: u64) -> SinceBoot {
    SinceBoot(Duration::from_nanos(ns))
}

fn learnt(raw: raw::Learnt) -> Option<Learnt> {
    match raw {
        raw::OWN_EVENT => Some(Learnt::OwnEvent),
        raw::FROM_LISTENER => Some(Learnt::FromListener),
        _ => None,
    }
}

fn address(family: u16, bytes: [u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = bytes;
    match family {
        AF_INET => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from(bytes).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use socktrace_common::Shared;

    use super::*;

    fn transition() -> raw::Transition {
        let mut local = [0; 16];
        local[..4].copy_from_slice(&[127, 0, 0, 1]);
        raw::Transition {
            header: raw::Header {
                kind: raw::TRANSITION,
                cpu: 1,
                time_ns: 5_000_000_001,
                cookie: 0x2a,
                netns: 7,
                generation: 0,
            },
            flow: raw::Flow {
                local,
                peer: [0; 16],
                local_port: 80,
                peer_port: 0,
                family: AF_INET,
                protocol: 6,
                ifindex: 0,
                reserved: 0,
            },
            owner: raw::Owner::UNKNOWN,
            traffic: raw::Traffic::NONE,
            held_ns: raw::UNKNOWN_NS,
            old: 7,
            new: 10,
            error: 0,
            reserved: 0,
        }
    }

    fn bytes<T: Shared>(record: &T) -> &[u8] {
        // SAFETY: a shared type has no padding, so all of its bytes are initialised.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
    }

    #[test]
    fn a_transition_is_read() {
        let event = event(bytes(&transition())).unwrap();
        assert_eq!(event.at, SinceBoot(Duration::new(5, 1)));
        assert_eq!(event.cookie, Cookie(0x2a));
        assert_eq!(event.local, InetEnd { addr: [127, 0, 0, 1].into(), port: 80 });
        assert_eq!(event.owner, None);
        assert_eq!(
            event.what,
            What::Transition { old: State::Close, new: State::Listen, held: None, error: 0 }
        );
    }

    #[test]
    fn a_mapped_address_stays_an_ipv6_one() {
        let mut record = transition();
        record.flow.family = 10;
        record.flow.local = "::ffff:1.2.3.4".parse::<Ipv6Addr>().unwrap().octets();
        let event = event(bytes(&record)).unwrap();
        assert_eq!(event.local.addr.to_string(), "::ffff:1.2.3.4");
    }

    proptest! {
        #[test]
        fn no_record_is_too_strange(record in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..4) {
            let mut record = record;
            if let Some(first) = record.get_mut(..4) {
                first.copy_from_slice(&[kind, 0, 0, 0]);
            }
            event(&record);
        }
    }
}
