//! Whether the programs load and attach here, and what bears on it.

use std::fs;
use std::path::Path;

use aya::maps::MapType;
use rustix::process::{Resource, getrlimit};

use super::{Area, Finding, Verdict};
use crate::owner::iterator::SocketDescriptors;
use crate::trace::{LogLevel, RingSize, TracePlan, Tracer, Wanted, maps_are_locked_memory};

const AREA: Area = Area::Tracing;
const BTF: &str = "/sys/kernel/btf/vmlinux";

pub(super) fn examine() -> Vec<Finding> {
    let mut findings = vec![btf(), lockdown(), ring(), memory()];
    findings.extend(programs());
    findings.push(iterator());
    findings
}

fn btf() -> Finding {
    match fs::File::open(BTF) {
        Ok(_) => Finding::works(AREA, "types", format!("{BTF} describes them")),
        Err(error) => {
            let detail = format!("the kernel does not describe its types: {BTF}: {error}");
            Finding::new(AREA, "types", Verdict::Missing, detail)
                .remedy("a kernel with CONFIG_DEBUG_INFO_BTF, and sysfs mounted at /sys")
        }
    }
}

fn lockdown() -> Finding {
    let path = Path::new("/sys/kernel/security/lockdown");
    let text = fs::read_to_string(path).unwrap_or_default();
    let mode =
        text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(mode, _)| mode);
    match mode {
        Some("confidentiality") => {
            let detail = "the kernel is locked down, which forbids programs that read its memory";
            Finding::new(AREA, "lockdown", Verdict::Missing, detail)
                .remedy("boot with lockdown=integrity, or without Secure Boot")
        }
        Some(mode) => Finding::works(AREA, "lockdown", format!("{mode}: tracing is allowed")),
        None => Finding::works(AREA, "lockdown", "the kernel knows of none, or does not say"),
    }
}

/// The newest of the kinds of maps that the programs use.
fn ring() -> Finding {
    const NAME: &str = "ring buffer";
    match aya::sys::is_map_supported(MapType::RingBuf) {
        Ok(true) => Finding::works(AREA, NAME, "can be made"),
        Ok(false) => Finding::new(AREA, NAME, Verdict::Missing, "this kernel has no such map")
            .remedy("Linux 5.8"),
        Err(error) => {
            let detail = format!("cannot be made: {}", error.io_error);
            Finding::new(AREA, NAME, Verdict::Missing, detail)
                .remedy("run as root, or with CAP_BPF")
        }
    }
}

/// Linux before 5.11 counts maps against RLIMIT_MEMLOCK.
fn memory() -> Finding {
    let limit = getrlimit(Resource::Memlock).current;
    match limit {
        Some(limit) if maps_are_locked_memory() && limit < RingSize::DEFAULT.bytes().into() => {
            let detail = format!("this kernel counts maps, and {limit} bytes may be locked");
            Finding::new(AREA, "locked memory", Verdict::Limited, detail)
                .remedy("ulimit -l unlimited, CAP_SYS_RESOURCE, or a smaller --ring-size")
        }
        _ => Finding::works(AREA, "locked memory", "the limit is no obstacle"),
    }
}

/// Loads, attaches and detaches the programs of `trace`, and that at accept() where it can be.
fn programs() -> Vec<Finding> {
    let plan = TracePlan {
        wanted: Wanted::Everything,
        netns: None,
        family: None,
        probe: None,
        ring_size: RingSize::MINIMUM,
        log: LogLevel::Off,
        verifier_log: false,
    };
    let tracer = match Tracer::start(&plan) {
        Ok((tracer, _)) => tracer,
        Err(refusal) => {
            return ["programs", "acceptors"]
                .map(|name| Finding::new(AREA, name, Verdict::Missing, refusal.to_string()))
                .into();
        }
    };
    let programs = if tracer.missing().is_empty() {
        Finding::works(AREA, "programs", "load and attach")
    } else {
        let detail = format!("load and attach, but {}", tracer.missing().join("; "));
        Finding::new(AREA, "programs", Verdict::Reduced, detail).remedy("a newer kernel")
    };
    let acceptors = match tracer.blind_to_accepts() {
        None => Finding::works(AREA, "acceptors", "whoever accepts a connection is known at once"),
        Some(reason) => {
            let detail =
                format!("whoever accepts a connection is known at the first work on it: {reason}");
            Finding::new(AREA, "acceptors", Verdict::Reduced, detail)
                .remedy("a kernel that lets functions be traced (fexit)")
        }
    };
    vec![programs, acceptors]
}

/// Loads and opens the iterator that tells the owners of many sockets.
fn iterator() -> Finding {
    match SocketDescriptors::open() {
        Ok(_) => Finding::works(AREA, "iterator", "loads and opens"),
        Err(error) => {
            let detail = format!("owners take a walk over /proc: {error}");
            Finding::new(AREA, "iterator", Verdict::Reduced, detail)
                .remedy("run with CAP_BPF and CAP_PERFMON, on Linux 5.12 with BTF")
        }
    }
}
