//! Requests for TCP sockets, put so that the kernel walks its tables no more often than it must, and
//! two of them at once.

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};

use crate::diag::attrs::{array, attributes};
use crate::diag::inet::{INET_DIAG_REQ_BYTECODE, INET_DIAG_REQ_PROTOCOL, REQUEST_LEN};
use crate::kernel_version::kernel_version;
use crate::socket::{State, StateSet};

/// The first kernel that shows sockets that are only bound, for which it walks those of all ports.
const SHOWS_BOUND: (u32, u32) = (6, 8);
/// What the kernel looks for in tables of their own, before it comes to connections.
const UNCONNECTED: StateSet = StateSet::of(&[State::Listen, State::BoundInactive]);
/// Where the states are in `inet_diag_req_v2`.
const STATES_AT: usize = 4;

/// How the two families of a table are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyWalks {
    /// One after the other.
    Each,
    /// At once, if the kernel can: for a host with few sockets of IPv6.
    Together,
}

/// What one dump is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) answers: Answers,
    pub(super) request: Vec<u8>,
}

/// Which of the requests a dump answers, or a part of which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answers {
    /// The one with this number.
    Request(usize),
    /// That for IPv4 and that for IPv6, by the older kind of request.
    BothFamilies,
}

/// The dumps by which requests that differ in their family only, if they are several, are answered
/// in their order. Sockets that are not connected may have one apart, beside that of the others: on a
/// host with many, the kernel takes long to look for those that are only bound.
pub(super) fn plan(
    requests: &[Vec<u8>],
    families: FamilyWalks,
    unconnected_apart: impl FnOnce() -> bool,
) -> Vec<Planned> {
    let (mut plan, rest) = match unconnected_first(requests).filter(|_| unconnected_apart()) {
        Some((unconnected, rest)) => (vec![unconnected], rest),
        None => (Vec::new(), requests.to_vec()),
    };
    let together = match families {
        FamilyWalks::Each => None,
        FamilyWalks::Together => of_both_families(&rest),
    };
    match together {
        Some(request) => plan.push(Planned { answers: Answers::BothFamilies, request }),
        None => plan.extend(rest.into_iter().enumerate().map(Planned::of_request)),
    }
    plan
}

impl Planned {
    fn of_request((number, request): (usize, Vec<u8>)) -> Planned {
        Planned { answers: Answers::Request(number), request }
    }
}

/// The walk over sockets that are not connected, and the requests for the others; `None` if one
/// cannot be without the other, or takes no time.
fn unconnected_first(requests: &[Vec<u8>]) -> Option<(Planned, Vec<Vec<u8>>)> {
    let (mut unconnected, mut connected) = (Vec::new(), Vec::new());
    for request in requests {
        let (first, rest) = halves(request)?;
        unconnected.push(first);
        connected.push(rest);
    }
    let first = match of_both_families(&unconnected) {
        Some(request) => Planned { answers: Answers::BothFamilies, request },
        None => match <[_; 1]>::try_from(unconnected) {
            Ok([request]) => Planned::of_request((0, request)),
            Err(_) => return None,
        },
    };
    Some((first, connected))
}

/// A request for TCP sockets as two, for which the kernel walks different tables: its answers one
/// after the other are those to the whole. `None` if one of them has nothing to look for.
fn halves(request: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let states = u32::from_ne_bytes(array(request, STATES_AT)?);
    let mut attached = attributes(request.get(REQUEST_LEN..)?);
    let is_tcp =
        request[1] == IPPROTO_TCP && attached.all(|(kind, _)| kind != INET_DIAG_REQ_PROTOCOL);
    let bound = StateSet::of(&[State::BoundInactive]).bits();
    let (unconnected, connected) = (states & UNCONNECTED.bits(), states & !UNCONNECTED.bits());
    let of_states = |states: u32| {
        let mut half = request.to_vec();
        half[STATES_AT..][..size_of_val(&states)].copy_from_slice(&states.to_ne_bytes());
        half
    };
    (is_tcp && unconnected & bound != 0 && connected != 0)
        .then(|| (of_states(unconnected), of_states(connected)))
}

/// The older request, `inet_diag_req`, that both families of TCP answer in one walk over the table,
/// in place of two requests that differ in their family only; `None` for what it cannot ask.
pub(super) fn of_both_families(requests: &[Vec<u8>]) -> Option<Vec<u8>> {
    let [v4, v6] = requests else { return None };
    let differ_in_family = v4[0] == AF_INET && v6[0] == AF_INET6 && v4[1..] == v6[1..];
    let (fixed, attached) = v4.split_at_checked(REQUEST_LEN)?;
    let is_known = attributes(attached).all(|(kind, _)| kind == INET_DIAG_REQ_BYTECODE);
    let [_, protocol, extensions, _, states @ ..] = fixed else { return None };
    let (states, id) = states.split_at(4);
    (differ_in_family && is_known && *protocol == IPPROTO_TCP)
        .then(|| [&[AF_INET, 0, 0, *extensions], id, states, &[0; 4], attached].concat())
}

pub(super) fn kernel_shows_bound() -> bool {
    kernel_version().is_some_and(|version| version >= SHOWS_BOUND)
}

/// Whether an `inet_diag_msg` is of an IPv6 socket.
pub(super) fn is_ipv6(message: &[u8]) -> bool {
    message.first() == Some(&AF_INET6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::inet::{Extensions, Request};
    use crate::socket::{Family, Table};

    const ALL: StateSet = StateSet::ALL;
    const LISTENING: StateSet = StateSet::of(&[State::Listen]);

    fn requests(table: Table, states: StateSet, bpf_storage: Option<&[u8]>) -> [Vec<u8>; 2] {
        let bytecode = Some(&[1, 2, 3, 4][..]);
        let request =
            Request { table, states, extensions: Extensions::INFO, bytecode, bpf_storage };
        [Family::Inet, Family::Inet6].map(|family| request.encode(family).unwrap())
    }

    #[test]
    fn one_request_asks_for_both_families_of_tcp() {
        let both = of_both_families(&requests(Table::Tcp, LISTENING, None)).unwrap();
        let [_, _, extensions, ..] = requests(Table::Tcp, LISTENING, None)[0][..] else { panic!() };
        assert_eq!(both[..4], [AF_INET, 0, 0, extensions]);
        assert_eq!(both[4..52], [0; 48]);
        assert_eq!(both[52..56], (1u32 << 10).to_ne_bytes());
        assert_eq!(both[56..], [0, 0, 0, 0, 8, 0, 1, 0, 1, 2, 3, 4]);

        assert_eq!(of_both_families(&requests(Table::Udp, LISTENING, None)), None);
        assert_eq!(of_both_families(&requests(Table::Mptcp, LISTENING, None)), None);
        assert_eq!(of_both_families(&requests(Table::Tcp, LISTENING, Some(&[]))), None);
        assert_eq!(of_both_families(&requests(Table::Tcp, LISTENING, None)[..1]), None);
    }

    /// What each dump answers, and for which states.
    fn planned(
        requests: &[Vec<u8>],
        families: FamilyWalks,
        unconnected_apart: bool,
    ) -> Vec<(Answers, u32)> {
        let states = |dump: &Planned| {
            let at = match dump.answers {
                Answers::BothFamilies => 52,
                Answers::Request(_) => STATES_AT,
            };
            u32::from_ne_bytes(array(&dump.request, at).unwrap())
        };
        let plan = plan(requests, families, || unconnected_apart);
        plan.iter().map(|dump| (dump.answers, states(dump))).collect()
    }

    #[test]
    fn what_is_not_connected_has_a_walk_of_its_own_where_the_kernel_looks_for_it() {
        use Answers::{BothFamilies, Request};
        use FamilyWalks::{Each, Together};
        let unconnected = UNCONNECTED.bits();
        let connected = ALL.without(UNCONNECTED).bits();
        let tcp = requests(Table::Tcp, ALL, None);
        let [first, second] = [Request(0), Request(1)];
        for (requests, families, unconnected_apart, expected) in [
            (
                &tcp[..],
                Together,
                true,
                vec![(BothFamilies, unconnected), (BothFamilies, connected)],
            ),
            (
                &tcp,
                Each,
                true,
                vec![(BothFamilies, unconnected), (first, connected), (second, connected)],
            ),
            (&tcp[..1], Together, true, vec![(first, unconnected), (first, connected)]),
            (&tcp, Together, false, vec![(BothFamilies, ALL.bits())]),
            (&tcp, Each, false, vec![(first, ALL.bits()), (second, ALL.bits())]),
            // The older request has no place for what selects maps.
            (
                &requests(Table::Tcp, ALL, Some(&[])),
                Together,
                true,
                vec![(first, ALL.bits()), (second, ALL.bits())],
            ),
        ] {
            assert_eq!(planned(requests, families, unconnected_apart), expected);
        }
        for (table, states) in [
            (Table::Tcp, LISTENING),
            (Table::Tcp, UNCONNECTED),
            (Table::Tcp, ALL.without(UNCONNECTED)),
            (Table::Udp, ALL),
            (Table::Mptcp, ALL),
        ] {
            let requests = requests(table, states, None);
            let expected = vec![(first, states.bits()), (second, states.bits())];
            assert_eq!(planned(&requests, Each, true), expected, "{table:?} {states:?}");
        }
    }
}
