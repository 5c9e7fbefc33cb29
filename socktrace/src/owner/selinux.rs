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

/// A label as files and attributes give it, without the NUL or line end after it.
pub(super) fn trim(label: &[u8]) -> &[u8] {
    let end = label.iter().rposition(|byte| !matches!(byte, 0 | b'\n')).map_or(0, |last| last + 1);
    &label[..end]
}
