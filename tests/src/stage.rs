//! How most live tests of traces begin: a command is live, and two processes are there to talk.

use crate::driver::{Actor, Sock, join};
use crate::events::Events;

pub struct Stage {
    pub events: Events,
    pub client: Actor,
    pub server: Actor,
    /// On 127.0.0.1; the server's.
    pub listener: Sock,
}

/// Starts a command of socktrace, and the two under the names `client` and `server`.
#[macro_export]
macro_rules! stage {
    ($command:expr $(, $option:expr)* $(,)?) => {
        $crate::stage::Stage::set(env!("CARGO_BIN_EXE_socktrace-actor"), $command, &[$($option),*])
    };
}

impl Stage {
    /// What [`stage!`] calls, with the program of the actors.
    pub fn set(actor: &str, command: &str, options: &[&str]) -> Stage {
        let events = Events::start(command, options);
        let [client, server] = ["client", "server"].map(|name| Actor::start(actor, name));
        let listener = server.listen("127.0.0.1:0");
        Stage { events, client, server, listener }
    }

    /// A connection from one to the other: both ends.
    pub fn join(&self) -> (Sock, Sock) {
        join(&self.client, &self.server, &self.listener)
    }
}
