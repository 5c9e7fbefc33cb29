//! Text from sockets: the lines of `ss`. Takes typed sockets and names; knows no source.

pub mod address;
pub mod columns;
pub mod escape;
pub mod number;
pub mod summary;
pub mod tcp;
pub mod users;
