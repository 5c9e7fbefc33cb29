//! The harness: what tests against the live kernel share.
//!
//! A test that needs a privilege begins with [`require_root!`]; [`namespace`] gives it a network
//! of its own, [`process`] runs socktrace in it, [`wait`] awaits what it waits for.

pub mod namespace;
pub mod process;
pub mod skip;
pub mod wait;
