//! A network namespace per test.
//!
//! The namespace belongs to a thread of the test and to the processes started from it, so it ends
//! with them, whether the test passes or panics.

use std::os::fd::AsRawFd;
use std::panic::resume_unwind;
use std::thread;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::UnshareFlags;

/// Runs `body` on a thread in a new network namespace in which only `lo` exists, and is up.
///
/// Threads that `body` starts are in the namespace as well.
pub fn in_namespace<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let name = thread::current().name().unwrap_or("namespace").to_owned();
        let thread = thread::Builder::new().name(name).spawn_scoped(scope, || {
            // SAFETY: NEWNET alone; descriptors and memory stay shared with the other threads.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
                .expect("a network namespace needs CAP_SYS_ADMIN");
            raise_loopback();
            body()
        });
        match thread.expect("no thread").join() {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    })
}

fn raise_loopback() {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .expect("no socket in the new namespace");
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    assert_eq!(result, 0, "lo does not come up: {}", std::io::Error::last_os_error());
}
