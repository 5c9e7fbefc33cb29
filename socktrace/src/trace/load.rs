//! Loading, attaching, reading, detaching.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;
use std::{fs, str};

use aya::maps::{MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, Program};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};
use rustix::process::{Resource, Rlimit};
use socktrace_common::Tally;

use super::bpf_log::{BpfLog, LogLevel};
use super::decode;
use super::losses::Losses;
use super::refusal::{self, Circumstances, Refusal};
use crate::event::Event;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/socktrace.bpf.o");

/// Each program, and the tracepoint it is for.
const PROGRAMS: &[(&str, &str)] =
    &[("transition", "inet_sock_set_state"), ("retransmission", "tcp_retransmit_skb")];

/// The size of the ring in bytes; the kernel takes a power of two of whole pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize(u32);

impl RingSize {
    /// Room for the events of a twentieth of a second on two saturated cores, twice over.
    pub const DEFAULT: RingSize = RingSize(8 << 20);
    /// The smallest that the kernel takes.
    pub const MINIMUM: RingSize = RingSize(RingSize::MIN);
    const MIN: u32 = 4 << 10;
    const MAX: u32 = 1 << 30;

    pub fn bytes(self) -> u32 {
        self.0
    }

    /// How full it may be before the reader is woken.
    fn mark(self) -> u64 {
        u64::from(self.0 / 2)
    }
}

impl str::FromStr for RingSize {
    type Err = String;

    /// A number of bytes, or one with K, M or G behind it.
    fn from_str(text: &str) -> Result<RingSize, String> {
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
            Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
            Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let bytes = digits.parse::<u32>().ok().and_then(|n| u64::from(n).checked_mul(1 << shift));
        match bytes.and_then(|bytes| u32::try_from(bytes).ok()) {
            Some(bytes @ RingSize::MIN..=RingSize::MAX) => Ok(RingSize(bytes.next_power_of_two())),
            _ => Err("a size from 4K to 1G is wanted, such as 8M".to_owned()),
        }
    }
}

/// The attached programs and their ring.
pub struct Tracer {
    /// `None` once detached.
    attached: Option<Ebpf>,
    ring: RingBuf<MapData>,
    tally: PerCpuArray<MapData, RawTally>,
    log: Option<BpfLog>,
    /// What the kernel said last of events that it did not run the programs for.
    reentered: u64,
}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct RawTally(Tally);

// SAFETY: a tally is integers without padding.
unsafe impl aya::Pod for RawTally {}

impl Tracer {
    /// Loads the programs and attaches them: events from here on are in the ring.
    pub fn start(ring_size: RingSize, level: LogLevel) -> Result<Tracer, Refusal> {
        refusal::check_capabilities()?;
        if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            return Err(Refusal::NoBtf);
        }
        let circumstances = Circumstances::of_system();
        if circumstances.maps_are_locked_memory {
            // If it cannot be raised, it may still be high enough.
            let _ = rustix::process::setrlimit(
                Resource::Memlock,
                Rlimit { current: None, maximum: None },
            );
        }
        let kernel = Btf::from_sys_fs().map_err(|error| Refusal::Other {
            what: "cannot read /sys/kernel/btf/vmlinux",
            reason: refusal::chain(&error),
        })?;

        let (mark, log_level) = (ring_size.mark(), level.raw());
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&kernel))
            .map_max_entries("RECORDS", ring_size.bytes())
            .override_global("WAKE_AT", &mark, true)
            .override_global(aya_log::LEVEL, &log_level, true)
            .verifier_log_level(VerifierLogLevel::DEBUG)
            .load(OBJECT)
            .map_err(|error| refusal::of_load(&error, circumstances))?;

        for (name, tracepoint) in PROGRAMS {
            program(&mut ebpf, name)
                .load(tracepoint, &kernel)
                .map_err(|error| refusal::of_program(name, tracepoint, &error, circumstances))?;
        }
        let ring = take_map(&mut ebpf, "RECORDS", RingBuf::try_from)?;
        let tally = take_map(&mut ebpf, "TALLY", PerCpuArray::try_from)?;
        let log = match level {
            LogLevel::Off => None,
            _ => Some(BpfLog::take(&mut ebpf).map_err(|error| Refusal::Other {
                what: "cannot read the log of the programs",
                reason: refusal::chain(&error),
            })?),
        };
        for (name, tracepoint) in PROGRAMS {
            program(&mut ebpf, name)
                .attach()
                .map_err(|error| refusal::of_program(name, tracepoint, &error, circumstances))?;
        }
        Ok(Tracer { attached: Some(ebpf), ring, tally, log, reentered: 0 })
    }

    /// The next event in the ring.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let record = self.ring.next()?;
            if let Some(event) = decode::event(&record) {
                return Some(event);
            }
        }
    }

    /// What was lost so far.
    pub fn losses(&mut self) -> Result<Losses, Refusal> {
        let per_cpu = self.tally.get(&0, 0).map_err(|error| Refusal::Other {
            what: "cannot read the count of lost events",
            reason: refusal::chain(&error),
        })?;
        self.count_reentered();
        Ok(Losses {
            per_cpu: per_cpu.iter().map(|tally| tally.0).collect(),
            reentered: self.reentered,
        })
    }

    /// Prints what the programs logged.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// Detaches and unloads the programs. What is in the ring can still be read.
    pub fn detach(&mut self) {
        self.count_reentered();
        self.attached = None;
    }

    fn count_reentered(&mut self) {
        let Some(ebpf) = &self.attached else { return };
        self.reentered = ebpf
            .programs()
            .filter_map(|(_, program)| program.fd().ok())
            .filter_map(|fd| recursion_misses(fd.as_fd()))
            .sum();
    }
}

/// Where a wake-up shows when the ring has filled to its mark.
impl AsRawFd for Tracer {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

/// Kernels since 5.12 tell it.
fn recursion_misses(program: BorrowedFd<'_>) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    let (_, rest) = info.split_once("recursion_misses:")?;
    rest.lines().next()?.trim().parse().ok()
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> &'a mut BtfTracePoint {
    match ebpf.program_mut(name) {
        Some(Program::BtfTracePoint(program)) => program,
        _ => unreachable!("the object is embedded, and a test finds {name} in it"),
    }
}

fn take_map<T, E: std::error::Error>(
    ebpf: &mut Ebpf,
    name: &str,
    convert: impl FnOnce(aya::maps::Map) -> Result<T, E>,
) -> Result<T, Refusal> {
    let map = ebpf.take_map(name).unwrap_or_else(|| {
        unreachable!("the object is embedded, and a test finds {name} in it");
    });
    convert(map).map_err(|error| Refusal::Other {
        what: "cannot use a map",
        reason: format!("{name}: {}", refusal::chain(&error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_sizes_are_powers_of_two() {
        for (text, bytes) in [("4096", 4096), ("5000", 8192), ("64k", 65536), ("8M", 8 << 20)] {
            assert_eq!(text.parse::<RingSize>().unwrap().bytes(), bytes);
        }
        for text in ["", "0", "12", "2G", "M", "-1", "1x", "99999999999"] {
            assert!(text.parse::<RingSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_object_has_what_is_loaded_from_it() {
        let object = symbols();
        for name in PROGRAMS.iter().flat_map(|(program, _)| [*program]).chain(["RECORDS", "TALLY"])
        {
            assert!(object.contains(&name.to_owned()), "{name}");
        }
    }

    fn symbols() -> Vec<String> {
        use object::{Object, ObjectSymbol};
        object::File::parse(OBJECT)
            .unwrap()
            .symbols()
            .filter_map(|symbol| symbol.name().ok().map(str::to_owned))
            .collect()
    }
}
