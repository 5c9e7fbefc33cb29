//! Prints an expression as it is typed, so that it parses back to the same tree.

use std::fmt::{self, Write};
use std::net::IpAddr;

use super::subject::StateOf;
use super::tree::{Compare, Expr, Host, Port, Predicate, Protocol, Side};
use super::{states, words};
use crate::socket::StateSet;

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
            Predicate::Number { compare, .. } => *compare == Compare::Equal,
            Predicate::State { of, .. } => *of != StateOf::Now,
            Predicate::Device { .. }
            | Predicate::Mark { .. }
            | Predicate::Cgroup { .. }
            | Predicate::Name { .. }
            | Predicate::Path { .. }
            | Predicate::Protocol(_) => true,
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
            let operator = operator(*compare, equality);
            let family = if prefixed { "inet" } else { "" };
            write!(f, "{word} {operator} {family}:{port}")
        }
        Predicate::Device { name, .. } => write!(f, "dev {equality} {}", Typed(name)),
        Predicate::Mark { value, mask: u32::MAX } => write!(f, "fwmark {equality} {value:#x}"),
        Predicate::Mark { value, mask } => write!(f, "fwmark {equality} {value:#x}/{mask:#x}"),
        Predicate::Cgroup { path, .. } => write!(f, "cgroup {equality} {}", Typed(path)),
        Predicate::Autobound => f.write_str("autobound"),
        Predicate::Number { of, compare, value } => {
            write!(f, "{} {} ", words::of_number(*of), operator(*compare, equality))?;
            of.unit().write(*value, f)
        }
        Predicate::Name { of, glob } => write!(f, "{} {equality} {glob}", words::of_name(*of)),
        Predicate::Path { glob, .. } => write!(f, "path {equality} {glob}"),
        Predicate::Protocol(protocol) => {
            write!(f, "proto {equality} ")?;
            match protocol {
                Protocol::Ip(number) => write!(f, "{number}"),
                Protocol::Tables(tables) => f.write_str(words::name_of_tables(*tables)),
            }
        }
        Predicate::State { of: StateOf::Now, set } => write_states(*set, f),
        Predicate::State { of, set } => {
            let word = if *of == StateOf::Old { "oldstate" } else { "newstate" };
            write!(f, "{word} {equality} {}", states::name_of(*set))
        }
    }
}

fn operator(compare: Compare, equality: &str) -> &str {
    match compare {
        Compare::Equal => equality,
        Compare::Greater => ">",
        Compare::Less => "<",
        Compare::GreaterOrEqual => ">=",
        Compare::LessOrEqual => "<=",
    }
}

/// States that are named one after the other add up. With the operator they are a predicate even
/// where they come first.
fn write_states(set: StateSet, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if set.is_empty() {
        return f.write_str("exclude = all");
    }
    if let Some(name) = states::exact_name(set) {
        return write!(f, "state = {name}");
    }
    for (i, state) in set.iter().enumerate() {
        let blank = if i > 0 { " " } else { "" };
        write!(f, "{blank}state = {}", states::name_of(StateSet::of(&[state])))?;
    }
    Ok(())
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
