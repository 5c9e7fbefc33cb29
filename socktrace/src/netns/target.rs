//! The namespace that `-N` means where no name of `ip netns` is given: that of a process, a file or
//! a container.

use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::thread::LinkNameSpaceType;

use super::{NetnsError, open};
use crate::container::{Home, Homes};

/// Moves the calling thread into the namespace of a PID, a file, a container or a pod.
pub fn enter(word: &OsStr, proc_root: &Path, homes: &Homes) -> Result<(), NetnsError> {
    let name = || word.to_string_lossy().into_owned();
    let path = find(word, proc_root, homes).ok_or_else(|| NetnsError::Nothing { name: name() })?;
    let file = open(&path).map_err(|errno| NetnsError::Open { name: name(), errno })?;
    move_into(&file).map_err(|errno| NetnsError::Enter { name: name(), errno })
}

pub fn move_into(namespace: &OwnedFd) -> Result<(), rustix::io::Errno> {
    let kind = Some(LinkNameSpaceType::Network);
    rustix::thread::move_into_link_name_space(namespace.as_fd(), kind)
}

fn find(word: &OsStr, proc_root: &Path, homes: &Homes) -> Option<PathBuf> {
    if word.as_bytes().contains(&b'/') && !is_pod(word) {
        return Some(word.into());
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

/// `NAMESPACE/POD` looks like a path; it is one if there is such a file.
fn is_pod(word: &OsStr) -> bool {
    let path = Path::new(word);
    path.is_relative() && path.components().count() == 2 && !path.exists()
}

fn is_called(home: &Home, word: &str) -> bool {
    home.container.as_ref().is_some_and(|container| container.is_called(word))
        || home.pod.as_ref().is_some_and(|pod| pod.is_called(word))
}
