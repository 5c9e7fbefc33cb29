//! `socktrace life` counts the bytes that the processes sent and received, not SYN, FIN or what
//! was sent twice, and says where it cannot.

use socktrace_tests::driver::join;
use socktrace_tests::expect::Life;
use socktrace_tests::namespace::in_namespace;
use socktrace_tests::stage::Stage;
use socktrace_tests::{require_root, stage};

#[test]
fn after_a_clean_close_they_are_exact() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        for (there, back) in [(0, 0), (1, 0), (0, 1), (1000, 1), (65_536, 65_535), (9_000_000, 3)] {
            let (near, far) = join(&client, &server, &listener);
            // Whoever sends much has to be read meanwhile.
            let chunk = 50_000;
            let mut left = there;
            while left > 0 {
                client.send(&near, left.min(chunk));
                server.receive(&far, left.min(chunk));
                left -= left.min(chunk);
            }
            server.send(&far, back);
            client.receive(&near, back);
            // A slow machine sends what it takes for lost again, also over its loopback.
            let [by_near, by_far] =
                [client.total_retrans(&near), server.total_retrans(&far)].map(u64::from);
            let closed = client.close(&near);
            let ended = server.close(&far);
            let near_life = Life::of_client(&near, &client, closed.until(ended));
            Life { retrans: by_near, ..near_life.bytes(there as u64, back as u64) }
                .assert_is(&life.await_life(near.cookie));
            let far_life = Life::of_server(&far, &server, &near, ended);
            Life { retrans: by_far, ..far_life.bytes(back as u64, there as u64) }
                .assert_is(&life.await_life(far.cookie));
        }
    });
}

#[test]
fn after_a_reset_what_was_sent_is_told_and_labelled() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        client.send(&near, 100_000);
        server.receive(&far, 100_000);
        // Of what comes now, the server hears nothing.
        server.deafen(&far);
        client.send(&near, 500);
        client.linger_zero(&near);
        client.close(&near);
        let event = life.await_life(near.cookie);
        assert_eq!(event["bytes_sent"], 100_500, "{event:#}");
        assert_eq!(event["bytes"], "sent", "{event:#}");
        server.linger_zero(&far);
        server.close(&far);
        let event = life.await_life(far.cookie);
        assert_eq!(event["bytes_received"], 100_000, "{event:#}");
    });
}

#[test]
fn what_was_sent_twice_counts_once() {
    require_root!();
    in_namespace(|| {
        let Stage { events: mut life, client, server, listener } = stage!("life");
        let (near, far) = join(&client, &server, &listener);
        server.deafen(&far);
        client.send(&near, 5000);
        socktrace_tests::wait::until("a retransmission", || {
            (client.total_retrans(&near) > 0).then_some(())
        });
        server.undeafen(&far);
        server.receive(&far, 5000);
        let retrans = client.total_retrans(&near);
        client.close(&near);
        server.close(&far);
        let event = life.await_life(near.cookie);
        assert_eq!((&event["bytes_sent"], &event["bytes"]), (&5000.into(), &"exact".into()));
        assert_eq!(event["retrans"], retrans, "{event:#}");
        assert!(event["bytes_retrans"].as_u64() > Some(0), "{event:#}");
        let event = life.await_life(far.cookie);
        assert_eq!((&event["bytes_received"], &event["retrans"]), (&5000.into(), &0.into()));
    });
}
