//! Who runs a process, by the cgroup it is in: a container of which runtime, in which pod, or which
//! systemd unit. Names come from the files that the runtimes keep on disk; no daemon is asked.
//!
//! Knows neither sockets nor output.

mod disk;
mod path;
mod process;

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use rustc_hash::FxHashMap;

/// Where a process is at home.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Home {
    pub container: Option<Container>,
    pub pod: Option<Pod>,
    /// The systemd unit; that of a container is not told.
    pub unit: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// `None`: not known.
    pub runtime: Option<Runtime>,
    pub id: String,
    pub name: Option<String>,
    pub image: Option<String>,
}

/// A pod of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pod {
    pub uid: Option<String>,
    pub name: Option<String>,
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    Docker,
    Containerd,
    Crio,
    Podman,
    Lxc,
    Nspawn,
}

impl Runtime {
    pub fn name(self) -> &'static str {
        match self {
            Runtime::Docker => "docker",
            Runtime::Containerd => "containerd",
            Runtime::Crio => "cri-o",
            Runtime::Podman => "podman",
            Runtime::Lxc => "lxc",
            Runtime::Nspawn => "systemd-nspawn",
        }
    }
}

/// How much of an id people use.
const SHORT_ID: usize = 12;

impl Container {
    /// The name, or as much of the id as people use.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(self.id.get(..SHORT_ID).unwrap_or(&self.id))
    }

    /// Whether it goes by this name or id, which may be cut short as `docker` takes it.
    pub fn is_called(&self, word: &str) -> bool {
        let is_id = word.len() >= 4 && self.id.starts_with(word);
        !word.is_empty() && (self.name.as_deref() == Some(word) || self.id == word || is_id)
    }
}

impl Pod {
    /// Whether it goes by this name, with or without its namespace, or uid.
    pub fn is_called(&self, word: &str) -> bool {
        let with_namespace = word.split_once('/').is_some_and(|(namespace, name)| {
            self.namespace.as_deref() == Some(namespace) && self.name.as_deref() == Some(name)
        });
        with_namespace || [&self.name, &self.uid].iter().any(|own| own.as_deref() == Some(word))
    }
}

impl Home {
    /// In a word: `NAMESPACE/POD/CONTAINER`, the container, or the unit. `None`: none of them.
    pub fn label(&self) -> Option<String> {
        let container = self.container.as_ref().map(Container::label);
        let pod = self.pod.as_ref().and_then(|pod| {
            let namespace = pod.namespace.as_deref()?;
            Some([namespace, pod.name.as_deref()?].into_iter().chain(container).collect::<Vec<_>>())
        });
        match pod {
            Some(words) => Some(words.join("/")),
            None => container.or(self.unit.as_deref()).map(str::to_owned),
        }
    }
}

/// The homes of cgroups and processes, each looked up once.
#[derive(Debug)]
pub struct Homes {
    /// Where the files of the runtimes are: `/`, but for tests.
    root: PathBuf,
    proc_root: PathBuf,
    by_path: RefCell<FxHashMap<Box<[u8]>, Rc<Home>>>,
    by_pid: RefCell<FxHashMap<u32, Option<Rc<Home>>>>,
    inner_pids: RefCell<FxHashMap<u32, Option<u32>>>,
}

impl Homes {
    pub fn new(proc_root: PathBuf) -> Homes {
        Homes::below("/".into(), proc_root)
    }

    fn below(root: PathBuf, proc_root: PathBuf) -> Homes {
        Homes {
            root,
            proc_root,
            by_path: RefCell::default(),
            by_pid: RefCell::default(),
            inner_pids: RefCell::default(),
        }
    }

    /// What is at home in the cgroup with this path.
    pub fn of_cgroup(&self, path: &[u8]) -> Rc<Home> {
        if let Some(home) = self.by_path.borrow().get(path) {
            return home.clone();
        }
        let home = Rc::new(self.look_up(&String::from_utf8_lossy(path)));
        self.by_path.borrow_mut().insert(path.into(), home.clone());
        home
    }

    /// `None` if there is no such process any more.
    pub fn of_process(&self, pid: u32) -> Option<Rc<Home>> {
        if let Some(home) = self.by_pid.borrow().get(&pid) {
            return home.clone();
        }
        let home = process::cgroup(&self.proc_root, pid).map(|path| self.of_cgroup(&path));
        self.by_pid.borrow_mut().insert(pid, home.clone());
        home
    }

    /// The pid that a process has in its own pid namespace.
    pub fn inner_pid(&self, pid: u32) -> Option<u32> {
        let mut known = self.inner_pids.borrow_mut();
        *known.entry(pid).or_insert_with(|| process::inner_pid(&self.proc_root, pid))
    }

    fn look_up(&self, path: &str) -> Home {
        let parts = path::parse(path);
        let mut home = Home {
            container: parts.container.map(|id| Container {
                runtime: id.runtime,
                id: id.id.to_owned(),
                name: None,
                image: None,
            }),
            pod: parts.pod_uid.map(|uid| Pod {
                uid: Some(uid.replace('_', "-")),
                name: None,
                namespace: None,
            }),
            unit: parts.unit.map(str::to_owned),
        };
        disk::complete(&self.root, &mut home);
        home
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_and_pods_go_by_several_names() {
        let container = Container {
            runtime: Some(Runtime::Docker),
            id: "0123456789abcdef".repeat(4),
            name: Some("web".into()),
            image: None,
        };
        for (word, expected) in [
            ("web", true),
            ("0123456789ab", true),
            ("0123", true),
            ("012", false),
            ("123456", false),
            ("we", false),
            ("", false),
        ] {
            assert_eq!(container.is_called(word), expected, "{word}");
        }
        let pod = Pod {
            uid: Some("u-1".into()),
            name: Some("web-0".into()),
            namespace: Some("prod".into()),
        };
        for (word, expected) in [
            ("web-0", true),
            ("prod/web-0", true),
            ("u-1", true),
            ("test/web-0", false),
            ("", false),
        ] {
            assert_eq!(pod.is_called(word), expected, "{word}");
        }
        let home = Home { container: Some(container), pod: Some(pod), unit: None };
        assert_eq!(home.label().as_deref(), Some("prod/web-0/web"));
        assert_eq!(Home::default().label(), None);
    }
}
