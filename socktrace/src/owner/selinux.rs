//! Whether SELinux labels processes and sockets here, and the labels.

use std::ffi::CStr;

use rustix::fs::StatFs;

const SELINUX_MAGIC: u64 = 0xf97c_ff8c;
const MOUNTS: [&CStr; 2] = [c"/sys/fs/selinux", c"/selinux"];

/// Whether the kernel's SELinux filesystem is mounted, by which libselinux judges too.
pub fn is_enabled() -> bool {
    MOUNTS.iter().any(|path| {
        rustix::fs::statfs(*path).is_ok_and(|StatFs { f_type, .. }| f_type as u64 == SELINUX_MAGIC)
    })
}

/// The label of what the kernel itself does.
pub(super) fn kernel_context() -> Option<Vec<u8>> {
    let label = std::fs::read("/sys/fs/selinux/initial_contexts/kernel").ok()?;
    Some(trim(&label).to_vec())
}

/// What stands for a label that cannot be read.
pub const UNAVAILABLE: &[u8] = b"unavailable";

/// A label as files and attributes give it, without the NUL or line end after it.
pub(super) fn trim(label: &[u8]) -> &[u8] {
    let end = label.iter().rposition(|byte| !matches!(byte, 0 | b'\n')).map_or(0, |last| last + 1);
    &label[..end]
}
