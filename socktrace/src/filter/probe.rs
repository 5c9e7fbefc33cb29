//! Compiles an expression for the eBPF programs, which run it on every event: what they refuse
//! never reaches the ring.
//!
//! They judge a conjunction of clauses. What they cannot know, or has no room, is left out of it,
//! so that they let through all that may match; userspace judges that again.

use std::net::IpAddr;

use socktrace_common::probe::{CLAUSES, LITERALS, Literal, Probe, known, word};

use super::glob::Glob;
use super::subject::{Name, Number, StateOf};
use super::tree::{Compare, Expr, Host, Port, Predicate, Prefix, Protocol, Side};
use crate::socket::{StateSet, Table};

/// Compiles what the programs can judge; `None` if that is nothing.
pub fn probe(expr: &Expr) -> Option<Probe> {
    let mut clauses: Vec<Vec<Literal>> = clauses(expr, false)?;
    clauses.retain(|clause| clause.len() <= LITERALS);
    // Those with the fewest literals refuse the most; those over what lasts come first.
    clauses.sort_by_key(|clause| (!lasts(clause), clause.len()));
    let mut probe = Probe::ALL;
    for clause in clauses {
        let before = probe.literal_count;
        let bits = clause.iter().map(|literal| bit(&mut probe, *literal));
        let bits: Option<u32> = bits.collect::<Option<Vec<u32>>>().map(|bits| bits.iter().sum());
        match bits {
            Some(bits) if (probe.clause_count as usize) < CLAUSES => {
                probe.clauses[probe.clause_count as usize] = bits;
                probe.clause_count += 1;
                probe.lasting_count += u32::from(lasts(&clause));
            }
            _ => probe.literal_count = before,
        }
    }
    (probe.clause_count > 0).then_some(probe)
}

/// Whether the programs know something of the predicate.
pub(super) fn is_known(predicate: &Predicate) -> bool {
    clauses(&Expr::Pred(predicate.clone()), false).is_some()
        || clauses(&Expr::Pred(predicate.clone()), true).is_some()
}

/// The bit of a literal, which is added unless it is there already.
fn bit(probe: &mut Probe, literal: Literal) -> Option<u32> {
    let count = probe.literal_count as usize;
    let known = probe.literals[..count].iter().position(|other| *other == literal);
    let at = match known {
        Some(at) => at,
        None if count == LITERALS => return None,
        None => {
            probe.literals[count] = literal;
            probe.literal_count += 1;
            count
        }
    };
    Some(1 << at)
}

/// Whether a clause says the same as long as the socket lives.
fn lasts(clause: &[Literal]) -> bool {
    clause.iter().all(|literal| {
        literal.needs & !(known::PEER | known::SOCKET) == 0 && literal.word != word::NETNS
            || literal.word == word::NETNS && literal.shift == 0
    })
}

/// A conjunction of clauses that holds wherever the expression does (or, negated, does not); `None`
/// where nothing is known.
fn clauses(expr: &Expr, negated: bool) -> Option<Vec<Vec<Literal>>> {
    match (expr, negated) {
        (Expr::Not(inner), negated) => clauses(inner, !negated),
        (Expr::And(parts), false) | (Expr::Or(parts), true) => {
            let known = parts.iter().filter_map(|part| clauses(part, negated));
            known.reduce(both)
        }
        (Expr::Or(parts), false) | (Expr::And(parts), true) => {
            let mut parts = parts.iter().map(|part| clauses(part, negated));
            let first = parts.next()??;
            parts.try_fold(first, |one, other| either(&one, &other?))
        }
        (Expr::Pred(predicate), negated) => of_predicate(predicate, negated),
    }
}

fn both(mut one: Vec<Vec<Literal>>, other: Vec<Vec<Literal>>) -> Vec<Vec<Literal>> {
    one.extend(other);
    one
}

/// Each clause of the one with each of the other; those that are too long are left out.
fn either(one: &[Vec<Literal>], other: &[Vec<Literal>]) -> Option<Vec<Vec<Literal>>> {
    if one.len() * other.len() > 4 * CLAUSES {
        return None;
    }
    let pairs = one.iter().flat_map(|one| other.iter().map(move |other| (one, other)));
    let joined = pairs.map(|(one, other)| {
        let mut clause = one.clone();
        clause.extend(other.iter().filter(|literal| !one.contains(literal)));
        clause
    });
    let fitting: Vec<Vec<Literal>> = joined.filter(|clause| clause.len() <= LITERALS).collect();
    (!fitting.is_empty()).then_some(fitting)
}

/// One literal that has to hold, or not.
fn one(literal: Literal, negated: bool) -> Option<Vec<Vec<Literal>>> {
    Some(vec![vec![Literal { negated: negated.into(), ..literal }]])
}

/// Literals that have to hold all; negated, one of them must not.
fn all(literals: Vec<Literal>, negated: bool) -> Option<Vec<Vec<Literal>>> {
    if literals.is_empty() {
        return constant(!negated);
    }
    Some(match negated {
        false => literals.into_iter().map(|literal| vec![literal]).collect(),
        true => {
            vec![literals.into_iter().map(|literal| Literal { negated: 1, ..literal }).collect()]
        }
    })
}

/// What always holds needs no clause; what never does is the empty one.
fn constant(holds: bool) -> Option<Vec<Vec<Literal>>> {
    if holds { None } else { Some(vec![Vec::new()]) }
}

fn of_predicate(predicate: &Predicate, negated: bool) -> Option<Vec<Vec<Literal>>> {
    match predicate {
        Predicate::Host { side, host: Host::Any { port } } => {
            all(port_literals(*side, Compare::Equal, *port)?, negated)
        }
        Predicate::Host { side, host: Host::Inet { prefix, port } } => {
            let mut literals = prefix_literals(*side, *prefix);
            literals.extend(port_literals(*side, Compare::Equal, *port)?);
            all(literals, negated)
        }
        Predicate::Port { side, compare, port } => {
            all(port_literals(*side, *compare, *port)?, negated)
        }
        // No TCP socket has an address of another family.
        Predicate::Host { .. } => constant(negated),
        Predicate::Device { ifindex, .. } => one(
            exactly(word::NETNS, 32, u32::MAX.into(), (*ifindex).into(), known::SOCKET),
            negated,
        ),
        Predicate::Protocol(Protocol::Tables(tables)) => {
            match (tables.contains(Table::Tcp), tables.contains(Table::Mptcp)) {
                (false, false) => constant(negated),
                (true, true) => constant(!negated),
                (true, false) => one(protocol(6), negated),
                (false, true) => one(protocol(262), negated),
            }
        }
        Predicate::Protocol(Protocol::Ip(number)) => one(protocol(*number), negated),
        Predicate::State { of: StateOf::Now, set } => {
            // The event may be told with one of several states.
            let set = if negated { StateSet::ALL.without(*set) } else { *set };
            let mask = set.bits().into();
            one(range(word::STATES, 0, mask, (1, u64::MAX), known::STATE), false)
        }
        Predicate::Name { of: Name::Comm, glob } => all(comm_literals(glob)?, negated),
        Predicate::Number { of, compare, value } => {
            let (low, high) = bounds(*compare, *value)?;
            let literal = |word, shift, mask: u64, needs| {
                let high = high.min(mask);
                // A range beyond what the field can hold is empty, and so is its literal.
                Some(range(word, shift, mask, (low, high), needs)).filter(|_| low <= mask)
            };
            let nanos = |word, needs| literal(word, 0, u64::MAX, needs);
            let literal = match of {
                Number::Pid => literal(word::PID, 0, u32::MAX.into(), known::OWNER),
                Number::Uid => literal(word::PID, 32, u32::MAX.into(), known::OWNER),
                Number::Cookie => literal(word::COOKIE, 0, u64::MAX, known::COOKIE),
                Number::Netns => literal(word::NETNS, 0, u32::MAX.into(), known::SOCKET),
                Number::Retrans => literal(word::RETRANS, 32, u32::MAX.into(), known::TRAFFIC),
                Number::Sent => literal(word::SENT, 0, u64::MAX, known::TRAFFIC),
                Number::Received => literal(word::RECEIVED, 0, u64::MAX, known::TRAFFIC),
                Number::Duration | Number::Age => nanos(word::DURATION, known::DURATION),
                Number::Rtt => {
                    // The programs have it in whole microseconds.
                    let (low, high) = (low.div_ceil(1000), high / 1000);
                    Some(range(word::RTT, 0, u64::MAX, (low, high), known::RTT))
                }
                _ => return None,
            }?;
            one(literal, negated)
        }
        Predicate::Mark { .. }
        | Predicate::Cgroup { .. }
        | Predicate::Autobound
        | Predicate::Name { .. }
        | Predicate::Path { .. }
        | Predicate::State { .. } => None,
    }
}

/// A piece of a word that lies in a range.
fn range(word: u8, shift: u8, mask: u64, (low, high): (u64, u64), needs: u32) -> Literal {
    Literal { word, shift, needs, mask, low, high, ..Literal::NONE }
}

fn exactly(word: u8, shift: u8, mask: u64, value: u64, needs: u32) -> Literal {
    range(word, shift, mask, (value, value), needs)
}

fn protocol(number: u16) -> Literal {
    exactly(word::PORTS, 48, u16::MAX.into(), number.into(), known::SOCKET)
}

fn bounds(compare: Compare, value: u64) -> Option<(u64, u64)> {
    match compare {
        Compare::Equal => Some((value, value)),
        Compare::Greater => Some((value.checked_add(1)?, u64::MAX)),
        Compare::GreaterOrEqual => Some((value, u64::MAX)),
        Compare::Less => Some((0, value.checked_sub(1)?)),
        Compare::LessOrEqual => Some((0, value)),
    }
}

/// `None` for a comparison that always or never holds: that is rare enough.
fn port_literals(side: Side, compare: Compare, port: Port) -> Option<Vec<Literal>> {
    if compare == Compare::Equal && port.is_any() {
        return Some(Vec::new());
    }
    let value = u16::try_from(port.0).ok()?;
    let (low, high) = bounds(compare, value.into())?;
    let (shift, needs) = match side {
        Side::Source => (0, known::LOCAL_PORT),
        Side::Destination => (16, known::PEER),
    };
    let mask = u64::from(u16::MAX);
    Some(vec![range(word::PORTS, shift, mask, (low, high.min(mask)), needs)])
}

/// Over addresses in which those of IPv4 are mapped into IPv6.
fn prefix_literals(side: Side, prefix: Prefix) -> Vec<Literal> {
    let (first, needs) = match side {
        Side::Source => (word::LOCAL, known::LOCAL_ADDRESS),
        Side::Destination => (word::PEER, known::PEER),
    };
    let (bits, length) = match prefix.address {
        IpAddr::V4(address) => (address.to_ipv6_mapped().to_bits(), prefix.length + 96),
        IpAddr::V6(address) => (address.to_bits(), prefix.length),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    let halves = |bits: u128| {
        let bytes = bits.to_be_bytes();
        let half = |at: usize| u64::from_ne_bytes(std::array::from_fn(|i| bytes[at + i]));
        [half(0), half(8)]
    };
    let words = halves(mask).into_iter().zip(halves(bits)).zip(first..);
    let words = words.filter(|((mask, _), _)| *mask != 0);
    let mut literals: Vec<Literal> =
        words.map(|((mask, value), word)| exactly(word, 0, mask, value & mask, needs)).collect();
    if prefix.address.is_ipv6() {
        const AF_INET6: u64 = 10;
        literals.push(exactly(word::PORTS, 32, u16::MAX.into(), AF_INET6, known::SOCKET));
    }
    literals
}

/// A name, or what it begins with.
fn comm_literals(glob: &Glob) -> Option<Vec<Literal>> {
    let (text, is_whole) = glob.beginning()?;
    let mut name = [0u8; 16];
    // The kernel keeps fifteen bytes and a NUL.
    let compared = if is_whole { text.len() + 1 } else { text.len() };
    if text.len() > 15 {
        return None;
    }
    name[..text.len()].copy_from_slice(text);
    let half =
        |at: usize| {
            let value = u64::from_ne_bytes(std::array::from_fn(|i| name[at + i]));
            let mask = u64::from_ne_bytes(std::array::from_fn(|i| {
                if at + i < compared { u8::MAX } else { 0 }
            }));
            (mask, value)
        };
    let words = [half(0), half(8)].into_iter().zip(word::COMM..);
    let words = words.filter(|((mask, _), _)| *mask != 0);
    Some(
        words
            .map(|((mask, value), word)| exactly(word, 0, mask, value & mask, known::OWNER))
            .collect(),
    )
}
