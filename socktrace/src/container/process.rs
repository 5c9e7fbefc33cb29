//! What /proc tells of the surroundings of a process.

use std::fs;
use std::path::Path;

/// The cgroup of a process, below the root of its hierarchy.
pub(super) fn cgroup(proc_root: &Path, pid: u32) -> Option<Vec<u8>> {
    let text = fs::read(proc_root.join(pid.to_string()).join("cgroup")).ok()?;
    choose(&text).map(<[u8]>::to_vec)
}

/// Lines are `HIERARCHY:CONTROLLERS:PATH`. The unified hierarchy counts, unless everything is in
/// its root because the older ones are in use.
fn choose(text: &[u8]) -> Option<&[u8]> {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b':');
        Some((parts.next()?, parts.next()?, parts.next()?))
    });
    let rank = |&(hierarchy, controllers, path): &(&[u8], &[u8], &[u8])| {
        let is_kept_by_systemd = controllers == b"name=systemd";
        (path != b"/", hierarchy == b"0", is_kept_by_systemd)
    };
    lines.max_by_key(rank).map(|(_, _, path)| path)
}

/// The pid that a process has in its own pid namespace.
pub(super) fn inner_pid(proc_root: &Path, pid: u32) -> Option<u32> {
    let status = fs::read(proc_root.join(pid.to_string()).join("status")).ok()?;
    // From the outermost namespace to the innermost.
    let pids = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"NSpid:"))?;
    std::str::from_utf8(pids).ok()?.split_ascii_whitespace().next_back()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_in_use_counts() {
        for (text, expected) in [
            (&b"0::/system.slice/a.service\n"[..], Some(&b"/system.slice/a.service"[..])),
            (b"12:pids:/docker/x\n1:name=systemd:/docker/y\n0::/\n", Some(b"/docker/y")),
            (b"12:pids:/docker/x\n0::/\n", Some(b"/docker/x")),
            (b"1:name=systemd:/a\n0::/b\n", Some(b"/b")),
            (b"0::/with:colon\n", Some(b"/with:colon")),
            (b"0::/\n", Some(b"/")),
            (b"", None),
            (b"nonsense\n", None),
        ] {
            assert_eq!(choose(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn this_process_has_a_pid_inside() {
        let pid = std::process::id();
        assert_eq!(inner_pid(Path::new("/proc"), pid), Some(pid));
    }
}
