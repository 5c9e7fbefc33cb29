//! The harness keeps its own promises.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::panic::catch_unwind;
use std::process::Command;

use socktrace_tests::driver;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::{actor, require_root};

fn namespace() -> String {
    fs::read_link("/proc/thread-self/ns/net").unwrap().display().to_string()
}

#[test]
fn a_namespace_is_new_and_has_a_loopback() {
    require_root!();
    let before = namespace();
    let inside = in_namespace(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        namespace()
    });
    assert_ne!(before, inside);
    assert_eq!(before, namespace());
}

#[test]
fn a_panic_in_a_namespace_is_the_panic_of_the_test() {
    require_root!();
    let panic = catch_unwind(|| in_namespace(|| panic!("from inside"))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"from inside"));
}

/// What an actor says of its sockets is what `ss` says of them.
#[test]
fn an_actor_knows_its_sockets() {
    require_root!();
    in_namespace(|| {
        let (client, server, heir) = (actor!("client"), actor!("server"), actor!("heir"));
        let listener = server.listen("127.0.0.1:0");
        let (near, far) = driver::join(&client, &server, &listener);
        let listed = |pid: u32, sock: &driver::Sock| {
            let output = Command::new("ss").args(["-tanepH"]).output().expect("ss runs");
            let output = String::from_utf8(output.stdout).expect("it is text");
            output.lines().any(|line| {
                line.contains(&format!("sk:{:x} ", sock.cookie))
                    && line.contains(&format!("pid={pid},"))
                    && line.contains(&sock.local.to_string())
            })
        };
        assert!(listed(server.pid, &listener) && listed(server.pid, &far));
        assert!(listed(client.pid, &near));
        let passed = client.pass(&near, &heir);
        assert_eq!(passed.cookie, near.cookie);
        assert!(listed(heir.pid, &passed) && !listed(client.pid, &passed));
        let child = server.fork("child");
        server.close(&far);
        assert!(listed(child.pid, &far) && !listed(server.pid, &far));
        heir.send(&passed, 70_000);
        child.receive(&far, 70_000);
        heir.close(&passed);
        assert_eq!(child.receive_end(&far), Ok(()));
    });
}
