//! Sockets from the kernel over sock_diag netlink.
//!
//! [`transport`] sends a request and walks the answers; one file per family knows what to ask and
//! how to read the answer into the typed socket. Nothing here knows of options or of output.

pub mod ahead;
pub mod attrs;
pub mod file;
pub mod inet;
pub mod netlink;
pub mod packet;
pub mod tipc;
pub mod transport;
pub mod unix;
pub mod vsock;
pub mod xdp;

pub use transport::{DiagError, DiagSocket, DumpEnd};

/// What a source hands its sockets to. An error from the sink ends the listing and is passed up.
pub type Sink<'s> = dyn FnMut(&crate::socket::Socket<'_>) -> anyhow::Result<()> + 's;
