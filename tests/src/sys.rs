//! The system calls that only libc has, with the `unsafe` in one place.

use std::ffi::{CStr, c_int};
use std::io;
use std::mem::{size_of, size_of_val};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Opens a socket; an error where the kernel lacks the protocol.
pub(crate) fn open(domain: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is new and ours.
    unsafe {
        let socket = check(libc::socket(domain, kind, protocol))?;
        Ok(OwnedFd::from_raw_fd(socket))
    }
}

/// A pair of connected UNIX sockets without a name.
pub(crate) fn pair(kind: c_int) -> io::Result<[OwnedFd; 2]> {
    let mut pair = [0; 2];
    // SAFETY: the kernel fills both descriptors, which are then ours.
    unsafe {
        check(libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()))?;
        Ok(pair.map(|one| OwnedFd::from_raw_fd(one)))
    }
}

/// Sets an option whose value is a plain integer or a C structure of integers.
pub(crate) fn set<T: Copy>(
    socket: &OwnedFd,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    // SAFETY: the kernel reads `size` bytes of `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (value as *const T).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

/// Sets an option whose value is a string of bytes.
pub(crate) fn set_bytes(
    socket: &OwnedFd,
    level: c_int,
    name: c_int,
    value: &[u8],
) -> io::Result<()> {
    // SAFETY: the kernel reads `value.len()` bytes of `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            value.as_ptr().cast(),
            size_of_val(value) as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

/// Binds to an address given as its C structure.
pub(crate) fn bind<T: Copy>(socket: &OwnedFd, address: &T) -> io::Result<()> {
    // SAFETY: the kernel reads `size` bytes of `address`.
    let result = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (address as *const T).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

pub(super) fn connect<T: Copy>(socket: &OwnedFd, address: &T) -> io::Result<()> {
    // SAFETY: the kernel reads `size` bytes of `address`.
    let result = unsafe {
        libc::connect(
            socket.as_raw_fd(),
            (address as *const T).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    check(result).map(drop)
}

/// Binds a UNIX socket to exactly these bytes of `sun_path`; none lets the kernel choose.
pub(crate) fn bind_unix(socket: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let (address, length) = unix_address(name);
    // SAFETY: `length` is within the structure.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    check(result).map(drop)
}

pub(crate) fn connect_unix(socket: &OwnedFd, name: &[u8]) -> io::Result<()> {
    let (address, length) = unix_address(name);
    // SAFETY: `length` is within the structure.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) };
    check(result).map(drop)
}

fn unix_address(name: &[u8]) -> (libc::sockaddr_un, libc::socklen_t) {
    // SAFETY: all zeroes is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in address.sun_path.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    // A path ends with NUL; the length of an abstract name is all of it.
    let end = usize::from(name.first().is_some_and(|first| *first != 0));
    let length = std::mem::offset_of!(libc::sockaddr_un, sun_path) + name.len() + end;
    (address, length as libc::socklen_t)
}

/// Attaches a classic BPF program.
pub(crate) fn attach(socket: &OwnedFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let program =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Sockets opened from here on belong to `uid`.
pub(crate) fn own_as(uid: libc::uid_t) {
    // SAFETY: no pointers.
    unsafe { libc::setfsuid(uid) };
}

/// The kernel keeps 15 bytes of it.
pub(crate) fn rename_self(name: &CStr) {
    // SAFETY: `name` ends with NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Runs `child` in a process of its own, without the descriptors of this one save standard
/// streams and `keep`; it ends when `child` returns.
pub(crate) fn fork(keep: &[&OwnedFd], child: impl FnOnce()) -> io::Result<libc::pid_t> {
    // SAFETY: the population is single-threaded, so that the child may do anything.
    let pid = check(unsafe { libc::fork() })?;
    if pid > 0 {
        return Ok(pid);
    }
    let mut kept: Vec<c_int> = keep.iter().map(|one| one.as_raw_fd()).collect();
    kept.sort_unstable();
    let mut first = 3;
    // SAFETY: closes what the child never touches again; it leaves by `_exit`, without drops.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        for one in kept {
            if one > first {
                libc::syscall(libc::SYS_close_range, first, one - 1, 0);
            }
            first = one + 1;
        }
        libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0);
        child();
        libc::_exit(0)
    }
}

pub(crate) fn end(child: libc::pid_t) {
    // SAFETY: `child` is ours and not yet waited for.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
