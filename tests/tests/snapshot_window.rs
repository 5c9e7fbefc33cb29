//! `socktrace --window TIME` lists what there is, and what came and went meanwhile, each once.

use rustix::process::Signal;
use rustix::thread::CapabilitySet;
use serde_json::Value;
use socktrace_tests::driver::{Actor, Kind, Sock, join, parse};
use socktrace_tests::expect::now_us;
use socktrace_tests::memory::fill_memory;
use socktrace_tests::namespace::{await_closed, in_namespace};
use socktrace_tests::process::{Finished, Running, socktrace, without_capabilities};
use socktrace_tests::schema::Schema;
use socktrace_tests::{actor, require_linux, require_root};

/// Longer than any test.
const WINDOW: &str = "--window=1h";

/// Opens a window.
fn open(options: &[&str]) -> Running {
    let mut command = socktrace();
    command.arg(WINDOW).args(options);
    let running = Running::start(command);
    running.await_message(|line| line.contains("tracing TCP").then_some(()));
    running
}

/// Has it list, after what was closed is gone.
fn list(running: Running, signal: Signal) -> Finished {
    await_closed();
    running.signal(signal);
    running.finish()
}

/// Runs a listing, and `act` once it watches and knows whose older sockets are.
fn window(options: &[&str], act: impl FnOnce()) -> Vec<String> {
    let running = open(options);
    running.await_walk();
    act();
    let Finished { status, stdout, stderr } = list(running, Signal::INT);
    assert_eq!(status.code(), Some(0), "{stderr:#?}");
    stdout
}

/// The rows with a port.
fn with_port(rows: &[String], port: u16) -> Vec<&str> {
    let end = format!(":{port}");
    rows.iter()
        .map(String::as_str)
        .filter(|row| row.split_whitespace().any(|word| word.ends_with(&end)))
        .collect()
}

fn gone(row: &str) -> Option<f64> {
    let word = row.split_whitespace().find_map(|word| word.strip_prefix("gone:"))?;
    Some(word.strip_suffix("ms")?.parse().expect("a number of milliseconds"))
}

/// Whether it is of a socket that is gone, however long that lived.
fn gone_row(row: &str) -> bool {
    row.contains(" gone:")
}

fn objects(rows: &[String]) -> Vec<Value> {
    rows.iter().map(|row| serde_json::from_str(row).expect("JSON")).collect()
}

fn actors() -> (Actor, Actor) {
    (actor!("client"), actor!("server"))
}

#[test]
fn what_came_and_went_is_there_with_its_owner_and_how_long_it_lived() {
    require_root!();
    in_namespace(|| {
        let (client, server) = actors();
        let listener = server.listen("127.0.0.1:0");
        let mut ends = None;
        let rows = window(&["-tanpH"], || {
            let (near, far) = join(&client, &server, &listener);
            let closed = server.close(&far);
            client.close(&near);
            ends = Some((near, closed));
        });
        let (near, closed) = ends.expect("the window was open");
        let rows = with_port(&rows, near.local.port());
        let [near_row, far_row] = ["client", "server"].map(|name| {
            let owned = |row: &&&str| row.contains(&format!("((\"{name}\",pid="));
            let is_gone = |row: &&&str| gone(row).is_some();
            let found: Vec<&&str> = rows.iter().filter(owned).filter(is_gone).collect();
            assert_eq!(found.len(), 1, "{name}: {rows:#?}");
            *found[0]
        });
        for row in [near_row, far_row] {
            assert!(row.starts_with("UNCONN"), "{row}");
            assert!(row.ends_with("end:closed"), "{row}");
            let lived_us = gone(row).expect("it is marked") * 1e3;
            let longest = now_us() - near.made.before_us;
            assert!(lived_us <= longest as f64, "{row}");
        }
        assert!(gone(near_row).unwrap() * 1e3 >= (closed.before_us - near.made.after_us) as f64);
        // And what is there is there: the listener, and the TIME-WAIT socket as ss lists it.
        let listening: Vec<&&str> =
            rows.iter().filter(|row| row.starts_with("TIME-WAIT")).collect();
        assert_eq!(listening.len(), 1, "{rows:#?}");
    });
}

#[test]
fn what_is_still_there_is_listed_as_without_a_window() {
    require_root!();
    in_namespace(|| {
        let (client, server) = actors();
        let listener = server.listen("127.0.0.1:0");
        let _ends = join(&client, &server, &listener);
        let mut command = socktrace();
        command.args(["--window=10ms", "-tanep"]);
        let rows = Running::start(command).finish().stdout;
        let mut plain = socktrace();
        plain.arg("-tanep");
        let plain = Running::start(plain).finish().stdout;
        let words = |rows: &[String]| -> Vec<Vec<String>> {
            rows.iter().map(|row| row.split_whitespace().map(str::to_owned).collect()).collect()
        };
        assert_eq!(words(&rows), words(&plain));
    });
}

#[test]
fn a_connection_that_never_was_is_there_with_what_came_of_it() {
    require_root!();
    in_namespace(|| {
        let (client, _server) = actors();
        let rows = window(&["-tnH", "dport", "=", ":9"], || {
            let sock = client.socket(Kind::Tcp4);
            client.try_connect(&sock, parse("127.0.0.1:9")).1.unwrap_err();
        });
        assert_eq!(rows.len(), 1, "{rows:#?}");
        assert!(rows[0].contains(" gone:") && rows[0].contains(" end:refused"), "{rows:#?}");
    });
}

#[test]
fn options_and_filter_are_for_the_gone_as_well() {
    require_root!();
    in_namespace(|| {
        let (client, server) = actors();
        let (one, other) = (server.listen("127.0.0.1:0"), server.listen("[::1]:0"));
        let act = || {
            for listener in [&one, &other] {
                let (near, far) = join(&client, &server, listener);
                client.linger_zero(&near);
                client.close(&near);
                server.close(&far);
            }
        };
        let port = one.local.port();
        let sport = format!(":{port}");
        for (options, wanted) in [
            (&["-4tnH"][..], 2),
            (&["-6tnH"], 2),
            (&["-unH"], 0),
            (&["-tnH", "sport", "=", &sport], 1),
            (&["-tnH", "state", "syn-sent"], 2),
            (&["-tnH", "state", "close-wait"], 0),
            (&["-tnH", "end", "=", "reset", "and", "comm", "=", "client"], 2),
            (&["-tnH", "duration", ">", "1h"], 0),
        ] {
            let rows = window(options, act);
            let gone = rows.iter().filter(|row| gone(row).is_some()).count();
            assert_eq!(gone, wanted, "{options:?}: {rows:#?}");
        }
    });
}

#[test]
fn an_object_of_json_says_that_it_is_gone() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    in_namespace(|| {
        let (client, server) = actors();
        let listener = server.listen("127.0.0.1:0");
        let mut cookies = (0, 0);
        let rows = window(&["-tanp", "--json-lines"], || {
            let (near, far) = join(&client, &server, &listener);
            client.linger_zero(&near);
            client.close(&near);
            server.close(&far);
            cookies = (near.cookie, far.cookie);
        });
        let rows = objects(&rows);
        let schema = Schema::of_socktrace();
        rows.iter().for_each(|row| schema.check_entry(row));
        for (cookie, owner) in [(cookies.0, &client), (cookies.1, &server)] {
            let found: Vec<&Value> = rows.iter().filter(|row| row["cookie"] == cookie).collect();
            assert_eq!(found.len(), 1, "{rows:#?}");
            assert_eq!(found[0]["gone"]["end"], "reset");
            assert!(found[0]["gone"]["duration_us"].is_u64());
            assert_eq!(found[0]["owners"][0]["pid"], owner.pid);
        }
        let listening = rows.iter().find(|row| row["state"] == "LISTEN").expect("the listener");
        assert!(listening.get("gone").is_none());
    });
}

#[test]
fn what_is_older_than_the_window_and_goes_has_its_owner_and_no_age() {
    require_root!();
    require_linux!(5, 11, "the walk over older sockets");
    in_namespace(|| {
        let (client, server) = actors();
        let listener = server.listen("127.0.0.1:0");
        let reset = |(near, far): &(Sock, Sock)| {
            client.linger_zero(near);
            client.close(near);
            server.close(far);
        };
        let ends = join(&client, &server, &listener);
        let running = open(&["-tanpH"]);
        running.await_walk();
        reset(&ends);
        let rows = list(running, Signal::INT).stdout;
        for (sock, owner) in [(&ends.0, &client), (&ends.1, &server)] {
            let owner = format!("((\"{}\",pid={}", owner.name, owner.pid);
            let is_its = |row: &&String| {
                row.split_whitespace().nth(3) == Some(&sock.local.to_string()) && gone_row(row)
            };
            let found: Vec<&String> = rows.iter().filter(is_its).collect();
            assert_eq!(found.len(), 1, "{rows:#?}");
            assert!(found[0].contains(&owner), "{rows:#?}");
            assert!(found[0].contains(" gone:- end:reset"), "{rows:#?}");
        }

        let ends = join(&client, &server, &listener);
        let running = open(&["-tanp", "--json-lines"]);
        running.await_walk();
        reset(&ends);
        let rows = objects(&list(running, Signal::INT).stdout);
        for (sock, owner) in [(&ends.0, &client), (&ends.1, &server)] {
            let row = rows.iter().find(|row| row["cookie"] == sock.cookie).expect("it is gone");
            assert!(row["gone"].get("duration_us").is_none(), "{row:#}");
            assert_eq!(row["owners"][0]["pid"], owner.pid, "{row:#}");
        }
    });
}

#[test]
fn what_goes_while_it_is_listed_is_there_once() {
    require_root!();
    in_namespace(|| {
        let (client, server) = actors();
        let listener = server.listen("127.0.0.1:0");
        let older: Vec<_> = (0..50).map(|_| join(&client, &server, &listener)).collect();
        let running = open(&["-tan", "--json"]);
        running.signal(Signal::INT);
        // Whatever it is at: it has seen all of them.
        for (near, far) in &older {
            client.linger_zero(near);
            client.close(near);
            server.close(far);
        }
        let finished = running.finish();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        let rows: Vec<Value> = serde_json::from_str(&finished.stdout.join("\n")).expect("JSON");
        for (near, far) in &older {
            for cookie in [near.cookie, far.cookie] {
                let times = rows.iter().filter(|row| row["cookie"] == cookie).count();
                assert_eq!(times, 1, "{cookie}: {rows:#?}");
            }
        }
    });
}

#[test]
fn a_signal_has_it_list_at_once() {
    require_root!();
    in_namespace(|| {
        let (_client, server) = actors();
        let _listener = server.listen("127.0.0.1:0");
        for signal in [Signal::INT, Signal::TERM] {
            let finished = list(open(&["-tlnH"]), signal);
            assert_eq!(finished.status.code(), Some(0), "{finished:?}");
            assert_eq!(finished.stdout.len(), 1, "{finished:?}");
        }
    });
}

#[test]
fn what_was_lost_is_counted_and_in_the_exit_code() {
    require_root!();
    in_namespace(|| {
        let (client, server) = actors();
        let listener = server.listen("127.0.0.1:0");
        let running = open(&["-tanH", "--ring-size", "4K"]);
        // While it cannot read, the ring fills.
        running.signal(Signal::STOP);
        for _ in 0..50 {
            let (near, far) = join(&client, &server, &listener);
            client.close(&near);
            server.close(&far);
        }
        await_closed();
        running.signal(Signal::CONT);
        let finished = list(running, Signal::INT);
        assert_eq!(finished.status.code(), Some(3), "{finished:?}");
        let told = finished.stdout.iter().filter(|row| gone_row(row)).count() as u64;
        let lost = finished.stderr.iter().filter_map(|line| {
            let count = line.strip_prefix("socktrace: lost ")?.split(' ').next()?;
            line.contains(" on CPU ").then(|| count.parse::<u64>().expect("a number"))
        });
        let lost: u64 = lost.sum();
        assert!(told > 0 && lost > 0, "{finished:#?}");
        assert_eq!(told + lost, 100, "{finished:#?}");
    });
}

#[test]
fn a_socket_that_there_is_no_memory_for_is_listed_and_in_the_exit_code() {
    require_root!();
    in_namespace(|| {
        let (client, server) = actors();
        let listener = server.listen("127.0.0.1:0");
        let running = open(&["-tanH"]);
        running.await_walk();
        fill_memory(&running);
        let (near, far) = join(&client, &server, &listener);
        client.close(&near);
        server.close(&far);
        let finished = list(running, Signal::INT);
        assert_eq!(finished.status.code(), Some(3), "{finished:#?}");
        let told = finished.stdout.iter().filter(|row| row.contains(" gone:- "));
        assert_eq!(told.count(), 2, "{finished:#?}");
        let said = |text: &str| finished.stderr.iter().any(|line| line.contains(text));
        assert!(said("no memory for the socket"), "{finished:#?}");
        assert!(said("was listed without its owner"), "{finished:#?}");
    });
}

#[test]
fn who_may_not_trace_is_told_so() {
    require_root!();
    let mut command = socktrace();
    command.args([WINDOW, "-t"]);
    use CapabilitySet as Cap;
    without_capabilities(&mut command, &[Cap::BPF, Cap::PERFMON, Cap::SYS_ADMIN]);
    let finished = Running::start(command).finish();
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    assert!(finished.stdout.is_empty(), "{finished:?}");
    assert!(finished.stderr[0].contains("CAP_BPF"), "{finished:?}");
}
