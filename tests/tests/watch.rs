//! `--watch`: what appears, changes and vanishes between two listings.

use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, TcpListener};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::{Running, socktrace};
use socktrace_tests::pty;
use socktrace_tests::require_root;
use socktrace_tests::schema::Schema;

fn watch(line: &str) -> Running {
    let mut command = socktrace();
    command.args(line.split(' '));
    Running::start(command)
}

#[test]
fn json_has_a_line_for_each_change() {
    require_root!();
    let schema = Schema::of_socktrace();
    in_namespace(|| {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 7001)).unwrap();
        let running = watch("-tan --json --watch 100ms");
        let next = |change: &str, port: u16| {
            running.await_line(|line| {
                let object: Value = serde_json::from_str(line).unwrap();
                schema.check_entry(&object);
                (object["change"] == change && object["local"]["port"] == port).then_some(object)
            })
        };
        let seen = next("present", 7001);
        let second = TcpListener::bind((Ipv4Addr::LOCALHOST, 7002)).unwrap();
        next("appeared", 7002);
        let waiting = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, 7001)).unwrap();
        let changed = next("changed", 7001);
        assert_eq!(changed["recv_q"], 1);
        assert_eq!(changed["cookie"], seen["cookie"]);
        drop((first, waiting));
        next("vanished", 7001);
        drop(second);
        next("vanished", 7002);
        running.signal(Signal::TERM);
        assert!(running.finish().status.success());
    });
}

#[test]
fn a_pipe_has_blocks_with_their_time() {
    require_root!();
    in_namespace(|| {
        let running = watch("-tln --watch 100ms");
        let is_time = |line: &str| line.len() == 32 && line.as_bytes()[10] == b'T';
        running.await_line(|line| is_time(line).then_some(()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7003)).unwrap();
        running.await_line(|line| (line.starts_with("+ ") && line.contains(":7003")).then_some(()));
        running.await_line(|line| (line.starts_with("  ") && line.contains(":7003")).then_some(()));
        drop(listener);
        running.await_line(|line| (line.starts_with("- ") && line.contains(":7003")).then_some(()));
        running.signal(Signal::INT);
        assert!(running.finish().status.success());
    });
}

#[test]
fn it_ends_with_its_reader() {
    require_root!();
    in_namespace(|| {
        let mut command = socktrace();
        command.args(["-tan", "--json", "--watch", "100ms"]);
        let (running, pipe) = Running::start_unread(command);
        drop(pipe);
        assert!(running.finish().status.success());
    });
}

#[test]
fn a_terminal_is_left_as_it_was() {
    require_root!();
    in_namespace(|| {
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7004)).unwrap();
        let mut command = socktrace();
        command.args(["-tln", "--watch", "100ms"]);
        let (mut child, terminal) = pty::start(command, 100);
        let mut screen = File::from(terminal);
        let mut text = Vec::new();
        let mut read_until = |wanted: &str, text: &mut Vec<u8>| {
            let from = text.len();
            while !String::from_utf8_lossy(&text[from..]).contains(wanted) {
                let mut buffer = [0; 4096];
                match screen.read(&mut buffer) {
                    Ok(read) if read > 0 => text.extend_from_slice(&buffer[..read]),
                    _ => panic!("{wanted:?} is not in {}", String::from_utf8_lossy(text)),
                }
            }
        };
        read_until(":7004", &mut text);
        assert!(text.starts_with(b"\x1b[?1049h"), "the alternate screen");
        // Two redraws: the first may have been under way.
        read_until("1 sockets", &mut text);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        read_until("\x1b[?1049l", &mut text);
        assert!(String::from_utf8_lossy(&text).contains("\x1b[?25h"), "the cursor");
        assert!(child.wait().unwrap().success());
    });
}

#[test]
fn what_cannot_be_watched_is_refused() {
    for line in ["-t --watch 10ms", "-t --watch soon", "-K --watch 1s dport = 1"] {
        let output = socktrace().args(line.split(' ')).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(output.stdout.is_empty(), "{line}");
    }
}

#[test]
fn services_and_counts_are_watched_too() {
    require_root!();
    let schema = Schema::of_socktrace();
    in_namespace(|| {
        let _first = TcpListener::bind((Ipv4Addr::LOCALHOST, 7007)).unwrap();
        let listen = watch("listen -n --watch 100ms");
        let listen_json = watch("listen -n -j --watch 100ms");
        let states = watch("states -t --by state,sport -n --watch 100ms");
        let states_json = watch("states -t --by state,sport -j --watch 100ms");
        let summary = watch("-s --watch 100ms");
        let summary_json = watch("-s -j --watch 100ms");
        let object = |running: &Running, change: &str, holds: &dyn Fn(&Value) -> bool| {
            running.await_line(|line| {
                let object: Value = serde_json::from_str(line).unwrap();
                schema.check_entry(&object);
                (object["change"] == change && holds(&object)).then_some(())
            });
        };
        let of_port = |object: &Value| object["local"]["port"] == 7005;
        let row = |running: &Running, mark: &str, words: &[&str]| {
            running.await_line(|line| {
                let is_marked = line.starts_with(mark);
                (is_marked && words.iter().all(|word| line.contains(word))).then_some(())
            });
        };
        // Once each has listed what there was, more may come.
        let of_first = |object: &Value| object["local"]["port"] == 7007;
        for (columns, json) in [(&listen, &listen_json), (&states, &states_json)] {
            row(columns, " ", &["7007"]);
            object(json, "present", &of_first);
        }
        object(&summary_json, "present", &|object| object["summary"]["inet"]["tcp"] == 1);
        row(&summary, " ", &["TCP\t  1"]);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7005)).unwrap();
        row(&listen, "+ ", &["127.0.0.1:7005", "0/"]);
        object(&listen_json, "appeared", &of_port);
        row(&states, "+ ", &["LISTEN", "7005"]);
        object(&states_json, "appeared", &of_port);
        row(&summary, "~ ", &["TCP\t  2"]);
        object(&summary_json, "changed", &|object| object["summary"]["inet"]["tcp"] == 2);
        let waiting = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, 7005)).unwrap();
        row(&listen, "~ ", &["127.0.0.1:7005", "1/"]);
        object(&listen_json, "changed", &|object| of_port(object) && object["accept_queue"] == 1);
        drop((waiting, listener));
        row(&listen, "- ", &["127.0.0.1:7005"]);
        object(&listen_json, "vanished", &of_port);
        row(&states, "- ", &["LISTEN", "7005"]);
        object(&states_json, "vanished", &|object| of_port(object) && object["state"] == "LISTEN");
        for running in [listen, listen_json, states, states_json, summary, summary_json] {
            running.signal(Signal::TERM);
            assert!(running.finish().status.success());
        }
    });
}

#[test]
fn a_summary_stands_above_the_sockets() {
    require_root!();
    in_namespace(|| {
        let _listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 7006)).unwrap();
        let running = watch("-s -tln --watch 100ms");
        running.await_line(|line| line.trim_start().starts_with("Total:").then_some(()));
        running.await_line(|line| line.contains("127.0.0.1:7006").then_some(()));
        running.signal(Signal::TERM);
        assert!(running.finish().status.success());
    });
}
