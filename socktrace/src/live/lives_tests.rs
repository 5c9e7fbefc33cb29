use super::super::fixture::{at, life};
use super::*;
use crate::event::{Connection, End, Side};
use crate::socket::State;

fn keys(lives: &mut Lives, now: SinceBoot) -> Vec<u64> {
    std::iter::from_fn(|| next(lives, now)).map(|event| event.socket.key.0).collect()
}

fn next(lives: &mut Lives, now: SinceBoot) -> Option<Event> {
    lives.due(now)?;
    lives.pop()
}

fn ending(event: &Event) -> crate::event::Ending {
    match &event.what {
        What::Life(life) => life.ending,
        other => panic!("{other:?}"),
    }
}

fn take(lives: &mut Lives, event: Event) -> Option<Event> {
    lives.take(Record::Event { event, born: None })
}

#[test]
fn a_clean_end_waits_for_nothing() {
    let mut lives = Lives::default();
    assert!(take(&mut lives, life(1, 1, State::LastAck)).is_some());
    assert!(take(&mut lives, life(2, 2, State::FinWait2)).is_some());
}

#[test]
fn an_abrupt_end_waits_for_the_reset_that_explains_it() {
    let mut lives = Lives::default();
    assert_eq!(take(&mut lives, life(1, 1, State::Established)), None);
    // What comes after it stays behind it.
    assert_eq!(take(&mut lives, life(2, 2, State::LastAck)), None);
    assert_eq!(next(&mut lives, at(2)), None);
    let reason = Some(ResetReason(14));
    assert_eq!(lives.take(Record::LateReset { key: Key(1), reason }), None);
    let first = next(&mut lives, at(2)).unwrap();
    let ending = ending(&first);
    assert_eq!((ending.end(), ending.reset_by()), (End::Reset, Some(Side::Us)));
    assert_eq!(ending.reason, reason);
    assert_eq!(keys(&mut lives, at(2)), [2]);
    assert!(lives.waiting.is_empty());
}

#[test]
fn an_end_that_nothing_explains_is_told_in_the_end() {
    let mut lives = Lives::default();
    assert_eq!(take(&mut lives, life(1, 1, State::Established)), None);
    assert_eq!(next(&mut lives, at(50)), None);
    let event = next(&mut lives, at(51)).unwrap();
    assert_eq!(ending(&event).end(), End::Aborted);
    assert!(lives.waiting.is_empty());
}

fn subflow(ms: u64, key: u64, of: u64) -> Event {
    let mut event = life(ms, key, State::LastAck);
    event.socket.subflow_of = Some(Connection { key: Key(of), cookie: None });
    event
}

fn connection(ms: u64, key: u64) -> Event {
    let mut event = life(ms, key, State::LastAck);
    event.socket.protocol = Protocol::Mptcp;
    event
}

#[test]
fn subflows_belong_to_their_connection_whichever_ends_first() {
    let mut lives = Lives::default();
    assert_eq!(take(&mut lives, subflow(1, 1, 9)), None);
    assert_eq!(take(&mut lives, connection(2, 9)), None);
    assert_eq!(take(&mut lives, subflow(3, 2, 9)), None);
    let event = next(&mut lives, at(100)).unwrap();
    let What::Life(whole) = &event.what else { panic!() };
    assert_eq!(whole.subflows.len(), 2);
    // One that comes later still is told by itself.
    assert!(take(&mut lives, subflow(101, 3, 9)).is_some());
}

#[test]
fn a_connection_that_noted_nothing_is_explained_by_the_subflow_that_ended_with_it() {
    let ends = |connection_ms, state: State, subflow_ms, subflow_state| {
        let mut lives = Lives::default();
        let mut subflow = subflow(subflow_ms, 1, 9);
        let mut whole = connection(connection_ms, 9);
        for (event, last) in [(&mut subflow, subflow_state), (&mut whole, state)] {
            let What::Life(life) = &mut event.what else { panic!() };
            life.ending.last = last;
        }
        let What::Life(life) = &mut subflow.what else { panic!() };
        life.ending.error = libc::ECONNREFUSED as u16;
        let mut both = [subflow, whole];
        both.sort_by_key(|event| event.at);
        for event in both {
            assert_eq!(take(&mut lives, event), None);
        }
        ending(&next(&mut lives, at(1000)).unwrap()).end()
    };
    assert_eq!(ends(1, State::SynSent, 1, State::SynSent), End::Refused);
    assert_eq!(ends(1, State::SynSent, 2, State::SynSent), End::Refused);
    // It went on without that subflow.
    assert_eq!(ends(90, State::SynSent, 1, State::SynSent), End::Aborted);
    assert_eq!(ends(1, State::Established, 1, State::SynSent), End::Aborted);
    assert_eq!(ends(1, State::LastAck, 1, State::LastAck), End::Closed);
}

#[test]
fn subflows_of_a_connection_that_goes_on_are_told_when_the_trace_ends() {
    let mut lives = Lives::default();
    assert_eq!(take(&mut lives, subflow(1, 1, 9)), None);
    assert_eq!(lives.rest().count(), 1);
}
