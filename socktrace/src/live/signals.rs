//! Signals that end a wait rather than the process.

use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

/// SIGINT and SIGTERM, held back from this thread and those that it starts, while this lives. One
/// that nobody waited for ends the process then.
pub struct HeldSignals {
    held: libc::sigset_t,
    before: libc::sigset_t,
}

impl HeldSignals {
    pub fn hold() -> HeldSignals {
        let mut held = MaybeUninit::uninit();
        let mut before = MaybeUninit::uninit();
        // SAFETY: the calls write whole sets, and fail for no set and no signal of these.
        unsafe {
            libc::sigemptyset(held.as_mut_ptr());
            libc::sigaddset(held.as_mut_ptr(), libc::SIGINT);
            libc::sigaddset(held.as_mut_ptr(), libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_BLOCK, held.as_ptr(), before.as_mut_ptr());
            HeldSignals { held: held.assume_init(), before: before.assume_init() }
        }
    }

    /// Whether one of them comes within so long.
    pub(super) fn come_within(&self, time: Duration) -> bool {
        let time = libc::timespec {
            tv_sec: time.as_secs() as libc::time_t,
            tv_nsec: time.subsec_nanos().into(),
        };
        // SAFETY: the set and the time are read, and nothing is written.
        let signal = unsafe { libc::sigtimedwait(&self.held, ptr::null_mut(), &time) };
        signal > 0
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        // SAFETY: the set is read, and nothing is written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}
