//! What `socktrace audit` says in a test's namespace, and sockets that give it something to say.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Output};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde_json::Value;

use crate::process::socktrace;
use crate::schema::Schema;
use crate::wait;

/// Rules about the whole host, on which other tests may have something going on.
const HOST_WIDE: [&str; 3] = ["host-descriptors", "tcp-memory", "orphans"];

#[derive(Debug)]
pub struct Report {
    pub code: Option<i32>,
    pub findings: Vec<Value>,
    pub unseen: Vec<String>,
}

/// Audits the namespace of the calling thread.
pub fn audit(args: &[&str]) -> Report {
    let output = command(args).output().expect("socktrace does not run");
    Report::read(&output)
}

pub fn command(args: &[&str]) -> Command {
    let mut command = socktrace();
    command.arg("audit").args(args).arg("--json");
    command
}

/// Audits until a rule fires; the report in which it does.
pub fn audit_until(rule: &str, args: &[&str]) -> Report {
    wait::until(&format!("a finding of {rule}"), || {
        Some(audit(args)).filter(|report| report.finding(rule).is_some())
    })
}

impl Report {
    fn read(output: &Output) -> Report {
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let code = output.status.code();
        Report::parse(&text, code).unwrap_or_else(|error| panic!("{error}: {text}\n{errors}"))
    }

    /// The report in what was printed.
    pub fn parse(text: &str, code: Option<i32>) -> Result<Report, serde_json::Error> {
        let report: Value = serde_json::from_str(text)?;
        Schema::of_socktrace().check("audit", &report);
        let list = |key: &str| report[key].as_array().cloned().unwrap_or_default();
        Ok(Report {
            code,
            findings: list("findings"),
            unseen: list("unseen").iter().filter_map(|what| Some(what.as_str()?.into())).collect(),
        })
    }

    pub fn finding(&self, rule: &str) -> Option<&Value> {
        self.findings.iter().find(|finding| finding["rule"] == rule)
    }

    /// The rules that fired, with their severity, but for those about the whole host.
    pub fn fired(&self) -> Vec<(&str, &str)> {
        self.findings
            .iter()
            .filter_map(|finding| Some((finding["rule"].as_str()?, finding["severity"].as_str()?)))
            .filter(|(rule, _)| !HOST_WIDE.contains(rule))
            .collect()
    }

    pub fn severity(&self, rule: &str) -> Option<&str> {
        self.finding(rule)?["severity"].as_str()
    }

    /// The processes that the evidence of a rule names.
    pub fn pids(&self, rule: &str) -> Vec<u64> {
        let rows = self.finding(rule).and_then(|finding| finding["evidence"].as_array());
        let owners = rows.into_iter().flatten().filter_map(|row| row["owners"].as_array());
        let mut pids: Vec<u64> =
            owners.flatten().filter_map(|owner| owner["pid"].as_u64()).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

/// This process, as evidence names it.
pub fn own_pid() -> Vec<u64> {
    vec![std::process::id().into()]
}

/// A listener on loopback with that backlog.
pub fn listener(backlog: i32) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is up");
    rustix::net::listen(&listener, backlog).expect("a listener may listen again");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Begins to connect, and does not wait.
pub fn begin(address: SocketAddr) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => socket,
        Err(error) => panic!("{address}: {error}"),
    }
}

/// So many connections, both ends of each.
pub fn pairs(listener: &TcpListener, count: usize) -> Vec<(TcpStream, TcpStream)> {
    let address = listener.local_addr().expect("it is bound");
    let pair = |_| {
        let client = TcpStream::connect(address).expect("it listens");
        (client, listener.accept().expect("a connection waits").0)
    };
    (0..count).map(pair).collect()
}

/// Sends until nothing more fits.
pub fn fill(socket: &TcpStream) {
    use io::Write;
    socket.set_nonblocking(true).unwrap();
    let mut to = socket;
    while to.write(&[0; 65536]).is_ok() {}
}

/// Has the kernel throw away what comes for a socket: with probability `share` of 256.
pub fn drop_received(socket: impl AsFd, share: u32) {
    /// `SKF_AD_OFF + SKF_AD_RANDOM`.
    const RANDOM: u32 = (-0x1000i32 + 56) as u32;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let program = [
        step(0x20, 0, 0, RANDOM),
        step(0x54, 0, 0, 0xff),
        step(0x35, 0, 1, share),
        step(0x06, 0, 0, u32::MAX),
        step(0x06, 0, 0, 0),
    ];
    let filter =
        libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the kernel reads one sock_fprog and the program behind it, which both live.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const filter).cast(),
            size_of::<libc::sock_fprog>() as u32,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}

/// Sets an integer option.
pub fn set_option(socket: impl AsFd, level: i32, name: i32, value: i32) {
    // SAFETY: the kernel reads four bytes of `value`.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as u32,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
}
