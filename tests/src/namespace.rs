//! A network namespace per test.
//!
//! The namespace belongs to a thread of the test and to the processes started from it, so it ends
//! with them, whether the test passes or panics.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::process::Command;
use std::thread;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::sys::set_bytes;
use crate::wait;

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

/// Another namespace, which a cable joins to that of the thread that made it.
pub struct Neighbour(File);

impl Neighbour {
    /// Makes it: this end of the cable has the address `near`, the other `far`, in a network of 24
    /// bits.
    pub fn join(near: Ipv4Addr, far: Ipv4Addr) -> Neighbour {
        let own = || File::open("/proc/thread-self/ns/net").expect("a thread is in a namespace");
        let neighbour = Neighbour(in_namespace(own));
        let number = neighbour.0.as_raw_fd();
        let file = format!("/proc/{}/fd/{number}", std::process::id());
        let ip = |line: String| ip(&line.split(' ').collect::<Vec<_>>());
        ip(format!("link add near type veth peer name far netns {file}"));
        let raise = |name: &str, addr| {
            ip(format!("address add {addr}/24 dev {name}"));
            ip(format!("link set {name} up"));
        };
        neighbour.run(|| raise("far", far));
        raise("near", near);
        neighbour
    }

    /// Runs `body` on a thread over there.
    pub fn run<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        run_inside(&self.0, body)
    }
}

/// The number of the namespace that a file stands for.
pub fn netns_of(file: &str) -> u64 {
    fs::metadata(file).unwrap_or_else(|error| panic!("{file}: {error}")).ino()
}

/// The number of the namespace of this thread.
pub fn this_netns() -> u64 {
    netns_of("/proc/thread-self/ns/net")
}

/// A namespace as `ip netns add` makes it, with `lo` up; gone when dropped.
pub struct Named(String);

impl Named {
    /// The name begins with that, and is nobody else's.
    pub fn new(name: &str) -> Named {
        let named = Named(format!("{name}-{}", std::process::id()));
        ip(&["netns", "add", &named.0]);
        named.inside(raise_loopback);
        named
    }

    pub fn name(&self) -> &str {
        &self.0
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        netns_of(&self.file())
    }

    /// Runs `body` on a thread inside.
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.file()).expect("the namespace is gone");
        run_inside(&file, body)
    }

    fn file(&self) -> String {
        format!("/run/netns/{}", self.0)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Binds a socket to an interface.
pub fn on_device(socket: &OwnedFd, name: &str) -> io::Result<()> {
    set_bytes(socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name.as_bytes())
}

/// Runs `body` on a thread in the namespace of a file.
fn run_inside<T: Send>(file: &File, body: impl FnOnce() -> T + Send) -> T {
    let there = || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("it is open");
        body()
    };
    thread::scope(|scope| scope.spawn(there).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Runs `ip`.
pub fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip does not run");
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn raise_loopback() {
    change_interface(b"lo", libc::SIOCSIFFLAGS, |request| {
        request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    });
}

/// Waits until no TCP socket of this namespace is on its way to its end: closed ones may be for as
/// long as their last packets wait for a CPU.
pub fn await_closed() {
    const TIME_WAIT: &str = "06";
    const LISTEN: &str = "0A";
    wait::until("sockets to be closed", || {
        let is_over = |table: &str| {
            let table = fs::read_to_string(table).expect("a thread has a network");
            let mut states = table.lines().skip(1).map(|line| line.split_whitespace().nth(3));
            states.all(|state| matches!(state, Some(TIME_WAIT | LISTEN)))
        };
        ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"]
            .into_iter()
            .all(is_over)
            .then_some(())
    });
}

/// Takes `lo` down: what is sent over it gets nowhere.
pub fn lower_loopback() {
    change_interface(b"lo", libc::SIOCSIFFLAGS, |request| request.ifr_ifru.ifru_flags = 0);
}

/// Gives `lo` another address, one that is not of loopback.
pub fn add_address(addr: Ipv4Addr) {
    change_interface(b"lo:1", libc::SIOCSIFADDR, |request| {
        let addr = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(addr.octets()) },
            sin_zero: [0; 8],
        };
        // SAFETY: a sockaddr_in is a sockaddr, and as long as one.
        request.ifr_ifru.ifru_addr =
            unsafe { std::mem::transmute::<libc::sockaddr_in, libc::sockaddr>(addr) };
    });
}

fn change_interface(name: &[u8], call: libc::Ioctl, change: impl FnOnce(&mut libc::ifreq)) {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
        .expect("no socket in the new namespace");
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    change(&mut request);
    // SAFETY: these calls read one ifreq, which outlives them.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), call, &raw const request) };
    assert_eq!(result, 0, "lo cannot be changed: {}", std::io::Error::last_os_error());
}
