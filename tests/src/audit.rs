//! What `socktrace audit` says in a test's namespace, and sockets that give it something to say.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Output};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde_json::Value;

use crate::process::socktrace;
use crate::schema::Schema;
use crate::wait::{self, DEADLINE};

/// Rules about more than the namespace of a test: what the others do shows in them.
const NOT_OURS: [&str; 4] = ["host-descriptors", "tcp-memory", "orphans", "process-descriptors"];
/// How often something is made anew that is to be looked at before it ripens.
const ATTEMPTS: usize = 10;

/// What an audit has said.
#[derive(Debug)]
pub struct Report {
    pub code: Option<i32>,
    pub findings: Vec<Value>,
    pub unseen: Vec<String>,
}

/// An audit of the namespace of the calling thread.
#[derive(Debug, Clone, Default)]
pub struct Audit(Vec<String>);

impl Audit {
    /// By every rule.
    pub fn of_all() -> Audit {
        Audit::default()
    }

    pub fn only(rule: &str) -> Audit {
        Audit::default().and(&["--only", rule])
    }

    /// With a threshold set otherwise: `RULE.NAME=NUMBER`.
    pub fn with(self, threshold: &str) -> Audit {
        self.and(&["--threshold", threshold])
    }

    /// Watching for so long.
    pub fn watching(self, time: &str) -> Audit {
        self.and(&["--for", time])
    }

    /// Of the network namespace of that name.
    pub fn of(self, namespace: &str) -> Audit {
        self.and(&["-N", namespace])
    }

    pub fn of_all_namespaces(self) -> Audit {
        self.and(&["--all-netns"])
    }

    fn and(mut self, args: &[&str]) -> Audit {
        self.0.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    pub fn command(&self) -> Command {
        let mut command = socktrace();
        command.arg("audit").args(&self.0).arg("--json");
        command
    }

    /// Runs it once.
    pub fn report(&self) -> Report {
        Report::read(&self.command().output().expect("socktrace does not run"))
    }

    /// Repeats it until exactly these rules fire, with these severities: what the kernel does
    /// meanwhile takes its time.
    pub fn finds(&self, expected: &[(&str, &str)]) -> Report {
        self.until(&format!("{expected:?}"), |report| report.fired() == expected)
    }

    /// Repeats it until a finding of that rule and severity is first.
    pub fn puts_first(&self, rule: &str, severity: &str) -> Report {
        self.until(&format!("{severity} {rule} first"), |report| {
            report.fired().first() == Some(&(rule, severity))
        })
    }

    /// Repeats it until the report is as it should be.
    pub fn until(&self, what: &str, is_so: impl Fn(&Report) -> bool) -> Report {
        let mut last = None;
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let report = self.report();
            if is_so(&report) {
                return report;
            }
            last = Some(report);
        }
        panic!("waited {DEADLINE:?} for {what}: {last:?}");
    }

    /// Asserts that no rule fires.
    #[track_caller]
    pub fn finds_nothing(&self) {
        let report = self.report();
        assert_eq!(report.fired(), [], "{report:?}");
    }

    /// Asserts that nothing fires on what has just been made. It ripens by itself, so on a loaded
    /// machine an audit may come too late: then it is made again.
    pub fn finds_nothing_at_first<T>(&self, make: impl Fn() -> T) -> T {
        for _ in 0..ATTEMPTS {
            let made = make();
            if self.report().fired().is_empty() {
                return made;
            }
        }
        panic!("{:?}: it fires at once, each of {ATTEMPTS} times", self.0);
    }
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

    /// The rules that fired, with their severity, but for those about more than the namespace.
    pub fn fired(&self) -> Vec<(&str, &str)> {
        self.findings
            .iter()
            .filter_map(|finding| Some((finding["rule"].as_str()?, finding["severity"].as_str()?)))
            .filter(|(rule, _)| !NOT_OURS.contains(rule))
            .collect()
    }

    pub fn severity(&self, rule: &str) -> Option<&str> {
        self.finding(rule)?["severity"].as_str()
    }

    /// What the finding of a rule says; nothing if there is none.
    pub fn what(&self, rule: &str) -> &str {
        self.text(rule, "what")
    }

    /// Why it is sure.
    pub fn because(&self, rule: &str) -> &str {
        self.text(rule, "because")
    }

    fn text(&self, rule: &str, key: &str) -> &str {
        self.finding(rule).and_then(|finding| finding[key].as_str()).unwrap_or_default()
    }

    /// The processes that the evidence of a rule puts first: others may have inherited the sockets
    /// for a moment, as whoever another test of this process starts.
    pub fn pids(&self, rule: &str) -> Vec<u64> {
        let rows = self.finding(rule).and_then(|finding| finding["evidence"].as_array());
        let owners = rows.into_iter().flatten().filter_map(|row| row["owners"].as_array());
        let mut pids: Vec<u64> =
            owners.filter_map(|owners| owners.first()?["pid"].as_u64()).collect();
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

/// Sends until nothing more fits; how many bytes it was.
pub fn fill(socket: &TcpStream) -> usize {
    use io::Write;
    socket.set_nonblocking(true).unwrap();
    let mut to = socket;
    std::iter::from_fn(|| to.write(&[0; 65536]).ok()).sum()
}

/// A TCP socket of IPv4, as the kernel's own table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    pub state: TcpState,
    pub local_port: u16,
    pub recv_q: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TcpState {
    Established = 1,
    SynRecv = 3,
    FinWait2 = 5,
    TimeWait = 6,
    CloseWait = 8,
    Listen = 10,
    /// One that lasts no longer than a round trip.
    Other,
}

/// The TCP sockets in the namespace of the calling thread.
pub fn listed() -> Vec<Listed> {
    let text = fs::read_to_string("/proc/thread-self/net/tcp").expect("the kernel has TCP");
    text.lines().skip(1).filter_map(listed_in).collect()
}

fn listed_in(line: &str) -> Option<Listed> {
    use TcpState::{CloseWait, Established, FinWait2, Listen, Other, SynRecv, TimeWait};
    let mut words = line.split_whitespace();
    let (_, local_port) = words.nth(1)?.split_once(':')?;
    let state = u8::from_str_radix(words.nth(1)?, 16).ok()?;
    let (_, recv_q) = words.next()?.split_once(':')?;
    let known = [Established, FinWait2, TimeWait, CloseWait, Listen, SynRecv];
    Some(Listed {
        state: known.into_iter().find(|known| *known as u8 == state).unwrap_or(Other),
        local_port: u16::from_str_radix(local_port, 16).ok()?,
        recv_q: u32::from_str_radix(recv_q, 16).ok()?,
    })
}

/// Waits until so many sockets of the namespace are in a state.
pub fn await_state(state: TcpState, count: usize) {
    wait::until(&format!("{count} sockets in {state:?}"), || {
        (listed().iter().filter(|socket| socket.state == state).count() == count).then_some(())
    });
}

/// Waits until no socket of the namespace is on its way from one state to the next.
pub fn await_rest() {
    wait::until("the sockets to rest", || {
        listed().iter().all(|socket| socket.state != TcpState::Other).then_some(())
    });
}

/// Waits until more connections wait at a listener than its backlog holds.
pub fn await_full(address: SocketAddr, backlog: u32) {
    wait::until(&format!("the queue of {address} to be full"), || {
        let is_full = |socket: &Listed| {
            socket.state == TcpState::Listen
                && socket.local_port == address.port()
                && socket.recv_q > backlog
        };
        listed().iter().any(is_full).then_some(())
    });
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
