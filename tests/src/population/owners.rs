//! Processes and threads that hold sockets: with hostile names, many on one socket, one on many
//! descriptors, in control groups that are gone.

use std::ffi::CStr;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread;

use super::Holder;
use super::tcp::{address, bind};
use crate::cgroup;
use crate::sys::{fork, open, own_as, pair, rename_self, set};

const NAMES: [&CStr; 11] = [
    c"plain",
    c"two words",
    c"quo\"ted",
    c"pare)n(the",
    c") S 1 (x",
    c"new\nline",
    c"\x1b[31mred",
    c"back\\slash",
    c"p\xc3\xa4th",
    c"bad\xff\xfe",
    c"fifteen-letters",
];

pub(super) fn populate(holder: &mut Holder) -> io::Result<()> {
    for (index, name) in NAMES.into_iter().enumerate() {
        holder.child(&[], || {
            rename_self(name);
            Ok(vec![listener(42001 + index as u16)?])
        })?;
    }
    let shared = listener(42050)?;
    for name in [c"sharer-a", c"sharer-b", c"sharer-c"] {
        holder.child(&[&shared], || {
            rename_self(name);
            Ok(Vec::new())
        })?;
    }
    holder.keep(shared);
    let mut copies = vec![listener(42051)?];
    for _ in 0..3 {
        copies.push(copies[0].try_clone()?);
    }
    copies.into_iter().for_each(|copy| holder.keep(copy));

    holder.child(&[], || {
        rename_self(c"many-threads");
        for name in ["worker-1", "worker 2", "w\"3"] {
            thread::Builder::new().name(name.to_owned()).spawn(|| {
                loop {
                    thread::park();
                }
            })?;
        }
        Ok(vec![listener(42060)?, listener(42061)?])
    })?;
    Ok(())
}

/// Sockets of a control group of their own, and of one that has been removed since.
pub(super) fn in_cgroups(holder: &mut Holder) -> io::Result<Option<PathBuf>> {
    let Some(hierarchy) = cgroup::hierarchy() else { return Ok(None) };
    let group = |kind: &str| hierarchy.join(format!("socktrace-{kind}-{}", std::process::id()));
    let (living, dead) = (group("living"), group("dead"));
    let enter = |group: &Path| fs::write(group.join("cgroup.procs"), "0");
    for group in [&living, &dead] {
        fs::create_dir(group)?;
    }
    enter(&dead)?;
    holder.keep(listener(42070)?);
    enter(&living)?;
    holder.keep(listener(42071)?);
    let datagrams = open(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    bind(&datagrams, address("127.0.0.1:42072"))?;
    holder.keep(datagrams);
    enter(&hierarchy)?;
    fs::remove_dir(&dead)?;
    Ok(Some(living))
}

fn listener(port: u16) -> io::Result<OwnedFd> {
    own_as(u32::from(port % 3));
    let socket = open(libc::AF_INET, libc::SOCK_STREAM, 0);
    own_as(0);
    let socket = socket?;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1)?;
    bind(&socket, address(&format!("127.0.0.1:{port}")))?;
    rustix::net::listen(&socket, 1)?;
    Ok(socket)
}

impl Holder {
    /// A process that holds `kept` and what `prepare` makes, once this returns.
    fn child(
        &mut self,
        kept: &[&OwnedFd],
        prepare: impl FnOnce() -> io::Result<Vec<OwnedFd>>,
    ) -> io::Result<()> {
        // Not sockets, or they would be in the listing.
        let (ready, signal) = rustix::pipe::pipe()?;
        let mut keep = kept.to_vec();
        keep.push(&signal);
        let child = fork(&keep, || match prepare() {
            Ok(_held) => {
                let _ = rustix::io::write(&signal, b"+");
                loop {
                    thread::park();
                }
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "a child of the population: {error}");
            }
        })?;
        self.children.push(child);
        drop(signal);
        let mut answer = Vec::new();
        fs::File::from(ready).take(1).read_to_end(&mut answer)?;
        if answer.is_empty() {
            return Err(io::Error::other("a child of the population failed"));
        }
        Ok(())
    }
}

/// The few sockets of the namespace that has a name.
pub(super) fn elsewhere(holder: &mut Holder) -> io::Result<()> {
    rename_self(c"elsewhere");
    holder.keep(listener(43001)?);
    let datagrams = open(libc::AF_INET6, libc::SOCK_DGRAM, 0)?;
    bind(&datagrams, address("[::1]:43002"))?;
    holder.keep(datagrams);
    let [one, other] = pair(libc::SOCK_STREAM)?;
    holder.keep_pair((one, other));
    Ok(())
}
