//! Every network namespace of the host: those of processes and their threads, and those that a
//! mount, a descriptor or a socket keeps.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, ResolveFlags, Stat};

use super::descriptor::{self, Target, open_netns_of};
use super::{Place, of_file};
use crate::container::{Home, Homes};
use crate::iter::IteratorError;
use crate::names::unescape_mount;
use crate::socket::NetnsId;

/// Where `ip netns` mounts what it names; /var/run is a link to /run.
const NAMED: [&[u8]; 2] = [b"/run/netns/", b"/var/run/netns/"];
/// How many ways to a namespace are kept: the first of them may be gone when it is entered.
pub(super) const WAYS: usize = 4;
const ENTRIES: usize = 32 << 10;

/// A network namespace that was found.
#[derive(Debug, Clone)]
pub struct Namespace {
    pub id: NetnsId,
    /// The name that `ip netns` gave it, or that of the container or pod whose it is. Any bytes.
    pub name: Option<Vec<u8>>,
    ways: Vec<Way>,
}

/// How to come to a namespace.
#[derive(Debug, Clone)]
enum Way {
    /// The file of a task.
    Task(PathBuf),
    /// A mount, as processes with this root see it.
    Mount { root: PathBuf, path: Vec<u8> },
    /// A descriptor of it that a process has.
    Descriptor(PathBuf),
    /// A socket in it that a process has, or a TUN device.
    Socket { pid: u32, fd: u32 },
}

/// What was found, and what could not be looked at.
#[derive(Debug)]
pub struct Found {
    /// The one of the calling thread first, then by id.
    pub namespaces: Vec<Namespace>,
    /// Processes that may not be looked at.
    pub refused: u32,
    /// Why namespaces that only a socket keeps are not among them.
    pub without_sockets: Option<IteratorError>,
}

/// Looks for namespaces.
pub fn find(proc_root: &Path, homes: &Homes) -> std::io::Result<Found> {
    let (sockets, without_sockets) = match descriptor::sockets() {
        Ok(sockets) => (sockets, None),
        Err(error) => (FxHashMap::default(), Some(error)),
    };
    let mut search = Search {
        namespaces: sockets.values().map(|id| (*id, Namespace::new(*id))).collect(),
        sockets,
        nsfs: fs::metadata("/proc/self/ns/net").ok().map(|file| file.dev()),
        mount_namespaces: FxHashSet::default(),
        host: fs::metadata(proc_root.join("1/ns/net")).ok().map(|m| NetnsId(m.ino())),
        homes,
        refused: 0,
    };
    // The names count as they are here: elsewhere, anybody with a mount namespace of his own makes
    // them.
    search.mounts(&proc_root.join("self"), Names::Count);
    for entry in fs::read_dir(proc_root)?.flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            search.process(&entry.path(), pid);
        }
    }
    let here = super::current();
    let mut namespaces: Vec<_> = search.namespaces.into_values().collect();
    namespaces.sort_by_key(|namespace| (Some(namespace.id) != here, namespace.id));
    Ok(Found { namespaces, refused: search.refused, without_sockets })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Count,
    DoNot,
}

struct Search<'a> {
    namespaces: BTreeMap<NetnsId, Namespace>,
    /// Some of the sockets in each, by which they may be entered.
    sockets: FxHashMap<u32, NetnsId>,
    /// The device of all namespaces.
    nsfs: Option<u64>,
    /// Those whose mounts were looked at.
    mount_namespaces: FxHashSet<u64>,
    /// That of the first process, in which containers may run too.
    host: Option<NetnsId>,
    homes: &'a Homes,
    refused: u32,
}

impl Search<'_> {
    fn process(&mut self, folder: &Path, pid: u32) {
        let tasks = fs::read_dir(folder.join("task"));
        for task in tasks.into_iter().flatten().flatten() {
            let file = task.path().join("ns/net");
            match fs::metadata(&file) {
                Ok(metadata) => self.task(NetnsId(metadata.ino()), file, pid),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    self.refused += 1;
                    break;
                }
                // The task has ended.
                Err(_) => {}
            }
        }
        self.mounts(folder, Names::DoNot);
        self.descriptors(folder, pid);
    }

    /// The namespaces that a process has open. Whatever else it is in, it need not be in these.
    fn descriptors(&mut self, folder: &Path, pid: u32) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = folder.join("fd");
        let Ok(descriptors) = rustix::fs::openat(CWD, &folder, flags, Mode::empty()) else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); ENTRIES];
        let mut entries = RawDir::new(&descriptors, &mut buffer);
        while let Some(Ok(entry)) = entries.next() {
            let mut link = [MaybeUninit::uninit(); 64];
            let name = entry.file_name();
            let Ok((link, _)) = rustix::fs::readlinkat_raw(&descriptors, name, &mut link) else {
                continue;
            };
            let Some(target) = Target::of_link(link) else { continue };
            let Some(fd) = name.to_str().ok().and_then(|name| name.parse().ok()) else { continue };
            let file = || folder.join(u32::to_string(&fd));
            match target {
                Target::Netns(id) => _ = self.add(id, || Way::Descriptor(file())),
                Target::Socket(inode) => {
                    if let Some(id) = self.sockets.get(&inode).copied() {
                        self.add(id, || Way::Socket { pid, fd });
                    }
                }
                Target::Tun => {
                    if let Some(id) = open_netns_of(pid, fd).ok().as_ref().and_then(of_file) {
                        self.add(id, || Way::Socket { pid, fd });
                    }
                }
                Target::Unmounted => {
                    let is_namespace = self.nsfs.is_some()
                        && rustix::fs::statat(&descriptors, name, AtFlags::empty())
                            .is_ok_and(|stat| Some(stat.st_dev) == self.nsfs);
                    let opened = is_namespace.then(|| super::open(&file()).ok()).flatten();
                    if let Some(id) = opened.as_ref().and_then(of_file) {
                        self.add(id, || Way::Descriptor(file()));
                    }
                }
            }
        }
    }

    fn task(&mut self, id: NetnsId, file: PathBuf, pid: u32) {
        let is_host = Some(id) == self.host;
        let homes = self.homes;
        let namespace = self.add(id, || Way::Task(file));
        if namespace.name.is_none() && !is_host {
            namespace.name = homes.of_process(pid).and_then(|home| network_name(&home));
        }
    }

    /// The mounts that the process with this folder sees, if nobody's before were the same.
    fn mounts(&mut self, folder: &Path, names: Names) {
        let Ok(namespace) = fs::metadata(folder.join("ns/mnt")) else { return };
        if !self.mount_namespaces.insert(namespace.ino()) {
            return;
        }
        let mut text = Vec::new();
        if File::open(folder.join("mountinfo")).and_then(|mut f| f.read_to_end(&mut text)).is_err()
        {
            return;
        }
        for (id, path) in text.split(|byte| *byte == b'\n').filter_map(namespace_mount) {
            let root = folder.join("root");
            let namespace = self.add(id, || Way::Mount { root, path: path.clone() });
            let name = NAMED.iter().find_map(|folder| path.strip_prefix(*folder));
            if let Some(name) = name.filter(|_| names == Names::Count) {
                namespace.name.get_or_insert_with(|| name.to_vec());
            }
        }
    }

    fn add(&mut self, id: NetnsId, way: impl FnOnce() -> Way) -> &mut Namespace {
        let namespace = self.namespaces.entry(id).or_insert_with(|| Namespace::new(id));
        if namespace.ways.len() < WAYS {
            namespace.ways.push(way());
        }
        namespace
    }
}

/// The name of a network by where a process in it is at home: the containers of a pod share theirs.
pub fn network_name(home: &Home) -> Option<Vec<u8>> {
    let container = home.container.as_ref()?;
    let pod = home
        .pod
        .as_ref()
        .and_then(|pod| Some(format!("{}/{}", pod.namespace.as_deref()?, pod.name.as_deref()?)));
    Some(pod.unwrap_or_else(|| container.label().to_owned()).into_bytes())
}

/// The namespace and the mount point in a line of mountinfo: `ID PARENT DEV ROOT POINT ...`, where
/// the root is `net:[ID]`.
fn namespace_mount(line: &[u8]) -> Option<(NetnsId, Vec<u8>)> {
    let mut words = line.split(|byte| *byte == b' ').skip(3);
    let id = super::of_link(words.next()?)?;
    let path = unescape_mount(words.next()?);
    let mut rest = words.skip_while(|word| *word != b"-");
    (rest.nth(1)? == b"nsfs").then_some((id, path))
}

impl Namespace {
    fn new(id: NetnsId) -> Namespace {
        Namespace { id, name: None, ways: Vec::new() }
    }

    /// Whether anything was found by which it might be entered.
    pub fn has_way(&self) -> bool {
        !self.ways.is_empty()
    }

    /// A descriptor of the namespace; `None` if it is gone, or no way leads to it any more.
    pub fn open(&self) -> Option<OwnedFd> {
        self.ways.iter().find_map(|way| {
            let file = match way {
                Way::Task(file) | Way::Descriptor(file) => super::open(file).ok()?,
                Way::Socket { pid, fd } => open_netns_of(*pid, *fd).ok()?,
                Way::Mount { root, path } => open_mount(root, path)?,
            };
            let is_it = rustix::fs::fstat(&file).is_ok_and(|stat| stat.st_ino == self.id.0);
            is_it.then_some(file)
        })
    }

    /// What `-N` takes for it: its name, or a file.
    pub fn word(&self) -> Option<OsString> {
        let file = |way: &Way| match way {
            Way::Task(file) | Way::Descriptor(file) => Some(file.clone().into_os_string()),
            Way::Mount { .. } | Way::Socket { .. } => None,
        };
        let name = self.name.clone().map(OsString::from_vec);
        name.or_else(|| self.ways.iter().find_map(file))
    }

    pub fn place(&self) -> Place {
        Place { id: Some(self.id), name: self.name.clone() }
    }
}

/// Opens the file of a namespace and nothing else: what is mounted where is up to whoever made that
/// mount namespace.
fn open_mount(root: &Path, path: &[u8]) -> Option<OwnedFd> {
    let path_only = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, root, path_only | OFlags::DIRECTORY, Mode::empty()).ok()?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(root, path, path_only, Mode::empty(), resolve).ok()?;
    let is_namespace =
        |stat: Stat| fs::metadata("/proc/self/ns/net").is_ok_and(|m| m.dev() == stat.st_dev);
    rustix::fs::fstat(&file).is_ok_and(is_namespace).then(|| super::reopen(&file).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_of_network_namespaces_count() {
        for (line, expected) in [
            (
                &b"36 25 0:4 net:[4026532008] /run/netns/a\\040b rw shared:5 - nsfs nsfs rw"[..],
                Some((4_026_532_008, &b"/run/netns/a b"[..])),
            ),
            (b"36 25 0:4 uts:[4026532008] /run/x rw - nsfs nsfs rw", None),
            (b"36 25 0:4 net:[4026532008] /run/x rw - tmpfs net rw", None),
            (b"36 25 0:4 net:[x] /run/x rw - nsfs nsfs rw", None),
            (b"36 25 0:4 / / rw - ext4 /dev/sda rw", None),
            (b"", None),
        ] {
            let expected = expected.map(|(id, path)| (NetnsId(id), path.to_vec()));
            assert_eq!(namespace_mount(line), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn the_namespace_of_this_process_comes_first() {
        let found = find(Path::new("/proc"), &Homes::new("/proc".into())).unwrap();
        let first = &found.namespaces[0];
        assert_eq!(Some(first.id), super::super::current());
        assert!(first.open().is_some());
        let ids: FxHashSet<_> = found.namespaces.iter().map(|namespace| namespace.id).collect();
        assert_eq!(ids.len(), found.namespaces.len(), "each once");
    }
}
