//! Every socket descriptor on the host, from an eBPF iterator over the files of all tasks.
//!
//! One walk of the kernel over its own structures: per descriptor a twentieth of what a walk over
//! /proc costs, but for tens of milliseconds at the start.

use std::fs::File;
use std::io::{self, Read};

use aya::programs::{Iter, Program};
use aya::{Btf, EbpfLoader, VerifierLogLevel};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;
pub use socktrace_common::SocketDescriptor;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/owners.bpf.o");
const PROGRAM: &str = "descriptors";
const RECORD: usize = size_of::<SocketDescriptor>();
/// The kernel fills at most 32 KB a read.
const BUFFER: usize = 32 << 10;

/// Why there is no iterator here.
#[derive(Debug, thiserror::Error)]
pub enum IteratorError {
    #[error("the iterator over the files of all tasks needs CAP_BPF and CAP_PERFMON")]
    Capabilities,
    #[error("cannot read /sys/kernel/btf/vmlinux: {0}")]
    Btf(#[from] aya::BtfError),
    #[error("cannot load the iterator over the files of all tasks: {0}")]
    Load(#[from] aya::EbpfError),
    #[error("the kernel refuses the iterator over the files of all tasks: {0}")]
    Program(#[from] aya::programs::ProgramError),
    #[error("cannot open the iterator over the files of all tasks: {0}")]
    Open(#[from] aya::programs::links::LinkError),
    #[error("reading the files of all tasks failed: {0}")]
    Read(io::Error),
}

/// Whether this process may load one, as far as that shows beforehand.
pub fn is_permitted() -> bool {
    let held = rustix::thread::capabilities(None)
        .map_or(CapabilitySet::empty(), |capabilities| capabilities.effective);
    held.contains(CapabilitySet::SYS_ADMIN)
        || held.contains(CapabilitySet::BPF | CapabilitySet::PERFMON)
}

/// The loaded iterator, before its first record.
pub struct SocketDescriptors {
    file: File,
}

impl SocketDescriptors {
    pub fn open() -> Result<SocketDescriptors, IteratorError> {
        let kernel = Btf::from_sys_fs()?;
        SocketDescriptors::open_with(&kernel)
    }

    /// As [`SocketDescriptors::open`], for who has read the kernel's types already.
    pub fn open_with(kernel: &Btf) -> Result<SocketDescriptors, IteratorError> {
        if !is_permitted() {
            return Err(IteratorError::Capabilities);
        }
        let mut ebpf = EbpfLoader::new()
            .btf(Some(kernel))
            .verifier_log_level(VerifierLogLevel::DISABLE)
            .load(OBJECT)?;
        let program = program(&mut ebpf);
        program.load("task_file", kernel)?;
        let link = program.attach()?;
        let file = program.take_link(link)?.into_file()?;
        Ok(SocketDescriptors { file })
    }

    /// Hands every socket descriptor to `each`: the processes by their number in the initial PID
    /// namespace, their descriptors by theirs, and each thread that has descriptors of its own after
    /// the process that came before it.
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

fn program(ebpf: &mut aya::Ebpf) -> &mut Iter {
    match ebpf.program_mut(PROGRAM) {
        Some(Program::Iter(program)) => program,
        _ => unreachable!("the object is embedded, and a test finds {PROGRAM} in it"),
    }
}
