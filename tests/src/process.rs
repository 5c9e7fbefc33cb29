//! Running a program beside a test: its lines are awaited, and it does not outlive the test.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{Pid, Signal};
use rustix::thread::{
    CapabilitySet, LinkNameSpaceType, UnshareFlags, move_into_link_name_space,
    remove_capability_from_bounding_set, unshare_unsafe,
};

use crate::wait::{self, DEADLINE};

/// The socktrace under test: `SOCKTRACE_BIN`, or the one of this target directory, built if it is
/// not there or stale.
pub fn socktrace() -> Command {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    Command::new(PATH.get_or_init(|| match std::env::var_os("SOCKTRACE_BIN") {
        Some(path) => path.into(),
        None => build(),
    }))
}

fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows where it lies");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--package", "socktrace", "--bin", "socktrace"]);
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    cargo.arg("--target-dir").arg(profile.parent().expect("a profile lies in a target directory"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo does not run");
    assert!(status.success(), "socktrace does not build");
    profile.join("socktrace")
}

/// Has the program run as root without some of root's capabilities.
pub fn without_capabilities(command: &mut Command, capabilities: &[CapabilitySet]) {
    let mut capabilities = capabilities.to_vec();
    // The one that is needed to give up the others goes last.
    capabilities.sort_by_key(|capability| *capability == CapabilitySet::SETPCAP);
    // SAFETY: between fork and exec only prctl is called.
    unsafe {
        command.pre_exec(move || {
            for capability in &capabilities {
                remove_capability_from_bounding_set(*capability)?;
            }
            Ok(())
        });
    }
}

/// Has the program run with nothing to be seen in a folder.
pub fn with_empty(command: &mut Command, folder: &'static str) {
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            unshare_unsafe(UnshareFlags::NEWNS)?;
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            Ok(mount("none", folder, "tmpfs", MountFlags::empty(), None)?)
        });
    }
}

/// Has the program run with another file in the place of one.
pub fn with_file(command: &mut Command, file: &'static str, replacement: &Path) {
    let replacement = replacement.to_owned();
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            unshare_unsafe(UnshareFlags::NEWNS)?;
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            Ok(mount_bind(&replacement, file)?)
        });
    }
}

/// Has the program run with tracefs in its place, whether or not it is mounted there.
pub fn with_tracefs(command: &mut Command) {
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(|| {
            unshare_unsafe(UnshareFlags::NEWNS)?;
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            Ok(mount("none", "/sys/kernel/tracing", "tracefs", MountFlags::empty(), None)?)
        });
    }
}

/// Has the program run where the machine seems to have booted at another time.
pub fn with_boot_time(command: &mut Command, added_seconds: i64) {
    let offset = format!("boottime {added_seconds} 0\n");
    // SAFETY: between fork and exec only system calls are made.
    unsafe {
        command.pre_exec(move || {
            unshare_unsafe(UnshareFlags::NEWTIME)?;
            fs::write("/proc/self/timens_offsets", &offset)?;
            let namespace = File::open("/proc/self/ns/time_for_children")?;
            Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Time))?)
        });
    }
}

/// A process with its output read line by line. Dropping it kills it; so does the end of the
/// thread that started it, even by SIGKILL.
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    /// Starts a program.
    pub fn start(command: Command) -> Running {
        Running::start_and(command, |child| lines(child.stdout.take().expect("stdout is piped")))
    }

    /// Starts a program whose standard output is a pipe that nobody reads, and that can be closed.
    pub fn start_unread(command: Command) -> (Running, ChildStdout) {
        let mut pipe = None;
        let running = Running::start_and(command, |child| {
            pipe = child.stdout.take();
            channel().1
        });
        (running, pipe.expect("stdout is piped"))
    }

    fn start_and(
        mut command: Command,
        read: impl FnOnce(&mut Child) -> Receiver<String>,
    ) -> Running {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: between fork and exec only prctl is called.
        unsafe {
            command.pre_exec(|| {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
                    .map_err(Into::into)
            });
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = read(&mut child);
        let stderr = lines(child.stderr.take().expect("stderr is piped"));
        Running { child, stdout, stderr }
    }

    /// The next line of standard output; `None` at its end.
    pub fn line(&self) -> Option<String> {
        next(&self.stdout)
    }

    /// The first line of standard output for which `found` answers.
    pub fn await_line<T>(&self, found: impl FnMut(&str) -> Option<T>) -> T {
        first(&self.stdout, "standard output", found)
    }

    /// The first line of standard error for which `found` answers.
    pub fn await_message<T>(&self, found: impl FnMut(&str) -> Option<T>) -> T {
        first(&self.stderr, "standard error", found)
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until it knows whose the sockets are that are older than its trace.
    pub fn await_walk(&self) {
        let folder = format!("/proc/{}/task", self.child.id());
        wait::until("the end of the walk over older sockets", || {
            let mut threads = fs::read_dir(&folder).expect("the process has ended").flatten();
            let walks = threads.any(|thread| {
                let name = fs::read_to_string(thread.path().join("comm"));
                name.is_ok_and(|name| name == "older sockets\n")
            });
            (!walks).then_some(())
        });
    }

    /// The eBPF programs that it has loaded.
    pub fn programs(&self) -> Vec<u32> {
        self.objects().programs
    }

    /// All of eBPF that it holds.
    pub fn objects(&self) -> Objects {
        let folder = format!("/proc/{}/fdinfo", self.child.id());
        let mut objects = Objects::default();
        for info in fs::read_dir(folder).expect("the process has ended").flatten() {
            let Ok(info) = fs::read_to_string(info.path()) else { continue };
            for line in info.lines() {
                let Some((key, value)) = line.split_once(':') else { continue };
                let ids = match key {
                    "prog_id" => &mut objects.programs,
                    "map_id" => &mut objects.maps,
                    "link_id" => &mut objects.links,
                    _ => continue,
                };
                ids.extend(value.trim().parse::<u32>());
            }
        }
        for ids in [&mut objects.programs, &mut objects.maps, &mut objects.links] {
            ids.sort_unstable();
            ids.dedup();
        }
        objects
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the process has ended");
    }

    /// Waits for the end; the status and the lines of either stream that were not yet taken.
    pub fn finish(mut self) -> Finished {
        let status = wait::until("the end of a process", || {
            self.child.try_wait().expect("a child can be waited for")
        });
        Finished {
            status,
            stdout: std::iter::from_fn(|| next(&self.stdout)).collect(),
            stderr: std::iter::from_fn(|| next(&self.stderr)).collect(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What there is of eBPF, by the kernel's numbers.
#[derive(Debug, Default)]
pub struct Objects {
    pub programs: Vec<u32>,
    pub maps: Vec<u32>,
    pub links: Vec<u32>,
}

impl Objects {
    /// All that the kernel has, whoever loaded it.
    pub fn loaded() -> Objects {
        Objects {
            programs: aya::programs::loaded_programs().flatten().map(|one| one.id()).collect(),
            maps: aya::maps::loaded_maps().flatten().map(|one| one.id()).collect(),
            links: aya::programs::loaded_links().flatten().map(|one| one.id()).collect(),
        }
    }

    /// What is in both.
    pub fn common(&self, other: &Objects) -> Vec<u32> {
        let pairs = [
            (&self.programs, &other.programs),
            (&self.maps, &other.maps),
            (&self.links, &other.links),
        ];
        let common = |(one, other): (&Vec<u32>, &Vec<u32>)| -> Vec<u32> {
            one.iter().copied().filter(|id| other.contains(id)).collect()
        };
        pairs.into_iter().flat_map(common).collect()
    }
}

#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: Vec<String>,
    pub stderr: Vec<String>,
}

fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn next(lines: &Receiver<String>) -> Option<String> {
    match lines.recv_timeout(DEADLINE) {
        Ok(line) => Some(line),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => panic!("waited {DEADLINE:?} for a line"),
    }
}

fn first<T>(lines: &Receiver<String>, stream: &str, mut found: impl FnMut(&str) -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some(answer) = found(&line) {
            return answer;
        }
        seen.push(line);
    }
    panic!("not on {stream}: {seen:#?}");
}
