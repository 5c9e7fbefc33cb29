//! What an audit says of who serves a port: each condition made for real, and one that comes close.

use std::fs;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::fchown;
use std::os::unix::net::UnixStream;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use socktrace_tests::audit::{Audit, own_pid};
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::population::{Kind, Population};
use socktrace_tests::require_root;

#[test]
fn a_port_of_the_system_that_a_user_serves_is_told() {
    require_root!();
    in_namespace(|| {
        let audit = Audit::only("listener-uid");
        let serve = |port: u16, uid| {
            let server = TcpListener::bind(("127.0.0.1", port)).unwrap();
            fchown(&server, Some(uid), None).unwrap();
            server
        };
        let _service = serve(80, 999);
        let _users = serve(1024, 1000);
        audit.finds_nothing();
        let _odd = serve(1023, 1000);
        let report = audit.finds(&[("listener-uid", "note")]);
        let row = &report.finding("listener-uid").unwrap()["evidence"][0];
        assert_eq!((row["local"]["port"].as_u64(), row["uid"].as_u64()), (Some(1023), Some(1000)));
    });
}

#[test]
fn a_process_that_runs_from_a_deleted_file_and_listens_is_told() {
    require_root!();
    in_namespace(|| {
        let audit = Audit::only("deleted-executable");
        let folder = std::env::temp_dir().join(format!("socktrace-audit-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let program = folder.join("population");
        fs::copy(env!("CARGO_BIN_EXE_socktrace-population"), &program).unwrap();
        let _child = Population::start(program.to_str().unwrap(), Kind::Elsewhere);
        audit.finds_nothing();
        fs::remove_dir_all(&folder).unwrap();
        let report = audit.finds(&[("deleted-executable", "warning")]);
        assert_ne!(report.pids("deleted-executable"), own_pid());
    });
}

/// Puts a descriptor under way: it is in no process until somebody takes it out.
fn send_away(descriptor: OwnedFd, over: &UnixStream) {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    sendmsg(over, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
}

#[test]
fn a_listener_that_no_process_has_is_told() {
    require_root!();
    in_namespace(|| {
        let audit = Audit::only("unowned-listener");
        let _owned = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = TcpListener::bind("127.0.0.1:8080").unwrap();
        audit.finds_nothing();
        let (over, _kept) = UnixStream::pair().unwrap();
        send_away(server.into(), &over);
        let report = audit.finds(&[("unowned-listener", "note")]);
        let row = &report.finding("unowned-listener").unwrap()["evidence"][0];
        assert_eq!(row["local"]["port"], 8080, "{report:?}");
    });
}
