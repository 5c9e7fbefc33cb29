//! The paths of cgroups by id, from the mounted cgroup2 hierarchy.

use std::cell::OnceCell;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::database::lines;
use crate::say::complain;

/// Every cgroup that was there when the first was asked for.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    paths: OnceCell<FxHashMap<u64, Box<[u8]>>>,
}

impl Cgroups {
    pub(super) fn path(&self, id: u64) -> Option<&[u8]> {
        self.paths.get_or_init(walk).get(&id).map(|path| &path[..])
    }
}

/// The id of a cgroup is the number of its inode.
fn walk() -> FxHashMap<u64, Box<[u8]>> {
    let mut paths = FxHashMap::default();
    let Some(root) = mount_point() else {
        complain("cgroup2 is not mounted here: cgroups have no paths");
        return paths;
    };
    if let Ok(metadata) = root.metadata() {
        paths.insert(metadata.ino(), b"/"[..].into());
    }
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in directory.read_dir().into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = entry.path();
                let below = path.as_os_str().as_bytes()[root.as_os_str().len()..].into();
                paths.insert(entry.ino(), below);
                pending.push(path);
            }
        }
    }
    paths
}

/// Where cgroup2 is mounted.
pub fn mount_point() -> Option<PathBuf> {
    let mounts = std::fs::read("/proc/mounts").ok()?;
    lines(&mounts).find_map(|mut words| {
        let path = words.nth(1)?;
        (words.next()? == b"cgroup2").then(|| PathBuf::from(OsString::from_vec(unescape(path))))
    })
}

/// White space and backslashes in `/proc/mounts` are octal.
pub(crate) fn unescape(path: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] if byte == b'\\' => {
                Some((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'))
            }
            _ => None,
        };
        plain.push(octal.unwrap_or(byte));
        rest = if octal.is_some() { &after[3..] } else { after };
    }
    plain
}

/// The id of the cgroup at `path`: what the file system says of that very path if it says it in
/// eight bytes, else the path below the mount point of cgroup2.
pub(super) fn id(path: &OsStr) -> io::Result<u64> {
    if let Ok(id) = handle(libc::AT_FDCWD, path) {
        return Ok(id);
    }
    let Some(mount_point) = mount_point() else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no cgroup2 hierarchy is mounted"));
    };
    let root = std::fs::File::open(mount_point)?;
    let bytes = path.as_bytes();
    let below = bytes.strip_prefix(b"/").unwrap_or(bytes);
    let below = if below.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(below)) };
    handle(root.as_raw_fd(), below.as_os_str())
}

/// `struct file_handle` with room for the eight bytes of a cgroup's.
#[repr(C)]
struct FileHandle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u8; 8],
}

fn handle(directory: RawFd, path: &OsStr) -> io::Result<u64> {
    let path = CString::new(path.as_bytes())?;
    let mut handle = FileHandle { bytes: 8, kind: 0, id: [0; 8] };
    let mut mount: libc::c_int = 0;
    // SAFETY: `path` ends with NUL, `handle` has the room that its first field says, and both it
    // and `mount` live through the call, which keeps no pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            directory,
            path.as_ptr(),
            &raw mut handle,
            &raw mut mount,
            0 as libc::c_int,
        )
    };
    if result == 0 { Ok(u64::from_ne_bytes(handle.id)) } else { Err(io::Error::last_os_error()) }
}
