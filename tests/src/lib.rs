//! The harness: what tests against the live kernel share.
//!
//! A test that needs a privilege begins with [`require_root!`]; [`namespace`] gives it a network
//! of its own, [`process`] runs socktrace in it, [`wait`] awaits what it waits for.

pub mod audit;
pub mod cgroup;
pub mod compare;
pub mod driver;
pub mod events;
pub mod expect;
pub mod firewall;
pub mod memory;
pub mod namespace;
pub mod oracle;
pub mod path;
pub mod population;
pub mod process;
pub mod pty;
pub mod schema;
pub mod skip;
pub mod stage;
mod sys;
pub mod trace;
pub mod wait;
