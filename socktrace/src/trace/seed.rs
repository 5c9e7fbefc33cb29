//! Looks for the sockets that are older than the trace: which there are, and whose.
//!
//! The kernel half does it all, in a walk over the open files of all tasks, and remembers only
//! those of which no event has told; reading the iterator is what makes it walk. On a thread of its
//! own: on a large host it takes longer than the ring has room for.

use std::fs::File;
use std::io::{self, Read};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use aya::programs::{Iter, Program};
use aya::{Btf, Ebpf};
use rustix::io::Errno;

use super::object::WALK;
use crate::say::complain;

/// The walk, while it goes on.
pub struct Seeding(Option<JoinHandle<io::Result<()>>>);

impl Seeding {
    /// Begins it; `None` where the kernel does not let it begin.
    pub(super) fn start(ebpf: &mut Ebpf, kernel: &Btf) -> Option<Seeding> {
        let Some(Program::Iter(program)) = ebpf.program_mut("seed") else {
            unreachable!("the object is embedded, and a test finds it there");
        };
        let walk = iterator(program, kernel).ok()?;
        let name = "older sockets".to_owned();
        let (begun, has_begun) = channel::<()>();
        let read = move || {
            // A thread takes its name when it begins.
            drop(begun);
            read_to_end(walk)
        };
        let thread = thread::Builder::new().name(name).spawn(read).ok()?;
        // Whoever looks for it by its name, as tests do, finds it as soon as the trace is live.
        let _ = has_begun.recv();
        Some(Seeding(Some(thread)))
    }

    /// Says, once it has ended, if it failed.
    pub fn report(&mut self) {
        let Some(walk) = self.0.take_if(|walk| walk.is_finished()) else { return };
        let result = walk.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
        if let Err(error) = result {
            complain(&format!("cannot look for the sockets older than the trace: {error}"));
        }
    }
}

fn iterator(program: &mut Iter, kernel: &Btf) -> anyhow::Result<File> {
    program.load(WALK, kernel)?;
    let link = program.attach()?;
    Ok(program.take_link(link)?.into_file()?)
}

fn read_to_end(mut walk: File) -> io::Result<()> {
    // A byte for each file: after so many, the walk lets go of those that were closed meanwhile.
    let mut buffer = [0; 64];
    loop {
        match walk.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // The kernel pauses after a million files.
            Err(error)
                if matches!(Errno::from_io_error(&error), Some(Errno::AGAIN | Errno::INTR)) => {}
            Err(error) => return Err(error),
        }
    }
}
