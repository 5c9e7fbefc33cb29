//! Traces see all network namespaces: which one an event is of, and those of one alone.

use std::net::{Ipv4Addr, TcpListener, TcpStream};

use socktrace_tests::events::Events;
use socktrace_tests::namespace::{Named, in_namespace, this_netns};
use socktrace_tests::require_root;
use socktrace_tests::schema::Schema;
use socktrace_tests::trace::{Trace, cookie};

/// A connection that is opened and closed; the cookie of its active end.
fn connect() -> u64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let cookie = cookie(&client);
    drop((client, server));
    cookie
}

#[test]
fn a_column_names_the_namespace() {
    require_root!();
    let named = Named::new("a \u{1b}[31mb");
    let mut trace = Trace::start(&[]);
    let inside = named.inside(connect);
    let (outside, id) = in_namespace(|| (connect(), this_netns()));
    let word = named.name().replace(' ', "_").replace('\u{1b}', ".");
    for (cookie, netns) in [(inside, word), (outside, id.to_string())] {
        trace.await_state(&[cookie], "ESTAB");
        let lines = trace.of(cookie);
        assert!(lines.iter().all(|line| line.netns == netns), "{netns}: {lines:?}");
    }
}

#[test]
fn json_has_the_name_and_the_number() {
    require_root!();
    let schema = Schema::of_socktrace();
    let mut events = Events::start("life", &[]);
    // A name that is given after the trace began.
    let named = Named::new("socktrace-later");
    let cookie = named.inside(connect);
    let life = events.await_life(cookie);
    schema.check_entry(&life);
    assert_eq!((&life["netns"], &life["netns_name"]), (&named.id().into(), &named.name().into()));
    events.stop().assert_complete();
}

#[test]
fn one_namespace_goes_by_its_name_a_process_or_a_file() {
    require_root!();
    let named = Named::new("socktrace-one");
    in_namespace(|| {
        let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
        let (by_file, here) =
            (format!("/run/netns/{}", named.name()), format!("/proc/{thread}/ns/net"));
        for (word, is_named) in
            [(named.name(), true), (&by_file, true), (&thread, false), (&here, false)]
        {
            let mut events = Events::start("life", &["-N", word]);
            let (inside, outside) = (named.inside(connect), connect());
            let (wanted, other) = if is_named { (inside, outside) } else { (outside, inside) };
            events.await_life(wanted);
            let ended = events.stop();
            assert!(ended.of(other).is_empty(), "{word}");
        }
    });
}
