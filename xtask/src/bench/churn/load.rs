//! The load: processes that open and close connections to themselves as fast as they can, or at a
//! pace.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, connect, recv, send,
    socket_with,
};

use super::super::usage::{self, Usage};

/// The port of the first worker; below the range that `enter_namespace` leaves to clients.
pub(super) const FIRST_PORT: u16 = 5001;
/// The port of one connection among all the others, for a filter to find.
pub(super) const MARKED_PORT: u16 = 4242;
/// Destinations that a worker goes through, so that TIME-WAIT does not use up the local ports.
const DESTINATIONS: u64 = 256;
/// Connections between two looks at the clock.
const BATCH: u64 = 64;
const MESSAGE: &[u8; 5] = b"hello";
const GO: &[u8] = b"go";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum End {
    /// The client closes, then the server.
    Close,
    /// The client resets.
    Reset,
}

/// What a worker is told to do.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    pub(super) port: u16,
    pub(super) connections: u64,
    #[arg(long, value_enum)]
    pub(super) end: End,
    /// Connections a second; as many as can be without
    #[arg(long)]
    pub(super) rate: Option<f64>,
    /// When to stop, however many there were
    #[arg(long)]
    pub(super) seconds: f64,
    /// Make the marked connection as well, half-way
    #[arg(long)]
    pub(super) mark: bool,
}

/// Workers that have their listeners and wait for the word.
pub(super) struct Workers(Vec<(Child, BufReader<ChildStdout>)>);

/// What the workers did.
pub(super) struct Made {
    pub(super) connections: u64,
    pub(super) seconds: f64,
    pub(super) cpu: Duration,
}

impl Workers {
    /// One worker for each load.
    pub(super) fn start(loads: &[Load]) -> Result<Workers> {
        let mut workers = Vec::new();
        for load in loads {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("load").args([load.port.to_string(), load.connections.to_string()]);
            let end = load.end.to_possible_value().context("an end has a name")?;
            command.args(["--end", end.get_name()]);
            command.args(["--seconds", &load.seconds.to_string()]);
            if let Some(rate) = load.rate {
                command.args(["--rate", &rate.to_string()]);
            }
            if load.mark {
                command.arg("--mark");
            }
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let mut output = BufReader::new(child.stdout.take().context("a worker has no output")?);
            let mut ready = String::new();
            output.read_line(&mut ready)?;
            if ready != "ready\n" {
                bail!("a worker could not open its listener");
            }
            workers.push((child, output));
        }
        Ok(Workers(workers))
    }

    /// Says the word, and waits until all is done.
    pub(super) fn run(mut self) -> Result<Made> {
        let started = Instant::now();
        for (child, _) in &mut self.0 {
            child.stdin.take().context("a worker has no input")?.write_all(GO)?;
        }
        let mut made = Made { connections: 0, seconds: 0.0, cpu: Duration::ZERO };
        for (child, output) in &mut self.0 {
            let mut done = String::new();
            output.read_line(&mut done)?;
            made.seconds = started.elapsed().as_secs_f64();
            let Usage { status, cpu, .. } = usage::wait(child)?;
            made.connections += done.trim().parse::<u64>().with_context(|| {
                format!("a worker ended without telling what it did ({status})")
            })?;
            made.cpu += cpu;
        }
        Ok(made)
    }
}

/// The child: waits for the word, makes the connections, and says how many it made.
pub(crate) fn load(load: &Load) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, load.port))?;
    let marked = match load.mark {
        true => Some(TcpListener::bind((Ipv4Addr::UNSPECIFIED, MARKED_PORT))?),
        false => None,
    };
    println!("ready");
    std::io::stdout().flush()?;
    let mut word = Vec::new();
    std::io::stdin().read_to_end(&mut word)?;
    if word != GO {
        // Whoever started this has given up.
        return Ok(());
    }

    let started = Instant::now();
    let end = started + Duration::from_secs_f64(load.seconds);
    let mut made = 0;
    while made < load.connections && Instant::now() < end {
        let batch = BATCH.min(load.connections - made);
        for i in made..made + batch {
            connection(&listener, load.port, i % DESTINATIONS, load.end)
                .with_context(|| format!("connection {i}"))?;
        }
        if let Some(marked) = &marked
            && (made..made + batch).contains(&(load.connections / 2))
        {
            connection(marked, MARKED_PORT, 0, load.end).context("the marked connection")?;
        }
        made += batch;
        if let Some(rate) = load.rate {
            let due = started + Duration::from_secs_f64(made as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }
    println!("{made}");
    Ok(())
}

/// One connection: five bytes from the client to the server, and the end.
fn connection(
    listener: impl AsFd,
    port: u16,
    destination: u64,
    end: End,
) -> rustix::io::Result<()> {
    let to = SocketAddrV4::new(Ipv4Addr::new(127, 0, 1, destination as u8), port);
    let client: OwnedFd =
        socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    connect(&client, &to)?;
    let server = accept_with(listener, SocketFlags::CLOEXEC)?;
    send(&client, MESSAGE, SendFlags::NOSIGNAL)?;
    let mut received = [0; MESSAGE.len()];
    // What is left unread would turn the server's close into a reset.
    recv(&server, &mut received, RecvFlags::WAITALL)?;
    if end == End::Reset {
        set_socket_linger(&client, Some(Duration::ZERO))?;
    }
    drop(client);
    drop(server);
    Ok(())
}
