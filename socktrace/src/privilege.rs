//! Giving up what is not needed any more.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// What a trace still needs once its programs are attached: before Linux 5.19, reading a map takes
/// the capability that making it took.
pub fn keep_what_reading_takes() -> io::Result<()> {
    let held = capabilities(None)?.permitted;
    // The older one stands for the newer one where that is not held.
    let needed = match held.contains(CapabilitySet::BPF) {
        true => CapabilitySet::BPF,
        false => CapabilitySet::SYS_ADMIN,
    };
    keep_only(held.intersection(needed))
}

/// Gives up all other capabilities of this thread and of those that it starts, and every way to
/// gain one by running a program.
fn keep_only(kept: CapabilitySet) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    let kept =
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, kept)?)
}
