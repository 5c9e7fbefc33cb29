//! The addresses of this namespace's interfaces.

use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::diagnose::evidence::LocalAddress;

/// All of them; none if the C library cannot tell.
pub(super) fn read() -> Vec<LocalAddress> {
    let mut list: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `list` is where the head of a new list is put; it is freed below.
    if unsafe { libc::getifaddrs(&raw mut list) } != 0 {
        return Vec::new();
    }
    let mut addresses = Vec::new();
    let mut next = list;
    // SAFETY: `next` is null or an element of the list, which lives until it is freed.
    while let Some(element) = unsafe { next.as_ref() } {
        // SAFETY: an interface has a name, a string of C, that lives as long as its element.
        let interface = unsafe { CStr::from_ptr(element.ifa_name) };
        if let Some(addr) = address(element.ifa_addr) {
            let interface = interface.to_string_lossy().into_owned();
            addresses.push(LocalAddress { interface, addr });
        }
        next = element.ifa_next;
    }
    // SAFETY: the list is that of getifaddrs, and nothing refers to it any more.
    unsafe { libc::freeifaddrs(list) };
    addresses
}

fn address(addr: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: it is null or an address that lives as long as its element.
    let family = unsafe { addr.as_ref()?.sa_family };
    match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: an address of this family is a sockaddr_in.
            let v4 = unsafe { addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Some(Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes()).into())
        }
        libc::AF_INET6 => {
            // SAFETY: an address of this family is a sockaddr_in6.
            let v6 = unsafe { addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_its_address() {
        let addresses = read();
        let own = LocalAddress { interface: "lo".into(), addr: Ipv4Addr::LOCALHOST.into() };
        assert!(addresses.contains(&own), "{addresses:?}");
    }
}
