//! Where a socket is, for whoever tells it.

use crate::socket::NetnsId;

/// A network namespace, and its name where there are others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Place {
    pub id: Option<NetnsId>,
    /// Any bytes.
    pub name: Option<Vec<u8>>,
}

impl Place {
    /// The namespace of the calling thread.
    pub fn here() -> Place {
        Place { id: super::current(), name: None }
    }

    /// The name, else the number, if either is known.
    pub fn label(&self) -> Vec<u8> {
        match (&self.name, self.id) {
            (Some(name), _) => name.clone(),
            (None, Some(id)) => id.0.to_string().into_bytes(),
            (None, None) => Vec::new(),
        }
    }
}
