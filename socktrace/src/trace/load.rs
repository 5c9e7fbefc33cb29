//! Loading, attaching, reading, detaching.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;
use std::{process, str};

use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, CgroupAttachMode, Program, ProgramError};
use aya::{Btf, Ebpf, EbpfLoader, Endianness, VerifierLogLevel};
use rustix::process::{Resource, Rlimit};
use rustix::time::{ClockId, clock_getres};
use socktrace_common::Tally;
use socktrace_common::probe::Probe;

use super::allowance;
use super::bpf_log::{BpfLog, LogLevel};
use super::decode::{Decoder, Record};
use super::generations::Generations;
use super::kernel_types::KernelTypes;
use super::losses::Losses;
use super::refusal::{self, Circumstances, Refusal};
use super::seed::Seeding;
use crate::event::{Family, ResetReason};
use crate::names::cgroup_mount_point;
use crate::procfs;
use crate::say::complain;

static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/socktrace.bpf.o");

/// A program, and the tracepoint it is for.
type Hook = (&'static str, &'static str);

const TRANSITION: Hook = ("transition", "inet_sock_set_state");
const LIFE: Hook = ("life", "inet_sock_set_state");
const RETRANSMISSION: Hook = ("retransmission", "tcp_retransmit_skb");
const SYNACK: Hook = ("synack", "tcp_retransmit_synack");
const RESET_RECEIVED: Hook = ("reset_received", "tcp_receive_reset");
const RESET_SENT: Hook = ("reset_sent", "tcp_send_reset");

/// What the kernel is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Every transition, retransmission and reset.
    Everything,
    Retransmissions,
    /// A record for each connection, at its end.
    Lives,
    /// Lives, retransmissions and resets, to be added up.
    Digest,
}

impl Wanted {
    fn hooks(self) -> &'static [Hook] {
        match self {
            Wanted::Everything => &[TRANSITION, RETRANSMISSION, SYNACK, RESET_RECEIVED, RESET_SENT],
            Wanted::Retransmissions => &[TRANSITION, RETRANSMISSION, SYNACK],
            Wanted::Lives => &[LIFE, RESET_RECEIVED, RESET_SENT],
            Wanted::Digest => &[LIFE, RETRANSMISSION, SYNACK, RESET_RECEIVED, RESET_SENT],
        }
    }
}

/// What is to be traced, and with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TracePlan {
    pub wanted: Wanted,
    /// The namespace to trace, by its inode; all if there is none.
    pub netns: Option<u32>,
    /// The family to trace; both if there is none.
    pub family: Option<Family>,
    /// What the programs are to let through; all if there is none.
    pub probe: Option<Probe>,
    pub ring_size: RingSize,
    pub log: LogLevel,
    /// Whether to print all that the verifier says of a program that is refused.
    pub verifier_log: bool,
}

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
    decoder: Decoder,
    generations: Generations,
    reset_reasons: BTreeMap<u32, String>,
    missing: Vec<&'static str>,
    /// Why it is not told who accepts a connection.
    blind_to_accepts: Option<String>,
    /// What the kernel said last of events that it did not run the programs for.
    reentered: u64,
}

/// Gives the programs their filter, before they run.
fn set_probe(ebpf: &mut Ebpf, probe: Probe) -> Result<(), Refusal> {
    let failed = |reason| Refusal::Other { what: "cannot give the programs the filter", reason };
    let map = ebpf.map_mut("PROBE").ok_or_else(|| failed("they have no place for it".into()))?;
    let set = Array::try_from(map).and_then(|mut map| map.set(0, RawProbe(probe), 0));
    set.map_err(|error| failed(refusal::chain(&error)))
}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct RawProbe(Probe);

// SAFETY: a probe is integers without padding.
unsafe impl aya::Pod for RawProbe {}

#[derive(Clone, Copy)]
#[repr(transparent)]
struct RawTally(Tally);

// SAFETY: a tally is integers without padding.
unsafe impl aya::Pod for RawTally {}

impl Tracer {
    /// Loads the programs and attaches them: events from here on are in the ring. Then begins to
    /// look for the sockets that are older.
    pub fn start(plan: &TracePlan) -> Result<(Tracer, Option<Seeding>), Refusal> {
        refusal::check_capabilities()?;
        if let Some(shortage) = allowance::shortage(plan.ring_size, &procfs::root()) {
            complain(&shortage);
        }
        let bytes = KernelTypes::bytes().map_err(|_| Refusal::NoBtf)?;
        let unreadable =
            |reason| Refusal::Other { what: "cannot read /sys/kernel/btf/vmlinux", reason };
        let kernel = Btf::parse(&bytes, Endianness::default())
            .map_err(|error| unreadable(refusal::chain(&error)))?;
        let types = KernelTypes::read(&bytes)
            .ok_or_else(|| unreadable("it holds what is not known here".to_owned()))?;
        let circumstances = Circumstances::of_system();
        if circumstances.maps_are_locked_memory {
            // If it cannot be raised, it may still be high enough.
            let _ = rustix::process::setrlimit(
                Resource::Memlock,
                Rlimit { current: None, maximum: None },
            );
        }

        let mut ebpf =
            load(plan, &kernel, &types).map_err(|error| refusal::of_load(&error, circumstances))?;
        if let Some(probe) = plan.probe {
            set_probe(&mut ebpf, probe)?;
        }
        let gives_cookies = types.has_cookies || give_cookies(&mut ebpf);
        let hooks = plan.wanted.hooks();
        for (name, tracepoint) in hooks {
            program(&mut ebpf, name).load(tracepoint, &kernel).map_err(|error| {
                if plan.verifier_log
                    && let ProgramError::LoadError { verifier_log, .. } = &error
                {
                    complain(&format!("the verifier on the program {name}:\n{verifier_log}"));
                }
                refusal::of_program(name, tracepoint, &error, circumstances)
            })?;
        }
        let ring = take_map(&mut ebpf, "RECORDS", RingBuf::try_from)?;
        let tally = take_map(&mut ebpf, "TALLY", PerCpuArray::try_from)?;
        let log = match plan.log {
            LogLevel::Off => None,
            _ => Some(BpfLog::take(&mut ebpf).map_err(|error| Refusal::Other {
                what: "cannot read the log of the programs",
                reason: refusal::chain(&error),
            })?),
        };
        for (name, tracepoint) in hooks {
            program(&mut ebpf, name)
                .attach()
                .map_err(|error| refusal::of_program(name, tracepoint, &error, circumstances))?;
        }
        // Where functions cannot be traced, owners of accepted sockets are learnt a little later.
        let blind_to_accepts = match types.accept_arguments {
            Some(_) => attach_accept(&mut ebpf, &kernel).err().map(|error| match error {
                // What the verifier has to say besides is long.
                ProgramError::LoadError { io_error, .. } => io_error.to_string(),
                error => refusal::chain(&error),
            }),
            None => Some("it is not known how its function for that is called".to_owned()),
        };
        let mut missing = Vec::new();
        if !gives_cookies {
            missing.push(
                "this kernel does not tell the cookies of sockets (Linux 5.12 does; before, it takes \
                 CAP_NET_ADMIN and cgroup2)",
            );
        } else if !types.has_cookies {
            missing.push(
                "this kernel does not tell the cookies of sockets that are older than the trace \
                 (Linux 5.12 does)",
            );
        }
        if !types.has_reset_reason && plan.wanted != Wanted::Retransmissions {
            missing.push(
                "this kernel tells neither why it sends resets nor of those that belong to no socket \
                 (Linux 6.10 does)",
            );
        }
        let seeding = Seeding::start(&mut ebpf, &kernel);
        if seeding.is_none() {
            missing.push(
                "nobody tells here who holds the sockets that are older than the trace (Linux 5.11 does)",
            );
        }
        let decoder = Decoder { tick: tick(), has_reset_reason: types.has_reset_reason };
        let reset_reasons = types.reset_reasons;
        let tracer = Tracer {
            attached: Some(ebpf),
            ring,
            tally,
            log,
            decoder,
            generations: Generations::default(),
            reset_reasons,
            missing,
            blind_to_accepts,
            reentered: 0,
        };
        Ok((tracer, seeding))
    }

    /// What this kernel cannot tell, and that will be missing from the output.
    pub fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    /// Why the owner of an accepted socket is learnt at the first work on it, rather than from
    /// whoever accepts it; `None` if it is not so.
    pub fn blind_to_accepts(&self) -> Option<&str> {
        self.blind_to_accepts.as_deref()
    }

    /// The names of this kernel's reasons for resets.
    pub fn reset_reasons(&self) -> impl Iterator<Item = (ResetReason, &str)> {
        self.reset_reasons.iter().map(|(number, name)| (ResetReason(*number), name.as_str()))
    }

    /// The next record in the ring.
    pub fn next_record(&mut self) -> Option<Record> {
        loop {
            let record = self.ring.next()?;
            if let Some(record) = self.decoder.record(&record, &mut self.generations) {
                return Some(record);
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
        let Some(ebpf) = self.attached.take() else { return };
        let programs: Vec<OwnedFd> =
            descriptors(&ebpf).filter_map(|fd| fd.try_clone_to_owned().ok()).collect();
        drop(ebpf);
        await_running_programs();
        self.reentered = programs.iter().filter_map(|fd| recursion_misses(fd.as_fd())).sum();
    }

    fn count_reentered(&mut self) {
        let Some(ebpf) = &self.attached else { return };
        self.reentered = descriptors(ebpf).filter_map(recursion_misses).sum();
    }
}

/// Where a wake-up shows when the ring has filled to its mark.
impl AsRawFd for Tracer {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

fn descriptors(ebpf: &Ebpf) -> impl Iterator<Item = BorrowedFd<'_>> {
    ebpf.programs().filter_map(|(_, program)| program.fd().ok()).map(AsFd::as_fd)
}

/// A program that was detached may still run on another CPU, and what it has reserved in the ring
/// but not submitted hides all that lies behind. No program runs on beyond a grace period of RCU,
/// which this waits for; where the kernel refuses (nohz_full), nothing is worse than without.
fn await_running_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: the call takes three numbers.
    unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
}

/// Kernels since 5.12 tell it.
fn recursion_misses(program: BorrowedFd<'_>) -> Option<u64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", program.as_raw_fd())).ok()?;
    let (_, rest) = info.split_once("recursion_misses:")?;
    rest.lines().next()?.trim().parse().ok()
}

/// Fits the object to the kernel and the plan, and makes its maps.
fn load(plan: &TracePlan, kernel: &Btf, types: &KernelTypes) -> Result<Ebpf, aya::EbpfError> {
    const AF_INET: u32 = 2;
    const AF_INET6: u32 = 10;
    let (mark, log_level) = (plan.ring_size.mark(), plan.log.raw());
    let netns = plan.netns.unwrap_or(0);
    let family = plan.family.map_or(0, |family| match family {
        Family::Inet => AF_INET,
        Family::Inet6 => AF_INET6,
    });
    let has_cookies = u8::from(types.has_cookies);
    let has_task_btf = u8::from(types.has_task_btf);
    let has_reset_reason = u8::from(types.has_reset_reason);
    let accept_arguments = types.accept_arguments.unwrap_or_default() as u8;
    let tell_transitions = u8::from(plan.wanted == Wanted::Everything);
    let tell_resets = u8::from(matches!(plan.wanted, Wanted::Everything | Wanted::Digest));
    let has_probe = u8::from(plan.probe.is_some());
    let tracer = number_of_this_process().unwrap_or(0);
    EbpfLoader::new()
        .btf(Some(kernel))
        .map_max_entries("RECORDS", plan.ring_size.bytes())
        .override_global("WAKE_AT", &mark, true)
        .override_global("NETNS", &netns, true)
        .override_global("FAMILY", &family, true)
        .override_global("HAS_COOKIES", &has_cookies, true)
        .override_global("HAS_TASK_BTF", &has_task_btf, true)
        .override_global("HAS_RESET_REASON", &has_reset_reason, true)
        .override_global("ACCEPT_ARGUMENTS", &accept_arguments, true)
        .override_global("TELL_TRANSITIONS", &tell_transitions, true)
        .override_global("TELL_RESETS", &tell_resets, true)
        .override_global("HAS_PROBE", &has_probe, true)
        .override_global("TRACER", &tracer, true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .verifier_log_level(VerifierLogLevel::DEBUG)
        .load(OBJECT)
}

/// The pid of this process as the programs see it; `None` in a pid namespace, where it has another.
fn number_of_this_process() -> Option<u32> {
    // The inode of the first pid namespace is fixed.
    const FIRST: &str = "pid:[4026531836]";
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    (namespace.as_os_str() == FIRST).then(process::id)
}

/// Has each new socket given a cookie, where programs at tracepoints may not ask for it; false
/// where this cannot be done either.
fn give_cookies(ebpf: &mut Ebpf) -> bool {
    let Some(root) = cgroup_mount_point().and_then(|path| File::open(path).ok()) else {
        return false;
    };
    // A link to a group stands beside those of others.
    let mode = CgroupAttachMode::Single;
    let created = match ebpf.program_mut("created") {
        Some(Program::CgroupSock(program)) => {
            program.load().and_then(|()| program.attach(&root, mode)).is_ok()
        }
        _ => unreachable!("the object is embedded, and a test finds it there"),
    };
    let established = match ebpf.program_mut("established") {
        Some(Program::SockOps(program)) => {
            program.load().and_then(|()| program.attach(&root, mode)).is_ok()
        }
        _ => unreachable!("the object is embedded, and a test finds it there"),
    };
    created && established
}

fn attach_accept(ebpf: &mut Ebpf, kernel: &Btf) -> Result<(), ProgramError> {
    let Some(Program::FExit(program)) = ebpf.program_mut("accepted") else {
        unreachable!("the object is embedded, and a test finds it there");
    };
    program.load("inet_csk_accept", kernel)?;
    program.attach()?;
    Ok(())
}

/// The length of a tick of the kernel: what its coarse clocks resolve.
fn tick() -> Duration {
    let resolution = clock_getres(ClockId::MonotonicCoarse);
    Duration::new(resolution.tv_sec as u64, resolution.tv_nsec as u32)
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
        let hooks = [Wanted::Everything, Wanted::Retransmissions, Wanted::Lives]
            .into_iter()
            .flat_map(Wanted::hooks)
            .map(|(program, _)| *program);
        for name in hooks.chain([
            "seed",
            "accepted",
            "created",
            "established",
            "RECORDS",
            "TALLY",
            "SOCKETS",
            "OTHER_SOCKETS",
            "LISTENERS",
        ]) {
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
