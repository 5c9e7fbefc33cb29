//! `socktrace states` counts what a listing lists.

use std::collections::BTreeMap;
use std::net::TcpListener;

use serde_json::Value;
use socktrace_tests::audit::{TcpState, await_rest, await_state, listener, pairs};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::socktrace;
use socktrace_tests::require_root;
use socktrace_tests::schema::Schema;

fn lines(args: &[&str]) -> Vec<Value> {
    let output = socktrace().args(args).output().expect("socktrace does not run");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    if args[0] == "states" {
        lines.iter().for_each(|line| Schema::of_socktrace().check("count", line));
    }
    lines
}

/// The counts by one key.
fn counted(args: &[&str], key: &str) -> BTreeMap<String, u64> {
    let mut all = vec!["states", "--json-lines"];
    all.extend_from_slice(args);
    let entry =
        |line: &Value| (line.pointer(key).unwrap().to_string(), line["sockets"].as_u64().unwrap());
    lines(&all).iter().map(entry).collect()
}

#[test]
fn states_are_those_of_the_listing() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(64);
        let mut connections = pairs(&server, 30);
        // Ten that the peer has closed, ten in TIME-WAIT.
        let (left, closed) = (connections.split_off(20), connections.split_off(10));
        let _kept: Vec<_> =
            left.into_iter().map(|(client, kept)| drop_first(client, kept)).collect();
        closed.into_iter().for_each(|(client, other)| drop((client, other)));

        await_state(TcpState::CloseWait, 10);
        await_rest();
        let mut listed: BTreeMap<String, u64> = BTreeMap::new();
        for socket in lines(&["-tan", "--json-lines"]) {
            *listed.entry(socket["state"].to_string()).or_default() += 1;
        }
        assert!(listed.len() >= 3, "{listed:?}");
        assert_eq!(counted(&["-t", "--by", "state"], "/state"), listed);
        let waiting = counted(&["-t", "--by", "state", "state", "close-wait"], "/state");
        assert_eq!(waiting, [("\"CLOSE-WAIT\"".to_owned(), 10)].into());
    });
}

fn drop_first<T>(client: T, kept: T) -> T {
    drop(client);
    kept
}

#[test]
fn processes_ports_and_peers_are_told_apart() {
    require_root!();
    in_namespace(|| {
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let _connections = pairs(&server, 12);
        let groups = lines(&["states", "-t", "--by", "process,port,peer", "--json-lines"]);
        let connected = groups.iter().find(|group| group["peer"]["addr"] == "127.0.0.1").unwrap();
        assert_eq!(connected["sockets"], 24, "both ends of each");
        assert_eq!(connected["process"]["pid"], std::process::id());
        assert_eq!(connected["states"]["ESTAB"], 24);
        let listening = groups.iter().find(|group| group["peer"]["addr"].is_null()).unwrap();
        assert_eq!(listening["states"]["LISTEN"], 1);
        let local = counted(&["-t", "--by", "sport", "state", "established"], "/local/port");
        assert_eq!(local["8080"], 12);
    });
}

#[test]
fn the_table_lines_up_and_ends_with_all() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(64);
        let _connections = pairs(&server, 12);
        let output = socktrace().args(["states", "--by", "state", "-t", "--top", "1"]).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        let expected = "\
State  Sockets   Share
ESTAB       24   96.0%
all         25  100.0%
";
        assert_eq!(text, expected);
    });
}
