//! The peak memory of a program. What `wait4` gives begins at that of the parent, which the child
//! was before it became the program; so it is read from the program itself, just before its end.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

use anyhow::{Context, Result, bail};

/// What a wait tells when a traced process is about to exit.
const EXITING: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_EXIT << 8;

/// Waits for the child, in place of `Child::wait`; its peak memory in kilobytes.
pub(super) fn wait(child: &Child) -> Result<(ExitStatus, u64)> {
    let pid = child.id() as libc::pid_t;
    ptrace(libc::PTRACE_SEIZE, pid, libc::PTRACE_O_TRACEEXIT).context("cannot trace a child")?;
    let mut peak = None;
    loop {
        let mut status = 0;
        // SAFETY: `status` is there to be written to.
        if unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
            bail!("cannot wait for a child: {}", io::Error::last_os_error());
        }
        if !libc::WIFSTOPPED(status) {
            let peak = peak.context("a child ended unseen")?;
            return Ok((ExitStatus::from_raw(status), peak));
        }
        let signal = match status >> 8 {
            EXITING => {
                peak = peak_of(pid);
                0
            }
            _ => libc::WSTOPSIG(status),
        };
        ptrace(libc::PTRACE_CONT, pid, signal).context("cannot let a child go on")?;
    }
}

fn ptrace(request: libc::c_uint, pid: libc::pid_t, data: i32) -> io::Result<()> {
    // SAFETY: neither request reads or writes memory of this process.
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
