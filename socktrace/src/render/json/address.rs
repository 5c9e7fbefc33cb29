//! The ends of IP sockets.

use std::net::IpAddr;

use super::write::Object;
use crate::render::address;
use crate::socket::InetEnd;

/// `addr` and `port`, in numbers. An end that is open is the unspecified address and port 0.
pub fn inet_end(object: &mut Object<'_>, end: &InetEnd) {
    ip(object, "addr", &end.addr);
    object.value("port", end.port);
}

pub fn ip(object: &mut Object<'_>, key: &str, addr: &IpAddr) {
    object.plain(key, |out| address::ip(out, addr));
}
