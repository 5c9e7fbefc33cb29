//! The iterator over the files of all tasks tells of each socket descriptor what the kernel tells
//! elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::linux::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;

use rustix::net::sockopt::socket_cookie;
use rustix::thread::UnshareFlags;
use socktrace::owner::iterator::{SocketDescriptor, SocketDescriptors};
use socktrace_tests::cgroup;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::require_root;

fn all() -> Vec<SocketDescriptor> {
    let mut descriptors = Vec::new();
    let iterator = SocketDescriptors::open().unwrap();
    iterator.for_each(&mut |descriptor| descriptors.push(*descriptor)).unwrap();
    descriptors
}

fn of(descriptors: &[SocketDescriptor], socket: impl AsFd) -> SocketDescriptor {
    let fd = socket.as_fd().as_raw_fd() as u32;
    let of_us = |d: &&SocketDescriptor| d.tid == std::process::id() && d.fd == fd;
    let mut found = descriptors.iter().filter(of_us);
    let first = *found.next().expect("a descriptor is missing");
    assert_eq!(found.count(), 0);
    first
}

fn inode(socket: impl AsFd) -> u64 {
    rustix::fs::fstat(socket).unwrap().st_ino
}

/// Field `number` of /proc/self/stat, counted from 1 as proc(5) does.
fn stat(number: usize) -> u64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, after_name) = text.rsplit_once(") ").unwrap();
    after_name.split(' ').nth(number - 3).unwrap().parse().unwrap()
}

#[test]
fn each_field_is_what_the_kernel_says_elsewhere() {
    require_root!();
    socktrace_tests::require_linux!(5, 12, "there is no iterator over sockets' descriptors");
    in_namespace(|| {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let (unix, _other) = UnixStream::pair().unwrap();
        let descriptors = all();
        let netns = fs::metadata("/proc/thread-self/ns/net").unwrap().st_ino();
        for (socket, family, protocol, kind) in [
            (tcp.as_fd(), libc::AF_INET, libc::IPPROTO_TCP, libc::SOCK_STREAM),
            (udp.as_fd(), libc::AF_INET6, libc::IPPROTO_UDP, libc::SOCK_DGRAM),
            (unix.as_fd(), libc::AF_UNIX, 0, libc::SOCK_STREAM),
        ] {
            let found = of(&descriptors, socket);
            assert_eq!(
                [found.family, found.protocol, found.kind].map(i32::from),
                [family, protocol, kind]
            );
            assert_eq!(found.cookie, socket_cookie(socket).unwrap());
            assert_eq!(u64::from(found.inode), inode(socket));
            assert_eq!(u64::from(found.netns), netns);
            assert_eq!((found.tgid, found.tid), (std::process::id(), std::process::id()));
            assert_ne!(found.sock, 0);
            assert_eq!(found.uid, 0);
            let ticks = rustix::param::clock_ticks_per_second();
            assert_eq!(found.start_ns / (1_000_000_000 / ticks), stat(22));
            let comm = fs::read("/proc/self/comm").unwrap();
            assert_eq!(found.comm.split(|b| *b == 0).next().unwrap(), comm.trim_ascii_end());
            if let Some(folder) = cgroup::of_process(std::process::id()) {
                assert_eq!(found.cgroup_id, fs::metadata(folder).unwrap().st_ino());
            }
        }
    });
}

#[test]
fn of_threads_only_one_with_descriptors_of_its_own_is_visited() {
    require_root!();
    socktrace_tests::require_linux!(5, 12, "there is no iterator over sockets' descriptors");
    let parked = thread::spawn(thread::park);
    let (tell, told) = channel();
    let (end, ended) = channel::<()>();
    let thread = thread::spawn(move || {
        // SAFETY: this thread uses no descriptor of another one afterwards.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FILES) }.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        tell.send((rustix::thread::gettid().as_raw_nonzero().get(), inode(&socket))).unwrap();
        let _ = ended.recv();
    });
    let (tid, inode) = told.recv().unwrap();
    let descriptors = all();
    let holders: Vec<_> = descriptors
        .iter()
        .filter(|descriptor| u64::from(descriptor.inode) == inode)
        .map(|descriptor| (descriptor.tgid, descriptor.tid))
        .collect();
    assert_eq!(holders, [(std::process::id(), tid as u32)]);
    let is_thread_of_us = |d: &SocketDescriptor| d.tgid == std::process::id() && d.tid != d.tgid;
    let visited: BTreeSet<u32> =
        descriptors.iter().filter(|d| is_thread_of_us(d)).map(|d| d.tid).collect();
    assert_eq!(visited, BTreeSet::from([tid as u32]));
    drop(end);
    thread.join().unwrap();
    parked.thread().unpark();
    parked.join().unwrap();
}

#[test]
fn more_descriptors_than_a_read_holds_come_whole_and_in_order() {
    require_root!();
    socktrace_tests::require_linux!(5, 12, "there is no iterator over sockets' descriptors");
    let (one, _other) = UnixStream::pair().unwrap();
    let copies: io::Result<Vec<_>> = (0..2000).map(|_| one.try_clone()).collect();
    let copies = copies.unwrap();
    let wanted = inode(&one);
    let is_ours = |d: &SocketDescriptor| u64::from(d.inode) == wanted && d.tid == d.tgid;
    let found: Vec<_> = all().into_iter().filter(is_ours).map(|d| d.fd).collect();
    assert_eq!(found.len(), copies.len() + 1);
    assert!(found.is_sorted());
}
