//! Waiting for what has no event of its own, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Longer than anything here takes on a loaded machine: reaching it is a failure, not a delay.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; panics with `what` after [`DEADLINE`].
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}
