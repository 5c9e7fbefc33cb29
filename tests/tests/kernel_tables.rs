//! Every table and attribute that this kernel has, beside `ss`: a few listings over everything, for
//! kernels that are slow to ask. The files named snapshot_* ask for the rest.

use socktrace_tests::compare::over_population;

fn check(table: &[&str]) {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check(table);
    });
}

#[test]
fn internet_tables() {
    check(&[
        "-tan",
        "-taneimop",
        "-4tan",
        "-6tani",
        "-tlnp",
        "-uan",
        "-uaneimp",
        "-wan",
        "-waneimp",
        "-tan --cgroup",
        "-tan --tos --inet-sockopt",
        "-taniO",
        "@80 -tanp",
    ]);
}

#[test]
fn rarer_internet_tables() {
    check(&["-San", "-Saneimp", "-Sln", "-A sctp -an -6", "-Man", "-Maneimp", "-Mln"]);
}

#[test]
fn local_tables() {
    check(&[
        "-xan",
        "-xanemp",
        "-0an",
        "-0anemp",
        "-A netlink -an",
        "-A netlink -anep",
        "--vsock -an",
        "--vsock -anep",
        "--xdp -an",
        "--xdp -anep",
        "--tipc -an",
        "--tipc -anep --tipcinfo",
        "-A all -an",
    ]);
}

#[test]
fn filters_of_the_kernel_and_of_ours() {
    check(&[
        "-tan state established",
        "-tan state time-wait state listening",
        "-tan sport = :50201",
        "-tan 'sport >= :50200 and dport != :1'",
        "-tan dst 127.0.0.0/8",
        "-tan 'not ( src 127.0.0.1 or dport lt 50000 )'",
        "-tuan dev lo",
        "-tan dev = st0",
        "-tan fwmark = 0x2a",
        "-xan src '*'",
        "-San sport = :50601",
        "--vsock -an sport = :50621",
        "-tan '( sport = :50201 or sport = :50202 ) and src 127.0.0.1'",
    ]);
}

#[test]
fn the_summary() {
    check(&["-s"]);
}
