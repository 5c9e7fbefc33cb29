//! When something fails around it, socktrace says so: what it prints is right, or said to be
//! incomplete.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Running, socktrace, with_file};
use socktrace_tests::{require_root, skip};

fn run(arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Output {
    let mut command = socktrace();
    command.args(arguments).stdin(Stdio::null());
    prepare(&mut command);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A folder of this test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("socktrace-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Connections that stand, both ends of each.
fn connections(count: usize) -> Vec<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connect = || {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    };
    (0..count).map(|_| connect()).collect()
}

#[test]
fn a_full_disk_is_a_failure() {
    require_root!();
    for arguments in
        [&["-a"][..], &["-a", "--json"], &["-s"], &["doctor"], &["trace", "--count", "1"]]
    {
        let output = run(arguments, |command| {
            command.stdout(File::create("/dev/full").unwrap());
        });
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("No space left on device"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_closed_pipe_is_the_end_and_no_failure() {
    for arguments in [&["-a"][..], &["-a", "--json"], &["-s"], &["doctor"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(arguments, |command| {
            command.stdout(writer);
        });
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        assert!(matches!(output.status.code(), Some(0 | 2)), "{arguments:?}: {:?}", output.status);
    }
}

/// How many sockets were listed, and how many of them with owners. Not how many owners: a child of
/// another test holds copies of all sockets until it executes its program.
#[derive(Debug)]
struct Extent {
    sockets: usize,
    owned: usize,
}

impl Extent {
    fn of(output: &Output) -> Extent {
        let listed = text(&output.stdout);
        Extent { sockets: listed.lines().count(), owned: listed.matches("users:((").count() }
    }

    /// There may be more: the start of a process itself can take a pair of UNIX sockets.
    fn holds(&self, whole: &Extent) -> bool {
        self.sockets >= whole.sockets && self.owned >= whole.owned
    }
}

/// As few descriptors as these may be open at once.
fn with_descriptors(command: &mut Command, most: u64) {
    let limit = Rlimit { current: Some(most), maximum: Some(most) };
    // SAFETY: between fork and exec only prlimit is called.
    unsafe { command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?)) };
}

#[test]
fn a_listing_with_too_few_descriptors_is_whole_or_says_so() {
    require_root!();
    in_namespace(|| {
        let _held = connections(3);
        for arguments in [&["-tanH"][..], &["-tanpH"], &["-xanH"], &["-tuxanH"]] {
            let whole = Extent::of(&run(arguments, |_| {}));
            for most in 3..12 {
                let output = run(arguments, |command| with_descriptors(command, most));
                let is_whole = Extent::of(&output).holds(&whole);
                let says_so = !output.stderr.is_empty();
                assert!(
                    is_whole || says_so,
                    "{arguments:?} with {most} descriptors: {}",
                    text(&output.stdout)
                );
            }
        }
    });
}

#[test]
fn a_trace_with_too_few_descriptors_is_refused_in_words() {
    require_root!();
    for most in [3, 5, 8, 12] {
        let output = run(&["trace", "--duration", "0s"], |command| with_descriptors(command, most));
        let said = text(&output.stderr);
        // With so few, the program itself cannot be loaded.
        if said.contains("error while loading shared libraries") {
            continue;
        }
        assert!(matches!(output.status.code(), Some(0..=2)), "{:?}: {said}", output.status);
        assert!(output.status.success() || said.contains("Too many open files"), "{most}: {said}");
    }
}

/// Runs under strace, which makes a system call fail; `None` without strace.
fn with_fault(arguments: &[&str], fault: &str) -> Option<Output> {
    if Command::new("strace").arg("-V").output().is_err() {
        skip::report("strace is not installed");
        return None;
    }
    let socktrace = socktrace();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qqq", "-o", "/dev/null", "-e", fault]);
    strace.arg(socktrace.get_program()).args(arguments).stdin(Stdio::null());
    Some(strace.output().unwrap())
}

#[test]
fn every_call_of_bpf_may_be_refused() {
    require_root!();
    for errno in ["ENOMEM", "EPERM", "EINVAL"] {
        for when in 1..=24 {
            let fault = format!("inject=bpf:error={errno}:when={when}+");
            let Some(output) = with_fault(&["trace", "--duration", "0s"], &fault) else { return };
            let said = text(&output.stderr);
            assert!(!said.contains("panicked"), "{fault}: {said}");
            match output.status.code() {
                Some(0 | 1 | 3) => {}
                Some(2) => {
                    assert!(said.lines().count() <= 2 && !said.is_empty(), "{fault}: {said}")
                }
                other => panic!("{fault}: {other:?}: {said}"),
            }
        }
    }
}

#[test]
fn a_listing_whose_system_calls_fail_is_whole_or_says_so() {
    require_root!();
    in_namespace(|| {
        let _held = connections(3);
        let whole = Extent::of(&run(&["-tanpH"], |_| {}));
        for (call, errno) in [
            ("socket", "ENFILE"),
            ("socket", "ENOBUFS"),
            ("recvfrom,recvmsg", "ENOBUFS"),
            ("recvfrom,recvmsg", "ENOMEM"),
            ("sendto,sendmsg", "ENOBUFS"),
            ("openat", "ENFILE"),
            ("openat", "ENOMEM"),
            ("readlinkat,readlink", "ENOMEM"),
            ("getdents64", "ENOMEM"),
        ] {
            for when in [1, 2, 5, 20, 60] {
                // The loader of the program opens its libraries first.
                if call == "openat" && when < 5 {
                    continue;
                }
                let fault = format!("inject={call}:error={errno}:when={when}+");
                let Some(output) = with_fault(&["-tanpH"], &fault) else { return };
                let said = text(&output.stderr);
                let loader = said.contains("error while loading shared libraries");
                assert!(!said.contains("panicked"), "{fault}: {said}");
                assert!(
                    Extent::of(&output).holds(&whole) || !said.is_empty() || loader,
                    "{fault}: silent, and {:?} of {whole:?}",
                    Extent::of(&output)
                );
            }
        }
    });
}

#[test]
fn without_threads_everything_takes_longer_and_is_the_same() {
    require_root!();
    in_namespace(|| {
        let held = connections(3);
        for when in [1, 2, 3] {
            let fault = format!("inject=clone,clone3:error=EAGAIN:when={when}+");
            let Some(output) = with_fault(&["-tanpH"], &fault) else { return };
            assert_eq!(text(&output.stderr), "", "{fault}");
            assert_eq!(text(&output.stdout).lines().count(), 2 * held.len(), "{fault}");
            for arguments in [&["-tanGj"][..], &["states"], &["audit"], &["doctor"], &["report"]] {
                let Some(output) = with_fault(arguments, &fault) else { return };
                let said = text(&output.stderr);
                assert!(!said.contains("panicked"), "{arguments:?}: {fault}: {said}");
                assert!(!output.stdout.is_empty(), "{arguments:?}: {fault}: {said}");
            }
        }
    });
}

#[test]
fn a_terminal_that_is_gone_ends_the_trace() {
    require_root!();
    let mut command = socktrace();
    command.args(["trace", "-H"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let (mut child, terminal) = socktrace_tests::pty::start(command, 80);
    drop(terminal);
    in_namespace(|| drop(connections(1)));
    let status = socktrace_tests::wait::until("the end", || child.try_wait().unwrap());
    assert!(matches!(status.code(), Some(0 | 1)), "{status:?}");
}

#[test]
fn a_terminal_that_changes_its_size_changes_no_event() {
    require_root!();
    let mut command = socktrace();
    command.args(["trace", "-H"]).stdin(Stdio::null()).stderr(Stdio::piped());
    let (mut child, terminal) = socktrace_tests::pty::start(command, 80);
    socktrace_tests::pty::resize(&terminal, 20);
    std::thread::sleep(Duration::from_millis(200));
    assert!(child.try_wait().unwrap().is_none(), "it ended");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::INT).unwrap();
    drop(terminal);
    socktrace_tests::wait::until("the end", || child.try_wait().unwrap());
}

#[test]
fn processes_that_come_and_go_do_not_disturb_a_listing() {
    require_root!();
    in_namespace(|| {
        let held = connections(5);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    Command::new("true").status().unwrap();
                }
            });
            for _ in 0..10 {
                let output = run(&["-tnpH"], |_| {});
                stop_on_panic(&stop, || {
                    assert_eq!(text(&output.stdout).lines().count(), 2 * held.len());
                    assert_eq!(text(&output.stdout).matches("users:((").count(), 2 * held.len());
                    assert_eq!(text(&output.stderr), "");
                });
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// A thread that waits for `stop` must not outlive a failure.
fn stop_on_panic(stop: &AtomicBool, body: impl FnOnce()) {
    if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        stop.store(true, Ordering::Relaxed);
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_machine_that_may_have_thousands_of_cpus_is_traced() {
    require_root!();
    in_namespace(|| {
        let mask = folder("cpus").join("possible");
        fs::write(&mask, "0-1,4,8-4095\n").unwrap();
        let mut command = socktrace();
        command.args(["trace", "-H", "--count", "3"]);
        with_file(&mut command, "/sys/devices/system/cpu/possible", &mask);
        let running = Running::start(command);
        running.await_message(|line| line.contains("tracing").then_some(()));
        drop(connections(1));
        let finished = running.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert_eq!(finished.stdout.len(), 3);
        fs::remove_dir_all(mask.parent().unwrap()).unwrap();
    });
}

/// The recorded dump with an attribute more in each message, of a kind that no kernel has yet.
fn with_unknown_attributes(dump: &[u8]) -> Vec<u8> {
    const HEADER: usize = 16;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    let mut out = Vec::new();
    let mut rest = dump;
    while rest.len() >= HEADER {
        let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
        let (message, after) = rest.split_at(length.next_multiple_of(4).min(rest.len()));
        rest = after;
        let kind = u16::from_ne_bytes([message[4], message[5]]);
        let mut message = message.to_vec();
        if kind == SOCK_DIAG_BY_FAMILY {
            for (kind, value) in
                [(0x3ffe_u16, &b"new"[..]), (200, b""), (0x80c9, b"\x08\0\x01\0abcd")]
            {
                let length = 4 + value.len() as u16;
                message.extend(length.to_ne_bytes());
                message.extend(kind.to_ne_bytes());
                message.extend(value);
                message.resize(message.len().next_multiple_of(4), 0);
            }
            let length = (message.len() as u32).to_ne_bytes();
            message[..4].copy_from_slice(&length);
        }
        out.extend(message);
    }
    out
}

#[test]
fn attributes_of_a_kernel_to_come_change_nothing() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let dump = vectors.join("tcp.dump");
    let folder = folder("newer");
    let newer = folder.join("tcp.dump");
    fs::write(&newer, with_unknown_attributes(&fs::read(&dump).unwrap())).unwrap();
    for options in ["-tan", "-tanieom", "-taniO", "-tan --tos --cgroup", "-tanj"] {
        let list = |file: &Path| {
            let arguments: Vec<&str> = options.split(' ').collect();
            let output = run(&arguments, |command| {
                command.env("TCPDIAG_FILE", file);
            });
            (text(&output.stdout), text(&output.stderr), output.status.code())
        };
        let known = list(&dump);
        assert!(known.0.len() > 1000, "{options}");
        assert_eq!(list(&newer), known, "{options}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
