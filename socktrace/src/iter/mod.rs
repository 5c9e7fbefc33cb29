//! BPF iterators: the kernel walks one of its tables, and a program of ours writes down what it is
//! shown.
//!
//! A loader of its own, because a listing must be there at once: it reads the kernel's types in a
//! few milliseconds and no memory to speak of, which one that can load anything does not.

mod program;

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use crate::bpf;
use crate::btf::kernel::{self, KernelTypes};
use program::{Field, Program};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;
const BPF_PROG_TYPE_TRACING: u32 = 26;
const BPF_TRACE_ITER: u32 = 28;

/// Why there is no iterator here.
#[derive(Debug, thiserror::Error)]
pub enum IteratorError {
    #[error("an iterator over the kernel's tables needs CAP_BPF and CAP_PERFMON")]
    Capabilities,
    #[error("the kernel does not describe its types: /sys/kernel/btf/vmlinux: {0}")]
    Types(io::Error),
    #[error("this kernel has no {0}")]
    NoHook(String),
    #[error("this kernel does not {what} (Linux {since} does)")]
    NoHelper { what: &'static str, since: &'static str },
    #[error("this kernel has no field {0}, or another one")]
    NoField(String),
    #[error("the kernel refuses the program of {hook}: {errno}")]
    Refused { hook: String, errno: Errno },
    #[error("reading from the iterator failed: {0}")]
    Read(io::Error),
}

/// A function of the kernel that a program calls, where not every kernel with iterators has it.
#[derive(Debug, Clone, Copy)]
pub struct Helper {
    pub function: &'static str,
    /// What it does for the program, after "the kernel does".
    pub what: &'static str,
    pub since: &'static str,
}

/// Whether this process may load one, as far as that shows beforehand.
pub fn is_permitted() -> bool {
    let held = rustix::thread::capabilities(None)
        .map_or(CapabilitySet::empty(), |capabilities| capabilities.effective);
    held.contains(CapabilitySet::SYS_ADMIN)
        || held.contains(CapabilitySet::BPF | CapabilitySet::PERFMON)
}

/// Loads the program of a section such as `iter/task_file` and begins its walk, which goes on as
/// the file is read; it calls the helpers. Nothing stays in the kernel when it is closed.
///
/// # Panics
/// If the object does not hold such a program: it is embedded, and was looked at by a test.
pub fn open(object: &[u8], section: &str, helpers: &[Helper]) -> Result<File, IteratorError> {
    if !is_permitted() {
        return Err(IteratorError::Capabilities);
    }
    let mut program = Program::parse(object, section).expect("a test looks for the program");
    let hook = format!("bpf_{}", section.replace('/', "_"));
    let parts = program.fields.iter().flat_map(|field| field.path.iter().chain([&field.root]));
    let functions = helpers.iter().map(|helper| helper.function).chain([&hook[..]]);
    let names = parts.map(|part| &part[..]).chain(functions.map(str::as_bytes)).collect();
    let types = File::open(kernel::PATH).and_then(|file| KernelTypes::read(file, &names));
    let types = types.map_err(IteratorError::Types)?;
    let Some(function) = types.function(hook.as_bytes()) else {
        return Err(IteratorError::NoHook(hook));
    };
    let is_missing = |helper: &&Helper| types.function(helper.function.as_bytes()).is_none();
    if let Some(Helper { what, since, .. }) = helpers.iter().find(is_missing) {
        return Err(IteratorError::NoHelper { what, since });
    }
    for index in 0..program.fields.len() {
        let Field { root, path, .. } = &program.fields[index];
        let place = types.place(root, path);
        if !place.is_some_and(|place| program.set(index, place)) {
            return Err(IteratorError::NoField(program.fields[index].name()));
        }
    }
    drop(types);
    begin(&program.code, function).map_err(|errno| IteratorError::Refused { hook, errno })
}

/// The first fields of `union bpf_attr` for BPF_PROG_LOAD.
#[repr(C)]
struct LoadAttributes {
    kind: u32,
    instructions: u32,
    code: *const c_void,
    license: *const c_void,
    log_level: u32,
    log_size: u32,
    log: *const c_void,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
    btf: u32,
    function_info_size: u32,
    function_info: *const c_void,
    functions: u32,
    line_info_size: u32,
    line_info: *const c_void,
    lines: u32,
    attach_to_type: u32,
}

fn begin(code: &[u8], function: u32) -> Result<File, Errno> {
    let mut name = [0; 16];
    name[..9].copy_from_slice(b"socktrace");
    let nothing = std::ptr::null();
    let mut attributes = LoadAttributes {
        kind: BPF_PROG_TYPE_TRACING,
        instructions: u32::try_from(code.len() / 8).map_err(|_| Errno::TOOBIG)?,
        code: code.as_ptr().cast(),
        license: c"Dual MIT/GPL".as_ptr().cast(),
        log_level: 0,
        log_size: 0,
        log: nothing,
        kernel_version: 0,
        flags: 0,
        name,
        interface: 0,
        expected_attach_type: BPF_TRACE_ITER,
        btf: 0,
        function_info_size: 0,
        function_info: nothing,
        functions: 0,
        line_info_size: 0,
        line_info: nothing,
        lines: 0,
        attach_to_type: function,
    };
    // SAFETY: the code has as many instructions as told, the license ends in NUL.
    let program = unsafe { bpf::open(BPF_PROG_LOAD, &mut attributes) }?;
    let mut attributes = [program.as_raw_fd().cast_unsigned(), 0, BPF_TRACE_ITER, 0];
    // SAFETY: the attributes hold no pointer.
    let link = unsafe { bpf::open(BPF_LINK_CREATE, &mut attributes) }?;
    let mut attributes = [link.as_raw_fd().cast_unsigned(), 0];
    // SAFETY: the attributes hold no pointer.
    let walk = unsafe { bpf::open(BPF_ITER_CREATE, &mut attributes) }?;
    Ok(File::from(walk))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each object that is embedded, and the sections that are opened.
    const OBJECTS: &[(&[u8], &[&str])] =
        &[(include_bytes!("../../bpf/owners.bpf.o"), &["iter/task_file"])];

    #[test]
    fn the_embedded_objects_hold_the_programs() {
        for (object, sections) in OBJECTS {
            for section in *sections {
                let program = Program::parse(object, section).expect(section);
                assert!(!program.code.is_empty(), "{section}");
                let fields: BTreeSet<String> = program.fields.iter().map(Field::name).collect();
                assert!(fields.contains("bpf_iter_meta.seq"), "{section}: {fields:?}");
            }
        }
    }
}
