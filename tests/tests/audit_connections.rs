//! What an audit says of connections: each condition made for real, and one that comes close.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socktrace_tests::audit::{
    Audit, TcpState, await_state, drop_received, fill, listener, own_pid, pairs,
};
use socktrace_tests::namespace::{in_namespace, lower_loopback};
use socktrace_tests::path::Path;
use socktrace_tests::{require_root, skip, wait};

/// Runs `audit` while another thread does `again` over and over.
fn meanwhile<T>(again: impl FnMut() + Send, audit: impl FnOnce() -> T) -> T {
    /// Has the other thread end when the audit panics, too.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let (is_over, mut again) = (&stop, again);
    thread::scope(|scope| {
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                again();
            }
        });
        let _stop = Stop(&stop);
        audit()
    })
}

#[test]
fn connections_that_only_the_peer_has_closed_are_named_first() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(64);
        let (clients, kept): (Vec<_>, Vec<_>) = pairs(&server, 20).into_iter().unzip();
        Audit::of_all().finds_nothing();
        drop(clients);
        let report = Audit::of_all().finds(&[("close-wait", "warning")]);
        assert_eq!((report.pids("close-wait"), report.code), (own_pid(), Some(10)));
        drop(kept);
        Audit::only("close-wait").finds_nothing();
    });
}

#[test]
fn a_leak_of_hundreds_is_critical_and_its_growth_is_measured() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(64);
        let (clients, mut kept): (Vec<_>, Vec<_>) = pairs(&server, 150).into_iter().unzip();
        drop(clients);
        Audit::only("close-wait").finds(&[("close-wait", "critical")]);
        let leak = || {
            drop(TcpStream::connect(address).unwrap());
            kept.push(server.accept().unwrap().0);
            thread::sleep(Duration::from_millis(20));
        };
        meanwhile(leak, || {
            Audit::only("close-wait").watching("5s").until("growth", |report| {
                report.what("close-wait").contains(" new while it was watched")
            });
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
        let mut connections = pairs(&server, 70);
        Audit::of_all().finds_nothing();
        connections.extend(pairs(&server, 25));
        let report = Audit::of_all().finds(&[("ephemeral-ports", "critical")]);
        assert_eq!(report.pids("ephemeral-ports"), own_pid());
        let row = &report.finding("ephemeral-ports").unwrap()["evidence"][0];
        assert_eq!((row["open"].as_u64(), row["ports"].as_u64()), (Some(95), Some(100)));
        assert_eq!(row["peer"]["port"], 8080);
    });
}

#[test]
fn a_reader_that_does_not_read_is_named_and_not_its_sender() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        let (client, mut reader) = pairs(&server, 1).remove(0);
        let sent = fill(&client);
        // The closed window follows from it.
        let report = Audit::of_all().finds(&[("slow-reader", "critical")]);
        assert_eq!(report.pids("slow-reader"), own_pid());
        reader.read_exact(&mut vec![0; sent]).unwrap();
        Audit::of_all().finds_nothing();
    });
}

#[test]
fn a_throttled_reader_is_named_by_how_long_its_data_waits() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        let (client, mut reader) = pairs(&server, 1).remove(0);
        fill(&client);
        let read = || {
            reader.read_exact(&mut [0; 100]).unwrap();
            thread::sleep(Duration::from_millis(20));
        };
        meanwhile(read, || {
            Audit::of_all().watching("2s").until("a rate of reading", |report| {
                report.fired().first() == Some(&("slow-reader", "critical"))
                    && report.because("slow-reader").contains("a second were read")
            });
        });
    });
}

#[test]
fn a_window_that_stays_closed_is_told() {
    require_root!();
    in_namespace(|| {
        // Nobody accepts it: there is no process that could read.
        let (_server, address) = listener(64);
        let audit = Audit::only("zero-window");
        let _client = audit.finds_nothing_at_first(|| {
            let client = TcpStream::connect(address).unwrap();
            fill(&client);
            client
        });
        let report = audit.finds(&[("zero-window", "warning")]);
        assert_eq!(report.pids("zero-window"), own_pid());
    });
}

#[test]
fn a_sender_without_an_answer_is_told() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        let (mut client, peer) = pairs(&server, 1).remove(0);
        let audit = Audit::only("stuck-sender");
        client.write_all(&[0; 1000]).unwrap();
        audit.finds_nothing();
        drop_received(&peer, 256);
        client.write_all(&[0; 1000]).unwrap();
        let report = audit.finds(&[("stuck-sender", "warning")]);
        assert_eq!(report.pids("stuck-sender"), own_pid());
    });
}

#[test]
fn loss_is_measured_and_named_by_its_peer() {
    require_root!();
    in_namespace(|| {
        let (server, _) = listener(4);
        let audit = Audit::only("retransmits").watching("3s");
        for share in [64, 0] {
            let (mut client, mut peer) = pairs(&server, 1).remove(0);
            client.set_nodelay(true).unwrap();
            let filtered = peer.try_clone().unwrap();
            let reader = thread::spawn(move || {
                let mut buffer = [0; 1 << 16];
                while peer.read(&mut buffer).is_ok_and(|read| read > 0) {}
            });
            if share > 0 {
                drop_received(&filtered, share);
            }
            let write = || {
                client.write_all(&[0; 3000]).unwrap();
                thread::sleep(Duration::from_millis(1));
            };
            meanwhile(write, || match share {
                0 => audit.finds_nothing(),
                _ => {
                    let report = audit.until("loss", |report| {
                        matches!(report.severity("retransmits"), Some("warning" | "critical"))
                    });
                    assert_eq!(report.pids("retransmits"), own_pid(), "{report:?}");
                }
            });
            drop_received(&filtered, 0);
            client.shutdown(Shutdown::Both).unwrap();
            reader.join().unwrap();
        }
    });
}

#[test]
fn what_was_sent_again_in_vain_is_told_from_loss() {
    require_root!();
    in_namespace(|| {
        let Ok(path) = Path::of(Duration::from_millis(1)) else {
            return skip::report("there is no TUN device to be had");
        };
        let server = TcpListener::bind((Path::NEAR, 0)).unwrap();
        let far = (Path::FAR, server.local_addr().unwrap().port());
        let mut connections: Vec<_> = (0..30)
            .map(|_| (TcpStream::connect(far).unwrap(), server.accept().unwrap().0))
            .collect();
        // Late by more than the sender is patient: it sends all a second time, and both arrive.
        let late = || {
            path.jammed(|| {
                connections.iter_mut().for_each(|(client, _)| client.write_all(b"late").unwrap());
                wait::until("all to be sent again", || (path.load() >= 60).then_some(()));
            });
            connections.iter_mut().for_each(|(_, peer)| peer.read_exact(&mut [0; 4]).unwrap());
        };
        meanwhile(late, || {
            let audit = Audit::only("retransmits").watching("2s");
            let report = audit.finds(&[("retransmits", "note")]);
            let row = &report.finding("retransmits").unwrap()["evidence"][0];
            let count = |key: &str| row[key].as_u64().unwrap();
            assert!(count("spurious") * 2 >= count("retrans"), "{report:?}");
            assert_eq!(row["peer_addr"], Path::FAR.to_string());
            assert_eq!(report.code, Some(0));
        });
    });
}

#[test]
fn what_waits_for_the_peer_to_close_is_told_when_there_is_much_of_it() {
    require_root!();
    in_namespace(|| {
        let audit = Audit::only("fin-wait-2").with("fin-wait-2.age=0");
        let (server, _) = listener(64);
        let mut connections = pairs(&server, 60);
        let half_close = |some: &[(TcpStream, TcpStream)]| {
            some.iter().for_each(|(client, _)| client.shutdown(Shutdown::Write).unwrap());
        };
        half_close(&connections[..40]);
        await_state(TcpState::FinWait2, 40);
        audit.finds_nothing();
        half_close(&connections[40..]);
        await_state(TcpState::FinWait2, 60);
        let report = audit.finds(&[("fin-wait-2", "warning")]);
        assert!(report.what("fin-wait-2").starts_with("60 connections"), "{report:?}");
        // Not for long.
        Audit::only("fin-wait-2").finds_nothing();
        connections.clear();
    });
}

#[test]
fn last_acks_that_do_not_come_are_told() {
    require_root!();
    in_namespace(|| {
        let audit = Audit::only("last-ack").with("last-ack.age=0");
        let (server, _) = listener(64);
        let (clients, servers): (Vec<_>, Vec<_>) = pairs(&server, 60).into_iter().unzip();
        drop(clients);
        await_state(TcpState::CloseWait, 60);
        audit.finds_nothing();
        lower_loopback();
        drop(servers);
        audit.finds(&[("last-ack", "warning")]);
    });
}
