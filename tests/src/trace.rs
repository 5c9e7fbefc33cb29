//! A running `socktrace trace`, and what its lines say.

use std::collections::HashMap;
use std::os::fd::AsFd;

use rustix::process::Signal;

use crate::process::{Finished, Running, socktrace};

/// A line of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub netns: String,
    pub netid: String,
    pub cookie: u64,
    pub process: String,
    pub local: String,
    pub peer: String,
    pub from: String,
    pub to: String,
    pub held: String,
    pub details: Vec<String>,
}

impl Line {
    pub fn parse(line: &str) -> Line {
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut word = || words.next().unwrap_or_else(|| panic!("a column is missing: {line:?}"));
        let _time = word();
        Line {
            netns: word(),
            netid: word(),
            cookie: match word().as_str() {
                // A reset that no socket sent.
                "-" => 0,
                cookie => u64::from_str_radix(cookie, 16).expect("a cookie is hexadecimal"),
            },
            process: word(),
            local: word(),
            peer: word(),
            from: word(),
            to: word(),
            held: word(),
            details: words.collect(),
        }
    }

    pub fn detail(&self, name: &str) -> Option<&str> {
        self.details.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
    }
}

/// The cookie of a socket, as the kernel tells its owner.
pub fn cookie(socket: impl AsFd) -> u64 {
    rustix::net::sockopt::socket_cookie(socket).expect("every socket has a cookie")
}

pub struct Trace {
    running: Running,
    /// The lines so far, by socket.
    lines: HashMap<u64, Vec<Line>>,
}

impl Trace {
    /// Starts a trace and waits until it is live.
    pub fn start(options: &[&str]) -> Trace {
        let mut command = socktrace();
        command.args(["trace", "--no-header"]).args(options);
        let running = Running::start(command);
        running.await_message(|line| line.contains("tracing").then_some(()));
        Trace { running, lines: HashMap::new() }
    }

    pub fn running(&self) -> &Running {
        &self.running
    }

    /// Reads on until each of the sockets was seen in a state.
    pub fn await_state(&mut self, cookies: &[u64], state: &str) {
        self.await_any(cookies, &[state]);
    }

    /// Reads on until each of the sockets was seen to end.
    pub fn await_end(&mut self, cookies: &[u64]) {
        self.await_any(cookies, &["UNCONN", "TIME-WAIT"]);
    }

    fn await_any(&mut self, cookies: &[u64], states: &[&str]) {
        let is_one = |line: &Line| states.contains(&&*line.to);
        let mut left: Vec<u64> =
            cookies.iter().copied().filter(|cookie| !self.of(*cookie).iter().any(is_one)).collect();
        while !left.is_empty() {
            let line = Line::parse(&self.running.await_line(|line| Some(line.to_owned())));
            if is_one(&line) {
                left.retain(|cookie| *cookie != line.cookie);
            }
            self.lines.entry(line.cookie).or_default().push(line);
        }
    }

    /// The lines of a socket.
    pub fn of(&self, cookie: u64) -> &[Line] {
        self.lines.get(&cookie).map_or(&[], Vec::as_slice)
    }

    /// The states that a socket went through.
    pub fn path(&self, cookie: u64) -> Vec<&str> {
        let transitions: Vec<&Line> = self
            .of(cookie)
            .iter()
            .filter(|line| !["retransmit", "reset"].contains(&&*line.to))
            .collect();
        for pair in transitions.windows(2) {
            assert_eq!(pair[0].to, pair[1].from, "a transition is missing: {transitions:#?}");
        }
        let first = transitions.first().map(|line| line.from.as_str());
        first.into_iter().chain(transitions.iter().map(|line| line.to.as_str())).collect()
    }

    /// Ends the trace with a signal.
    pub fn stop(self, signal: Signal) -> Finished {
        self.running.signal(signal);
        self.running.finish()
    }
}
