//! One boot: QEMU without acceleration, a serial port for the console and one for the report.
//!
//! The processors of a guest take turns in one thread. With a thread for each, one was seen to run
//! an int3 that the kernel, rewriting its code, had already taken away again, and Linux 7.3 to panic
//! of it while it booted. It is no slower: the tests are one thing after the other.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::tools::Qemu;

/// After so long a guest counts as hung: all the tests together take a fifth of it.
const DEADLINE: Duration = Duration::from_secs(5400);
/// And after so long, when it has reported everything.
const POWER_OFF: Duration = Duration::from_secs(10);
const COMPLETE: &str = "@@ complete\r\n";
const MEMORY_MIB: &str = "1280";

/// Boots, waits for the end, and returns what the guest reported. The console goes to `log`.
pub(super) fn boot(qemu: &Qemu, image: &Path, initramfs: &Path, log: &Path) -> Result<String> {
    let report = log.with_extension("report");
    // Left from an earlier boot, it would speak for this one.
    fs::write(&report, "")?;
    let console = File::create(log)?;
    let mut machine = qemu
        .command()?
        .args(["-M", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "2"])
        .args(["-m", MEMORY_MIB, "-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-monitor", "none", "-no-reboot"])
        .args(["-serial", "stdio", "-serial"])
        .arg(format!("file:{}", report.display()))
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 panic=-1 loglevel=5"])
        .stdin(Stdio::null())
        .stdout(console.try_clone()?)
        .stderr(console)
        .spawn()
        .context("QEMU does not run")?;
    let mut deadline = Instant::now() + DEADLINE;
    while machine.try_wait()?.is_none() {
        // A machine that has been suspended does not always know how to turn itself off.
        if fs::read(&report)?.ends_with(COMPLETE.as_bytes()) {
            deadline = deadline.min(Instant::now() + POWER_OFF);
        }
        if Instant::now() > deadline {
            machine.kill()?;
            machine.wait()?;
            break;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Ok(String::from_utf8_lossy(&fs::read(&report)?).replace('\r', ""))
}
