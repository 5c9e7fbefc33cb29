//! JSON from sockets and events: the names and forms that `docs/schema.md` promises. Takes typed
//! values and names, as the columns do; knows no source.
//!
//! Everything is appended to one buffer. Numbers are in base units, with the unit in the key; what
//! is not known has no key. Text is UTF-8: bytes that are not become U+FFFD, and beside `KEY` a
//! `KEY_hex` then has all of them. Characters that steer a terminal are escaped as `\u00XX`.

pub mod address;
pub mod audit;
mod bpf_value;
pub mod home;
mod inet;
pub mod listing;
pub mod local;
pub mod netns;
pub mod owner;
pub mod report;
pub mod service;
mod summary;
mod tcp;
pub mod time;
mod value;
pub mod write;

pub use value::Value;
pub use write::{Array, Object};
