//! The standing population: sockets of every kind and state, held still by a process of its own
//! while listings of them are compared.
//!
//! [`Population`] is the side of the test; [`hold`] is the whole of the other process. What the
//! kernel lacks is left out, and said.

mod datagram;
mod local;
mod owners;
mod rare;
mod tcp;

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};

use crate::{sys, wait};

/// An interface with a link-local address, for sockets with a scope.
const VETH: &str = "st0";

/// Which sockets to hold.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Every kind and state.
    Everything,
    /// The same without TCP sockets that are bound and no more, which an old `ss` does not list.
    NoneInactive,
    /// A few, for a namespace with a name.
    Elsewhere,
}

/// A population in the network namespace of the thread that started it. It ends when dropped, and
/// with this process.
pub struct Population {
    child: Child,
    leash: Option<ChildStdin>,
    directory: PathBuf,
}

impl Population {
    /// Starts `program`, whose `main` is [`hold`], and waits until all sockets stand.
    pub fn start(program: &str, kind: Kind) -> Population {
        let directory = std::env::temp_dir().join(format!(
            "socktrace-{}-{}",
            std::process::id(),
            rustix::thread::gettid().as_raw_nonzero()
        ));
        fs::create_dir_all(&directory).expect("no directory for sockets");
        let mut child = Command::new(program)
            .arg(match kind {
                Kind::Everything => "everything",
                Kind::NoneInactive => "none-inactive",
                Kind::Elsewhere => "elsewhere",
            })
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let leash = child.stdin.take();
        let output = child.stdout.take().expect("it is piped");
        let population = Population { child, leash, directory };
        let lines: Vec<String> = BufReader::new(output)
            .lines()
            .map(|line| line.expect("the population speaks UTF-8"))
            .take_while(|line| line != "ready")
            .collect();
        for line in &lines {
            println!("{line}");
        }
        assert!(
            !lines.iter().any(|line| line.starts_with("failed")),
            "the population does not stand: {lines:?}"
        );
        population
    }

    /// Where the UNIX sockets with a path lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Population {
    fn drop(&mut self) {
        drop(self.leash.take());
        // It removes its control group by itself; a test that fails must still not leave it behind.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait::until("the end of the population", || self.child.try_wait().ok().flatten())
        }));
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// What the population holds until it ends.
struct Holder {
    sockets: Vec<OwnedFd>,
    children: Vec<libc::pid_t>,
}

impl Holder {
    fn keep(&mut self, socket: OwnedFd) {
        self.sockets.push(socket);
    }

    fn keep_pair(&mut self, (one, other): (OwnedFd, OwnedFd)) {
        self.sockets.extend([one, other]);
    }

    /// Notes what this kernel cannot do.
    fn unless_lacking(&mut self, what: &str, result: io::Result<()>) {
        if let Err(error) = result {
            println!("without {what}: {error}");
        }
    }

    fn any_socket(&self) -> io::Result<&OwnedFd> {
        self.sockets.first().ok_or_else(|| io::Error::other("no socket yet"))
    }
}

/// The process that holds the sockets: from the start until its standard input ends.
pub fn hold() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let directory = PathBuf::from(arguments.next().unwrap_or_default());
    let mut holder = Holder { sockets: Vec::new(), children: Vec::new() };
    let (group, result) = match kind.to_str() {
        Some("elsewhere") => (None, owners::elsewhere(&mut holder)),
        Some("none-inactive") => everything(&mut holder, &directory, false),
        _ => everything(&mut holder, &directory, true),
    };
    if let Err(error) = &result {
        println!("failed: {error}");
    }
    println!("ready");
    let _ = io::stdout().flush();
    let _ = io::stdin().read_to_end(&mut Vec::new());
    for child in holder.children {
        sys::end(child);
    }
    if let Some(group) = group {
        let _ = fs::remove_dir(group);
    }
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn everything(
    holder: &mut Holder,
    directory: &Path,
    with_inactive: bool,
) -> (Option<PathBuf>, io::Result<()>) {
    let mut stand = || -> io::Result<Option<PathBuf>> {
        sys::rename_self(c"population");
        interfaces()?;
        for (name, value) in [
            ("ipv4/tcp_synack_retries", "100"),
            ("ipv4/tcp_syn_retries", "100"),
            ("ipv4/tcp_fin_timeout", "120"),
        ] {
            sysctl(name, value);
        }
        tcp::populate(holder)?;
        if with_inactive {
            tcp::bound(holder)?;
        }
        datagram::populate(holder)?;
        owners::populate(holder)?;
        let group = owners::in_cgroups(holder);
        let group = group.unwrap_or_else(|error| {
            println!("without control groups: {error}");
            None
        });
        rare::populate(holder);
        local::populate(holder, directory)?;
        Ok(group)
    };
    match stand() {
        Ok(group) => (group, Ok(())),
        Err(error) => (None, Err(error)),
    }
}

/// Settings that a kernel does not have are left as they are.
fn sysctl(name: &str, value: &str) {
    let _ = fs::write(Path::new("/proc/sys/net").join(name), value);
}

fn interfaces() -> io::Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let script = format!(
        "link add {VETH} type veth peer name st1\n\
         link set {VETH} addrgenmode none\n\
         link set st1 addrgenmode none\n\
         link set {VETH} up\n\
         link set st1 up\n\
         addr add fe80::1/64 dev {VETH} nodad\n\
         route add local 127.0.7.0/24 dev lo table local rto_min 100s\n"
    );
    ip.stdin.take().expect("it is piped").write_all(script.as_bytes())?;
    let status = ip.wait()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("ip: {status}"))) }
}
