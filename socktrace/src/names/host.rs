//! Names of hosts, both ways, as the system's resolver is configured.

use std::cell::RefCell;
use std::net::{IpAddr, ToSocketAddrs};

use rustc_hash::FxHashMap;

/// The names of addresses; `None` for those that have none.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    names: RefCell<FxHashMap<IpAddr, Option<Box<[u8]>>>>,
}

impl Hosts {
    /// Appends the name of an address; whether it has one.
    pub(super) fn name(&self, address: IpAddr, out: &mut Vec<u8>) -> bool {
        // A v4-mapped address is that of a host known by its IPv4 address.
        let address = address.to_canonical();
        let mut names = self.names.borrow_mut();
        let name = names.entry(address).or_insert_with(|| reverse(address));
        match name {
            Some(name) => {
                out.extend_from_slice(name);
                true
            }
            None => false,
        }
    }
}

/// All addresses of a host.
pub(super) fn addresses(name: &[u8]) -> Vec<IpAddr> {
    let Ok(name) = std::str::from_utf8(name) else { return Vec::new() };
    let mut addresses: Vec<IpAddr> = Vec::new();
    for address in (name, 0).to_socket_addrs().into_iter().flatten() {
        if !addresses.contains(&address.ip()) {
            addresses.push(address.ip());
        }
    }
    addresses
}

fn reverse(address: IpAddr) -> Option<Box<[u8]>> {
    const LENGTH: usize = 1025;
    let mut name = [0u8; LENGTH];
    let result = with_sockaddr(address, |pointer, length| {
        // SAFETY: `pointer` is a valid socket address of `length` bytes, `name` has room for
        // LENGTH, and no service is asked for.
        unsafe {
            libc::getnameinfo(
                pointer,
                length,
                name.as_mut_ptr().cast(),
                LENGTH as libc::socklen_t,
                std::ptr::null_mut(),
                0,
                libc::NI_NAMEREQD,
            )
        }
    });
    let end = name.iter().position(|byte| *byte == 0)?;
    (result == 0 && end > 0).then(|| name[..end].into())
}

fn with_sockaddr<R>(
    address: IpAddr,
    call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> R,
) -> R {
    match address {
        IpAddr::V4(address) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                sin_zero: [0; 8],
            };
            call((&raw const raw).cast(), size_of::<libc::sockaddr_in>() as libc::socklen_t)
        }
        IpAddr::V6(address) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: address.octets() },
                sin6_scope_id: 0,
            };
            call((&raw const raw).cast(), size_of::<libc::sockaddr_in6>() as libc::socklen_t)
        }
    }
}
