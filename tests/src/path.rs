//! A path with a round trip of some length, without netem: a TUN device behind which a thread holds
//! each packet for a while and returns it with its addresses exchanged.
//!
//! So who connects to [`Path::FAR`] reaches the listener at [`Path::NEAR`], to which all comes from
//! [`Path::FAR`]. Checksums stay right: they are sums, and the same words are in them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::namespace::ip;

/// It lasts until it is dropped, in the network namespace of the thread that made it.
pub struct Path {
    course: Arc<Course>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told, and tells.
#[derive(Default)]
struct Course {
    is_over: AtomicBool,
    is_jammed: AtomicBool,
    on_their_way: AtomicUsize,
}

impl Path {
    pub const NEAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
    pub const FAR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);

    /// A packet takes so long each way.
    pub fn of(delay: Duration) -> io::Result<Path> {
        let device = open_device(b"far")?;
        ip(&["address", "add", &format!("{}/24", Path::NEAR), "dev", "far"]);
        ip(&["link", "set", "far", "up"]);
        let course = Arc::new(Course::default());
        let its = Arc::clone(&course);
        let thread = thread::spawn(move || carry(device, delay, &its));
        Ok(Path { course, thread: Some(thread) })
    }

    /// Has all packets wait, until `body` has returned and they go on in their order.
    pub fn jammed(&self, body: impl FnOnce()) {
        self.course.is_jammed.store(true, Ordering::Relaxed);
        body();
        self.course.is_jammed.store(false, Ordering::Relaxed);
    }

    /// How many packets are on their way.
    pub fn load(&self) -> usize {
        self.course.on_their_way.load(Ordering::Relaxed)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        self.course.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A TUN device of that name, for packets without a header of its own.
fn open_device(name: &[u8]) -> io::Result<File> {
    let device = File::options().read(true).write(true).open("/dev/net/tun")?;
    rustix::io::ioctl_fionbio(&device, true)?;
    // SAFETY: all zeroes is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the call reads and writes one ifreq, which outlives it.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    match result {
        0 => Ok(device),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Returns each packet after `delay`.
fn carry(mut device: File, delay: Duration, course: &Course) {
    /// How soon is noticed what the course says, where nothing is on its way.
    const IDLE: Duration = Duration::from_millis(20);
    let mut on_their_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0; 1 << 16];
    while !course.is_over.load(Ordering::Relaxed) {
        let now = Instant::now();
        let is_jammed = course.is_jammed.load(Ordering::Relaxed);
        while let Some((_, packet)) =
            on_their_way.pop_front_if(|(due, _)| *due <= now && !is_jammed)
        {
            // What does not fit into the device is lost, as on any path.
            let _ = device.write(&packet);
        }
        let next = on_their_way.front().filter(|_| !is_jammed);
        let wait = next.map_or(IDLE, |(due, _)| due.duration_since(now).min(IDLE));
        let wait = Timespec::try_from(wait).expect("a fraction of a second");
        let _ = poll(&mut [PollFd::new(&device, PollFlags::IN)], Some(&wait));
        while let Ok(read) = device.read(&mut buffer) {
            let mut packet = buffer[..read].to_vec();
            if exchange_addresses(&mut packet) {
                on_their_way.push_back((Instant::now() + delay, packet));
            }
        }
        course.on_their_way.store(on_their_way.len(), Ordering::Relaxed);
    }
}

/// Those of an IPv4 packet; false for others.
fn exchange_addresses(packet: &mut [u8]) -> bool {
    let is_v4 = packet.len() >= 20 && packet[0] >> 4 == 4;
    if is_v4 {
        let (source, destination) = packet[12..20].split_at_mut(4);
        source.swap_with_slice(destination);
    }
    is_v4
}
