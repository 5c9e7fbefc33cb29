//! What the runtimes keep on disk about their containers.
//!
//! The files are read as root, and some lie in folders that a runtime shares with its containers.
//! So nothing is followed out of a folder, no link is followed at all, and only regular files of a
//! bounded size are read.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Container, Home, Pod, Runtime};

/// Configurations are some ten kilobytes, lists of containers some hundred.
const MAX_BYTES: u64 = 16 << 20;

const DOCKER: &str = "var/lib/docker/containers";
const DOCKER_DAEMON: &str = "etc/docker";
/// A folder for each namespace of containerd, with one for each container.
const CONTAINERD: &str = "run/containerd/io.containerd.runtime.v2.task";
/// The library that Podman and CRI-O share keeps one folder that lasts and one that does not.
const STORAGE: [&str; 2] =
    ["var/lib/containers/storage/overlay-containers", "run/containers/storage/overlay-containers"];
const STORAGE_LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];

/// Adds what the files below `root` say of a container.
pub(super) fn complete(root: &Path, home: &mut Home) {
    let Some(container) = &mut home.container else { return };
    let sources: &[fn(&Path, &str) -> Option<Found>] = match container.runtime {
        Some(Runtime::Docker) => &[docker],
        Some(Runtime::Containerd) => &[containerd],
        Some(Runtime::Crio) => &[crio],
        Some(Runtime::Podman) => &[podman],
        Some(Runtime::Lxc | Runtime::Nspawn) => {
            container.name = Some(container.id.clone());
            &[]
        }
        None => &[containerd, docker, crio],
    };
    let Some(found) = sources.iter().find_map(|source| source(root, &container.id)) else { return };
    fill(container, &mut home.pod, found);
}

/// What a file says.
struct Found {
    runtime: Runtime,
    name: Option<String>,
    image: Option<String>,
    pod: Option<Pod>,
}

fn fill(container: &mut Container, pod: &mut Option<Pod>, found: Found) {
    container.runtime = Some(found.runtime);
    container.name = found.name;
    container.image = found.image;
    if let Some(found) = found.pod {
        let known = pod.get_or_insert_default();
        known.name = found.name;
        known.namespace = found.namespace;
        known.uid = known.uid.take().or(found.uid);
    }
}

type Labels = HashMap<String, String>;

/// The pod in labels, if they name one.
fn pod(labels: &Labels, name: &str, namespace: &str, uid: &str) -> Option<Pod> {
    let label = |key| labels.get(key).cloned();
    let name = label(name)?;
    Some(Pod { uid: label(uid), name: Some(name), namespace: label(namespace) })
}

fn docker(root: &Path, id: &str) -> Option<Found> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Name")]
        name: String,
        #[serde(rename = "Config", default)]
        config: Inner,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Inner {
        #[serde(rename = "Image")]
        image: Option<String>,
        #[serde(rename = "Labels")]
        labels: Option<Labels>,
    }
    #[derive(Deserialize)]
    struct Daemon {
        #[serde(rename = "data-root")]
        data_root: String,
    }
    let moved = json::<Daemon>(root, DOCKER_DAEMON, "daemon.json")
        .map(|daemon| format!("{}/containers", daemon.data_root.trim_start_matches('/')));
    let file = format!("{id}/config.v2.json");
    let Config { name, config } = json(root, moved.as_deref().unwrap_or(DOCKER), &file)?;
    let labels = config.labels.unwrap_or_default();
    let kubernetes_name = labels.get("io.kubernetes.container.name").cloned();
    Some(Found {
        runtime: Runtime::Docker,
        name: kubernetes_name.or(Some(name.trim_start_matches('/').to_owned())),
        image: config.image,
        pod: pod(
            &labels,
            "io.kubernetes.pod.name",
            "io.kubernetes.pod.namespace",
            "io.kubernetes.pod.uid",
        ),
    })
}

/// The annotations of an OCI bundle.
fn annotations(root: &Path, folder: &str, id: &str, file: &str) -> Option<Labels> {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        annotations: Labels,
    }
    json::<Spec>(root, folder, &format!("{id}/{file}")).map(|spec| spec.annotations)
}

fn containerd(root: &Path, id: &str) -> Option<Found> {
    let namespaces = std::fs::read_dir(root.join(CONTAINERD)).ok()?.flatten();
    let mut labels = namespaces.filter_map(|namespace| {
        let folder = format!("{CONTAINERD}/{}", namespace.file_name().to_str()?);
        annotations(root, &folder, id, "config.json")
    });
    let labels = labels.next()?;
    let label = |key: &str| labels.get(key).cloned();
    Some(Found {
        runtime: Runtime::Containerd,
        name: label("io.kubernetes.cri.container-name").or_else(|| label("nerdctl/name")),
        image: label("io.kubernetes.cri.image-name"),
        pod: pod(
            &labels,
            "io.kubernetes.cri.sandbox-name",
            "io.kubernetes.cri.sandbox-namespace",
            "io.kubernetes.cri.sandbox-uid",
        ),
    })
}

fn crio(root: &Path, id: &str) -> Option<Found> {
    let labels = STORAGE
        .iter()
        .rev()
        .find_map(|folder| annotations(root, folder, id, "userdata/config.json"))?;
    Some(Found {
        runtime: Runtime::Crio,
        name: labels.get("io.kubernetes.container.name").cloned(),
        image: labels.get("io.kubernetes.cri-o.ImageName").cloned(),
        pod: pod(
            &labels,
            "io.kubernetes.pod.name",
            "io.kubernetes.pod.namespace",
            "io.kubernetes.pod.uid",
        ),
    })
}

/// Only containers of root: what users keep in their homes is theirs to write.
fn podman(root: &Path, id: &str) -> Option<Found> {
    #[derive(Deserialize)]
    struct Entry {
        id: String,
        #[serde(default)]
        names: Vec<String>,
        /// JSON again.
        #[serde(default)]
        metadata: String,
    }
    #[derive(Deserialize)]
    struct Metadata {
        #[serde(rename = "image-name")]
        image: Option<String>,
    }
    let lists = STORAGE.iter().flat_map(|folder| STORAGE_LISTS.map(|list| (folder, list)));
    let mut entries = lists.filter_map(|(folder, list)| {
        json::<Vec<Entry>>(root, folder, list)?.into_iter().find(|entry| entry.id == id)
    });
    let entry = entries.next()?;
    let metadata: Option<Metadata> = serde_json::from_str(&entry.metadata).ok();
    Some(Found {
        runtime: Runtime::Podman,
        name: entry.names.into_iter().next(),
        image: metadata.and_then(|metadata| metadata.image),
        pod: None,
    })
}

/// What a file in `folder` holds; nothing if it cannot be had or is something else.
fn json<T: DeserializeOwned>(root: &Path, folder: &str, file: &str) -> Option<T> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, root.join(folder), flags, Mode::empty()).ok()?;
    let file = std::fs::File::from(open_beneath(&folder, file)?);
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn open_beneath(folder: &OwnedFd, file: &str) -> Option<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // A pipe must not hold the reader up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat2(folder, file, flags, Mode::empty(), resolve).ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
    (kind == FileType::RegularFile).then_some(file)
}

#[cfg(test)]
mod tests {
    use super::super::Homes;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    const A: &str = "f1b3a2c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80";

    /// A folder that stands for the root of a host; gone when dropped.
    struct Host(PathBuf);

    impl Host {
        fn new(name: &str) -> Host {
            let folder =
                std::env::temp_dir().join(format!("socktrace-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Host(folder)
        }

        fn file(&self, path: &str, text: &str) -> &Host {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn home(&self, path: &str) -> Home {
            let homes = Homes::below(self.0.clone(), "/proc".into());
            (*homes.of_cgroup(path.as_bytes())).clone()
        }
    }

    impl Drop for Host {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Runtime, name and image of the container, name and namespace of the pod.
    fn summary(home: &Home) -> [Option<&str>; 5] {
        let container = home.container.as_ref();
        let pod = home.pod.as_ref();
        [
            container.and_then(|container| container.runtime).map(Runtime::name),
            container.and_then(|container| container.name.as_deref()),
            container.and_then(|container| container.image.as_deref()),
            pod.and_then(|pod| pod.name.as_deref()),
            pod.and_then(|pod| pod.namespace.as_deref()),
        ]
    }

    #[test]
    fn docker_names_its_containers() {
        let host = Host::new("docker");
        let path = format!("/docker/{A}");
        assert_eq!(summary(&host.home(&path)), [Some("docker"), None, None, None, None]);
        host.file(
            &format!("{DOCKER}/{A}/config.v2.json"),
            r#"{"StreamConfig":{},"Name":"/web","Config":{"Image":"nginx:1","Labels":null}}"#,
        );
        let expected = [Some("docker"), Some("web"), Some("nginx:1"), None, None];
        assert_eq!(summary(&host.home(&path)), expected);
        host.file("etc/docker/daemon.json", r#"{"data-root": "/srv/docker"}"#);
        host.file(
            &format!("srv/docker/containers/{A}/config.v2.json"),
            r#"{"Name":"/k8s_x","Config":{"Labels":{"io.kubernetes.container.name":"app",
               "io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"prod"}}}"#,
        );
        let expected = [Some("docker"), Some("app"), None, Some("web-0"), Some("prod")];
        assert_eq!(summary(&host.home(&path)), expected);
    }

    #[test]
    fn containerd_names_containers_and_pods() {
        let host = Host::new("containerd");
        host.file(&format!("{CONTAINERD}/default/other/config.json"), "{}").file(
            &format!("{CONTAINERD}/k8s.io/{A}/config.json"),
            r#"{"ociVersion":"1","annotations":{"io.kubernetes.cri.container-name":"app",
               "io.kubernetes.cri.sandbox-name":"web-0",
               "io.kubernetes.cri.sandbox-namespace":"prod",
               "io.kubernetes.cri.sandbox-uid":"u-1",
               "io.kubernetes.cri.image-name":"nginx"}}"#,
        );
        let pod = "0b5bf0a4-6d2c-4a6b-9d3e-5a1f2c3d4e5f";
        let home = host.home(&format!("/kubepods/pod{pod}/{A}"));
        let expected =
            [Some("containerd"), Some("app"), Some("nginx"), Some("web-0"), Some("prod")];
        assert_eq!(summary(&home), expected);
        assert_eq!(home.pod.unwrap().uid.as_deref(), Some(pod));
    }

    #[test]
    fn podman_and_crio_share_a_storage() {
        let host = Host::new("storage");
        host.file(
            &format!("{}/containers.json", STORAGE[0]),
            &format!(
                r#"[{{"id":"x"}},{{"id":"{A}","names":["db"],
                   "metadata":"{{\"image-name\":\"postgres\",\"name\":\"db\"}}"}}]"#
            ),
        );
        let home = host.home(&format!("/machine.slice/libpod-{A}.scope"));
        assert_eq!(summary(&home), [Some("podman"), Some("db"), Some("postgres"), None, None]);
        host.file(
            &format!("{}/{A}/userdata/config.json", STORAGE[1]),
            r#"{"annotations":{"io.kubernetes.container.name":"app",
               "io.kubernetes.pod.name":"web-0","io.kubernetes.pod.namespace":"prod"}}"#,
        );
        let home = host.home(&format!("/kubepods.slice/crio-{A}.scope"));
        assert_eq!(summary(&home), [Some("cri-o"), Some("app"), None, Some("web-0"), Some("prod")]);
    }

    #[test]
    fn no_link_is_followed_and_nothing_is_waited_for() {
        let host = Host::new("hostile");
        host.file("etc/secret.json", r#"{"Name":"/secret"}"#);
        let folder = host.0.join(DOCKER).join(A);
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("config.v2.json");
        let path = format!("/docker/{A}");
        let unnamed = [Some("docker"), None, None, None, None];

        symlink(host.0.join("etc/secret.json"), &file).unwrap();
        assert_eq!(summary(&host.home(&path)), unnamed, "a link");
        fs::remove_file(&file).unwrap();

        rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(summary(&host.home(&path)), unnamed, "a pipe");
        fs::remove_file(&file).unwrap();

        fs::write(&file, "{\"Name\":").unwrap();
        assert_eq!(summary(&host.home(&path)), unnamed, "half a file");
        fs::remove_dir_all(&folder).unwrap();

        symlink(host.0.join("etc"), &folder).unwrap();
        host.file("etc/config.v2.json", r#"{"Name":"/secret"}"#);
        assert_eq!(summary(&host.home(&path)), unnamed, "a folder that is a link");
    }
}
