//! The driver: processes that do with sockets what a test orders, one system call at a time, so
//! that the test knows who did what, and when.
//!
//! [`Actor`] is the side of the test; [`act`] is the whole of the other process. They speak
//! [`order`]s and replies, a line of JSON each.

mod act;
mod order;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

pub use act::act;
use order::{Answer, Handle, Order, Reply};
pub use order::{Kind, Span};
use socktrace::socket::TcpInfo;

use crate::sys;
use crate::wait::DEADLINE;

/// A process under orders, in the network namespace of the thread that started it. It ends when
/// this is dropped.
pub struct Actor {
    pub pid: u32,
    pub name: String,
    pub uid: u32,
    channel: RefCell<BufReader<UnixStream>>,
    meeting: Arc<UnixListener>,
    /// `None` for one that another forked.
    child: RefCell<Option<Child>>,
}

/// Starts an actor with this name.
#[macro_export]
macro_rules! actor {
    ($name:expr) => {
        $crate::driver::Actor::start(env!("CARGO_BIN_EXE_socktrace-actor"), $name)
    };
}

/// A socket of an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sock {
    handle: Handle,
    pub cookie: u64,
    pub local: SocketAddr,
    pub peer: Option<SocketAddr>,
    /// When the call ran that made it what it is: socket, listen, connect or accept.
    pub made: Span,
}

impl Sock {
    pub fn peer(&self) -> SocketAddr {
        self.peer.expect("the socket is connected")
    }
}

impl Actor {
    /// Starts `program`, whose `main` is [`act`], under a name of its own.
    pub fn start(program: &str, name: &str) -> Actor {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = format!("socktrace-driver-{}-{count}", std::process::id());
        let addr = UnixAddr::from_abstract_name(&place).expect("the name is short");
        let meeting = Arc::new(UnixListener::bind_addr(&addr).expect("no place to meet"));
        let mut command = Command::new(program);
        command.arg(&place).stdin(Stdio::null());
        // SAFETY: between fork and exec only prctl is called.
        unsafe {
            command.pre_exec(|| {
                Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
            });
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let actor = Actor::meet(meeting, name, child.id());
        *actor.child.borrow_mut() = Some(child);
        actor.order(Order::Rename(name.to_owned()));
        actor
    }

    fn meet(meeting: Arc<UnixListener>, name: &str, pid: u32) -> Actor {
        let (channel, _) = meeting.accept().expect("an actor comes");
        channel.set_read_timeout(Some(DEADLINE)).expect("sockets have timeouts");
        let channel = RefCell::new(BufReader::new(channel));
        Actor { pid, name: name.to_owned(), uid: 0, channel, meeting, child: RefCell::new(None) }
    }

    /// Sends an order without waiting until it is carried out.
    fn tell(&self, order: &Order) {
        let mut line = serde_json::to_vec(order).expect("orders are JSON");
        line.push(b'\n');
        self.channel.borrow_mut().get_mut().write_all(&line).expect("the actor listens");
    }

    fn hear(&self) -> Reply {
        let mut line = String::new();
        let read = self.channel.borrow_mut().read_line(&mut line);
        read.unwrap_or_else(|error| panic!("no word of {}: {error}", self.name));
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{}: {line:?}: {error}", self.name))
    }

    fn attempt(&self, order: Order) -> Reply {
        self.tell(&order);
        self.hear()
    }

    fn order(&self, order: Order) -> (Span, Answer) {
        let text = format!("{order:?}");
        let Reply { span, result } = self.attempt(order);
        let answer = result.unwrap_or_else(|errno| {
            panic!("{}: {text}: {}", self.name, Errno::from_raw_os_error(errno))
        });
        (span, answer)
    }

    fn sock(&self, order: Order) -> Sock {
        let (made, answer) = self.order(order);
        let end = answer.end.expect("the order makes a socket");
        Sock { handle: end.handle, cookie: end.cookie, local: end.local, peer: end.peer, made }
    }

    /// From here on it acts for another user.
    pub fn become_user(&mut self, uid: u32) {
        self.order(Order::Become(uid));
        self.uid = uid;
    }

    pub fn socket(&self, kind: Kind) -> Sock {
        self.sock(Order::Socket(kind))
    }

    pub fn bind(&self, sock: &Sock, at: &str) {
        self.order(Order::Bind(sock.handle, parse(at)));
    }

    /// Begins to listen on a socket that is bound, or on any port.
    pub fn listen_on(&self, sock: &Sock, backlog: i32) -> Sock {
        self.sock(Order::Listen(sock.handle, backlog))
    }

    /// A listener; the kind goes by the address.
    pub fn listen(&self, at: &str) -> Sock {
        let sock = self.socket(Kind::tcp(parse(at)));
        self.bind(&sock, at);
        self.listen_on(&sock, 128)
    }

    /// A new connection, which has to succeed.
    pub fn connect(&self, to: SocketAddr) -> Sock {
        self.connect_on(&self.socket(Kind::tcp(to)), to)
    }

    pub fn connect_on(&self, sock: &Sock, to: SocketAddr) -> Sock {
        self.sock(Order::Connect(sock.handle, to))
    }

    /// The same from a thread with a name of its own.
    pub fn connect_in_thread(&self, thread: &str, sock: &Sock, to: SocketAddr) -> Sock {
        self.sock(Order::InThread(thread.to_owned(), Box::new(Order::Connect(sock.handle, to))))
    }

    /// A connection that may fail, and how it does.
    pub fn try_connect(&self, sock: &Sock, to: SocketAddr) -> (Span, Result<(), Errno>) {
        self.begin_connect(sock, to);
        self.end_connect()
    }

    /// Connects without waiting; [`Actor::end_connect`] has to follow.
    pub fn begin_connect(&self, sock: &Sock, to: SocketAddr) {
        self.tell(&Order::Connect(sock.handle, to));
    }

    pub fn end_connect(&self) -> (Span, Result<(), Errno>) {
        let Reply { span, result } = self.hear();
        (span, result.map(drop).map_err(Errno::from_raw_os_error))
    }

    /// connect(AF_UNSPEC).
    pub fn disconnect(&self, sock: &Sock) -> Span {
        self.order(Order::Disconnect(sock.handle)).0
    }

    pub fn accept(&self, listener: &Sock) -> Sock {
        self.sock(Order::Accept(listener.handle))
    }

    pub fn send(&self, sock: &Sock, bytes: usize) -> Span {
        self.order(Order::Send(sock.handle, bytes)).0
    }

    /// Sends in vain.
    pub fn send_fails(&self, sock: &Sock, why: Errno) -> Span {
        let Reply { span, result } = self.attempt(Order::Send(sock.handle, 1));
        assert_eq!(result.map(drop).map_err(Errno::from_raw_os_error), Err(why));
        span
    }

    /// Receives exactly so many.
    pub fn receive(&self, sock: &Sock, bytes: usize) -> Span {
        self.order(Order::Receive(sock.handle, bytes)).0
    }

    /// Waits for the end of what the peer sends; `Err` if it is a reset.
    pub fn receive_end(&self, sock: &Sock) -> Result<(), Errno> {
        let reply = self.attempt(Order::Receive(sock.handle, 1));
        match reply.result {
            Ok(_) => panic!("{}: there was no end", self.name),
            Err(0) => Ok(()),
            Err(errno) => Err(Errno::from_raw_os_error(errno)),
        }
    }

    pub fn shutdown(&self, sock: &Sock) -> Span {
        self.order(Order::Shutdown(sock.handle)).0
    }

    pub fn close(&self, sock: &Sock) -> Span {
        self.order(Order::Close(sock.handle)).0
    }

    /// Has its close be a reset.
    pub fn linger_zero(&self, sock: &Sock) {
        self.order(Order::LingerZero(sock.handle));
    }

    /// Has its calls not wait.
    pub fn unblock(&self, sock: &Sock) {
        self.order(Order::Unblock(sock.handle));
    }

    pub fn set(&self, sock: &Sock, level: i32, name: i32, value: i32) {
        self.order(Order::Set(sock.handle, level, name, value));
    }

    /// Has the kernel drop whatever arrives for the socket.
    pub fn deafen(&self, sock: &Sock) {
        self.order(Order::Deafen(sock.handle));
    }

    /// And lets it hear again.
    pub fn undeafen(&self, sock: &Sock) {
        self.order(Order::Undeafen(sock.handle));
    }

    /// The kernel's `tcp_info`, as bytes.
    fn tcp_info(&self, sock: &Sock) -> Vec<u8> {
        self.order(Order::TcpInfo(sock.handle)).1.info
    }

    /// The state by the kernel's number.
    pub fn state(&self, sock: &Sock) -> u8 {
        self.tcp_info(sock)[0]
    }

    /// How often the kernel says that it sent something again.
    pub fn total_retrans(&self, sock: &Sock) -> u32 {
        TcpInfo::parse(&self.tcp_info(sock)).total_retrans
    }

    /// Passes a descriptor over a UNIX socket to another process, and keeps none.
    pub fn pass(&self, sock: &Sock, to: &Actor) -> Sock {
        self.order(Order::Pass(sock.handle, to.pid));
        let taken = to.sock(Order::Take);
        self.close(sock);
        taken
    }

    /// A child, with all the sockets, under the same handles.
    pub fn fork(&self, name: &str) -> Actor {
        let (_, answer) = self.order(Order::Fork);
        let pid = answer.pid.expect("a fork has a pid");
        let mut actor = Actor::meet(Arc::clone(&self.meeting), name, pid);
        actor.uid = self.uid;
        actor.order(Order::Rename(name.to_owned()));
        actor
    }

    /// Ends the process, which closes its sockets.
    pub fn exit(&self) {
        self.tell(&Order::Exit);
        let mut nothing = String::new();
        let _ = self.channel.borrow_mut().read_line(&mut nothing);
        if let Some(mut child) = self.child.borrow_mut().take() {
            child.wait().expect("a child can be waited for");
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid as i32).expect("a pid is positive");
        rustix::process::kill_process(pid, signal).expect("the actor lives");
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.borrow_mut().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A connection from one to another: both ends.
pub fn join(client: &Actor, server: &Actor, listener: &Sock) -> (Sock, Sock) {
    let near = client.connect(listener.local);
    let far = server.accept(listener);
    assert_eq!(far.peer(), near.local, "somebody else came first");
    (near, far)
}

/// The same by MPTCP, through a listener of its own.
pub fn join_mptcp(client: &Actor, server: &Actor) -> (Sock, Sock) {
    let sock = server.socket(Kind::Mptcp4);
    server.bind(&sock, "127.0.0.1:0");
    let listener = server.listen_on(&sock, 8);
    let near = client.connect_on(&client.socket(Kind::Mptcp4), listener.local);
    (near, server.accept(&listener))
}

/// Whether sockets of [`Kind::Mptcp4`] can be made.
pub fn has_mptcp() -> bool {
    sys::open(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, act::IPPROTO_MPTCP).is_ok()
}

pub fn parse(addr: &str) -> SocketAddr {
    addr.parse().unwrap_or_else(|_| panic!("{addr}: no address"))
}
