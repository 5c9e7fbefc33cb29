//! Which capabilities this process holds of those that make a difference.

use std::fs;

use rustix::thread::CapabilitySet;

use super::{Area, Finding, Verdict};

const AREA: Area = Area::Privilege;

/// A capability, and what it is for.
const CAPABILITIES: &[(CapabilitySet, &str, &str)] = &[
    (CapabilitySet::BPF, "CAP_BPF", "to load programs and maps: all tracing"),
    (CapabilitySet::PERFMON, "CAP_PERFMON", "to load programs that read the kernel: all tracing"),
    (
        CapabilitySet::NET_ADMIN,
        "CAP_NET_ADMIN",
        "for marks, MD5 keys, filters of packet sockets, BPF storage, -K",
    ),
    (CapabilitySet::DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", "to list others' descriptors: owners"),
    (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE", "to follow others' descriptors: owners"),
    (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN", "to enter other network namespaces"),
];

/// What root may do without the capability of that name.
const IMPLIED: &[(CapabilitySet, CapabilitySet)] = &[
    (CapabilitySet::BPF, CapabilitySet::SYS_ADMIN),
    (CapabilitySet::PERFMON, CapabilitySet::SYS_ADMIN),
];

pub(super) fn examine() -> Vec<Finding> {
    let held = rustix::thread::capabilities(None)
        .map_or(CapabilitySet::empty(), |capabilities| capabilities.effective);
    let mut findings: Vec<Finding> =
        CAPABILITIES.iter().map(|one| of_capability(held, one)).collect();
    findings.push(seccomp());
    findings
}

fn of_capability(
    held: CapabilitySet,
    (capability, name, what_for): &(CapabilitySet, &'static str, &str),
) -> Finding {
    if held.contains(*capability) {
        return Finding::works(AREA, name, format!("held, {what_for}"));
    }
    let is_implied =
        IMPLIED.iter().any(|(implied, by)| implied == capability && held.contains(*by));
    if is_implied {
        return Finding::works(AREA, name, format!("CAP_SYS_ADMIN stands for it, {what_for}"));
    }
    Finding::new(AREA, name, Verdict::Limited, format!("not held; it is wanted {what_for}")).remedy(
        format!("run as root, or setpriv --ambient-caps +{}", name[4..].to_ascii_lowercase()),
    )
}

/// A filter is no obstacle by itself: what it forbids shows in the other findings.
fn seccomp() -> Finding {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim);
    let detail = match mode {
        Some("2") => "a filter is on: it may be what refuses bpf(2) or a kind of socket",
        Some("0") => "no filter",
        _ => "the kernel does not say",
    };
    Finding::works(AREA, "seccomp", detail)
}
