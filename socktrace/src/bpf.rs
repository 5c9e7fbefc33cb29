//! The system call of BPF.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use rustix::io::Errno;

/// # Safety
/// `attributes` are what the command takes: a pointer among them is to memory of the size that goes
/// with it, valid until this returns.
pub(crate) unsafe fn call<T>(command: libc::c_int, attributes: &mut T) -> Result<i32, Errno> {
    // SAFETY: the kernel reads as many bytes of attributes as it is told, which are there.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>() as libc::c_uint,
        )
    };
    if result < 0 {
        let error = io::Error::last_os_error();
        return Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL));
    }
    i32::try_from(result).map_err(|_| Errno::OVERFLOW)
}

/// As [`call`], for commands that answer with a descriptor.
///
/// # Safety
/// As of [`call`].
pub(crate) unsafe fn open<T>(command: libc::c_int, attributes: &mut T) -> Result<OwnedFd, Errno> {
    // SAFETY: as promised by the caller.
    let fd: RawFd = unsafe { call(command, attributes) }?;
    // SAFETY: the kernel has just given this descriptor to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
