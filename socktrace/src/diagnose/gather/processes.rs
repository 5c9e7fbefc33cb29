//! Who holds the sockets of the evidence, and what can be known of them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::container::{Home, Homes};
use crate::diagnose::evidence::{Doing, Evidence, Executable, Process, Processes};
use crate::owner::Owners;
use crate::procfs;
use crate::socket::{Inode, State};

/// Threads of one process that are asked what they do.
const THREADS: usize = 64;

/// Adds the processes that hold the sockets of the evidence.
pub(super) fn add(evidence: &mut Evidence, owners: &Owners, homes: &Homes) {
    let root = procfs::root();
    let mut processes = Processes { refused: owners.refused(), ..Processes::default() };
    for inode in inodes(evidence) {
        let pids = owners.processes_of(inode);
        if !pids.is_empty() {
            processes.holders.insert(inode, pids);
        }
    }
    let here = fs::read_link("/proc/thread-self/ns/net").ok();
    let concerned: BTreeSet<u32> = processes.holders.values().flatten().copied().collect();
    let sockets = owners.counts();
    for (pid, comm) in owners.processes() {
        let lives_here = || fs::read_link(root.join(format!("{pid}/ns/net"))).ok() == here;
        if !concerned.contains(&pid) && !lives_here() {
            continue;
        }
        let known = processes.known.entry(pid);
        known.or_insert_with(|| describe(&root, pid, comm, homes)).sockets =
            sockets.get(&pid).copied().unwrap_or(0);
    }
    add_executables(&root, evidence, owners, &mut processes);
    add_doing(&root, evidence, owners, &mut processes);
    evidence.processes = processes;
}

/// The sockets whose holders a finding may name.
fn inodes(evidence: &Evidence) -> BTreeSet<Inode> {
    let mut inodes: BTreeSet<Inode> = BTreeSet::new();
    inodes.extend(evidence.tcp.iter().map(|socket| socket.inode));
    inodes.extend(evidence.destinations.iter().flat_map(|destination| &destination.inodes));
    inodes.extend(evidence.loss.iter().flat_map(|peer| &peer.inodes));
    inodes.extend(evidence.datagrams.iter().map(|socket| socket.inode));
    inodes.extend(evidence.unix_listeners.iter().map(|socket| socket.inode));
    inodes.extend(evidence.netlink.iter().map(|socket| socket.inode));
    inodes.remove(&Inode(0));
    inodes
}

fn describe(root: &Path, pid: u32, comm: &[u8], homes: &Homes) -> Process {
    let folder = root.join(pid.to_string());
    Process {
        pid,
        comm: comm.to_vec(),
        uid: fs::metadata(&folder).ok().map(|metadata| metadata.uid()),
        home: homes.of_process(pid).map(|home| Home::clone(&home)).unwrap_or_default(),
        descriptors: descriptors(&folder),
        descriptor_limit: fs::read_to_string(folder.join("limits"))
            .ok()
            .and_then(|text| soft_limit(&text)),
        ..Process::default()
    }
}

/// The size of the folder is their number, from Linux 6.2 on; before, it is 0.
pub(super) fn descriptors(folder: &Path) -> Option<u64> {
    let fds = folder.join("fd");
    match fs::metadata(&fds).ok()?.len() {
        0 => Some(fs::read_dir(fds).ok()?.count() as u64),
        count => Some(count),
    }
}

fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn add_executables(root: &Path, evidence: &Evidence, owners: &Owners, processes: &mut Processes) {
    for listener in evidence.listeners() {
        for holder in owners.holders(listener.inode) {
            if let Some(process) = processes.known.get_mut(&holder.pid)
                && process.executable == Executable::Unknown
            {
                process.executable = executable(root, holder.pid);
            }
        }
    }
}

fn executable(root: &Path, pid: u32) -> Executable {
    let folder = root.join(pid.to_string());
    let Ok(link) = fs::read_link(folder.join("exe")) else { return Executable::Unknown };
    let Some(path) = link.as_os_str().as_bytes().strip_suffix(b" (deleted)") else {
        return Executable::Present;
    };
    let name = String::from_utf8_lossy(path).into_owned();
    if path.starts_with(b"/memfd:") {
        return Executable::InMemory(name);
    }
    // As the process sees the file system.
    let mut own = folder.join("root").into_os_string();
    own.push(OsStr::from_bytes(path));
    match Path::new(&own).exists() {
        true => Executable::Replaced(name),
        false => Executable::Removed(name),
    }
}

/// What the threads do that should accept: it tells why they do not.
fn add_doing(root: &Path, evidence: &Evidence, owners: &Owners, processes: &mut Processes) {
    let waiting = evidence.tcp.iter().filter(|socket| match socket.state {
        State::Listen => socket.recv_q > 0,
        _ => false,
    });
    for socket in waiting {
        for holder in owners.holders(socket.inode) {
            if let Some(process) = processes.known.get_mut(&holder.pid)
                && process.doing.is_empty()
            {
                process.doing = doing(root, holder.pid);
            }
        }
    }
}

fn doing(root: &Path, pid: u32) -> Vec<Doing> {
    let tasks = root.join(pid.to_string()).join("task");
    let Ok(tasks) = fs::read_dir(tasks) else { return Vec::new() };
    tasks.flatten().take(THREADS).filter_map(|task| doing_of(&task.path())).collect()
}

fn doing_of(task: &Path) -> Option<Doing> {
    let stat = fs::read(task.join("stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 2;
    if matches!(stat.get(after_name), Some(b'T' | b't')) {
        return Some(Doing::Stopped);
    }
    let text = fs::read_to_string(task.join("syscall")).ok()?;
    match text.split_whitespace().next()? {
        "running" => Some(Doing::Running),
        number => Some(Doing::InCall(call(number.parse().ok()?))),
    }
}

/// The name of a system call that servers wait in.
fn call(number: i64) -> String {
    let names: &[(i64, &str)] = &[
        (libc::SYS_accept, "accept()"),
        (libc::SYS_accept4, "accept4()"),
        (libc::SYS_connect, "connect()"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_epoll_wait, "epoll_wait()"),
        (libc::SYS_epoll_pwait, "epoll_pwait()"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_poll, "poll()"),
        (libc::SYS_ppoll, "ppoll()"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_select, "select()"),
        (libc::SYS_pselect6, "pselect()"),
        (libc::SYS_io_uring_enter, "io_uring_enter()"),
        (libc::SYS_futex, "futex(), a lock or a wait for another thread"),
        (libc::SYS_nanosleep, "nanosleep()"),
        (libc::SYS_clock_nanosleep, "clock_nanosleep()"),
        (libc::SYS_read, "read()"),
        (libc::SYS_recvfrom, "recvfrom()"),
        (libc::SYS_recvmsg, "recvmsg()"),
        (libc::SYS_write, "write()"),
        (libc::SYS_writev, "writev()"),
        (libc::SYS_sendto, "sendto()"),
        (libc::SYS_sendmsg, "sendmsg()"),
        (libc::SYS_fsync, "fsync()"),
        (libc::SYS_fdatasync, "fdatasync()"),
        (libc::SYS_flock, "flock()"),
        (libc::SYS_wait4, "wait4()"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_pause, "pause()"),
        (libc::SYS_rt_sigtimedwait, "sigtimedwait()"),
        (libc::SYS_rt_sigsuspend, "sigsuspend()"),
    ];
    let name = names.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    name.map_or_else(|| format!("system call {number}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_the_one_that_counts() {
        let limits =
            "Limit   Soft Limit   Hard Limit   Units\nMax open files   1024   4096   files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit("Max open files   unlimited   unlimited   files\n"), None);
    }

    #[test]
    fn this_process_is_described() {
        let homes = Homes::new("/proc".into());
        let process = describe(Path::new("/proc"), std::process::id(), b"me", &homes);
        assert!(process.descriptors.is_some_and(|count| count > 2), "{process:?}");
        assert!(process.descriptor_limit.is_some());
        assert!(process.uid.is_some());
        assert_eq!(executable(Path::new("/proc"), std::process::id()), Executable::Present);
    }
}
