//! A running `socktrace trace`, `life` or `retrans` with its events as JSON, by socket. Each is
//! checked against the schema.

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Finished, Running, socktrace};
use crate::schema::Schema;

pub struct Events {
    running: Running,
    schema: Schema,
    seen: Vec<Value>,
}

/// Everything that was printed, once it has ended.
pub struct Ended {
    /// All events, also those that were awaited.
    pub all: Vec<Value>,
    pub finished: Finished,
}

impl Events {
    /// Starts a command of socktrace and waits until it is live.
    pub fn start(command: &str, options: &[&str]) -> Events {
        let events = Events::starting(command, options);
        events.running.await_message(|line| line.contains("tracing TCP").then_some(()));
        events
    }

    /// The same without waiting.
    pub fn starting(command: &str, options: &[&str]) -> Events {
        let mut program = socktrace();
        program.args([command, "--json"]).args(options);
        Events {
            running: Running::start(program),
            schema: Schema::of_socktrace(),
            seen: Vec::new(),
        }
    }

    /// Waits until it knows whose the sockets are that are older than it.
    pub fn await_walk(&self) {
        self.running.await_walk();
    }

    pub fn running(&self) -> &Running {
        &self.running
    }

    pub fn running_mut(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Reads on until there is an event like that, and gives back the first.
    pub fn await_event(&mut self, found: impl Fn(&Value) -> bool) -> Value {
        if let Some(event) = self.seen.iter().find(|event| found(event)) {
            return event.clone();
        }
        let Events { running, schema, seen } = self;
        running.await_line(|line| {
            let event = read(schema, line);
            let is_found = found(&event);
            seen.push(event);
            is_found.then(|| seen[seen.len() - 1].clone())
        })
    }

    /// The life of a socket that was not opened anew.
    pub fn await_life(&mut self, cookie: u64) -> Value {
        self.await_event(|event| event["event"] == "life" && event["cookie"] == cookie)
    }

    /// Reads on until the socket has entered a state.
    pub fn await_state(&mut self, cookie: u64, state: &str) -> Value {
        self.await_event(|event| event["cookie"] == cookie && event["new_state"] == state)
    }

    /// What was seen of a socket so far.
    pub fn of(&self, cookie: u64) -> Vec<&Value> {
        of(&self.seen, cookie)
    }

    /// Ends it with SIGINT, and reads the rest.
    pub fn stop(self) -> Ended {
        self.running.signal(Signal::INT);
        self.finish()
    }

    /// Reads until it ends by itself.
    pub fn finish(self) -> Ended {
        let Events { running, schema, seen: mut all } = self;
        let finished = running.finish();
        all.extend(finished.stdout.iter().map(|line| read(&schema, line)));
        Ended { all, finished }
    }
}

impl Ended {
    /// Says that nothing was lost.
    pub fn assert_complete(&self) {
        let Finished { status, stderr, .. } = &self.finished;
        assert_eq!(status.code(), Some(0), "{stderr:#?}");
    }

    pub fn of(&self, cookie: u64) -> Vec<&Value> {
        of(&self.all, cookie)
    }
}

/// The states that a socket went through, each transition beginning where the one before it ended.
pub fn path(events: &[&Value]) -> Vec<String> {
    let states: Vec<&&Value> = events.iter().filter(|event| event["event"] == "state").collect();
    for pair in states.windows(2) {
        assert_eq!(pair[0]["new_state"], pair[1]["old_state"], "one is missing: {states:#?}");
        assert!(pair[0]["time_unix_us"].as_u64() <= pair[1]["time_unix_us"].as_u64());
    }
    let first = states.first().map(|event| &event["old_state"]);
    first
        .into_iter()
        .chain(states.iter().map(|event| &event["new_state"]))
        .map(|state| state.as_str().expect("states are words").to_owned())
        .collect()
}

fn read(schema: &Schema, line: &str) -> Value {
    let event: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"));
    schema.check_entry(&event);
    event
}

fn of(events: &[Value], cookie: u64) -> Vec<&Value> {
    events.iter().filter(|event| event["cookie"] == cookie).collect()
}
