//! What a child process used, as the kernel tells whoever waits for it.

use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use anyhow::{Result, bail};

#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    pub(super) status: ExitStatus,
    /// In user and kernel mode.
    pub(super) cpu: Duration,
}

/// What the child has used of the CPUs so far.
pub(super) fn so_far(child: &Child) -> Result<Duration> {
    let mut clock = 0;
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the pointers are to live memory of the right types, and all zeros are a valid time.
    let (failed, time) = unsafe {
        let failed = libc::clock_getcpuclockid(child.id() as libc::pid_t, &raw mut clock) != 0
            || libc::clock_gettime(clock, time.as_mut_ptr()) != 0;
        (failed, time.assume_init())
    };
    if failed {
        bail!("cannot read the CPU clock of a child");
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Waits for the child, in place of `Child::wait`.
pub(super) fn wait(child: &Child) -> Result<Usage> {
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live memory of the right types, and wait4 fills `usage` when it
    // gives back the child's pid; all zeros are a valid value of it besides.
    let (waited, usage) = unsafe {
        let pid = child.id() as libc::pid_t;
        let waited = libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr());
        (waited, usage.assume_init())
    };
    if waited < 0 {
        bail!("cannot wait for a child: {}", std::io::Error::last_os_error());
    }
    let spent = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    Ok(Usage {
        status: ExitStatus::from_raw(status),
        cpu: spent(usage.ru_utime) + spent(usage.ru_stime),
    })
}
