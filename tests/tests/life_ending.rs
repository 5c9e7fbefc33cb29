//! However `socktrace life` and `retrans` end, kill included, no program, map or link of theirs is
//! left in the kernel.

use rustix::process::Signal;
use socktrace_tests::events::Events;
use socktrace_tests::process::Objects;
use socktrace_tests::{require_root, wait};

fn await_gone(held: &Objects) {
    assert!(!held.programs.is_empty() && !held.maps.is_empty(), "nothing was seen: {held:?}");
    wait::until("what was loaded to be gone", || {
        let left = Objects::loaded().common(held);
        left.is_empty().then_some(())
    });
}

#[test]
fn nothing_is_left_after_a_signal() {
    require_root!();
    for command in ["life", "trace", "retrans"] {
        let events = Events::start(command, &[]);
        let held = events.running().objects();
        events.stop().assert_complete();
        await_gone(&held);
    }
}

#[test]
fn nothing_is_left_after_kill() {
    require_root!();
    for command in ["life", "trace", "retrans"] {
        let events = Events::start(command, &[]);
        let held = events.running().objects();
        events.running().signal(Signal::KILL);
        events.finish();
        await_gone(&held);
    }
}

#[test]
fn nothing_is_left_when_it_is_killed_while_it_starts() {
    require_root!();
    for _ in 0..5 {
        let events = Events::starting("life", &[]);
        let held = wait::until("a program to be loaded", || {
            let held = events.running().objects();
            (!held.programs.is_empty()).then_some(held)
        });
        events.running().signal(Signal::KILL);
        events.finish();
        wait::until("what was loaded to be gone", || {
            Objects::loaded().common(&held).is_empty().then_some(())
        });
    }
}
