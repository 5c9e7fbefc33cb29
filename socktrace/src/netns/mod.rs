//! Network namespaces: finding all of them, naming and entering one.

mod descriptor;
mod find;
mod given;
mod links;
mod place;
mod target;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::socket::NetnsId;

pub use find::{Found, Namespace, find, network_name};
pub use given::GivenNames;
pub use links::leading_elsewhere;
pub use place::Place;
pub use target::{called, enter as enter_called, inside, move_into};

const NAMES: &str = "/run/netns";
const ETC: &str = "/etc/netns";

/// Why a namespace could not be entered; worded as `ip netns` words it.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    #[error("Cannot open network namespace \"{name}\": {}", reason(*errno))]
    Open { name: String, errno: Errno },
    #[error("setting the network namespace \"{name}\" failed: {}", reason(*errno))]
    Enter { name: String, errno: Errno },
    #[error("no network namespace, process, file or container goes by the name \"{name}\"")]
    Nothing { name: String },
    #[error("unshare failed: {}", reason(*.0))]
    Unshare(Errno),
    #[error("\"mount --make-rslave /\" failed: {}", reason(*.0))]
    Propagation(Errno),
    #[error("mount of /sys failed: {}", reason(*.0))]
    Sys(Errno),
}

/// A file that the namespace has its own version of and that could not be put in place.
#[derive(Debug)]
pub struct BindFailure {
    pub from: PathBuf,
    pub to: PathBuf,
    pub errno: Errno,
}

/// Moves the calling thread into a named namespace, with a /sys and the files of
/// /etc/netns/NAME to match. Call it before there are other threads: they stay behind.
pub fn enter(name: &OsStr) -> Result<Vec<BindFailure>, NetnsError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let said = || name.to_string_lossy().into_owned();
    let namespace = rustix::fs::open(named_file(name), flags, Mode::empty())
        .map_err(|errno| NetnsError::Open { name: said(), errno })?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
        .map_err(|errno| NetnsError::Enter { name: said(), errno })?;

    // SAFETY: a mount namespace of one's own takes no descriptor or memory from other threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.map_err(NetnsError::Unshare)?;
    // What is mounted from here on must not show in the namespace that was left.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .map_err(NetnsError::Propagation)?;
    mount_sys(name)?;
    Ok(bind_etc(name))
}

/// Where `ip netns` has the namespace of a name, if it has it; as `ss`, without a look at the name.
fn named_file(name: &OsStr) -> PathBuf {
    let mut path = OsString::from(NAMES);
    path.push("/");
    path.push(name);
    path.into()
}

/// Whether `ip netns` has a namespace of that name.
pub fn is_named(name: &OsStr) -> bool {
    is_name(name) && named_file(name).exists()
}

/// Whether `ip netns` would take it for a name.
fn is_name(name: &OsStr) -> bool {
    !name.as_bytes().contains(&b'/') && !matches!(name.as_bytes(), b"" | b"." | b"..")
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    // Anything may be named by mistake: a pipe must not hold us up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    rustix::fs::open(path, flags, Mode::empty())
}

/// Opens the file that a descriptor which only stands for it means.
fn reopen(file: &OwnedFd) -> Result<OwnedFd, Errno> {
    open(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))
}

/// The namespace of the calling thread.
pub fn current() -> Option<NetnsId> {
    id(Path::new("/proc/thread-self/ns/net"))
}

/// The namespace of a name.
pub fn named(name: &OsStr) -> Option<NetnsId> {
    is_name(name).then(|| id(&named_file(name))).flatten()
}

/// The namespace that an open file stands for; `None` if it is no network namespace's.
fn of_file(file: &OwnedFd) -> Option<NetnsId> {
    const NS_GET_NSTYPE: libc::Ioctl = 0xb703;
    // SAFETY: the call takes no argument and gives a number.
    let kind = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_NSTYPE) };
    // The link of a descriptor would say it, but not of one that was opened where it is mounted.
    (kind == libc::CLONE_NEWNET)
        .then(|| rustix::fs::fstat(file).ok())
        .flatten()
        .map(|stat| NetnsId(stat.st_ino))
}

/// The namespace in a link such as `net:[4026531833]`.
fn of_link(link: &[u8]) -> Option<NetnsId> {
    let id = link.strip_prefix(b"net:[")?.strip_suffix(b"]")?;
    std::str::from_utf8(id).ok()?.parse().ok().map(NetnsId)
}

fn id(file: &Path) -> Option<NetnsId> {
    fs::metadata(file).ok().map(|metadata| NetnsId(metadata.ino()))
}

fn mount_sys(name: &OsStr) -> Result<(), NetnsError> {
    let mut flags = MountFlags::empty();
    if rustix::mount::unmount("/sys", UnmountFlags::DETACH).is_err()
        && rustix::fs::statvfs("/sys").is_ok_and(|s| s.f_flag.contains(StatVfsMountFlags::RDONLY))
    {
        // A read-only sysfs cannot be covered by a writable one.
        flags = MountFlags::RDONLY;
    }
    rustix::mount::mount(name, "/sys", "sysfs", flags, None).map_err(NetnsError::Sys)
}

fn bind_etc(name: &OsStr) -> Vec<BindFailure> {
    let Ok(entries) = fs::read_dir(Path::new(ETC).join(name)) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let from = entry.path();
            let to = Path::new("/etc").join(entry.file_name());
            match rustix::mount::mount_bind(&from, &to) {
                Ok(()) => None,
                Err(errno) => Some(BindFailure { from, to, errno }),
            }
        })
        .collect()
}

/// The C library's words for an error, without the number that Rust puts behind them.
fn reason(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_worded_as_ip_netns_words_them() {
        let name = "no-such-namespace";
        assert_eq!(
            enter(name.as_ref()).unwrap_err().to_string(),
            "Cannot open network namespace \"no-such-namespace\": No such file or directory"
        );
        if !Path::new(NAMES).exists() {
            eprintln!("skipped: a directory in place of a namespace (there is no {NAMES})");
            return;
        }
        assert_eq!(
            enter("..".as_ref()).unwrap_err().to_string(),
            "setting the network namespace \"..\" failed: Invalid argument"
        );
    }
}
