//! Judges a subject here, without allocating.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::glob::Glob;
use super::subject::{Name, Subject};
use super::tree::{Compare, Expr, Host, Port, Predicate, Prefix, Protocol, Side};
use crate::container::{Container, Pod};
use crate::socket::End;

/// The ports that the kernel gives to sockets that ask for none (`ip_local_port_range`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EphemeralPorts(pub RangeInclusive<u16>);

impl EphemeralPorts {
    pub fn contains(&self, port: u16) -> bool {
        self.0.contains(&port)
    }
}

/// What the kernel uses if nothing else was configured.
impl Default for EphemeralPorts {
    fn default() -> EphemeralPorts {
        EphemeralPorts(32768..=60999)
    }
}

impl Expr {
    pub fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Expr::And(parts) => parts.iter().all(|part| part.matches(subject)),
            Expr::Or(parts) => parts.iter().any(|part| part.matches(subject)),
            Expr::Not(inner) => !inner.matches(subject),
            Expr::Pred(predicate) => predicate.matches(subject),
        }
    }
}

impl Predicate {
    fn matches(&self, subject: &impl Subject) -> bool {
        match self {
            Predicate::Host { side, host } => host.matches(end(subject, *side)),
            Predicate::Port { side, compare, port } => {
                port.matches(*compare, port_of(end(subject, *side)))
            }
            Predicate::Device { ifindex, .. } => subject.ifindex() == *ifindex,
            Predicate::Mark { value, mask } => subject.mark() & mask == *value,
            Predicate::Cgroup { id, .. } => subject.cgroup_id() == *id,
            Predicate::Autobound => is_autobound(subject),
            Predicate::Number { of, compare, value } => {
                subject.any_number(*of, &mut |number| compare.holds(number, *value))
            }
            Predicate::Name { of: Name::Container, glob } => subject.any_home(&mut |home| {
                home.container.as_ref().is_some_and(|container| is_container(container, glob))
            }),
            Predicate::Name { of: Name::Pod, glob } => {
                subject.any_home(&mut |home| home.pod.as_ref().is_some_and(|pod| is_pod(pod, glob)))
            }
            Predicate::Name { of: Name::Unit, glob } => {
                let matches = |unit: &[u8]| unit_names(unit).any(|name| glob.matches(name));
                subject.any_home(&mut |home| {
                    home.unit.as_ref().is_some_and(|unit| matches(unit.as_bytes()))
                }) || subject.any_name(Name::Unit, &mut |unit| matches(unit))
            }
            Predicate::Name { of, glob } => subject.any_name(*of, &mut |name| glob.matches(name)),
            Predicate::Path { glob, file } => {
                subject.any_name(Name::Path, &mut |name| glob.matches(name))
                    || file.is_some() && subject.file() == *file
            }
            Predicate::Protocol(Protocol::Tables(tables)) => tables.contains(subject.table()),
            Predicate::Protocol(Protocol::Ip(number)) => subject.ip_protocol() == Some(*number),
            Predicate::State { of, set } => set.intersects(subject.states(*of)),
        }
    }
}

/// Without wildcards it is a name or the beginning of an id, as `docker` takes it.
fn is_container(container: &Container, glob: &Glob) -> bool {
    let word = glob.literal().and_then(|word| std::str::from_utf8(word).ok());
    word.is_some_and(|word| container.is_called(word))
        || container.name.as_ref().is_some_and(|name| glob.matches(name.as_bytes()))
}

fn is_pod(pod: &Pod, glob: &Glob) -> bool {
    let word = glob.literal().and_then(|word| std::str::from_utf8(word).ok());
    word.is_some_and(|word| pod.is_called(word))
        || pod.name.as_ref().is_some_and(|name| glob.matches(name.as_bytes()))
}

/// A service also goes by its name without the suffix.
fn unit_names(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::once(unit).chain(unit.strip_suffix(b".service"))
}

fn end(subject: &impl Subject, side: Side) -> End<'_> {
    match side {
        Side::Source => subject.local(),
        Side::Destination => subject.peer(),
    }
}

/// What a family has in place of a port.
fn port_of(end: End<'_>) -> Port {
    match end {
        End::Inet(end) => Port(end.port.into()),
        End::Unix { inode, .. } => Port(inode.0 as i32),
        End::Packet { ifindex, .. } => Port(ifindex as i32),
        End::Netlink { port_id, .. } => Port(port_id as i32),
        End::Vsock { port, .. } => Port(port as i32),
        End::Xdp { queue, .. } => Port(queue as i32),
        End::None => Port(0),
    }
}

impl Port {
    fn matches(self, compare: Compare, port: Port) -> bool {
        match compare {
            Compare::Equal => self.is_any() || port == self,
            compare => compare.holds(port.0, self.0),
        }
    }
}

impl Host {
    fn matches(&self, end: End<'_>) -> bool {
        match (self, end) {
            (Host::Any { port }, end) => port.matches(Compare::Equal, port_of(end)),
            (Host::Inet { prefix, port }, End::Inet(end)) => {
                port.matches(Compare::Equal, Port(end.port.into())) && prefix.contains(end.addr)
            }
            (Host::Unix { name: glob }, End::Unix { name, .. }) => {
                glob.matches(name.unwrap_or_default())
            }
            (Host::Packet { protocol, ifindex }, end @ (End::Packet { .. } | End::None)) => {
                // A PACKET socket has no peer, which counts as zero.
                let own = if let End::Packet { protocol, .. } = end { protocol } else { 0 };
                protocol.is_none_or(|protocol| protocol == own)
                    && ifindex.matches(Compare::Equal, port_of(end))
            }
            (Host::Netlink { protocol, port_id }, end @ End::Netlink { protocol: p, .. }) => {
                protocol.is_none_or(|protocol| protocol == p)
                    && port_id.matches(Compare::Equal, port_of(end))
            }
            (Host::Vsock { cid, port }, end @ End::Vsock { cid: c, .. }) => {
                cid.is_none_or(|cid| cid == c) && port.matches(Compare::Equal, port_of(end))
            }
            _ => false,
        }
    }
}

impl Prefix {
    /// An IPv4 prefix also holds the v4-mapped IPv6 addresses of its own.
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(prefix), IpAddr::V4(address)) => {
                same_bits(prefix.to_bits().into(), address.to_bits().into(), 32, self.length)
            }
            (IpAddr::V4(prefix), IpAddr::V6(address)) => {
                address.to_ipv4_mapped().is_some_and(|address| {
                    same_bits(prefix.to_bits().into(), address.to_bits().into(), 32, self.length)
                })
            }
            (IpAddr::V6(prefix), IpAddr::V6(address)) => {
                same_bits(prefix.to_bits(), address.to_bits(), 128, self.length)
            }
            (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether the first `length` of `width` bits are the same.
fn same_bits(a: u128, b: u128, width: u8, length: u8) -> bool {
    let rest = width.saturating_sub(length);
    (a ^ b).checked_shr(rest.into()).unwrap_or(0) == 0
}

/// Whether the kernel chose the local address, as far as the address tells.
fn is_autobound(subject: &impl Subject) -> bool {
    match subject.local() {
        End::Inet(end) => subject.is_ephemeral(end.port),
        End::Unix { name: None, .. } => true,
        // The kernel names a socket with a NUL and five hexadecimal digits.
        End::Unix { name: Some([0, digits @ ..]), .. } => {
            digits.len() == 5
                && digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
        }
        End::Unix { .. } => false,
        End::Packet { protocol, ifindex } => protocol == 0 && ifindex == 0,
        End::Netlink { port_id, .. } => (port_id as i32) < 0,
        End::Vsock { port, .. } => port as i32 > 1023,
        End::Xdp { .. } | End::None => false,
    }
}
