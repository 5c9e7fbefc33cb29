//! The harness keeps its own promises.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::panic::catch_unwind;

use socktrace_tests::namespace::in_namespace;
use socktrace_tests::require_root;

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
