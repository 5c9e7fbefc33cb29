//! Whom a socket belongs to.
//!
//! TCP events run in whatever task the CPU was at: a process is believed only while it holds the
//! lock of the socket, and a kernel thread never.

use socktrace_common::{ACCEPTOR, OWN_EVENT, Owner};

use crate::kernel::Sock;
use crate::task;

/// Fills in the owner from the running task, if that is believable and nothing better is known.
#[inline(always)]
pub(crate) fn learn(sock: Sock, owner: &mut Owner) {
    if !matches!(owner.learnt, OWN_EVENT | ACCEPTOR) && sock.is_owned() {
        task::current(owner, OWN_EVENT);
    }
}

/// Copies an owner. An assignment, whose two sides LLVM takes for overlapping, would become a call
/// of a function that moves single bytes, and cost more than all else of an event.
#[inline(always)]
pub(crate) fn copy(from: &Owner, to: &mut Owner) {
    // SAFETY: references, of which one is exclusive, do not overlap.
    unsafe { core::ptr::copy_nonoverlapping(from, to, 1) };
}
