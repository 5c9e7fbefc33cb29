//! Every socket descriptor on the host, from an eBPF iterator over the files of all tasks.
//!
//! One walk of the kernel over its own structures: per descriptor a tenth of what a walk over /proc
//! costs, but for some milliseconds at the start.

use std::fs::File;
use std::io::Read;

use rustix::io::Errno;
pub use socktrace_common::SocketDescriptor;

pub use crate::iter::IteratorError;
use crate::iter::{self, Helper};

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/owners.bpf.o");
const SECTION: &str = "iter/task_file";
const HELPERS: &[Helper] = &[Helper {
    function: "bpf_get_socket_ptr_cookie",
    what: "tell an iterator the cookies of sockets",
    since: "5.12",
}];
const RECORD: usize = size_of::<SocketDescriptor>();
/// The kernel fills at most 32 KB a read.
const BUFFER: usize = 32 << 10;

/// The loaded iterator, before its first record.
pub struct SocketDescriptors {
    file: File,
}

impl SocketDescriptors {
    pub fn open() -> Result<SocketDescriptors, IteratorError> {
        Ok(SocketDescriptors { file: iter::open(OBJECT, SECTION, HELPERS)? })
    }

    /// Hands every socket descriptor to `each`: the processes by their number in the initial PID
    /// namespace, their descriptors by theirs, and each thread that has descriptors of its own
    /// after the process that came before it.
    pub fn for_each(
        mut self,
        each: &mut dyn FnMut(&SocketDescriptor),
    ) -> Result<(), IteratorError> {
        let mut buffer = vec![0; BUFFER];
        let mut filled = 0;
        loop {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => return Ok(()),
                Ok(read) => filled += read,
                // The kernel pauses after a million descriptors of which none is a socket.
                Err(error)
                    if matches!(Errno::from_io_error(&error), Some(Errno::AGAIN | Errno::INTR)) =>
                {
                    continue;
                }
                Err(error) => return Err(IteratorError::Read(error)),
            }
            let records = buffer[..filled].chunks_exact(RECORD);
            let rest = records.remainder().len();
            records.filter_map(socktrace_common::read).for_each(|descriptor| each(&descriptor));
            buffer.copy_within(filled - rest..filled, 0);
            filled = rest;
        }
    }
}
