//! `socktrace listen`: a line per service.

use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::AsRawFd;

use serde_json::Value;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::process::socktrace;
use socktrace_tests::require_root;
use socktrace_tests::schema::Schema;

fn listen(arguments: &[&str]) -> String {
    let output = socktrace().arg("listen").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Listens where another socket does too.
fn shared(port: u16) -> TcpListener {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let flags = SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    sockopt::set_socket_reuseport(&fd, true).unwrap();
    bind(&fd, &std::net::SocketAddrV4::new([127, 0, 0, 1].into(), port)).unwrap();
    listen(&fd, 7).unwrap();
    fd.into()
}

#[test]
fn services_are_told_with_their_reach_and_queue() {
    require_root!();
    let schema = Schema::of_socktrace();
    in_namespace(|| {
        let loopback = [shared(8001), shared(8001)];
        let any = TcpListener::bind("0.0.0.0:8002").unwrap();
        let both = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 8003)).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:53").unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect("127.0.0.1:53").unwrap();
        connected.send(b"hello").unwrap();
        let _waiting = std::net::TcpStream::connect("127.0.0.1:8002").unwrap();

        let services: Vec<Value> = serde_json::from_str(&listen(&["-j"])).unwrap();
        services.iter().for_each(|service| schema.check("service", service));
        let seen: Vec<(&str, u64, &str, u64)> = services
            .iter()
            .map(|service| {
                (
                    service["netid"].as_str().unwrap(),
                    service["local"]["port"].as_u64().unwrap(),
                    service["reach"].as_str().unwrap(),
                    service["sockets"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("udp", 53, "loopback", 1),
                ("tcp", 8001, "loopback", 2),
                ("tcp", 8002, "v4", 1),
                ("tcp", 8003, "v4+v6", 1),
            ]
        );
        assert_eq!(services[1]["accept_limit"], 14);
        assert_eq!(services[2]["accept_queue"], 1);
        assert!(services[0]["queue_bytes"].as_u64().unwrap() > 0);
        let me = std::process::id();
        // A child of another test may hold a copy until it executes its program.
        let is_mine = |service: &Value| {
            let owners = service["owners"].as_array().unwrap();
            owners.iter().any(|owner| owner["pid"] == me)
        };
        assert!(services.iter().all(is_mine), "{services:#?}");

        let text = listen(&[]);
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines.iter().all(|words| words.len() == 8), "a word per column: {text}");
        assert_eq!(lines[1][..4], ["udp", "127.0.0.1:53", "domain", "loopback"]);
        assert_eq!(lines[2][3..6], ["loopback", "0/14", "2"]);
        assert_eq!(listen(&["-tH", "sport", "=", "8003"]).lines().count(), 1);
        assert_eq!(listen(&["-uj", "-6"]), "[]\n");
        assert!(udp.as_raw_fd() > 0 && any.as_raw_fd() > 0 && both.as_raw_fd() > 0);
        drop(loopback);
    });
}

#[test]
fn what_listen_does_not_know_is_refused() {
    for (arguments, code) in [(&["--nonsense"][..], 255), (&["-G", "-N", "x"], 1), (&["-K"], 255)] {
        let output = socktrace().arg("listen").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}
