//! Recorded and textual sources: `-D` and TCPDIAG_FILE, PROC_ROOT and PROC_NET_*.

use std::fs;

use socktrace_tests::compare::{Comparison, over_population};

fn over(body: impl FnOnce(&Comparison) + Send) {
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), body);
}

/// Nothing moves in a recording: every field of every option is compared as it stands.
#[test]
fn a_recording_reads_the_same_in_both() {
    over(|comparison| {
        let ours = comparison.case("-ta -D {dir}/ours.dump").run(comparison.ours());
        assert!(ours.status.success() && ours.stdout.is_empty(), "{ours:?}");
        let theirs = comparison.case("-ta -D {dir}/theirs.dump").run(comparison.theirs());
        assert!(theirs.status.success(), "{theirs:?}");
        let mut table = Vec::new();
        for file in ["ours", "theirs"] {
            for listing in RECORDED {
                table.push(format!("TCPDIAG_FILE={{dir}}/{file}.dump {listing}"));
            }
            table.push(format!("@100 TCPDIAG_FILE={{dir}}/{file}.dump -tanemio"));
            table.push(format!("@200 TCPDIAG_FILE={{dir}}/{file}.dump -tanemioO --tos"));
        }
        comparison.check(&table.iter().map(String::as_str).collect::<Vec<_>>());
    });
}

const RECORDED: &[&str] = &[
    "",
    "-t",
    "-tan",
    "-ta",
    "-tane",
    "-tani",
    "-tano",
    "-tanm",
    "-tanemio",
    "-tanemioO",
    "-taiO",
    "-tanio --tos --cgroup --inet-sockopt",
    "-4tani",
    "-6tani",
    "-tl",
    "-tB",
    "-tn state established",
    "-tn state time-wait",
    "-tan 'sport = :41001'",
    "-tan 'dport = :41001 or sport = :22'",
    "-tan src 127.0.0.1",
    "-tan dst '[::1]'",
    "-tan 'not src 127/8'",
    "-tani dev lo",
    "-tane fwmark 0xbeef",
    "-tan autobound",
    "-tanH",
    "-tanQ",
    "-an",
    "-uan",
    "-s",
];

#[test]
fn recordings_hold_the_same_messages() {
    over(|comparison| {
        let mut both = Vec::new();
        for (tool, name) in [(comparison.ours(), "ours"), (comparison.theirs(), "theirs")] {
            let case = comparison.case(&format!("-D {{dir}}/{name}.dump"));
            case.run(tool);
            let path = case.arguments().last().unwrap();
            both.push(fs::metadata(path).map(|metadata| metadata.len()).unwrap_or(0));
        }
        // Replies differ in sequence and port numbers, and may break between messages elsewhere.
        assert!(both[0] > 0 && both[1] > 0, "{both:?}");
        comparison.check(&["-D {dir}/a.dump -t state listening", "-D /no/such/directory/x.dump"]);
    });
}

#[test]
fn files_that_are_no_recording() {
    over(|comparison| {
        for (name, bytes) in [
            ("empty", &[][..]),
            ("short", &[20, 0, 0]),
            ("zeroes", &[0; 64]),
            ("text", b"sl  local_address rem_address   st tx_queue rx_queue\n"),
            ("lying", &[0xff; 100]),
        ] {
            let path = comparison.case(&format!("{{dir}}/{name}.dump"));
            fs::write(&path.arguments()[0], bytes).unwrap();
        }
        comparison.check(&[
            "TCPDIAG_FILE={dir}/empty.dump -tan",
            "TCPDIAG_FILE={dir}/short.dump -tan",
            "TCPDIAG_FILE={dir}/missing.dump -tan",
        ]);
        // `ss` aborts on these.
        for name in ["zeroes", "text", "lying"] {
            let case = comparison.case(&format!("TCPDIAG_FILE={{dir}}/{name}.dump -tanH"));
            let ours = case.run(comparison.ours());
            assert!(ours.status.code().is_some_and(|code| code != 101), "{name}: {ours:?}");
            assert_eq!(ours.stdout, b"", "{name}: sockets out of nothing");
            assert_ne!(ours.stderr, b"", "{name}: not a word that the file is none");
        }
    });
}

#[test]
fn text_of_proc_in_place_of_the_kernel() {
    over(|comparison| {
        // A name with a newline makes a line that is none; ours says so, ss does not.
        let names = comparison.case("{dir}/unix.txt");
        let unix = fs::read("/proc/thread-self/net/unix").unwrap();
        let lines: Vec<&[u8]> = unix
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| *line != b"line\n" && !line.ends_with(b"/new\n"))
            .collect();
        fs::write(&names.arguments()[0], lines.concat()).unwrap();
        comparison.check(&[
            "PROC_NET_TCP=/proc/net/tcp -tan",
            "PROC_NET_TCP=/proc/net/tcp -tane",
            "PROC_NET_TCP=/proc/net/tcp -tano",
            "PROC_NET_TCP=/proc/net/tcp -tani",
            "PROC_NET_TCP=/proc/net/tcp -tanemioO",
            "PROC_NET_TCP=/proc/net/tcp -4tanp",
            "PROC_NET_TCP=/proc/net/tcp -tn state established",
            "PROC_NET_TCP=/proc/net/tcp -tan 'sport = :41001 or dport = :41001'",
            "PROC_NET_TCP=/proc/net/tcp -tan src 127.0.0.1",
            "PROC_NET_TCP=/proc/net/tcp -tan 'not src 127.0.0.1'",
            "PROC_NET_TCP=/proc/net/tcp -6tan",
            "PROC_NET_TCP=/proc/net/tcp6 -6tan",
            "PROC_NET_UDP=/proc/net/udp -uan",
            "PROC_NET_UDP=/proc/net/udp -uane",
            "PROC_NET_UDP=/proc/net/udp -uanp",
            "PROC_NET_UDP=/proc/net/udp -un",
            "PROC_NET_RAW=/proc/net/raw -wan",
            "PROC_NET_RAW=/proc/net/raw -wane",
            "PROC_NET_RAW=/proc/net/raw -wa",
            "PROC_NET_UNIX={dir}/unix.txt -xa",
            "PROC_NET_UNIX={dir}/unix.txt -xap",
            "PROC_NET_UNIX={dir}/unix.txt -x",
            "PROC_NET_UNIX={dir}/unix.txt -xa src '{dir}/stream'",
            "PROC_NET_UNIX={dir}/unix.txt -xa src '@*'",
            "PROC_NET_UNIX={dir}/unix.txt -xae src '{dir}/d*'",
            "PROC_NET_UNIX={dir}/unix.txt -xl src '*e*'",
            "PROC_NET_PACKET=/proc/net/packet -0a",
            "PROC_NET_PACKET=/proc/net/packet -0ae",
            "PROC_NET_PACKET=/proc/net/packet -0an",
            "PROC_NET_NETLINK=/proc/net/netlink -f netlink -a",
            "PROC_NET_NETLINK=/proc/net/netlink -f netlink -an",
            "PROC_NET_NETLINK=/proc/net/netlink -f netlink -ae",
            "PROC_NET_TCP=/proc/net/tcp PROC_NET_UDP=/proc/net/udp -tuan",
        ]);
    });
}

#[test]
fn another_proc() {
    over(|comparison| {
        comparison.check(&[
            "PROC_ROOT=/proc -tan",
            "PROC_ROOT=/proc -tanp",
            "PROC_ROOT=/proc -uane",
            "PROC_ROOT=/proc -wan",
            "PROC_ROOT=/proc -0a",
            "PROC_ROOT=/proc -f netlink -a",
            "PROC_ROOT=/proc -s",
            "PROC_ROOT=/proc/../proc -tanp",
            "PROC_ROOT=/no/such/directory -tan",
            "PROC_ROOT=/no/such/directory -uan",
            "PROC_ROOT=/no/such/directory -s",
        ]);
    });
}
