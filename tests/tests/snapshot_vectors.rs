//! Golden listings: what the newest `ss` printed for a recorded dump, wherever this runs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use socktrace_tests::cgroup;
use socktrace_tests::compare::{Case, Listing};
use socktrace_tests::process::socktrace;
use socktrace_tests::skip;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The dump has one control group, the root, whose number 1 resolves to `/` where the root of
/// cgroup2 is mounted and not hidden by a cgroup namespace.
fn root_group_is_mounted() -> bool {
    let root = cgroup::hierarchy().and_then(|path| fs::metadata(path).ok());
    root.is_some_and(|root| root.ino() == 1)
}

fn print(case: &Case) -> Listing {
    let mut command = socktrace();
    command.current_dir(directory());
    case.run(command)
}

fn check(names: impl Fn(&str) -> bool) {
    let mut names: Vec<String> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".txt") && names(name))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let groups = root_group_is_mounted();
    let mut wrong = Vec::new();
    for name in &names {
        let golden = fs::read_to_string(directory().join(name)).unwrap();
        if golden.contains(" cgroup:") && !groups {
            skip::report(&format!("{name} names the root control group, which is not mounted"));
            continue;
        }
        let (command, rest) = golden.split_once('\n').unwrap();
        let (listing, code) = match rest.trim_end().rsplit_once("\n# exit ") {
            Some((listing, code)) => (listing, code.parse().unwrap()),
            None => (rest, 0),
        };
        let command = command.strip_prefix("# ").unwrap();
        let command = match command.split_once("-tanp-less: ") {
            Some((columns, arguments)) => format!("TCPDIAG_FILE=tcp.dump {columns}{arguments}"),
            None => format!("TCPDIAG_FILE=tcp.dump COLUMNS= {command}"),
        };
        let ours = print(&Case::parse(&command));
        let text = String::from_utf8_lossy(&ours.stdout);
        if ours.status.code() != Some(code) {
            wrong.push(format!("{name}: {command}: {}", ours.status));
        }
        if text.trim_end_matches('\n') != listing.trim_end_matches('\n') {
            let line = text.lines().zip(listing.lines()).position(|(ours, golden)| ours != golden);
            let at = |text: &str| text.lines().nth(line.unwrap_or(0)).unwrap_or("").to_owned();
            wrong.push(format!(
                "{name}: {command}: line {:?}\n- {}\n+ {}",
                line.map(|line| line + 1),
                at(listing),
                at(&text)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), names.len(), wrong.join("\n"));
}

#[test]
fn listings_off_a_terminal() {
    check(|name| name.starts_with(|first: char| first.is_ascii_digit()));
}

#[test]
fn listings_of_four_widths() {
    check(|name| name.starts_with("width-"));
}

#[test]
fn a_dump_cut_anywhere_is_listed_as_far_as_it_goes() {
    let dump = fs::read(directory().join("tcp.dump")).unwrap();
    let case = Case::parse("TCPDIAG_FILE=tcp.dump COLUMNS= -tanHO");
    let whole = print(&case).stdout;
    let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count();
    let cut = std::env::temp_dir().join(format!("socktrace-cut-{}.dump", std::process::id()));
    for length in [0, 1, 15, 16, 17, 71, 72, dump.len() / 2, dump.len() / 2 + 3, dump.len() - 1] {
        fs::write(&cut, &dump[..length]).unwrap();
        let case = Case::parse(&format!("TCPDIAG_FILE={} COLUMNS= -tanHO", cut.display()));
        let listing = print(&case);
        assert!(listing.status.code().is_some(), "{length} bytes: {}", listing.status);
        assert!(lines(&listing.stdout) <= lines(&whole), "{length} bytes");
        let said = String::from_utf8_lossy(&listing.stderr);
        assert!(!said.contains("panicked"), "{length} bytes: {said}");
    }
    fs::remove_file(&cut).unwrap();
}
