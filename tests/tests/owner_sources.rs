//! The owners of sockets are the same from the iterator as from the walk, and as `ss` has them.

use std::process::Command;

use rustix::thread::CapabilitySet;
use socktrace_tests::compare::{Case, Comparison, Listing, over_population};
use socktrace_tests::process::{socktrace, with_empty, without_capabilities};
use socktrace_tests::require_root;

/// Which listings have owners, and every kind of socket between them.
const LISTINGS: &[&str] = &["-tanp", "-tulnp", "-xap", "-0ap", "-ap state all"];
/// How often to try while processes that are not ours come and go.
const ATTEMPTS: usize = 6;

fn listing(options: &str) -> Listing {
    Case::parse(options).run(socktrace())
}

/// The holders, line by line: UNIX sockets of others come and go, and `ss` prints their names raw.
fn owned(listing: &Listing) -> Vec<String> {
    let text = String::from_utf8_lossy(&listing.stdout).into_owned();
    text.match_indices("users:((")
        .filter_map(|(start, _)| text[start..].lines().next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn both_sources_have_the_holders_in_the_same_order() {
    socktrace_tests::require_linux!(5, 12, "there is no iterator over sockets' descriptors");
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |_: &Comparison| {
        for options in LISTINGS {
            let mut differs = String::new();
            let agrees = (0..ATTEMPTS).any(|_| {
                let walk = owned(&listing(&format!("--owners walk {options}")));
                let iterator = owned(&listing(&format!("--owners iterator {options}")));
                differs = format!("{options}\n{walk:#?}\n{iterator:#?}");
                !walk.is_empty() && walk == iterator
            });
            assert!(agrees, "{differs}");
        }
    });
}

#[test]
fn the_iterator_has_the_holders_that_ss_has() {
    socktrace_tests::require_linux!(5, 12, "there is no iterator over sockets' descriptors");
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        for options in ["-tanp", "-xap"] {
            let mut differs = String::new();
            let agrees = (0..ATTEMPTS).any(|_| {
                let theirs = owned(&Case::parse(options).run(comparison.theirs()));
                let ours = owned(&listing(&format!("--owners iterator {options}")));
                differs = format!("{options}\n{theirs:#?}\n{ours:#?}");
                theirs == ours
            });
            assert!(agrees, "{differs}");
        }
    });
}

fn fails_with(mut command: Command, options: &str, words: &str) {
    let failed = command.args(options.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1), "{said}");
    assert!(failed.stdout.is_empty() && said.contains(words), "{said}");
}

#[test]
fn an_iterator_that_cannot_be_is_refused_in_words() {
    require_root!();
    fails_with(socktrace(), "-tanpT --owners iterator", "neither threads");
    let mut command = socktrace();
    without_capabilities(
        &mut command,
        &[CapabilitySet::BPF, CapabilitySet::PERFMON, CapabilitySet::SYS_ADMIN],
    );
    fails_with(command, "-tanp --owners iterator", "CAP_BPF and CAP_PERFMON");
    let mut command = socktrace();
    with_empty(&mut command, "/sys/kernel/btf");
    fails_with(command, "-tanp --owners iterator", "/sys/kernel/btf/vmlinux");
}

#[test]
fn in_another_pid_namespace_the_walk_has_the_numbers() {
    require_root!();
    // A /proc of that namespace comes with --mount-proc.
    let inside = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--"]);
        command.arg(socktrace().get_program()).args(arguments);
        command
    };
    fails_with(inside(&[]), "-tanp --owners iterator", "initial PID namespace");
    let listed = inside(&["-tanp"]).output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
}
