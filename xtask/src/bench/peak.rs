//! The peak memory of a program. What `wait4` gives begins at that of the parent, which the child
//! was before it became the program; so it is read from the program itself, just before its end.

use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result, bail, ensure};

/// What a wait tells when a traced process is about to exit.
const EXITING: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXIT << 8;
const EXECUTED: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXEC << 8;

/// Starts a program that waits, before its first instruction, until [`wait`] lets it run: one that
/// is short might have ended before.
pub(super) fn spawn(command: &mut Command) -> Result<Child> {
    let trace_me = || ptrace(libc::PTRACE_TRACEME, 0, 0);
    // SAFETY: it is one system call.
    let command = unsafe { command.pre_exec(trace_me) };
    command.spawn().with_context(|| format!("cannot run {}", command.get_program().display()))
}

/// Waits for the child, in place of `Child::wait`; its peak memory in kilobytes.
pub(super) fn wait(child: &Child) -> Result<(ExitStatus, u64)> {
    let pid = child.id() as libc::pid_t;
    ensure!(libc::WIFSTOPPED(wait_once(pid)?), "a child ended before it began");
    let options = libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_TRACEEXEC | libc::PTRACE_O_EXITKILL;
    ptrace(libc::PTRACE_SETOPTIONS, pid, options).context("cannot trace a child")?;
    let (mut peak, mut signal) = (None, 0);
    loop {
        ptrace(libc::PTRACE_CONT, pid, signal).context("cannot let a child go on")?;
        let status = wait_once(pid)?;
        if !libc::WIFSTOPPED(status) {
            let peak = peak.context("a child ended unseen")?;
            return Ok((ExitStatus::from_raw(status), peak));
        }
        signal = match status >> 8 {
            EXITING => {
                peak = peak_of(pid);
                0
            }
            EXECUTED => 0,
            _ => libc::WSTOPSIG(status),
        };
    }
}

fn wait_once(pid: libc::pid_t) -> Result<libc::c_int> {
    let mut status = 0;
    // SAFETY: `status` is there to be written to.
    if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
        bail!("cannot wait for a child: {}", io::Error::last_os_error());
    }
    Ok(status)
}

fn ptrace(request: libc::c_uint, pid: libc::pid_t, data: i32) -> io::Result<()> {
    // SAFETY: none of the requests reads or writes memory of this process.
    match unsafe { libc::ptrace(request, pid, 0, i64::from(data)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn peak_of(pid: libc::pid_t) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
