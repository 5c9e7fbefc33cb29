//! The syntax tree of a filter expression.
//!
//! It is the one form that all back ends start from.

use std::net::IpAddr;

use super::glob::Glob;
use super::subject::{Name, Number, StateOf};
use crate::socket::{StateSet, TableSet, UnixFile};

/// An expression over one socket. `And` and `Or` hold at least two parts, none of their own kind;
/// `Not` never holds a `Not`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Not(Box<Expr>),
    Pred(Predicate),
}

/// What can be asked of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    Host {
        side: Side,
        host: Host,
    },
    Port {
        side: Side,
        compare: Compare,
        port: Port,
    },
    /// The name is how it was typed; only the index counts when sockets are compared.
    Device {
        ifindex: u32,
        name: Vec<u8>,
    },
    Mark {
        value: u32,
        mask: u32,
    },
    /// The path is how it was typed; only the id counts when sockets are compared.
    Cgroup {
        id: u64,
        path: Vec<u8>,
    },
    Autobound,
    /// The value is in the unit of the number.
    Number {
        of: Number,
        compare: Compare,
        value: u64,
    },
    Name {
        of: Name,
        glob: Glob,
    },
    /// The name of a UNIX socket, or the file that is meant by it.
    Path {
        glob: Glob,
        file: Option<UnixFile>,
    },
    Protocol(Protocol),
    State {
        of: StateOf,
        set: StateSet,
    },
}

/// Which protocol: that of tables, or one by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Tables(TableSet),
    Ip(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Source,
    Destination,
}

/// How a value is compared; "not equal" is `Not` of `Equal`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    Equal,
    Greater,
    Less,
    GreaterOrEqual,
    LessOrEqual,
}

/// A port, or what a family has in its place. Signed and wider than a port, because `ss` takes and
/// compares any number; [`Port::ANY`] equals every port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port(pub i32);

impl Compare {
    pub fn holds<T: PartialOrd>(self, number: T, than: T) -> bool {
        match self {
            Compare::Equal => number == than,
            Compare::Greater => number > than,
            Compare::Less => number < than,
            Compare::GreaterOrEqual => number >= than,
            Compare::LessOrEqual => number <= than,
        }
    }
}

impl Port {
    pub const ANY: Port = Port(-1);

    pub fn is_any(self) -> bool {
        self == Port::ANY
    }
}

/// An address to compare one end of a socket with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Any address, of any family.
    Any {
        port: Port,
    },
    Inet {
        prefix: Prefix,
        port: Port,
    },
    Unix {
        name: Glob,
    },
    Packet {
        protocol: Option<u16>,
        ifindex: Port,
    },
    Netlink {
        protocol: Option<u8>,
        port_id: Port,
    },
    Vsock {
        cid: Option<u32>,
        port: Port,
    },
}

/// The first `length` bits of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    pub address: IpAddr,
    pub length: u8,
}

impl Prefix {
    /// How many bits an address of this kind has.
    pub fn full_length(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }
}

impl Expr {
    pub fn and(self, other: Expr) -> Expr {
        let mut parts = match self {
            Expr::And(parts) => parts,
            first => vec![first],
        };
        match other {
            Expr::And(more) => parts.extend(more),
            other => parts.push(other),
        }
        Expr::And(parts)
    }

    pub fn or(self, other: Expr) -> Expr {
        let mut parts = match self {
            Expr::Or(parts) => parts,
            first => vec![first],
        };
        match other {
            Expr::Or(more) => parts.extend(more),
            other => parts.push(other),
        }
        Expr::Or(parts)
    }

    pub fn negate(self) -> Expr {
        match self {
            Expr::Not(inner) => *inner,
            other => Expr::Not(Box::new(other)),
        }
    }

    /// What is left to judge of the expression where `judge` knows the answer of some predicates.
    pub fn given(&self, judge: &dyn Fn(&Predicate) -> Option<bool>) -> Verdict {
        match self {
            Expr::And(parts) => joined(parts, judge, false, Expr::and),
            Expr::Or(parts) => joined(parts, judge, true, Expr::or),
            Expr::Not(inner) => match inner.given(judge) {
                Verdict::Known(holds) => Verdict::Known(!holds),
                Verdict::Open(rest) => Verdict::Open(rest.negate()),
            },
            Expr::Pred(predicate) => match judge(predicate) {
                Some(holds) => Verdict::Known(holds),
                None => Verdict::Open(self.clone()),
            },
        }
    }

    /// The same expression with other predicates: `change` gives those that take another's place.
    pub fn with(&self, change: &dyn Fn(&Predicate) -> Option<Expr>) -> Expr {
        let all = |parts: &[Expr]| parts.iter().map(|part| part.with(change)).collect();
        match self {
            Expr::And(parts) => Expr::And(all(parts)),
            Expr::Or(parts) => Expr::Or(all(parts)),
            Expr::Not(inner) => Expr::Not(Box::new(inner.with(change))),
            Expr::Pred(predicate) => change(predicate).unwrap_or_else(|| self.clone()),
        }
    }

    /// Whether `test` holds for some predicate of the expression.
    pub fn mentions(&self, test: &dyn Fn(&Predicate) -> bool) -> bool {
        match self {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().any(|part| part.mentions(test)),
            Expr::Not(inner) => inner.mentions(test),
            Expr::Pred(predicate) => test(predicate),
        }
    }
}

/// What is known of an expression before all of its predicates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Known(bool),
    /// It depends on what is left of it.
    Open(Expr),
}

impl Verdict {
    /// What is left when more is known.
    pub fn and_then(self, more: impl FnOnce(&Expr) -> Verdict) -> Verdict {
        match self {
            Verdict::Open(expr) => more(&expr),
            known => known,
        }
    }
}

/// The parts that are open, unless one of the others decides alone.
fn joined(
    parts: &[Expr],
    judge: &dyn Fn(&Predicate) -> Option<bool>,
    decisive: bool,
    join: fn(Expr, Expr) -> Expr,
) -> Verdict {
    let mut open: Option<Expr> = None;
    for part in parts {
        match part.given(judge) {
            Verdict::Known(holds) if holds == decisive => return Verdict::Known(decisive),
            Verdict::Known(_) => {}
            Verdict::Open(rest) => {
                open = Some(match open {
                    Some(before) => join(before, rest),
                    None => rest,
                });
            }
        }
    }
    open.map_or(Verdict::Known(!decisive), Verdict::Open)
}
