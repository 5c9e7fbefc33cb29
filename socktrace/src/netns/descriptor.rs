//! Descriptors of other processes that keep a namespace: of its file, of a socket in it, or of a
//! TUN device.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustc_hash::FxHashMap;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::find::WAYS;
use super::of_link;
use crate::iter::{self, IteratorError};
use crate::owner::iterator::SocketDescriptors;
use crate::socket::NetnsId;

/// What a descriptor is of, by its link in /proc/PID/fd.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Netns(NetnsId),
    /// A socket, by its inode.
    Socket(u32),
    Tun,
    /// The root, or what was mounted once: a namespace whose name `ip netns` took away.
    Unmounted,
}

impl Target {
    /// `None` for what keeps no namespace.
    pub(super) fn of_link(link: &[u8]) -> Option<Target> {
        match link {
            b"/" => Some(Target::Unmounted),
            link if link.ends_with(b"/net/tun") => Some(Target::Tun),
            link => match link.strip_prefix(b"socket:[") {
                Some(rest) => {
                    let inode = std::str::from_utf8(rest.strip_suffix(b"]")?).ok()?;
                    inode.parse().ok().map(Target::Socket)
                }
                None => of_link(link).map(Target::Netns),
            },
        }
    }
}

/// A few of the sockets in each namespace that has any, by their inodes: not each is to be fetched
/// to be asked where it is. Nothing without the privilege to ask, which entering takes as well.
pub(super) fn sockets() -> Result<FxHashMap<u32, NetnsId>, IteratorError> {
    let mut found = FxHashMap::default();
    if !iter::is_permitted() {
        return Ok(found);
    }
    let mut counts: FxHashMap<u32, usize> = FxHashMap::default();
    SocketDescriptors::open()?.for_each(&mut |socket| {
        if socket.netns == 0 {
            return;
        }
        let count = counts.entry(socket.netns).or_default();
        if *count < WAYS {
            *count += 1;
            found.insert(socket.inode, NetnsId(socket.netns.into()));
        }
    })?;
    Ok(found)
}

/// Gives a descriptor of the namespace of a socket, or of a TUN device.
const SIOCGSKNS: libc::Ioctl = 0x894c;

/// Opens the namespace of a socket of another process. For that moment the socket has one
/// descriptor more, which no process but this one sees.
pub(super) fn open_netns_of(pid: u32, fd: u32) -> Result<OwnedFd, Errno> {
    let pid = Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let socket = pidfd_getfd(&process, fd.cast_signed(), PidfdGetfdFlags::empty())?;
    // SAFETY: the call takes no argument; what it gives is a new descriptor, or -1.
    let namespace = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCGSKNS) };
    if namespace < 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    // SAFETY: it was just opened, and nobody else has its number.
    Ok(unsafe { OwnedFd::from_raw_fd(namespace) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_this_process_is_in_its_namespace() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        match open_netns_of(std::process::id(), socket.as_raw_fd().cast_unsigned()) {
            Ok(file) => assert_eq!(super::super::of_file(&file), super::super::current()),
            Err(error) => eprintln!("skipped: the namespace of a socket: {error}"),
        }
    }

    #[test]
    fn links_say_what_keeps_a_namespace() {
        for (link, expected) in [
            (&b"net:[7]"[..], Some(Target::Netns(NetnsId(7)))),
            (b"socket:[12]", Some(Target::Socket(12))),
            (b"/dev/net/tun", Some(Target::Tun)),
            (b"/", Some(Target::Unmounted)),
            (b"socket:[x]", None),
            (b"mnt:[7]", None),
            (b"/tmp/net:[7]", None),
            (b"pipe:[7]", None),
            (b"", None),
        ] {
            assert_eq!(Target::of_link(link), expected, "{}", String::from_utf8_lossy(link));
        }
    }

    #[test]
    fn what_is_no_socket_is_in_none() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = file.as_raw_fd().cast_unsigned();
        assert!(open_netns_of(std::process::id(), fd).is_err());
        assert!(open_netns_of(std::process::id(), 1 << 20).is_err());
        assert!(open_netns_of(0, 0).is_err());
    }
}
