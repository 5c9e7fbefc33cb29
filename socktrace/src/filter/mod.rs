//! The filter language of `ss`: which states, which family, and an expression over one socket.
//!
//! [`parse`] turns what was typed into a [`Filter`]; its tree ([`Expr`]) is judged here ([`eval`])
//! over any [`Subject`] or, as far as possible, compiled for the kernel ([`kernel`]). Which
//! predicates exist is a table ([`words`]), and what has to be fetched for them another
//! ([`needs`]). Nothing here reads a file or asks the system for a name: that is behind [`Lookup`]
//! and [`Facts`].

pub mod complete;
mod device;
mod error;
pub mod eval;
mod explain;
mod glob;
mod host;
pub mod kernel;
mod lex;
mod listed;
mod missing;
mod needs;
mod occurred;
mod parse;
mod print;
mod probe;
mod quantity;
mod states;
mod subject;
mod tree;
mod value;
pub mod words;

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::IpAddr;

pub use error::{ErrorKind, FilterError};
pub use eval::EphemeralPorts;
pub use explain::Explained;
pub use glob::Glob;
pub use host::c_number;
pub use kernel::{KernelOps, Pushdown, compile};
pub use listed::{Facts, Listed, Surroundings};
pub use missing::Missing;
pub use needs::Need;
pub use occurred::Occurred;
pub use probe::probe;
pub use subject::{Name, Number, StateOf, Subject, Unit};
pub use tree::{Compare, Expr, Host, Port, Predicate, Prefix, Protocol, Side, Verdict};

use crate::socket::{Family, StateSet, TableSet, UnixFile};

/// A filter as it was typed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The states that `state` and `exclude` left; `None` if neither was said.
    pub states: Option<StateSet>,
    /// The last family prefix of the expression: of the tables and states that the options chose,
    /// only sockets of this family are shown.
    pub family: Option<Family>,
    pub expr: Option<Expr>,
}

/// What the options before the filter decided and its words depend on.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    /// The family of the last option that chose one (`-4`, `-6`, `-0`, `-x`, `-f`, `--vsock`, ...);
    /// an address without a family prefix is read in it.
    pub family: Option<Family>,
    /// Service names are looked up for the protocols of these tables.
    pub tables: TableSet,
    /// Whether sockets of other network namespaces are asked for: an interface may be in one.
    pub any_netns: bool,
}

/// The transport protocol that a service name is looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Udp,
    Dccp,
    Sctp,
}

/// Where the names in a filter are looked up.
pub trait Lookup {
    /// The port of a service; `name` may be an alias.
    fn service(&self, name: &[u8], transport: Transport) -> Option<u16>;
    /// All addresses of a host.
    fn host(&self, name: &[u8]) -> Vec<IpAddr>;
    fn interface(&self, name: &[u8]) -> Option<u32>;
    /// The id of the cgroup at a path, of the file system or of the mounted hierarchy.
    fn cgroup(&self, path: &OsStr) -> io::Result<u64>;
    fn netlink_protocol(&self, name: &[u8]) -> Option<u8>;
    fn ethernet_protocol(&self, name: &[u8]) -> Option<u16>;
    /// The number of an IP protocol.
    fn ip_protocol(&self, name: &[u8]) -> Option<u8>;
    fn user(&self, name: &[u8]) -> Option<u32>;
    fn group(&self, name: &[u8]) -> Option<u32>;
    /// The inode of a network namespace, by its name or `self`.
    fn netns(&self, name: &[u8]) -> Option<u64>;
    /// The file at a path, if it is a socket.
    fn socket_file(&self, path: &OsStr) -> Option<UnixFile>;
}

/// Parses the arguments of the command line, followed by the text of a filter file if there is one:
/// that is the order of `ss`.
pub fn parse(
    file: Option<&[u8]>,
    arguments: &[OsString],
    scope: Scope,
    names: &dyn Lookup,
) -> Result<Filter, FilterError> {
    parse::parse(file, arguments, scope, names)
}

#[cfg(test)]
mod tests;
