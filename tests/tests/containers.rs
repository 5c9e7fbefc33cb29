//! `--container`: cgroups shaped like those of container managers, with their files on disk.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use socktrace_tests::cgroup;
use socktrace_tests::events::Events;
use socktrace_tests::process::{Running, socktrace};
use socktrace_tests::schema::Schema;
use socktrace_tests::{require_root, skip};

const ID: &str = "f1b3a2c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f80";
const POD: &str = "0b5bf0a4-6d2c-4a6b-9d3e-5a1f2c3d4e5f";

/// Listens until its standard input ends, and says on which port. Debian always has this perl.
const LISTEN: &str = "
    use Socket;
    socket(S, PF_INET, SOCK_STREAM, 0) or die;
    bind(S, sockaddr_in(0, INADDR_LOOPBACK)) or die;
    listen(S, 1) or die;
    my ($port) = sockaddr_in(getsockname(S));
    $| = 1;
    print \"$port\\n\";
    <STDIN>;";

/// A cgroup, with the folders above it that were made for it; gone when dropped.
struct Cgroup {
    made: Vec<PathBuf>,
}

impl Cgroup {
    fn new(root: &Path, path: &str) -> Cgroup {
        let mut made = Vec::new();
        let mut folder = root.to_owned();
        for part in path.split('/') {
            folder.push(part);
            if fs::create_dir(&folder).is_ok() {
                made.push(folder.clone());
            }
        }
        Cgroup { made }
    }

    fn folder(&self) -> &Path {
        self.made.last().expect("the cgroup was there already")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// A shell in a cgroup that becomes a listener; gone when dropped.
struct Listener(Child, u16);

impl Listener {
    fn new(cgroup: &Cgroup) -> Listener {
        let script = "echo $$ > \"$CGROUP/cgroup.procs\" && exec perl -e \"$PROGRAM\"";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .env("CGROUP", cgroup.folder())
            .env("PROGRAM", LISTEN)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("no listener: {line:?}"));
        Listener(child, port)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs socktrace where `file` below `folder` says `text`, and nothing else of the host is changed.
fn with_file(folder: &str, file: &str, text: &str, arguments: &str) -> Vec<u8> {
    let script = "\
        set -e; mkdir -p \"$FOLDER\"; mount -t tmpfs none \"$FOLDER\"; \
        mkdir -p \"$(dirname \"$FOLDER/$FILE\")\"; printf %s \"$TEXT\" > \"$FOLDER/$FILE\"; \
        exec \"$SOCKTRACE\" $ARGUMENTS";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script])
        .env("FOLDER", folder)
        .env("FILE", file)
        .env("TEXT", text)
        .env("ARGUMENTS", arguments)
        .env("SOCKTRACE", socktrace().get_program())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

struct Case {
    cgroup: String,
    folder: &'static str,
    file: String,
    text: String,
    expected: Value,
    label: &'static str,
}

fn cases() -> Vec<Case> {
    let underscored = POD.replace('-', "_");
    vec![
        Case {
            cgroup: format!("docker/{ID}"),
            folder: "/var/lib/docker",
            file: format!("containers/{ID}/config.v2.json"),
            text: r#"{"Name":"/web \u001b[31m","Config":{"Image":"nginx:1"}}"#.into(),
            expected: serde_json::json!({"container":
                {"runtime": "docker", "id": ID, "name": "web \u{1b}[31m", "image": "nginx:1"}}),
            label: "web .[31m",
        },
        Case {
            cgroup: format!(
                "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{underscored}.slice/\
                 cri-containerd-{ID}.scope"
            ),
            folder: "/run/containerd",
            file: format!("io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"),
            text: r#"{"annotations":{"io.kubernetes.cri.container-name":"app",
                "io.kubernetes.cri.sandbox-name":"web-0",
                "io.kubernetes.cri.sandbox-namespace":"prod"}}"#
                .into(),
            expected: serde_json::json!({
                "container": {"runtime": "containerd", "id": ID, "name": "app"},
                "pod": {"uid": POD, "name": "web-0", "namespace": "prod"},
            }),
            label: "prod/web-0/app",
        },
        Case {
            cgroup: format!("machine.slice/libpod-{ID}.scope/container"),
            folder: "/var/lib/containers",
            file: "storage/overlay-containers/containers.json".into(),
            text: format!(r#"[{{"id":"{ID}","names":["db"]}}]"#),
            expected: serde_json::json!({"container":
                {"runtime": "podman", "id": ID, "name": "db"}}),
            label: "db",
        },
        Case {
            cgroup: format!(
                "kubepods.slice/kubepods-pod{underscored}.slice/crio-{ID}.scope/container"
            ),
            folder: "/var/lib/containers",
            file: format!("storage/overlay-containers/{ID}/userdata/config.json"),
            text: r#"{"annotations":{"io.kubernetes.container.name":"app",
                "io.kubernetes.cri-o.ImageName":"quay.io/app:2",
                "io.kubernetes.pod.name":"api-0",
                "io.kubernetes.pod.namespace":"prod"}}"#
                .into(),
            expected: serde_json::json!({
                "container":
                    {"runtime": "cri-o", "id": ID, "name": "app", "image": "quay.io/app:2"},
                "pod": {"uid": POD, "name": "api-0", "namespace": "prod"},
            }),
            label: "prod/api-0/app",
        },
        Case {
            // With systemd inside, as lxc 4 and newer make it.
            cgroup: "lxc.payload.socktrace-lxc/system.slice/nginx.service".into(),
            folder: "/var/lib/lxc",
            file: "unrelated".into(),
            text: String::new(),
            expected: serde_json::json!({"container":
                {"runtime": "lxc", "id": "socktrace-lxc", "name": "socktrace-lxc"}}),
            label: "socktrace-lxc",
        },
        Case {
            cgroup: "lxc/socktrace-lxd".into(),
            folder: "/var/lib/lxc",
            file: "unrelated".into(),
            text: String::new(),
            expected: serde_json::json!({"container":
                {"runtime": "lxc", "id": "socktrace-lxd", "name": "socktrace-lxd"}}),
            label: "socktrace-lxd",
        },
        Case {
            cgroup: "machine.slice/systemd-nspawn@socktrace-db.service/payload".into(),
            folder: "/var/lib/machines",
            file: "unrelated".into(),
            text: String::new(),
            expected: serde_json::json!({"container":
                {"runtime": "systemd-nspawn", "id": "socktrace-db", "name": "socktrace-db"}}),
            label: "socktrace-db",
        },
        Case {
            cgroup: "system.slice/socktrace-test.service".into(),
            folder: "/var/lib/docker",
            file: "unrelated".into(),
            text: String::new(),
            expected: serde_json::json!({"unit": "socktrace-test.service"}),
            label: "socktrace-test.service",
        },
    ]
}

#[test]
fn a_socket_is_told_with_its_container() {
    require_root!();
    let Some(root) = cgroup::hierarchy() else { skip!("cgroup2 is not mounted") };
    let schema = Schema::of_socktrace();
    for case in cases() {
        let cgroup = Cgroup::new(&root, &case.cgroup);
        let listener = Listener::new(&cgroup);
        let list = |options: &str| {
            let arguments = format!("{options} sport = {}", listener.1);
            with_file(case.folder, &case.file, &case.text, &arguments)
        };
        let objects: Vec<Value> = serde_json::from_slice(&list("-tlnpCj")).unwrap();
        assert_eq!(objects.len(), 1, "{}", case.cgroup);
        schema.check_entry(&objects[0]);
        for key in ["container", "pod", "unit"] {
            assert_eq!(objects[0].get(key), case.expected.get(key), "{}", case.cgroup);
            let owner = &objects[0]["owners"][0];
            assert_eq!(owner.get(key), case.expected.get(key), "{}, of the owner", case.cgroup);
        }
        let text = String::from_utf8(list("-tlnCH")).unwrap();
        assert!(text.trim_end().ends_with(case.label), "{}: {text:?}", case.cgroup);
        // The namespace of the container is that of the test.
        if let Some(name) = case.expected["container"]["name"].as_str().filter(|n| !n.contains(' '))
        {
            let objects: Vec<Value> =
                serde_json::from_slice(&list(&format!("-N {name} -tlnj"))).unwrap();
            assert_eq!(objects.len(), 1, "-N {name}");
        }
        drop(listener);
    }
}

#[test]
fn the_pid_inside_is_told_on_request() {
    require_root!();
    let mut child = Command::new("unshare")
        .args(["--fork", "--pid", "--kill-child", "perl", "-e", LISTEN])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let filter = format!("sport = {}", port.trim());
    let output = socktrace().args(["-tlnpj", "--nspid", &filter]).output().unwrap();
    let text = socktrace().args(["-tlnp", "--nspid", &filter]).output().unwrap();
    let _ = child.kill();
    let _ = child.wait();
    let objects: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(objects[0]["owners"][0]["nspid"], 1, "{objects:?}");
    assert_ne!(objects[0]["owners"][0]["pid"], 1);
    assert!(String::from_utf8_lossy(&text.stdout).contains(",nspid=1,fd="), "{text:?}");
}

#[test]
fn an_event_is_told_with_the_container_of_its_owner() {
    require_root!();
    let Some(root) = cgroup::hierarchy() else { skip!("cgroup2 is not mounted") };
    let cgroup = Cgroup::new(&root, "lxc.payload.socktrace-traced");
    let schema = Schema::of_socktrace();
    let mut events = Events::start("life", &["-C", "container = socktrace-traced"]);
    let mut columns = socktrace();
    columns.args(["life", "-C", "container = socktrace-traced"]);
    let columns = Running::start(columns);
    columns.await_message(|line| line.contains("tracing TCP").then_some(()));
    // Of the two ends, the one in the container closes.
    let listener = Listener::new(&cgroup);
    let client = TcpStream::connect((Ipv4Addr::LOCALHOST, listener.1)).unwrap();
    drop(listener);
    drop(client);
    let life = events.await_event(|event| event["event"] == "life");
    schema.check_entry(&life);
    for place in [&life, &life["owners"][0]] {
        assert_eq!(place["container"]["name"], "socktrace-traced", "{life}");
        assert_eq!(place["container"]["runtime"], "lxc", "{life}");
    }
    columns.await_line(|line| line.contains(" socktrace-traced ").then_some(()));
    columns.signal(Signal::INT);
    let header = columns.finish().stdout;
    assert!(header.iter().all(|line| !line.contains("error")), "{header:?}");
}
