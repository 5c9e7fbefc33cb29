//! A listing that takes long tells how far it is, on a terminal and nowhere else.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use socktrace_tests::process::socktrace;
use socktrace_tests::pty;
use socktrace_tests::wait::DEADLINE;

const ERASE: &str = "\r\u{1b}[K";

/// The sockets of a recorded dump without the messages that end it, for which the listing waits.
fn recorded() -> Vec<u8> {
    const SOCKET: u8 = 20;
    let dump = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/tcp.dump")).unwrap();
    let (mut rest, mut sockets) = (&dump[..], Vec::new());
    while let Some((length, _)) = rest.split_first_chunk() {
        let (message, after) =
            rest.split_at(u32::from_ne_bytes(*length).next_multiple_of(4) as usize);
        if message[4] == SOCKET {
            sockets.extend_from_slice(message);
        }
        rest = after;
    }
    sockets
}

fn pipe(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("socktrace-{name}-{}", std::process::id()));
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

fn listing(from: &PathBuf) -> Command {
    let mut command = socktrace();
    command.arg("-tan").env("TCPDIAG_FILE", from).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

#[test]
fn progress_is_told_on_a_terminal_and_erased() {
    let path = pipe("progress");
    let (terminal, screen) = pty::open(80).unwrap();
    let started = Instant::now();
    let mut child = listing(&path).stderr(screen).spawn().unwrap();
    let mut dump = File::options().write(true).open(&path).unwrap();
    let sockets = recorded();
    let mut terminal = File::from(terminal);
    rustix::io::ioctl_fionbio(&terminal, true).unwrap();
    let mut told = Vec::new();
    while !String::from_utf8_lossy(&told).contains(" sockets, ") {
        assert!(started.elapsed() < DEADLINE, "nothing was told: {told:?}");
        dump.write_all(&sockets).unwrap();
        let mut bytes = [0; 256];
        if let Ok(read) = terminal.read(&mut bytes) {
            told.extend_from_slice(&bytes[..read]);
        }
    }
    assert!(started.elapsed().as_millis() >= 1000, "it was told too early");
    drop(dump);
    assert!(child.wait().unwrap().success());
    // A terminal whose other side is closed ends with an error.
    let _ = terminal.read_to_end(&mut told);
    let told = String::from_utf8(told).unwrap();
    assert!(told.starts_with(ERASE) && told.contains(&format!("{ERASE}socktrace: ")), "{told:?}");
    fs::remove_file(path).unwrap();
}

#[test]
fn elsewhere_nothing_is_told() {
    let path = pipe("no-progress");
    let child = listing(&path).stderr(Stdio::piped()).spawn().unwrap();
    let mut dump = File::options().write(true).open(&path).unwrap();
    let sockets = recorded();
    let started = Instant::now();
    while started.elapsed().as_millis() < 1300 {
        dump.write_all(&sockets).unwrap();
    }
    drop(dump);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.starts_with("socktrace: unexpected end of "), "{said:?}");
    fs::remove_file(path).unwrap();
}
