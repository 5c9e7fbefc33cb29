//! Values: addresses of every family, ports, interfaces and marks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::ErrorKind;
use super::glob::Glob;
use super::tree::{Compare, Expr, Host, Port, Predicate, Prefix, Side};
use super::{Lookup, Scope, Transport, device};
use crate::socket::{Family, Table};

/// What an address says: the condition, and the family that the listing is narrowed to.
#[derive(Debug)]
pub(super) struct Value {
    pub(super) expr: Expr,
    pub(super) family: Option<Family>,
}

const FAMILIES: &[(&[u8], Family)] = &[
    (b"unix:", Family::Unix),
    (b"link:", Family::Packet),
    (b"netlink:", Family::Netlink),
    (b"vsock:", Family::Vsock),
    (b"inet:", Family::Inet),
    (b"inet6:", Family::Inet6),
];

/// The family that the text is read in, and the text without its prefix.
fn family(text: &[u8], default: Option<Family>) -> (Option<Family>, &[u8]) {
    FAMILIES
        .iter()
        .find_map(|(prefix, family)| Some((Some(*family), text.strip_prefix(*prefix)?)))
        .unwrap_or((default, text))
}

pub(super) fn address(
    text: &[u8],
    side: Side,
    scope: Scope,
    names: &dyn Lookup,
) -> Result<Value, ErrorKind> {
    let (family, text) = family(text, scope.family);
    let hosts = hosts(text, family, scope, names)?;
    let mut expr: Option<Expr> = None;
    for host in hosts {
        let next = Expr::Pred(Predicate::Host { side, host });
        expr = Some(match expr {
            Some(expr) => expr.or(next),
            None => next,
        });
    }
    let expr = expr.ok_or_else(|| ErrorKind::Prefix(text.to_vec()))?;
    Ok(Value { expr, family })
}

pub(super) fn port(
    text: &[u8],
    side: Side,
    compare: Compare,
    scope: Scope,
    names: &dyn Lookup,
) -> Result<Value, ErrorKind> {
    let (family, rest) = family(text, scope.family);
    let bare = rest.strip_prefix(b":").unwrap_or(rest);
    let port = match family {
        // A UNIX socket has no port: the value is a name, as after `src`.
        Some(Family::Unix) if compare == Compare::Equal => {
            return address(text, side, scope, names);
        }
        Some(Family::Unix) => Port::ANY,
        Some(Family::Packet) => device_port(bare, names).ok_or(ErrorKind::Address)?,
        Some(Family::Netlink) => netlink_port(bare).ok_or(ErrorKind::Address)?,
        Some(Family::Vsock) => vsock_port(bare).ok_or(ErrorKind::Address)?,
        _ => service(bare_port(rest)?, scope, names)?,
    };
    Ok(Value { expr: Expr::Pred(Predicate::Port { side, compare, port }), family })
}

fn hosts(
    text: &[u8],
    family: Option<Family>,
    scope: Scope,
    names: &dyn Lookup,
) -> Result<Vec<Host>, ErrorKind> {
    let one = |host: Option<Host>| Ok(vec![host.ok_or(ErrorKind::Address)?]);
    match family {
        Some(Family::Unix) => one(Some(Host::Unix { name: Glob::new(text.to_vec()) })),
        Some(Family::Packet) => one(packet(text, names)),
        Some(Family::Netlink) => one(netlink(text, names)),
        Some(Family::Vsock) => one(vsock(text)),
        _ => inet(text, family, scope, names),
    }
}

fn inet(
    text: &[u8],
    family: Option<Family>,
    scope: Scope,
    names: &dyn Lookup,
) -> Result<Vec<Host>, ErrorKind> {
    let (address, port) = split_inet(text)?;
    let port = service(port, scope, names)?;
    let prefixes = match address {
        b"" | b"*" => return Ok(vec![Host::Any { port }]),
        b"any" | b"all" | b"default" => match family {
            Some(Family::Inet) => vec![Prefix { address: Ipv4Addr::UNSPECIFIED.into(), length: 0 }],
            Some(Family::Inet6) => {
                vec![Prefix { address: Ipv6Addr::UNSPECIFIED.into(), length: 0 }]
            }
            _ => return Ok(vec![Host::Any { port }]),
        },
        address => match prefix(address) {
            Some(prefix) => vec![prefix],
            // A mistyped address is not worth a question to DNS, which may take long to answer.
            None if !is_host_name(address) => Vec::new(),
            None => names
                .host(address)
                .into_iter()
                .map(|address| Prefix { address, length: Prefix::full_length(address) })
                .collect(),
        },
    };
    let hosts: Vec<Host> = prefixes
        .into_iter()
        .filter(|prefix| match family {
            Some(Family::Inet) => prefix.address.is_ipv4(),
            Some(Family::Inet6) => prefix.address.is_ipv6(),
            _ => true,
        })
        .map(|prefix| Host::Inet { prefix, port })
        .collect();
    if hosts.is_empty() { Err(ErrorKind::Prefix(address.to_vec())) } else { Ok(hosts) }
}

/// The address and the port of `ADDRESS:PORT`, `[ADDRESS]:PORT` or `*:PORT`; the port may be
/// missing, and the colon too where the end of the address is plain.
fn split_inet(text: &[u8]) -> Result<(&[u8], &[u8]), ErrorKind> {
    let (address, rest) = match text {
        [b'[', inner @ ..] => {
            let end = inner.iter().position(|byte| *byte == b']').ok_or(ErrorKind::Address)?;
            (&inner[..end], &inner[end + 1..])
        }
        [b'*', rest @ ..] => (&text[..1], rest),
        _ => {
            // A colon before the length of the prefix belongs to the address.
            let from = text.iter().position(|byte| *byte == b'/').unwrap_or(0);
            match text[from..].iter().rposition(|byte| *byte == b':') {
                Some(colon) => text.split_at(from + colon),
                None => (text, &[][..]),
            }
        }
    };
    Ok((address, rest.strip_prefix(b":").unwrap_or(rest)))
}

/// A port on its own: `PORT`, `:PORT`, `*:PORT` or `[PORT]`.
fn bare_port(text: &[u8]) -> Result<&[u8], ErrorKind> {
    let text = match text {
        [b'[', inner @ ..] => {
            let end = inner.iter().position(|byte| *byte == b']').ok_or(ErrorKind::Address)?;
            &inner[..end]
        }
        [b'*', rest @ ..] => rest,
        _ => text,
    };
    Ok(text.strip_prefix(b":").unwrap_or(text))
}

/// A port by number or by the name of a service in one of the tables that are listed.
fn service(text: &[u8], scope: Scope, names: &dyn Lookup) -> Result<Port, ErrorKind> {
    if matches!(text, b"" | b"*") {
        return Ok(Port::ANY);
    }
    if let Some(port) = port_number(text) {
        return Ok(port);
    }
    const TRANSPORTS: [(Table, Transport); 4] = [
        (Table::Udp, Transport::Udp),
        (Table::Tcp, Transport::Tcp),
        (Table::Dccp, Transport::Dccp),
        (Table::Sctp, Transport::Sctp),
    ];
    TRANSPORTS
        .iter()
        .filter(|(table, _)| scope.tables.contains(*table))
        .find_map(|(_, transport)| names.service(text, *transport))
        .map(|port| Port(port.into()))
        .ok_or_else(|| ErrorKind::Port(text.to_vec()))
}

fn port_number(text: &[u8]) -> Option<Port> {
    let (digits, is_negative) = match text {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] => (digits, false),
        digits => (digits, false),
    };
    let number = u32::try_from(c_number(digits)?).ok()? as i32;
    Some(Port(if is_negative { number.wrapping_neg() } else { number }))
}

/// A number as C writes it: decimal, `0x` hexadecimal or `0` octal.
pub fn c_number(text: &[u8]) -> Option<u64> {
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        [b'0', digits @ ..] if !digits.is_empty() => (digits, 8),
        digits => (digits, 10),
    };
    let is_number =
        !digits.is_empty() && digits.iter().all(|digit| char::from(*digit).is_digit(radix));
    u64::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| is_number)?, radix).ok()
}

fn prefix(text: &[u8]) -> Option<Prefix> {
    let (address, length) = match text.iter().position(|byte| *byte == b'/') {
        Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
        None => (text, None),
    };
    let address = ip(address)?;
    let full = Prefix::full_length(address);
    let length = match length {
        None => full,
        Some(text) => match c_number(text) {
            Some(number) => u8::try_from(number).ok().filter(|length| *length <= full)?,
            None if address.is_ipv4() => mask_length(text)?,
            None => return None,
        },
    };
    Some(Prefix { address, length })
}

fn is_host_name(text: &[u8]) -> bool {
    text.iter().any(|byte| !byte.is_ascii_digit() && *byte != b'.')
        && !text.iter().any(|byte| b"/:%".contains(byte))
}

fn ip(text: &[u8]) -> Option<IpAddr> {
    if text.contains(&b':') {
        let address: Ipv6Addr = std::str::from_utf8(text).ok()?.parse().ok()?;
        Some(address.into())
    } else {
        octets(text).map(IpAddr::V4)
    }
}

/// One to four octets; those that are missing are zero.
fn octets(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    for (i, part) in text.split(|byte| *byte == b'.').enumerate() {
        *octets.get_mut(i)? = u8::try_from(c_number(part)?).ok()?;
    }
    Some(octets.into())
}

/// The length of a prefix given as a mask, such as `255.255.0.0`.
fn mask_length(text: &[u8]) -> Option<u8> {
    let mask = u32::from(std::str::from_utf8(text).ok()?.parse::<Ipv4Addr>().ok()?);
    let length = mask.leading_ones();
    (length + mask.trailing_zeros() >= 32).then_some(length as u8)
}

/// `PROTOCOL[:PORT-ID]`.
fn netlink(text: &[u8], names: &dyn Lookup) -> Option<Host> {
    let (protocol, port_id) = split_once(text);
    let protocol = match protocol {
        b"" | b"*" => None,
        name => Some(match c_number(name) {
            Some(number) => u8::try_from(number).ok()?,
            None => names.netlink_protocol(name)?,
        }),
    };
    let port_id = netlink_port(port_id.unwrap_or_default())?;
    Some(Host::Netlink { protocol, port_id })
}

fn netlink_port(text: &[u8]) -> Option<Port> {
    match text {
        b"" | b"*" => Some(Port::ANY),
        b"kernel" => Some(Port(0)),
        number => port_number(number),
    }
}

/// `PROTOCOL[:INTERFACE]`.
fn packet(text: &[u8], names: &dyn Lookup) -> Option<Host> {
    let (protocol, device) = split_once(text);
    let protocol = match protocol {
        b"" | b"*" => None,
        name => Some(match c_number(name) {
            Some(number) => u16::try_from(number).ok()?,
            None => names.ethernet_protocol(name)?,
        }),
    };
    let ifindex = device_port(device.unwrap_or_default(), names)?;
    Some(Host::Packet { protocol, ifindex })
}

/// The interface, which PACKET sockets have for a port.
fn device_port(text: &[u8], names: &dyn Lookup) -> Option<Port> {
    match text {
        b"" | b"*" => Some(Port::ANY),
        name => Some(Port(device::index(name, names)? as i32)),
    }
}

/// `CID[:PORT]`.
fn vsock(text: &[u8]) -> Option<Host> {
    let (cid, port) = split_once(text);
    let cid = match cid {
        b"" | b"*" => None,
        number => Some(u32::try_from(c_number(number)?).ok()?),
    };
    let port = port.map_or(Some(Port::ANY), vsock_port)?;
    Some(Host::Vsock { cid, port })
}

fn vsock_port(text: &[u8]) -> Option<Port> {
    if text == b"*" { Some(Port::ANY) } else { port_number(text) }
}

fn split_once(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b':') {
        Some(colon) => (&text[..colon], Some(&text[colon + 1..])),
        None => (text, None),
    }
}

/// `VALUE[/MASK]`, 32 bits each; higher bits are dropped, as `ss` does.
pub(super) fn mark(text: &[u8]) -> Option<(u32, u32)> {
    let number = |text: &[u8]| match text {
        [b'-', digits @ ..] => Some((c_number(digits)? as u32).wrapping_neg()),
        digits => Some(c_number(digits)? as u32),
    };
    match text.iter().position(|byte| *byte == b'/') {
        Some(slash) => Some((number(&text[..slash])?, number(&text[slash + 1..])?)),
        None => Some((number(text)?, u32::MAX)),
    }
}
