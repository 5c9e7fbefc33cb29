//! The syntax tree of a filter expression.
//!
//! It is the one form that all back ends start from. Printing it gives an expression that parses
//! back to the same tree.

use std::fmt::{self, Write};
use std::net::IpAddr;

use super::glob::Glob;

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
    Device {
        ifindex: u32,
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

    /// Whether `test` holds for some predicate of the expression.
    pub fn mentions(&self, test: &dyn Fn(&Predicate) -> bool) -> bool {
        match self {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().any(|part| part.mentions(test)),
            Expr::Not(inner) => inner.mentions(test),
            Expr::Pred(predicate) => test(predicate),
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A prefix such as `unix:` is the default for the words after it, so once there is one,
        // every address needs its own.
        let prefixed = self.mentions(&|predicate| {
            matches!(
                predicate,
                Predicate::Host {
                    host: Host::Unix { .. }
                        | Host::Packet { .. }
                        | Host::Netlink { .. }
                        | Host::Vsock { .. },
                    ..
                }
            )
        });
        write_expr(self, prefixed, f)
    }
}

fn write_expr(expr: &Expr, prefixed: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match expr {
        Expr::And(parts) => write_parts(parts, " and ", prefixed, f),
        Expr::Or(parts) => write_parts(parts, " or ", prefixed, f),
        Expr::Not(inner) => match &**inner {
            Expr::Pred(predicate) if predicate.has_not_equal() => {
                write_predicate(predicate, "!=", prefixed, f)
            }
            inner => {
                f.write_str("not ")?;
                write_nested(inner, prefixed, f)
            }
        },
        Expr::Pred(predicate) => write_predicate(predicate, "=", prefixed, f),
    }
}

fn write_parts(
    parts: &[Expr],
    word: &str,
    prefixed: bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            f.write_str(word)?;
        }
        write_nested(part, prefixed, f)?;
    }
    Ok(())
}

fn write_nested(expr: &Expr, prefixed: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if matches!(expr, Expr::And(_) | Expr::Or(_)) {
        f.write_str("( ")?;
        write_expr(expr, prefixed, f)?;
        f.write_str(" )")
    } else {
        write_expr(expr, prefixed, f)
    }
}

impl Predicate {
    /// Whether "not equal" can be written of it, with an operator of its own.
    fn has_not_equal(&self) -> bool {
        match self {
            Predicate::Host { .. } | Predicate::Autobound => false,
            Predicate::Port { compare, .. } => *compare == Compare::Equal,
            Predicate::Device { .. } | Predicate::Mark { .. } | Predicate::Cgroup { .. } => true,
        }
    }
}

fn write_predicate(
    predicate: &Predicate,
    equality: &str,
    prefixed: bool,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match predicate {
        Predicate::Host { side, host } => {
            f.write_str(match side {
                Side::Source => "src ",
                Side::Destination => "dst ",
            })?;
            write_host(host, prefixed, f)
        }
        Predicate::Port { side, compare, port } => {
            let word = match side {
                Side::Source => "sport",
                Side::Destination => "dport",
            };
            let operator = match compare {
                Compare::Equal => equality,
                Compare::Greater => ">",
                Compare::Less => "<",
                Compare::GreaterOrEqual => ">=",
                Compare::LessOrEqual => "<=",
            };
            let family = if prefixed { "inet" } else { "" };
            write!(f, "{word} {operator} {family}:{port}")
        }
        Predicate::Device { ifindex } => write!(f, "dev {equality} {ifindex}"),
        Predicate::Mark { value, mask: u32::MAX } => write!(f, "fwmark {equality} {value:#x}"),
        Predicate::Mark { value, mask } => write!(f, "fwmark {equality} {value:#x}/{mask:#x}"),
        Predicate::Cgroup { path, .. } => write!(f, "cgroup {equality} {}", Typed(path)),
        Predicate::Autobound => f.write_str("autobound"),
    }
}

fn write_host(host: &Host, prefixed: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match host {
        Host::Any { port } => write!(f, "{}*:{port}", if prefixed { "inet:" } else { "" }),
        Host::Inet { prefix, port } => {
            if prefixed {
                f.write_str(if prefix.address.is_ipv4() { "inet:" } else { "inet6:" })?;
            }
            match prefix.address {
                IpAddr::V4(address) => write!(f, "{address}/{}", prefix.length)?,
                IpAddr::V6(address) => write!(f, "[{address}/{}]", prefix.length)?,
            }
            if port.is_any() { Ok(()) } else { write!(f, ":{port}") }
        }
        Host::Unix { name } => write!(f, "unix:{name}"),
        Host::Packet { protocol, ifindex } => {
            f.write_str("link:")?;
            write_or_star(*protocol, f)?;
            write!(f, ":{ifindex}")
        }
        Host::Netlink { protocol, port_id } => {
            f.write_str("netlink:")?;
            write_or_star(*protocol, f)?;
            write!(f, ":{port_id}")
        }
        Host::Vsock { cid, port } => {
            f.write_str("vsock:")?;
            write_or_star(*cid, f)?;
            write!(f, ":{port}")
        }
    }
}

fn write_or_star<T: fmt::Display>(value: Option<T>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{value}"),
        None => f.write_str("*"),
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_any() { f.write_str("*") } else { write!(f, "{}", self.0) }
    }
}

/// Text as it is typed in a filter, with a backslash before what would end or divide the word.
pub(super) struct Typed<'a>(pub(super) &'a [u8]);

impl fmt::Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in String::from_utf8_lossy(self.0).chars() {
            if c.is_ascii_whitespace() || matches!(c, '\\' | '(' | ')') {
                f.write_str("\\")?;
            }
            f.write_char(c)?;
        }
        Ok(())
    }
}
