//! What an audit says of listeners: each condition made for real, and one that comes close.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use socktrace_tests::audit::{
    Audit, TcpState, await_full, await_state, begin, drop_received, listener, own_pid, set_option,
};
use socktrace_tests::namespace::{add_address, in_namespace};
use socktrace_tests::require_root;

/// Waits until the only listener has dropped attempts to connect.
fn await_drops() {
    Audit::only("accept-queue").until("drops", |report| {
        let row = report.finding("accept-queue").map(|finding| &finding["evidence"][0]);
        row.is_some_and(|row| row["drops"].as_u64() > Some(0))
    });
}

#[test]
fn a_server_that_stops_accepting_is_named_first() {
    require_root!();
    in_namespace(|| {
        let (_server, address) = listener(4);
        let _clients: Vec<_> = (0..8).map(|_| begin(address)).collect();
        let report = Audit::of_all().puts_first("accept-queue", "critical");
        assert_eq!(report.pids("accept-queue"), own_pid());
        assert_eq!(report.code, Some(20));
        let row = &report.finding("accept-queue").unwrap()["evidence"][0];
        assert_eq!((row["recv_q"].as_u64(), row["send_q"].as_u64()), (Some(5), Some(4)));
        await_drops();
    });
}

#[test]
fn a_queue_that_is_half_full_is_no_finding() {
    require_root!();
    in_namespace(|| {
        let (_server, address) = listener(16);
        let _clients: Vec<_> = (0..9).map(|_| begin(address)).collect();
        await_full(address, 8);
        Audit::of_all().finds_nothing();
    });
}

#[test]
fn drops_of_the_past_make_a_note_only() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(4);
        let clients: Vec<_> = (0..8).map(|_| begin(address)).collect();
        await_drops();
        (0..5).for_each(|_| drop(server.accept().unwrap()));
        drop(clients);
        while rustix::event::poll(
            &mut [rustix::event::PollFd::new(&server, rustix::event::PollFlags::IN)],
            Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }),
        ) == Ok(1)
        {
            drop(server.accept().unwrap());
        }
        let report = Audit::only("accept-queue").finds(&[("accept-queue", "note")]);
        assert_eq!(report.code, Some(0));
    });
}

#[test]
fn handshakes_that_are_not_finished_fill_the_backlog() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(20);
        // The kernel then waits for data before it believes the last ACK.
        set_option(&server, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 30);
        let mut clients: Vec<_> = (0..10).map(|_| begin(address)).collect();
        await_state(TcpState::SynRecv, 10);
        Audit::only("syn-backlog").finds_nothing();
        clients.extend((0..10).map(|_| begin(address)));
        Audit::only("syn-backlog").finds(&[("syn-backlog", "warning")]);
    });
}

#[test]
fn a_database_on_every_address_is_told_and_one_on_loopback_is_not() {
    require_root!();
    in_namespace(|| {
        add_address([10, 9, 9, 1].into());
        let everywhere = TcpListener::bind("0.0.0.0:6379").unwrap();
        let report = Audit::of_all().finds(&[("exposed", "warning")]);
        assert_eq!((report.pids("exposed"), report.code), (own_pid(), Some(10)));
        drop(everywhere);
        let _inside = TcpListener::bind("127.0.0.1:6379").unwrap();
        Audit::of_all().finds_nothing();
    });
}

#[test]
fn a_unix_listener_that_does_not_accept_is_named() {
    require_root!();
    in_namespace(|| {
        let server =
            UnixListener::bind_addr(&UnixAddr::from_abstract_name("socktrace-audit").unwrap());
        let server = server.unwrap();
        rustix::net::listen(&server, 4).unwrap();
        let connect = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            let address = SocketAddrUnix::new_abstract_name(b"socktrace-audit").unwrap();
            rustix::net::connect(&socket, &address).unwrap();
            socket
        };
        let mut clients: Vec<_> = (0..3).map(|_| connect()).collect();
        Audit::of_all().finds_nothing();
        clients.extend((0..2).map(|_| connect()));
        let report = Audit::of_all().finds(&[("unix-accept-queue", "critical")]);
        assert_eq!(report.pids("unix-accept-queue"), own_pid());
    });
}

#[test]
fn a_udp_socket_that_nobody_reads_is_named_once_it_drops() {
    require_root!();
    in_namespace(|| {
        let reader = UdpSocket::bind("127.0.0.1:0").unwrap();
        set_option(&reader, libc::SOL_SOCKET, libc::SO_RCVBUF, 4096);
        let address = reader.local_addr().unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.send_to(b"one", address).unwrap();
        Audit::of_all().finds_nothing();
        for _ in 0..100 {
            sender.send_to(&[0; 500], address).unwrap();
        }
        let report = Audit::of_all().finds(&[("udp-drops", "warning")]);
        assert_eq!(report.pids("udp-drops"), own_pid());
    });
}

#[test]
fn a_syn_without_an_answer_is_told_with_who_waits() {
    require_root!();
    in_namespace(|| {
        let (server, address) = listener(128);
        drop_received(&server, 256);
        let audit = Audit::only("connect-unanswered");
        // The first SYN may be lost.
        let _clients =
            audit.finds_nothing_at_first(|| (0..3).map(|_| begin(address)).collect::<Vec<_>>());
        let report = audit.finds(&[("connect-unanswered", "warning")]);
        assert_eq!(report.pids("connect-unanswered"), own_pid());
    });
}

#[test]
fn a_busy_and_healthy_host_has_nothing_above_a_note() {
    require_root!();
    in_namespace(|| {
        use std::io::{Read, Write};
        let (server, address) = listener(128);
        let stop = std::sync::atomic::AtomicBool::new(false);
        let is_on = || !stop.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            // Bulk data and short connections, to threads that read and close.
            scope.spawn(|| {
                while let Ok((mut socket, _)) = server.accept() {
                    if !is_on() {
                        break;
                    }
                    std::thread::spawn(move || {
                        let mut buffer = vec![0; 1 << 16];
                        while socket.read(&mut buffer).is_ok_and(|read| read > 0) {}
                    });
                }
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut bulk = TcpStream::connect(address).unwrap();
                    while is_on() {
                        bulk.write_all(&[0; 1 << 16]).unwrap();
                    }
                });
            }
            scope.spawn(|| {
                while is_on() {
                    let mut short = TcpStream::connect(address).unwrap();
                    short.write_all(b"hello").unwrap();
                    drop(short);
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
            });
            let audits = [Audit::of_all(), Audit::of_all().watching("3s")];
            let reports = audits.map(|audit| audit.report());
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            drop(TcpStream::connect(address));
            for report in reports {
                assert!(report.fired().iter().all(|(_, how)| *how == "note"), "{report:?}");
            }
        });
    });
}
