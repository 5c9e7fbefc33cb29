//! A file that TCPDIAG_FILE names.

#![no_main]

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use socktrace::diag::file;

/// A file in memory, and the path to open it again by.
fn scratch() -> &'static (File, PathBuf) {
    static SCRATCH: OnceLock<(File, PathBuf)> = OnceLock::new();
    SCRATCH.get_or_init(|| {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let file = File::from(rustix::fs::memfd_create("recording", flags).expect("no memfd"));
        let path = format!("/proc/self/fd/{}", file.as_raw_fd()).into();
        (file, path)
    })
}

fuzz_target!(|bytes: &[u8]| {
    let (file, path) = scratch();
    let mut writer = file;
    file.set_len(0).expect("memory can be cut");
    writer.rewind().expect("memory can be rewound");
    writer.write_all(bytes).expect("memory takes all");
    let mut sockets = 0;
    let end = file::read(path, &mut |_| {
        sockets += 1;
        Ok(())
    });
    assert!(sockets <= bytes.len() / 16, "{sockets} sockets out of {} bytes", bytes.len());
    let _ = end;
});
