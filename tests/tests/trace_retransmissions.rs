//! `socktrace trace` reports segments that are sent again.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, listen, socket_with};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::require_root;
use socktrace_tests::trace::{Line, Trace, cookie};

/// A connection to a listener whose queue is full: the kernel drops its SYN.
#[test]
fn a_syn_that_is_sent_again_is_there() {
    require_root!();
    in_namespace(|| {
        let trace = Trace::start(&[]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listen(&listener, 0).unwrap();
        let addr = listener.local_addr().unwrap();
        let _queued = TcpStream::connect(addr).unwrap();

        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let client = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        connect(&client, &addr).unwrap_err();
        let client_cookie = cookie(client.as_fd());
        let line = trace.running().await_line(|line| {
            let line = Line::parse(line);
            (line.cookie == client_cookie && line.to == "retransmit").then_some(line)
        });
        assert_eq!(line.from, "SYN-SENT");
        assert_eq!(line.peer, addr.to_string());
        assert_ne!(line.local, "127.0.0.1:*");
        assert_eq!(line.detail("kind"), Some("syn"));
        assert_eq!(line.detail("len"), Some("0"));
        assert_eq!(line.detail("retrans"), Some("1"));
        // The timer ran in whatever task; the owner is remembered.
        let me = format!("[{}]", std::process::id());
        assert!(line.process.ends_with(&me), "{line:?}");
    });
}
