//! What an audit says of connections: each condition made for real, and one that comes close.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socktrace_tests::audit::{audit, audit_until, drop_received, fill, listener, own_pid, pairs};
use socktrace_tests::namespace::{in_namespace, lower_loopback};
use socktrace_tests::population::{Kind, Population};
use socktrace_tests::{require_root, wait};

#[test]
fn connections_that_only_the_peer_has_closed_are_named_first() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(64);
        let (clients, kept): (Vec<_>, Vec<_>) = pairs(&server, 20).into_iter().unzip();
        assert_eq!(audit(&[]).fired(), [], "they are in use");
        drop(clients);
        let report = audit_until("close-wait", &[]);
        assert_eq!(report.fired(), [("close-wait", "warning")], "{report:?}");
        assert_eq!((report.pids("close-wait"), report.code), (own_pid(), Some(10)));
        drop(kept);
        assert_eq!(audit(&["--only", "close-wait"]).fired(), []);
    });
}

#[test]
fn a_leak_of_hundreds_is_critical_and_its_growth_is_measured() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(64);
        let (clients, mut kept): (Vec<_>, Vec<_>) = pairs(&server, 150).into_iter().unzip();
        drop(clients);
        audit_until("close-wait", &[]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(TcpStream::connect(address).unwrap());
                    kept.push(server.accept().unwrap().0);
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let report = audit(&["--for", "5s", "--only", "close-wait"]);
            stop.store(true, Ordering::Relaxed);
            assert_eq!(report.fired(), [("close-wait", "critical")], "{report:?}");
            let what = report.finding("close-wait").unwrap()["what"].as_str().unwrap();
            assert!(what.contains("of them new while it was watched"), "{what}");
        });
    });
}

#[test]
fn ports_that_run_out_towards_one_destination_are_told() {
    require_root!();
    in_namespace(|| {
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40099").unwrap();
        // Not one of the ports that are to run out.
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        let address = server.local_addr().unwrap();
        let mut connections = pairs(&server, 70);
        assert_eq!(audit(&[]).fired(), [], "seven in ten");
        connections.extend(pairs(&server, 25));
        let report = audit(&[]);
        assert_eq!(report.fired(), [("ephemeral-ports", "critical")], "{report:?}");
        assert_eq!(report.pids("ephemeral-ports"), own_pid());
        let row = &report.finding("ephemeral-ports").unwrap()["evidence"][0];
        assert_eq!((row["open"].as_u64(), row["ports"].as_u64()), (Some(95), Some(100)));
        assert_eq!(row["peer"]["port"].as_u64(), Some(address.port().into()));
    });
}

#[test]
fn a_reader_that_does_not_read_is_named_and_not_its_sender() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        let connection = pairs(&server, 1);
        let (client, reader) = &connection[0];
        fill(client);
        let report = audit_until("slow-reader", &[]);
        assert_eq!(report.fired()[0].0, "slow-reader", "{report:?}");
        assert_eq!(report.fired().len(), 1, "the closed window follows from it: {report:?}");
        assert_eq!(report.pids("slow-reader"), own_pid());

        let mut reader = reader;
        reader.set_nonblocking(true).unwrap();
        let mut buffer = [0; 1 << 16];
        while reader.read(&mut buffer).is_ok() {}
        assert_eq!(audit(&[]).fired(), [], "it has caught up");
    });
}

#[test]
fn a_throttled_reader_is_named_by_how_long_its_data_waits() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        let connection = pairs(&server, 1);
        let (client, reader) = &connection[0];
        fill(client);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut reader = reader;
                while !stop.load(Ordering::Relaxed) && reader.read(&mut [0; 100]).is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            });
            let report = audit(&["--for", "2s"]);
            stop.store(true, Ordering::Relaxed);
            assert_eq!(report.fired()[0], ("slow-reader", "critical"), "{report:?}");
            let because = report.finding("slow-reader").unwrap()["because"].as_str().unwrap();
            assert!(because.contains("a second were read"), "{because}");
        });
    });
}

#[test]
fn a_window_that_stays_closed_is_told() {
    require_root!();
    in_namespace(|| {
        let (_server, address) = listener(4);
        // Nobody accepts it: there is no process that could read.
        let client = TcpStream::connect(address).unwrap();
        fill(&client);
        let only = ["--only", "zero-window"];
        assert_eq!(audit(&only).fired(), [], "it may open at once");
        let report = wait::until("a warning", || {
            Some(audit(&only)).filter(|report| report.severity("zero-window") == Some("warning"))
        });
        assert_eq!(report.pids("zero-window"), own_pid());
    });
}

#[test]
fn a_sender_without_an_answer_is_told() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        let connection = pairs(&server, 1);
        let (client, peer) = &connection[0];
        let mut sender = client;
        sender.write_all(&[0; 1000]).unwrap();
        assert_eq!(audit(&["--only", "stuck-sender"]).fired(), [], "it was acknowledged");
        drop_received(peer, 256);
        sender.write_all(&[0; 1000]).unwrap();
        let report = audit_until("stuck-sender", &["--only", "stuck-sender"]);
        assert_eq!(report.fired(), [("stuck-sender", "warning")]);
        assert_eq!(report.pids("stuck-sender"), own_pid());
    });
}

#[test]
fn loss_is_measured_and_named_by_its_peer() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        for (share, fires) in [(64, true), (0, false)] {
            let connection = pairs(&server, 1);
            let (client, peer) = &connection[0];
            if share > 0 {
                drop_received(peer, share);
            }
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut peer, mut buffer) = (peer, [0; 1 << 16]);
                    while peer.read(&mut buffer).is_ok_and(|read| read > 0) {}
                });
                scope.spawn(|| {
                    let mut client = client;
                    client.set_nodelay(true).unwrap();
                    while !stop.load(Ordering::Relaxed) {
                        client.write_all(&[0; 3000]).unwrap();
                        thread::sleep(Duration::from_millis(1));
                    }
                    client.shutdown(Shutdown::Write).unwrap();
                });
                let report = audit(&["--for", "5s", "--only", "retransmits"]);
                stop.store(true, Ordering::Relaxed);
                match fires {
                    true => assert_eq!(report.pids("retransmits"), own_pid(), "{report:?}"),
                    false => assert_eq!(report.fired(), []),
                }
                drop_received(peer, 0);
            });
        }
    });
}

#[test]
fn what_waits_for_the_peer_to_close_is_told_when_there_is_much_of_it() {
    require_root!();
    in_namespace(|| {
        let only = ["--only", "fin-wait-2", "--threshold", "fin-wait-2.age=0"];
        let (server, _) = listener(64);
        let mut connections = pairs(&server, 40);
        connections.iter().for_each(|(client, _)| client.shutdown(Shutdown::Write).unwrap());
        assert_eq!(audit(&only).fired(), []);
        connections.extend(pairs(&server, 20));
        connections.iter().for_each(|(client, _)| drop(client.shutdown(Shutdown::Write)));
        let report = audit(&only);
        assert_eq!(report.fired(), [("fin-wait-2", "warning")], "{report:?}");
        assert_eq!(audit(&["--only", "fin-wait-2"]).fired(), [], "not for long");
    });
}

#[test]
fn last_acks_that_do_not_come_are_told() {
    require_root!();
    in_namespace(|| {
        let only = ["--only", "last-ack", "--threshold", "last-ack.age=0"];
        let (server, _) = listener(64);
        let (clients, servers): (Vec<_>, Vec<_>) = pairs(&server, 60).into_iter().unzip();
        drop(clients);
        assert_eq!(audit(&only).fired(), []);
        lower_loopback();
        drop(servers);
        let report = audit(&only);
        assert_eq!(report.fired(), [("last-ack", "warning")], "{report:?}");
    });
}

#[test]
fn a_process_that_runs_from_a_deleted_file_and_listens_is_told() {
    require_root!();
    in_namespace(|| {
        let folder = std::env::temp_dir().join(format!("socktrace-audit-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("population");
        fs::copy(env!("CARGO_BIN_EXE_socktrace-population"), &program).unwrap();
        let _child = Population::start(program.to_str().unwrap(), Kind::Elsewhere);
        let only = ["--only", "deleted-executable"];
        assert_eq!(audit(&only).fired(), []);
        fs::remove_dir_all(&folder).unwrap();
        let report = audit(&only);
        assert_eq!(report.fired(), [("deleted-executable", "warning")], "{report:?}");
        assert_ne!(report.pids("deleted-executable"), own_pid());
    });
}
