//! Packets that get lost: rules in the network namespace of the thread.

use std::io::Write;
use std::process::{Command, Stdio};

/// Drops what matches an expression of nft, from here on; false where there is no nft, or a kernel
/// without it.
#[must_use]
pub fn drop_packets(matching: &str) -> bool {
    rule("input", matching, "drop")
}

/// Drops what matches before it has left.
#[must_use]
pub fn drop_on_the_way_out(matching: &str) -> bool {
    rule("output", matching, "drop")
}

/// Answers what matches with "host unreachable".
#[must_use]
pub fn reject_packets(matching: &str) -> bool {
    rule("input", matching, "reject with icmp type host-unreachable")
}

fn rule(hook: &str, matching: &str, verdict: &str) -> bool {
    nft(&format!(
        "add table inet socktrace
         add chain inet socktrace {hook} {{ type filter hook {hook} priority 0; }}
         add rule inet socktrace {hook} {matching} {verdict}"
    ))
}

/// Lets everything pass again.
pub fn pass_all() {
    assert!(nft("delete table inet socktrace"), "the rules cannot be taken away");
}

fn nft(script: &str) -> bool {
    let child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else { return false };
    let written = child.stdin.take().expect("it is piped").write_all(script.as_bytes());
    child.wait().is_ok_and(|status| status.success()) && written.is_ok()
}
