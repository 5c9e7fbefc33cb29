//! Why this kernel, or this user, cannot trace; worded so that a person can act on it.
//!
//! The kernel answers EPERM and EINVAL to nearly everything: what it meant is worked out here, from
//! the errno, the words of its verifier, and the state of the system.

use std::fs;
use std::io;

use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::{BtfError, EbpfError};
use rustix::thread::CapabilitySet;

use crate::kernel_version::kernel_version;

/// What stands in the way.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error(
        "tracing needs {}; this process lacks {}: run it as root, or give it those two",
        "CAP_BPF and CAP_PERFMON",
        .missing.join(" and ")
    )]
    Capabilities { missing: Vec<&'static str> },
    #[error(
        "the kernel refuses programs in spite of the capabilities: they must be those of the \
         host's user namespace, and no seccomp filter may forbid bpf(2)"
    )]
    NotOfTheHost,
    #[error(
        "the kernel does not describe its types: /sys/kernel/btf/vmlinux is missing \
         (CONFIG_DEBUG_INFO_BTF=y, and /sys mounted)"
    )]
    NoBtf,
    #[error("this kernel has no tracepoint {name}")]
    NoTracepoint { name: String },
    #[error("this kernel's sockets or tasks lack a field that the program {program} reads")]
    NoField { program: String },
    #[error(
        "this kernel does not let the program {program} call {helper}{}",
        .since.map(|version| format!(", which came with Linux {version}")).unwrap_or_default()
    )]
    NoHelper { program: String, helper: String, since: Option<&'static str> },
    #[error("this kernel has no {what}, which came with Linux {since}")]
    NoMapType { what: &'static str, since: &'static str },
    #[error(
        "the kernel is locked down (confidentiality), which forbids programs that read its memory"
    )]
    Lockdown,
    #[error(
        "the limit of locked memory is too low for the ring and cannot be raised: \
         `ulimit -l unlimited`, a smaller --ring-size, or Linux 5.11, which does not count it"
    )]
    LockedMemory,
    #[error(
        "there is not enough memory for the map {map}: give it more, or choose a smaller --ring-size"
    )]
    Memory { map: String },
    #[error("the kernel refuses the program {program}: {reason}")]
    Verifier { program: String, reason: String },
    #[error("{what}: {reason}")]
    Other { what: &'static str, reason: String },
}

/// What of the system bears on a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Circumstances {
    pub(super) locked_down: bool,
    /// Linux before 5.11 counts maps against RLIMIT_MEMLOCK.
    pub(super) maps_are_locked_memory: bool,
}

impl Circumstances {
    pub(super) fn of_system() -> Circumstances {
        Circumstances {
            locked_down: fs::read_to_string("/sys/kernel/security/lockdown")
                .is_ok_and(|text| text.contains("[confidentiality]")),
            maps_are_locked_memory: maps_are_locked_memory(),
        }
    }
}

/// Whether this kernel counts maps against RLIMIT_MEMLOCK, as Linux did before 5.11.
pub fn maps_are_locked_memory() -> bool {
    kernel_version().is_some_and(|version| version < (5, 11))
}

/// Which capabilities are missing, if any: CAP_SYS_ADMIN stands for both.
pub(super) fn check_capabilities() -> Result<(), Refusal> {
    let held = rustix::thread::capabilities(None)
        .map_or(CapabilitySet::empty(), |capabilities| capabilities.effective);
    let missing = missing_capabilities(held);
    if missing.is_empty() { Ok(()) } else { Err(Refusal::Capabilities { missing }) }
}

fn missing_capabilities(held: CapabilitySet) -> Vec<&'static str> {
    if held.contains(CapabilitySet::SYS_ADMIN) {
        return Vec::new();
    }
    [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")]
        .into_iter()
        .filter(|(capability, _)| !held.contains(*capability))
        .map(|(_, name)| name)
        .collect()
}

/// Why the maps could not be made or the object not be fitted to the kernel.
pub(super) fn of_load(error: &EbpfError, circumstances: Circumstances) -> Refusal {
    match error {
        EbpfError::MapError(MapError::CreateError { name, io_error }) => {
            of_map(name, io_error, circumstances)
        }
        EbpfError::BtfError(BtfError::LoadError { io_error, .. })
            if io_error.raw_os_error() == Some(libc::EPERM) =>
        {
            denied(circumstances)
        }
        error => Refusal::Other { what: "cannot load the programs", reason: chain(error) },
    }
}

fn of_map(name: &str, error: &io::Error, circumstances: Circumstances) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EPERM) if circumstances.maps_are_locked_memory => Refusal::LockedMemory,
        Some(libc::EPERM) => denied(circumstances),
        Some(libc::ENOMEM | libc::E2BIG) => Refusal::Memory { map: name.to_owned() },
        Some(libc::EINVAL) if name == "RECORDS" => {
            Refusal::NoMapType { what: "ring buffer", since: "5.8" }
        }
        _ => Refusal::Other { what: "cannot make a map", reason: format!("{name}: {error}") },
    }
}

fn denied(circumstances: Circumstances) -> Refusal {
    if circumstances.locked_down { Refusal::Lockdown } else { Refusal::NotOfTheHost }
}

/// Why a program could not be loaded or attached.
pub(super) fn of_program(
    program: &str,
    tracepoint: &str,
    error: &ProgramError,
    circumstances: Circumstances,
) -> Refusal {
    match error {
        ProgramError::LoadError { io_error, verifier_log } => {
            of_verifier(program, io_error, &verifier_log.to_string(), circumstances)
        }
        ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => {
            Refusal::NoTracepoint { name: tracepoint.to_owned() }
        }
        error => {
            Refusal::Other { what: "cannot attach", reason: format!("{program}: {}", chain(error)) }
        }
    }
}

fn of_verifier(
    program: &str,
    error: &io::Error,
    log: &str,
    circumstances: Circumstances,
) -> Refusal {
    if let Some(helper) = refused_helper(log) {
        // Lockdown takes away the helpers that read memory.
        if circumstances.locked_down && helper.contains("probe_read") {
            return Refusal::Lockdown;
        }
        return Refusal::NoHelper {
            program: program.to_owned(),
            since: HELPERS.iter().find(|(name, _)| *name == helper).map(|(_, since)| *since),
            helper,
        };
    }
    if log.contains(POISON) {
        return Refusal::NoField { program: program.to_owned() };
    }
    if error.raw_os_error() == Some(libc::EPERM) {
        return denied(circumstances);
    }
    Refusal::Verifier {
        program: program.to_owned(),
        reason: last_words(log).unwrap_or_else(|| error.to_string()),
    }
}

/// The helper that does not exist, 0xbad2310, which the loader calls in place of a field that it
/// did not find.
const POISON: &str = "#195896080";

/// When tracing programs were given the helpers that ours call.
const HELPERS: &[(&str, &str)] = &[
    ("bpf_ringbuf_reserve", "5.8"),
    ("bpf_ringbuf_submit", "5.8"),
    ("bpf_ringbuf_query", "5.8"),
    ("bpf_ktime_get_boot_ns", "5.8"),
    ("bpf_skc_to_tcp_sock", "5.9"),
    ("bpf_get_socket_cookie", "5.12"),
    ("bpf_probe_read_kernel", "5.5"),
];

/// The helper in "unknown func bpf_get_socket_cookie#46" or, as newer kernels say it,
/// "program of this type cannot use helper bpf_get_socket_cookie#46".
fn refused_helper(log: &str) -> Option<String> {
    ["unknown func ", "cannot use helper "].iter().find_map(|words| {
        let (_, rest) = log.rsplit_once(words)?;
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
        Some(rest[..end].to_owned())
    })
}

/// What the verifier said last, before its statistics.
fn last_words(log: &str) -> Option<String> {
    let is_statistics = |line: &str| {
        ["processed ", "verification time", "stack depth", "peak_states"]
            .iter()
            .any(|start| line.starts_with(start))
    };
    log.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !is_statistics(line))
        .map(str::to_owned)
}

/// An error and what it stems from, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = error.source();
    }
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Circumstances = Circumstances { locked_down: false, maps_are_locked_memory: false };
    const LOCKED_DOWN: Circumstances = Circumstances { locked_down: true, ..FREE };
    const OLD: Circumstances = Circumstances { maps_are_locked_memory: true, ..FREE };

    fn errno(errno: i32) -> io::Error {
        io::Error::from_raw_os_error(errno)
    }

    #[test]
    fn missing_capabilities_are_named() {
        for (held, missing) in [
            (CapabilitySet::empty(), &["CAP_BPF", "CAP_PERFMON"][..]),
            (CapabilitySet::BPF, &["CAP_PERFMON"]),
            (CapabilitySet::PERFMON, &["CAP_BPF"]),
            (CapabilitySet::BPF | CapabilitySet::PERFMON, &[]),
            (CapabilitySet::SYS_ADMIN, &[]),
        ] {
            assert_eq!(missing_capabilities(held), missing);
        }
        assert_eq!(
            Refusal::Capabilities { missing: vec!["CAP_PERFMON"] }.to_string(),
            "tracing needs CAP_BPF and CAP_PERFMON; this process lacks CAP_PERFMON: \
             run it as root, or give it those two"
        );
    }

    #[test]
    fn a_refused_helper_is_named_with_its_version() {
        for log in [
            "12: (85) call bpf_get_socket_cookie#46\nunknown func bpf_get_socket_cookie#46\n\
             processed 12 insns (limit 1000000) max_states_per_insn 0",
            "program of this type cannot use helper bpf_get_socket_cookie#46\nprocessed 1 insns",
        ] {
            let refusal = of_verifier("transition", &errno(libc::EINVAL), log, FREE);
            assert_eq!(
                refusal.to_string(),
                "this kernel does not let the program transition call bpf_get_socket_cookie, \
                 which came with Linux 5.12"
            );
        }
    }

    #[test]
    fn lockdown_is_told_from_a_missing_helper() {
        let log = "unknown func bpf_probe_read_kernel#113";
        assert_eq!(of_verifier("p", &errno(libc::EINVAL), log, LOCKED_DOWN), Refusal::Lockdown);
        assert_eq!(of_verifier("p", &errno(libc::EPERM), "", LOCKED_DOWN), Refusal::Lockdown);
        assert_eq!(of_verifier("p", &errno(libc::EPERM), "", FREE), Refusal::NotOfTheHost);
    }

    #[test]
    fn a_map_that_is_refused_says_why() {
        for (name, error, circumstances, refusal) in [
            ("RECORDS", libc::EPERM, OLD, Refusal::LockedMemory),
            ("RECORDS", libc::EPERM, FREE, Refusal::NotOfTheHost),
            ("RECORDS", libc::ENOMEM, FREE, Refusal::Memory { map: "RECORDS".to_owned() }),
            (
                "RECORDS",
                libc::EINVAL,
                FREE,
                Refusal::NoMapType { what: "ring buffer", since: "5.8" },
            ),
        ] {
            assert_eq!(of_map(name, &errno(error), circumstances), refusal);
        }
    }

    #[test]
    fn the_verifier_has_the_last_word() {
        let log = "0: R1=ctx()\nR2 min value is negative\nverification time 41 usec\n\
                   stack depth 0\nprocessed 12 insns (limit 1000000)";
        let refusal = of_verifier("transition", &errno(libc::EACCES), log, FREE);
        assert_eq!(
            refusal.to_string(),
            "the kernel refuses the program transition: R2 min value is negative"
        );
    }

    #[test]
    fn a_missing_field_is_not_called_a_missing_helper() {
        let log = "5: (85) call unknown#195896080\ninvalid func unknown#195896080\n";
        assert_eq!(
            of_verifier("transition", &errno(libc::EINVAL), log, FREE),
            Refusal::NoField { program: "transition".to_owned() }
        );
    }

    #[test]
    fn each_refusal_is_one_line() {
        for refusal in [
            Refusal::NoBtf,
            Refusal::Lockdown,
            Refusal::LockedMemory,
            Refusal::NotOfTheHost,
            Refusal::Memory { map: "RECORDS".to_owned() },
        ] {
            assert_eq!(refusal.to_string().lines().count(), 1);
        }
    }
}
