//! Connected sockets in their thousands, held by child processes until they are told to end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use rustix::thread::UnshareFlags;

/// How many connections a process holds both ends of: below the usual limit of descriptors.
const CONNECTIONS: u32 = 9_000;
const FIRST_PORT: u16 = 8000;

/// What a child process of a benchmark is told to be.
#[derive(Args)]
pub(crate) struct Role {
    kind: Kind,
    port: u16,
    connections: u32,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    Tcp,
    Unix,
}

pub(crate) struct Population {
    children: Vec<Child>,
    sockets: u32,
}

impl Population {
    /// Starts the processes and waits until all their sockets are there.
    pub(crate) fn start(kind: Kind, sockets: u32) -> Result<Population> {
        let mut population = Population { children: Vec::new(), sockets: 0 };
        let mut left = sockets / 2;
        while left > 0 {
            let connections = left.min(CONNECTIONS);
            let port = FIRST_PORT + u16::try_from(population.children.len())?;
            let kind = kind.to_possible_value().context("each kind has a name")?;
            let child = Command::new(std::env::current_exe()?)
                .args(["populate", kind.get_name(), &port.to_string(), &connections.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            population.children.push(child);
            population.sockets += 2 * connections + 1;
            left -= connections;
        }
        for child in &mut population.children {
            let mut ready = String::new();
            let stdout = child.stdout.as_mut().context("a process of sockets has no output")?;
            BufReader::new(stdout).read_line(&mut ready)?;
            if ready != "ready\n" {
                bail!("a process could not make its sockets");
            }
        }
        Ok(population)
    }

    pub(crate) fn sockets(&self) -> u32 {
        self.sockets
    }

    pub(crate) fn processes(&self) -> usize {
        self.children.len()
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.children.iter().map(Child::id).collect()
    }

    /// The port that some of the sockets have.
    pub(crate) fn port(&self) -> u16 {
        FIRST_PORT + u16::try_from(self.children.len() / 2).unwrap_or(0)
    }
}

impl Drop for Population {
    fn drop(&mut self) {
        for child in &mut self.children {
            // They end when their input does; a child that is gone already needs nothing.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// The child: makes its sockets, says so, and holds them until its input ends.
pub(crate) fn populate(role: &Role) -> Result<()> {
    match role.kind {
        Kind::Tcp => {
            let at = (Ipv4Addr::LOCALHOST, role.port);
            let listener = TcpListener::bind(at)?;
            hold(role.connections, || Ok((TcpStream::connect(at)?, listener.accept()?.0)))
        }
        Kind::Unix => {
            let name = format!("socktrace-bench-{}", role.port);
            let at = SocketAddr::from_abstract_name(name)?;
            let listener = UnixListener::bind_addr(&at)?;
            hold(role.connections, || Ok((UnixStream::connect_addr(&at)?, listener.accept()?.0)))
        }
    }
}

fn hold<T>(connections: u32, connect: impl Fn() -> Result<(T, T)>) -> Result<()> {
    let held: Result<Vec<_>> = (0..connections).map(|_| connect()).collect();
    let held = held?;
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(held);
    Ok(())
}

/// Moves this process into a network namespace of its own, with loopback up and room for ports.
pub(crate) fn enter_namespace() -> Result<()> {
    // SAFETY: only the network namespace is left, which no descriptor of this process refers to.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
        .context("cannot make a network namespace")?;
    let up = Command::new("ip").args(["link", "set", "lo", "up"]).status();
    if !up.context("cannot run ip")?.success() {
        bail!("cannot bring up the loopback interface");
    }
    std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "10000 65000")
        .context("cannot widen the range of local ports")
}
