use super::super::fixture::{at, owner, reset_sent, step};
use super::*;

fn take(settling: &mut Settling, events: impl IntoIterator<Item = Event>) {
    events.into_iter().for_each(|event| settling.take(Record::Event { event, born: None }));
}

fn all(settling: &mut Settling) -> Vec<Event> {
    std::iter::from_fn(|| next(settling, 10_000)).collect()
}

fn next(settling: &mut Settling, ms: u64) -> Option<Event> {
    let event = settling.due(at(ms))?.clone();
    settling.drop_first();
    Some(event)
}

#[test]
fn events_of_several_cpus_come_in_the_order_of_their_times() {
    let mut settling = Settling::default();
    let of = |ms| step(ms, ms, State::Established, State::FinWait1);
    take(&mut settling, [5, 9, 7, 1, 8].map(of));
    let times: Vec<SinceBoot> = all(&mut settling).iter().map(|event| event.at).collect();
    assert_eq!(times, [1, 5, 7, 8, 9].map(at));
}

#[test]
fn an_event_waits_no_longer_than_it_must() {
    let mut settling = Settling::default();
    take(&mut settling, [step(100, 1, State::Established, State::CloseWait)]);
    assert_eq!(settling.due(at(109)), None);
    assert!(settling.due(at(110)).is_some());
}

#[test]
fn what_is_not_complete_waits_longer_and_so_does_all_behind_it() {
    let mut opening = step(100, 1, State::Close, State::SynSent);
    opening.socket.local.port = 0;
    let mut abort = step(100, 1, State::Established, State::Close);
    let What::Transition(end) = &mut abort.what else { panic!() };
    end.awaits_reset = true;
    for first in [opening, abort] {
        let mut settling = Settling::default();
        take(&mut settling, [first, step(101, 2, State::Established, State::CloseWait)]);
        assert_eq!(settling.due(at(149)), None);
        assert_eq!(std::iter::from_fn(|| next(&mut settling, 150)).count(), 2);
    }
}

#[test]
fn a_birth_comes_before_the_first_transition() {
    let mut settling = Settling::default();
    let event = step(2, 1, State::SynRecv, State::Established);
    settling.take(Record::Event { event, born: Some(at(1)) });
    let [birth, established] = &all(&mut settling)[..] else { panic!() };
    let What::Transition(Transition { old: State::Listen, new: State::SynRecv, .. }) = birth.what
    else {
        panic!("{birth:?}")
    };
    assert_eq!((birth.at, established.at), (at(1), at(2)));
    assert_eq!(birth.socket, established.socket);
}

#[test]
fn the_port_of_syn_sent_comes_with_the_next_event() {
    let mut settling = Settling::default();
    let mut opening = step(1, 1, State::Close, State::SynSent);
    opening.socket.local.port = 0;
    let mut other = step(1, 2, State::Close, State::SynSent);
    other.socket.local.port = 0;
    take(&mut settling, [opening, other, step(2, 1, State::SynSent, State::Established)]);
    let ports: Vec<u16> = all(&mut settling).iter().map(|event| event.socket.local.port).collect();
    assert_eq!(ports, [40000, 0, 40000]);
    assert!(settling.without_port.is_empty());
}

#[test]
fn the_first_event_of_a_time_is_found_however_far_back() {
    let mut settling = Settling::default();
    let times = [1, 1, 2, 5, 5, 5, 6, 9, 9, 12, 13, 13, 13, 20, 21, 22, 30, 31, 31, 40];
    take(&mut settling, times.map(|ms| step(ms, ms, State::Established, State::FinWait1)));
    for ms in 0..45 {
        let expected = times.iter().position(|time| *time >= ms).unwrap_or(times.len());
        assert_eq!(settling.first_at(at(ms)), expected, "{ms}");
    }
}

#[test]
fn a_reset_after_the_end_leaves_no_time_wait() {
    let mut settling = Settling::default();
    let end = |key| step(1, key, State::FinWait2, State::TimeWait);
    take(&mut settling, [end(1), end(2), reset_sent(2, 1)]);
    let states: Vec<State> = all(&mut settling)
        .iter()
        .filter_map(|event| match &event.what {
            What::Transition(step) => Some(step.new),
            _ => None,
        })
        .collect();
    assert_eq!(states, [State::Close, State::TimeWait]);
}

#[test]
fn a_reset_after_the_end_keeps_the_owner() {
    let mut settling = Settling::default();
    let mut end = step(1, 1, State::Established, State::Close);
    end.socket.owner = Some(owner());
    take(&mut settling, [end, reset_sent(2, 1)]);
    assert!(all(&mut settling).iter().all(|event| event.socket.owner == Some(owner())));
}
