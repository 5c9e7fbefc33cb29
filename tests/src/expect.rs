//! What a line of `socktrace life` has to say, field by field: a field that is not expected is as
//! wrong as one that differs.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::driver::{Actor, Sock, Span};
use crate::process::{Running, socktrace};

/// The tool learns the distance between two clocks once, and each of them is read with a
/// microsecond's grain. Beyond that, times outside of the system call are wrong without mercy.
const GRAIN_US: u64 = 1_000;

/// The life of a socket as the driver saw it.
#[derive(Debug, Clone)]
pub struct Life {
    pub netid: &'static str,
    pub cookie: u64,
    pub generation: u64,
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// `None` if nobody can know.
    pub owner: Option<Value>,
    pub opened: Option<&'static str>,
    /// `None` if it was before the trace.
    pub opened_at: Option<Span>,
    pub ended_at: Span,
    pub bytes: &'static str,
    pub sent: u64,
    pub received: u64,
    pub retrans: u64,
    pub states: Vec<&'static str>,
    pub end: &'static str,
    pub closed_by: Option<&'static str>,
    pub reset_by: Option<&'static str>,
    pub reason: Option<&'static str>,
    pub error: Option<&'static str>,
}

pub const ACTIVE: &[&str] = &["SYN-SENT", "ESTAB", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"];
pub const PASSIVE: &[&str] = &["SYN-RECV", "ESTAB", "CLOSE-WAIT", "LAST-ACK"];

impl Life {
    /// Of a client that closed first.
    pub fn of_client(sock: &Sock, owner: &Actor, ended_at: Span) -> Life {
        Life {
            netid: "tcp",
            cookie: sock.cookie,
            generation: 0,
            local: sock.local,
            peer: sock.peer(),
            owner: Some(owned(owner, "own-event")),
            opened: Some("active"),
            opened_at: Some(sock.made),
            ended_at,
            bytes: "exact",
            sent: 0,
            received: 0,
            retrans: 0,
            states: ACTIVE.to_vec(),
            end: "closed",
            closed_by: Some("us"),
            reset_by: None,
            reason: None,
            error: None,
        }
    }

    /// Of an accepted socket whose peer closed first. It was opened after its client was, and
    /// before it was accepted.
    pub fn of_server(sock: &Sock, owner: &Actor, client: &Sock, ended_at: Span) -> Life {
        Life {
            owner: Some(owned(owner, learnt_of_acceptors())),
            opened: Some("passive"),
            opened_at: Some(client.made.until(sock.made)),
            states: PASSIVE.to_vec(),
            closed_by: Some("peer"),
            generation: 0,
            ..Life::of_client(sock, owner, ended_at)
        }
    }

    pub fn bytes(mut self, sent: u64, received: u64) -> Life {
        (self.sent, self.received) = (sent, received);
        self
    }

    /// Compares, and tells every difference.
    #[track_caller]
    pub fn assert_is(&self, event: &Value) {
        let mut left = event.as_object().expect("an event is an object").clone();
        let mut wrong = Vec::new();
        let mut same = |left: &mut Map<String, Value>, key: &str, wanted: Value| {
            let is = left.remove(key).unwrap_or(Value::Null);
            if is != wanted {
                wrong.push(format!("{key} is {is}, wanted {wanted}"));
            }
        };
        same(&mut left, "event", json!("life"));
        same(&mut left, "netid", json!(self.netid));
        same(&mut left, "family", json!(if self.local.is_ipv4() { "inet" } else { "inet6" }));
        same(&mut left, "cookie", json!(self.cookie));
        same(&mut left, "netns", json!(netns()));
        same(&mut left, "local", end(self.local));
        same(&mut left, "peer", end(self.peer));
        let owners = self.owner.clone().map_or(Value::Null, |owner| json!([owner]));
        let is = left.remove("owners").map_or(Value::Null, without_cgroups);
        left.insert("owners".to_owned(), is);
        same(&mut left, "owners", owners);
        same(&mut left, "opened", json!(self.opened));
        same(&mut left, "bytes", json!(self.bytes));
        same(&mut left, "bytes_sent", json!(self.sent));
        same(&mut left, "bytes_received", json!(self.received));
        same(&mut left, "generation", json!(self.generation));
        same(&mut left, "retrans", json!(self.retrans));
        // Where nothing is sent again, no byte is.
        if self.retrans == 0 {
            same(&mut left, "bytes_retrans", json!(0));
        } else {
            left.remove("bytes_retrans");
        }
        same(&mut left, "states", json!(self.states));
        same(&mut left, "end", json!(self.end));
        same(&mut left, "closed_by", json!(self.closed_by));
        same(&mut left, "reset_by", json!(self.reset_by));
        same(&mut left, "reason", json!(self.reason));
        same(&mut left, "error", json!(self.error));
        self.check_times(&mut left, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}\nin {event:#}");
        assert!(left.is_empty(), "no test knows {left:#?}\nin {event:#}");
    }

    fn check_times(&self, left: &mut Map<String, Value>, wrong: &mut Vec<String>) {
        // When an interrupt comes is not said; but nothing is told that has not happened.
        let ended = Span { after_us: now_us(), ..self.ended_at };
        let (opened, duration) = match self.opened_at {
            Some(at) => {
                let shortest = ended.before_us.saturating_sub(at.after_us);
                (
                    Some(at),
                    Some(Span { before_us: shortest, after_us: ended.after_us - at.before_us }),
                )
            }
            None => (None, None),
        };
        let connect = opened
            .filter(|_| self.opened == Some("active") && self.states.contains(&"ESTAB"))
            .map(|at| Span { before_us: 0, after_us: at.after_us - at.before_us });
        for (key, wanted) in [
            ("time_unix_us", Some(ended)),
            ("opened_unix_us", opened),
            ("duration_us", duration),
            ("connect_us", connect),
        ] {
            let is = left.remove(key).and_then(|value| value.as_u64());
            if !is_within(is, wanted) {
                wrong.push(format!("{key} is {is:?}, wanted {wanted:?}"));
            }
        }
        // What the network did is the kernel's to know; that it is in range is all there is.
        for key in ["rtt_us", "rttvar_us", "min_rtt_us"] {
            if left.remove(key).and_then(|value| value.as_u64()).is_some_and(|us| us > 10_000_000) {
                wrong.push(format!("{key} is beyond reason"));
            }
        }
        left.remove("time");
    }
}

fn is_within(is: Option<u64>, wanted: Option<Span>) -> bool {
    match (is, wanted) {
        (Some(is), Some(wanted)) => {
            (wanted.before_us.saturating_sub(GRAIN_US)..=wanted.after_us + GRAIN_US).contains(&is)
        }
        (is, wanted) => is.is_none() && wanted.is_none(),
    }
}

/// The time since the epoch: what was told before is not later.
pub fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_micros() as u64
}

/// An owner as events have it, but for the cgroup.
pub fn owned(owner: &Actor, learnt: &str) -> Value {
    json!({ "pid": owner.pid, "comm": owner.name, "uid": owner.uid, "learnt": learnt })
}

/// How the owner of an accepted socket is learnt that works on it: where functions can be traced,
/// it is known when it accepts, before any work of its own. Which of the two holds is tried once.
pub fn learnt_of_acceptors() -> &'static str {
    static LEARNT: OnceLock<&str> = OnceLock::new();
    LEARNT.get_or_init(|| {
        let mut doctor = socktrace();
        doctor.args(["doctor", "--json"]);
        let findings = Running::start(doctor).finish().stdout.join("\n");
        let findings: Vec<Value> = serde_json::from_str(&findings).expect("findings are JSON");
        let acceptors = findings.iter().find(|finding| finding["name"] == "acceptors");
        match acceptors.expect("programs load where they are tested")["verdict"].as_str() {
            Some("works") => "acceptor",
            _ => "own-event",
        }
    })
}

/// The owners without what the driver does not know of them.
pub fn without_cgroups(mut owners: Value) -> Value {
    for owner in owners.as_array_mut().expect("owners are an array") {
        let owner = owner.as_object_mut().expect("an owner is an object");
        owner.remove("cgroup_id");
        owner.remove("cgroup");
    }
    owners
}

/// An end of a connection as events have it.
pub fn end(addr: SocketAddr) -> Value {
    json!({ "addr": addr.ip().to_string(), "port": addr.port() })
}

/// Whether it happened in the network namespace of this thread: others have the same addresses.
pub fn is_here(event: &Value) -> bool {
    event["netns"] == netns()
}

/// The inode of the network namespace of this thread.
pub fn netns() -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/thread-self/ns/net").expect("a thread has a namespace").ino()
}
