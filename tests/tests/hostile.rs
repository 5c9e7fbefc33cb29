//! Names that others choose - of processes, control groups, paths, namespaces - reach neither the
//! terminal nor a script as anything but text: no control character, no line or column of theirs.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use socktrace_tests::cgroup;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::socktrace;
use socktrace_tests::{require_root, skip};

/// Colours, a title for the window, a new line, a tabulator, quotes, C1 controls, no UTF-8.
const HOSTILE: &[&[u8]] = &[
    b"\x1b[31mred",
    b"\x1b]0;title\x07",
    b"two\nlines",
    b"a\tb",
    b"\",\"pid\":1",
    b"\xc2\x9b31m",
    b"\xff\xfe",
    b"\x7f\x08\x08",
    b"))users:((",
];

struct Held {
    children: Vec<Child>,
    folder: PathBuf,
    group: Option<PathBuf>,
    _sockets: Vec<UnixListener>,
    _tcp: TcpListener,
}

impl Drop for Held {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(group) = &self.group {
            let _ = fs::remove_dir(group);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// UNIX sockets with hostile paths, and processes with hostile names in a hostile control group
/// that hold a TCP socket.
fn hold() -> Held {
    // The tests of this file run side by side: whoever starts a process while the socket can be
    // inherited would hand it on.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = folder("hostile");
    let path = |name: &[u8]| folder.join(OsStr::from_bytes(name));
    let sockets = HOSTILE.iter().map(|name| UnixListener::bind(path(name)).unwrap()).collect();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::io::fcntl_setfd(&tcp, rustix::io::FdFlags::empty()).unwrap();
    let children: Vec<Child> = HOSTILE.iter().map(|name| sleeper(name)).collect();
    rustix::io::fcntl_setfd(&tcp, rustix::io::FdFlags::CLOEXEC).unwrap();
    let group = cgroup::hierarchy().map(|root| {
        let group = root.join(OsStr::from_bytes(b"socktrace \x1b[31m\xff\"group"));
        let _ = fs::create_dir(&group);
        for child in &children {
            let _ = fs::write(group.join("cgroup.procs"), child.id().to_string());
        }
        group
    });
    if group.is_none() {
        skip::report("there is no cgroup2 for hostile groups");
    }
    Held { children, folder, group, _sockets: sockets, _tcp: tcp }
}

/// A folder of this test.
fn folder(name: &str) -> PathBuf {
    let thread = rustix::thread::gettid().as_raw_nonzero();
    let folder = std::env::temp_dir().join(format!("socktrace-{name}-{thread}"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A process that sleeps under a name.
fn sleeper(name: &[u8]) -> Child {
    let mut kept = name.to_vec();
    kept.truncate(15);
    // The name of a program is that of its file.
    let folder = folder("names");
    let program = folder.join(OsStr::from_bytes(&kept));
    let sleep =
        ["/bin/sleep", "/usr/local/bin/sleep"].into_iter().find(|path| Path::new(path).exists());
    std::os::unix::fs::symlink(sleep.expect("no sleep"), &program).unwrap();
    let mut command = Command::new(&program);
    command.arg0("sleep").arg("1000").stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: between fork and exec only prctl is called.
    unsafe {
        command.pre_exec(|| {
            let signal = Some(rustix::process::Signal::KILL);
            Ok(rustix::process::set_parent_process_death_signal(signal)?)
        });
    }
    let child = command.spawn().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    child
}

fn print(arguments: &[&str]) -> Vec<u8> {
    let output = socktrace().args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert_harmless(&output.stderr, arguments);
    output.stdout
}

/// Nothing that steers a terminal: no C0 but the new line, no DEL, no C1.
fn assert_harmless(text: &[u8], what: &[&str]) {
    for line in text.split(|byte| *byte == b'\n') {
        let is_control = |byte: &u8| *byte < 0x20 || *byte == 0x7f;
        let has_c1 = line.windows(2).any(|pair| pair[0] == 0xc2 && (0x80..0xa0).contains(&pair[1]));
        assert!(!line.iter().any(is_control) && !has_c1, "{what:?}: {}", line.escape_ascii());
    }
}

#[test]
fn no_name_breaks_a_listing() {
    require_root!();
    in_namespace(|| {
        let held = hold();
        for arguments in [
            &["-a"][..],
            &["-an"],
            &["-anp"],
            &["-anpT"],
            &["-xa"],
            &["-xaenp"],
            &["-tanp", "--cgroup"],
            &["-xanp", "src", "*"],
            &["-tanp", "--container"],
        ] {
            assert_harmless(&print(arguments), arguments);
        }
        let lines = print(&["-tlnpH"]);
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 1, "a line was broken");
        let holders = String::from_utf8_lossy(&lines).matches("pid=").count();
        assert_eq!(holders, held.children.len() + 1);
    });
}

#[test]
fn no_name_breaks_json() {
    require_root!();
    in_namespace(|| {
        let held = hold();
        for arguments in [&["-anpj"][..], &["-xaenpj"], &["-tanpj", "--cgroup"]] {
            let text = print(arguments);
            assert_harmless(&text, arguments);
            let sockets: serde_json::Value = serde_json::from_slice(&text).unwrap();
            assert!(!sockets.as_array().unwrap().is_empty(), "{arguments:?}");
        }
        let sockets: serde_json::Value = serde_json::from_slice(&print(&["-tlnpj"])).unwrap();
        let owners = sockets[0]["owners"].as_array().unwrap();
        for child in &held.children {
            assert!(
                owners.iter().any(|owner| owner["pid"] == child.id()),
                "{} is missing",
                child.id()
            );
        }
        let lines = print(&["-xanp", "--json-lines"]);
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            serde_json::from_slice::<serde_json::Value>(line).unwrap();
        }
    });
}

/// A namespace with a name, as `ip netns add` makes it.
struct Named(PathBuf);

impl Drop for Named {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn names_of_namespaces_are_text() {
    require_root!();
    fs::create_dir_all("/run/netns").unwrap();
    let named: Vec<Named> = [&b"socktrace\x1b[31m"[..], b"socktrace\nx"]
        .into_iter()
        .map(|name| {
            let path = Path::new("/run/netns").join(OsStr::from_bytes(name));
            fs::File::create(&path).unwrap();
            in_namespace(|| rustix::mount::mount_bind("/proc/thread-self/ns/net", &path)).unwrap();
            Named(path)
        })
        .collect();
    for arguments in [&["-an", "--all-netns"][..], &["-anj", "--all-netns"]] {
        let output = socktrace().args(arguments).stdin(Stdio::null()).output().unwrap();
        assert_harmless(&output.stdout, arguments);
        assert_harmless(&output.stderr, arguments);
    }
    let absent = OsStr::from_bytes(b"\x1b[31mno\nsuch");
    let output = socktrace().arg("-N").arg(absent).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_harmless(&output.stderr, &["-N"]);
    drop(named);
}
