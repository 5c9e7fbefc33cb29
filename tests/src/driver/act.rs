//! The process that carries out orders, until nobody gives any.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixStream};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, recvmsg, sendmsg, sockopt,
};

use super::order::{Answer, End, Handle, Kind, Order, Reply, Span};
use crate::sys;

/// No test takes longer, even in a machine without KVM: an actor that is stuck ends by itself.
const LIFETIME_SECONDS: u32 = 600;
pub(super) const IPPROTO_MPTCP: i32 = 262;
const DROP_ALL: &[libc::sock_filter] =
    &[libc::sock_filter { code: (libc::BPF_RET | libc::BPF_K) as u16, jt: 0, jf: 0, k: 0 }];

pub fn act() -> ExitCode {
    let place = std::env::args().nth(1).expect("the place to meet is the argument");
    let mut actor = Actor { place, sockets: HashMap::new(), next: 1, mailbox: mailbox() };
    actor.obey();
    ExitCode::SUCCESS
}

struct Actor {
    /// The abstract name that the test listens on.
    place: String,
    sockets: HashMap<Handle, OwnedFd>,
    next: Handle,
    /// Where descriptors arrive.
    mailbox: UnixDatagram,
}

fn mailbox() -> UnixDatagram {
    let addr = mailbox_of(std::process::id());
    UnixDatagram::bind_addr(&addr).expect("the name of the mailbox is free")
}

fn mailbox_of(pid: u32) -> UnixAddr {
    UnixAddr::from_abstract_name(format!("socktrace-actor-{pid}")).expect("the name is short")
}

impl Actor {
    fn obey(&mut self) {
        // SAFETY: no pointers.
        unsafe { libc::alarm(LIFETIME_SECONDS) };
        let addr = UnixAddr::from_abstract_name(&self.place).expect("the name is short");
        let mut channel = BufReader::new(UnixStream::connect_addr(&addr).expect("a test listens"));
        let mut line = String::new();
        while channel.read_line(&mut line).is_ok_and(|read| read > 0) {
            let order: Order = serde_json::from_str(&line).expect("orders are JSON");
            line.clear();
            let reply = match order {
                Order::Exit => return,
                Order::Fork => match self.fork() {
                    Ok(Some(pid)) => Reply {
                        span: now_and(now_us()),
                        result: Ok(Answer { pid: Some(pid), ..Answer::default() }),
                    },
                    Ok(None) => {
                        // The child: it has its own channel, and leaves this one to the parent.
                        drop(channel);
                        return self.obey();
                    }
                    Err(error) => Reply { span: now_and(now_us()), result: Err(errno(&error)) },
                },
                order => self.timed(&order),
            };
            let mut line = serde_json::to_vec(&reply).expect("replies are JSON");
            line.push(b'\n');
            if channel.get_mut().write_all(&line).is_err() {
                return;
            }
        }
    }

    fn timed(&mut self, order: &Order) -> Reply {
        // What belongs to the order but is not its system call runs before and after.
        let before_us = now_us();
        let result = self.carry_out(order);
        let span = now_and(before_us);
        let result = result
            .and_then(|done| match done {
                Done::Nothing => Ok(Answer::default()),
                Done::Socket(handle) => {
                    Ok(Answer { end: Some(self.end(handle)?), ..Answer::default() })
                }
                Done::Info(info) => Ok(Answer { info, ..Answer::default() }),
            })
            .map_err(|error| errno(&error));
        Reply { span, result }
    }

    fn carry_out(&mut self, order: &Order) -> io::Result<Done> {
        match order {
            Order::Rename(name) => {
                let name = std::ffi::CString::new(name.as_str())?;
                sys::rename_self(&name);
            }
            Order::Become(uid) => {
                // SAFETY: no pointers; this is the only thread, so that libc has none to tell.
                let result = unsafe { libc::setresuid(*uid, *uid, *uid) };
                if result != 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Order::Socket(kind) => {
                let (domain, protocol) = match kind {
                    Kind::Tcp4 => (libc::AF_INET, libc::IPPROTO_TCP),
                    Kind::Tcp6 => (libc::AF_INET6, libc::IPPROTO_TCP),
                    Kind::Mptcp4 => (libc::AF_INET, IPPROTO_MPTCP),
                };
                let socket = sys::open(domain, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, protocol)?;
                sockopt::set_socket_reuseaddr(&socket, true)?;
                return Ok(Done::Socket(self.keep(socket)));
            }
            Order::Bind(handle, at) => rustix::net::bind(self.of(*handle), at)?,
            Order::Listen(handle, backlog) => {
                rustix::net::listen(self.of(*handle), *backlog)?;
                return Ok(Done::Socket(*handle));
            }
            Order::Connect(handle, to) => {
                rustix::net::connect(self.of(*handle), to)?;
                return Ok(Done::Socket(*handle));
            }
            Order::Disconnect(handle) => rustix::net::connect_unspec(self.of(*handle))?,
            Order::Accept(handle) => {
                let accepted = rustix::net::accept_with(self.of(*handle), SocketFlags::CLOEXEC)?;
                return Ok(Done::Socket(self.keep(accepted)));
            }
            Order::Send(handle, bytes) => send(self.of(*handle), *bytes)?,
            Order::Receive(handle, bytes) => receive(self.of(*handle), *bytes)?,
            Order::Shutdown(handle) => rustix::net::shutdown(self.of(*handle), Shutdown::Write)?,
            Order::Close(handle) => drop(self.sockets.remove(handle)),
            Order::LingerZero(handle) => {
                sockopt::set_socket_linger(self.of(*handle), Some(Duration::ZERO))?;
            }
            Order::Unblock(handle) => rustix::io::ioctl_fionbio(self.of(*handle), true)?,
            Order::Set(handle, level, name, value) => {
                sys::set(self.of(*handle), *level, *name, value)?;
            }
            Order::Deafen(handle) => sys::attach(self.of(*handle), DROP_ALL)?,
            Order::Undeafen(handle) => {
                sys::set(self.of(*handle), libc::SOL_SOCKET, libc::SO_DETACH_FILTER, &0)?;
            }
            Order::TcpInfo(handle) => return Ok(Done::Info(tcp_info(self.of(*handle))?)),
            Order::Pass(handle, pid) => self.pass(*handle, *pid)?,
            Order::Take => return Ok(Done::Socket(self.take()?)),
            Order::InThread(name, order) => return self.in_thread(name, order),
            Order::Fork | Order::Exit => unreachable!("the loop does these"),
        }
        Ok(Done::Nothing)
    }

    fn in_thread(&mut self, name: &str, order: &Order) -> io::Result<Done> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name(name.to_owned());
            let thread = thread.spawn_scoped(scope, || self.carry_out(order))?;
            thread.join().expect("orders do not panic")
        })
    }

    fn keep(&mut self, socket: OwnedFd) -> Handle {
        let handle = self.next;
        self.next += 1;
        self.sockets.insert(handle, socket);
        handle
    }

    fn of(&self, handle: Handle) -> &OwnedFd {
        self.sockets.get(&handle).expect("the test orders what there is")
    }

    fn end(&self, handle: Handle) -> io::Result<End> {
        let socket = self.of(handle);
        let local = rustix::net::getsockname(socket)?;
        let peer = rustix::net::getpeername(socket).ok().flatten();
        Ok(End {
            handle,
            cookie: sockopt::socket_cookie(socket)?,
            local: SocketAddr::try_from(local)?,
            peer: peer.and_then(|peer| SocketAddr::try_from(peer).ok()),
        })
    }

    fn pass(&self, handle: Handle, pid: u32) -> io::Result<()> {
        let descriptors = [self.of(handle).as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        let to = UnixDatagram::unbound()?;
        to.connect_addr(&mailbox_of(pid))?;
        sendmsg(&to, &[IoSlice::new(b"+")], &mut control, SendFlags::empty())?;
        Ok(())
    }

    fn take(&mut self) -> io::Result<Handle> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        recvmsg(
            &self.mailbox,
            &mut [IoSliceMut::new(&mut byte)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let taken = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        let taken = taken.ok_or_else(|| io::Error::other("no descriptor came"))?;
        Ok(self.keep(taken))
    }

    /// The pid of the child; `None` in the child.
    fn fork(&mut self) -> io::Result<Option<u32>> {
        // SAFETY: this process has one thread now.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                self.mailbox = mailbox();
                Ok(None)
            }
            pid => Ok(Some(pid as u32)),
        }
    }
}

/// What there is to say of an order that was carried out.
enum Done {
    Nothing,
    Socket(Handle),
    Info(Vec<u8>),
}

fn send(socket: &OwnedFd, mut bytes: usize) -> io::Result<()> {
    let data = [7; 1 << 16];
    while bytes > 0 {
        bytes -= rustix::net::send(socket, &data[..bytes.min(data.len())], SendFlags::NOSIGNAL)?;
    }
    Ok(())
}

fn receive(socket: &OwnedFd, mut bytes: usize) -> io::Result<()> {
    let mut data = [0; 1 << 16];
    while bytes > 0 {
        let room = bytes.min(data.len());
        match rustix::net::recv(socket, &mut data[..room], RecvFlags::empty())?.0 {
            // Errno 0 is the end.
            0 => return Err(io::Error::from_raw_os_error(0)),
            read => bytes -= read,
        }
    }
    Ok(())
}

fn tcp_info(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut info = vec![0; 512];
    let mut length = info.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, and how many into `length`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    info.truncate(length as usize);
    Ok(info)
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(Errno::IO.raw_os_error())
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_micros() as u64
}

fn now_and(before_us: u64) -> Span {
    Span { before_us, after_us: now_us() }
}
