//! Loading, attaching, reading, detaching.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use aya::maps::ring_buf::RingBufItem;
use aya::maps::{Array, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, CgroupAttachMode, Program, ProgramError};
use aya::{Btf, Ebpf, Endianness};
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
use super::object;
use super::plan::{TracePlan, Wanted};
use super::refusal::{self, Circumstances, Refusal};
use super::seed::Seeding;
use crate::event::ResetReason;
use crate::names::cgroup_mount_point;
use crate::procfs;
use crate::say::complain;

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

/// A record in the ring. It leaves it when it is decoded.
pub struct RawRecord<'a> {
    bytes: RingBufItem<'a>,
    decoder: &'a Decoder,
    generations: &'a mut Generations,
}

impl RawRecord<'_> {
    pub fn decode(self) -> Record {
        self.decoder.record(&self.bytes, self.generations)
    }
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
        // Where maps are locked memory, no control group is charged for them.
        if !refusal::maps_are_locked_memory()
            && let Some(shortage) = allowance::shortage(plan.ring_size, &procfs::root())
        {
            complain(&shortage);
        }
        let bytes = KernelTypes::bytes().map_err(|_| Refusal::NoBtf)?;
        let unreadable =
            |reason| Refusal::Other { what: "cannot read /sys/kernel/btf/vmlinux", reason };
        let types = KernelTypes::read(&bytes, &object::types_needed(plan.wanted))
            .ok_or_else(|| unreadable("it holds what is not known here".to_owned()))?;
        drop(bytes);
        let parse = |btf: &[u8]| {
            let parsed = Btf::parse(btf, Endianness::default());
            parsed.map_err(|error| unreadable(refusal::chain(&error)))
        };
        let (to_read, kernel) = (parse(&types.to_read)?, parse(&types.to_attach)?);
        let circumstances = Circumstances::of_system();
        if circumstances.maps_are_locked_memory {
            // If it cannot be raised, it may still be high enough.
            let _ = rustix::process::setrlimit(
                Resource::Memlock,
                Rlimit { current: None, maximum: None },
            );
        }

        let mut ebpf = object::fit(plan, &types, &to_read)
            .map_err(|error| refusal::of_load(&error, circumstances))?;
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
        drop((to_read, kernel));
        give_back_memory();
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
    pub fn next_record(&mut self) -> Option<RawRecord<'_>> {
        let bytes = self.ring.next()?;
        Some(RawRecord { bytes, decoder: &self.decoder, generations: &mut self.generations })
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

/// The kernel's types are read once, and a trace may run for weeks.
fn give_back_memory() {
    // SAFETY: it takes no pointer, and changes nothing that anybody holds.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
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
