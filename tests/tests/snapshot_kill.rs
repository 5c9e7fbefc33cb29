//! `-K`: the same sockets are destroyed and listed, of two populations alike.

use socktrace_tests::compare::{Comparison, over_population};

/// What two tools print for two populations can only differ in what the kernel numbers.
fn kill(line: &str) -> [(String, Option<i32>, String); 2] {
    let mut printed = Vec::new();
    for ours in [false, true] {
        over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison: &Comparison| {
            let tool = || if ours { comparison.ours() } else { comparison.theirs() };
            let killed = comparison.case(line).run(tool());
            let left = comparison.case("-tanH").run(comparison.theirs());
            // The order is that of the kernel's hash, which is salted for each namespace.
            let sorted = |bytes: &[u8]| {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                lines.join("\n")
            };
            printed.push((sorted(&killed.stdout), killed.status.code(), sorted(&left.stdout)));
        });
    }
    printed.try_into().unwrap_or_else(|_| panic!("both tools run"))
}

#[test]
fn the_same_sockets_are_destroyed() {
    socktrace_tests::require_root!();
    if socktrace_tests::oracle::oracle().is_none() {
        return socktrace_tests::skip::report("there is no ss new enough (cargo xtask oracle)");
    }
    // Never both ends of a connection: whether the second still stands when its turn comes depends
    // on the kernel's order.
    for line in [
        "-K -tn 'dport = :41001'",
        "-tnK dst 127.0.0.2",
        "-K -tan state listening 'sport = :80'",
        "-K -tn state time-wait",
        "-K -6tn 'dport = :41001'",
        "-K -tan 'sport > :50060 and sport < :50068'",
        "-K -uan 'sport = :5353'",
        "-K -tn dst 203.0.113.1",
        "--kill -tnH 'sport = :50007'",
        "-K -wn",
        "-K -x src @nothing",
    ] {
        // A timer may move a socket of one population on; a real difference comes back.
        let mut results = kill(line);
        for _ in 0..3 {
            if results[0] != results[1] {
                results = kill(line);
            }
        }
        let [theirs, ours] = results;
        assert_eq!(theirs, ours, "{line}");
    }
}
