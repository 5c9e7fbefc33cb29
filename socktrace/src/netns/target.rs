//! The namespace that `-N` means: that of a name of `ip netns`, a process, a file, or a container.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::thread::LinkNameSpaceType;

use super::{NetnsError, is_named, named_file, open};
use crate::container::{Home, Homes};
use crate::socket::NetnsId;

/// Moves the calling thread into the namespace that a word means.
pub fn enter(word: &OsStr, proc_root: &Path, homes: &Homes) -> Result<(), NetnsError> {
    let file = open_called(word, proc_root, homes)?;
    move_into(&file).map_err(|errno| NetnsError::Enter { name: lossy(word), errno })
}

/// The namespace that a word means.
pub fn called(
    word: &OsStr,
    proc_root: &Path,
    homes: &Homes,
) -> Result<(OwnedFd, NetnsId), NetnsError> {
    let file = open_called(word, proc_root, homes)?;
    // What the kernel says of entering anything else.
    let is_none = || NetnsError::Enter { name: lossy(word), errno: Errno::INVAL };
    let id = super::of_file(&file).ok_or_else(is_none)?;
    Ok((file, id))
}

/// Runs `body` in a namespace, and returns to the one before.
pub fn inside<T>(namespace: &OwnedFd, body: impl FnOnce() -> T) -> io::Result<T> {
    let before = fs::File::open("/proc/thread-self/ns/net")?.into();
    move_into(namespace)?;
    let result = body();
    move_into(&before)?;
    Ok(result)
}

pub fn move_into(namespace: &OwnedFd) -> Result<(), Errno> {
    let kind = Some(LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
}

fn lossy(word: &OsStr) -> String {
    word.to_string_lossy().into_owned()
}

fn open_called(word: &OsStr, proc_root: &Path, homes: &Homes) -> Result<OwnedFd, NetnsError> {
    let path = find(word, proc_root, homes);
    let path = path.ok_or_else(|| NetnsError::Nothing { name: lossy(word) })?;
    open(&path).map_err(|errno| NetnsError::Open { name: lossy(word), errno })
}

fn find(word: &OsStr, proc_root: &Path, homes: &Homes) -> Option<PathBuf> {
    if is_path(word) {
        return Some(word.into());
    }
    if is_named(word) {
        return Some(named_file(word));
    }
    let word = word.to_str()?;
    if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
        return Some(proc_root.join(word).join("ns/net"));
    }
    let processes = fs::read_dir(proc_root).ok()?.flatten();
    let mut found = processes.filter(|entry| {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        pid.and_then(|pid| homes.of_process(pid)).is_some_and(|home| is_called(&home, word))
    });
    found.next().map(|entry| entry.path().join("ns/net"))
}

/// A path says that it is one: `NAMESPACE/POD` has a slash too, and no name leads out of the folder
/// of names.
fn is_path(word: &OsStr) -> bool {
    [&b"/"[..], b"./", b"../"].iter().any(|start| word.as_bytes().starts_with(start))
}

fn is_called(home: &Home, word: &str) -> bool {
    home.container.as_ref().is_some_and(|container| container.is_called(word))
        || home.pod.as_ref().is_some_and(|pod| pod.is_called(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_leads_anywhere() {
        let homes = Homes::new("/nonexistent".into());
        let path = |word: &str| {
            let path = find(word.as_ref(), Path::new("/nonexistent"), &homes);
            path.map(|path| path.to_string_lossy().into_owned())
        };
        for (word, expected) in [
            ("/proc/7/ns/net", Some("/proc/7/ns/net")),
            ("./file", Some("./file")),
            ("../file", Some("../file")),
            ("7", Some("/nonexistent/7/ns/net")),
            ("prod/web-0", None),
            ("x/../../../proc/7/ns/net", None),
            ("..", None),
            (".", None),
            ("", None),
        ] {
            assert_eq!(path(word).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn a_file_that_is_no_namespace_is_refused() {
        let homes = Homes::new("/proc".into());
        let id = |word: &str| called(word.as_ref(), Path::new("/proc"), &homes);
        assert_eq!(
            id("/proc/thread-self/ns/net").ok().map(|found| found.1),
            super::super::current()
        );
        for word in ["/etc/hostname", "/proc/self/ns/mnt"] {
            assert!(matches!(id(word), Err(NetnsError::Enter { .. })), "{word}");
        }
        assert!(matches!(id("nobody-is-called-so"), Err(NetnsError::Nothing { .. })));
    }
}
