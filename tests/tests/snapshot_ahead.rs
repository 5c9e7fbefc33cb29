//! On a host with many open files, tables are read before it is their turn: what is listed is the
//! same.

use std::fs::File;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socktrace_tests::compare::over_population;
use socktrace_tests::require_root;

/// More than make socktrace read ahead.
const FILES: usize = 12_000;

fn many_open_files() -> Vec<File> {
    let room = FILES as u64 + 1_000;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < room) {
        let maximum = limit.maximum.map(|maximum| maximum.max(room));
        setrlimit(Resource::Nofile, Rlimit { current: Some(room), maximum })
            .expect("so many files may be opened");
    }
    (0..FILES).map(|_| File::open("/dev/null").unwrap()).collect()
}

#[test]
fn what_is_read_ahead_is_listed_as_ss_lists_it() {
    require_root!();
    let held = many_open_files();
    over_population(env!("CARGO_BIN_EXE_socktrace-population"), |comparison| {
        comparison.check(&[
            "-tan",
            "-4 -tan",
            "-6 -tan",
            "-tanp",
            "-tulpn",
            "-4 -tanp",
            "-6 -tanp",
            "-an",
            "-anp -x -t",
            "-xanp",
            "-xaeimp",
            "-A unix_stream -anp",
            "-tanpeimo",
            "-tulwanp",
            "-tan sport = :22 or dport = :22",
            "-tanp state listening",
            "-tan sport >= :0",
            "-tHOnaei",
            "-A sctp,mptcp,raw -anp",
        ]);
    });
    drop(held);
}
