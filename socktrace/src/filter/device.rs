//! Interfaces in a filter: their indexes are those of one network namespace.

use super::{Compare, Expr, Lookup, Number, Predicate, c_number};
use crate::socket::NetnsId;

/// The index of an interface that is not there: the kernel has none so high.
pub(super) const NOWHERE: u32 = 1 << 31;

/// An interface by name, else by index; the index need not exist.
pub(super) fn index(text: &[u8], names: &dyn Lookup) -> Option<u32> {
    names.interface(text).or_else(|| number(text))
}

fn number(text: &[u8]) -> Option<u32> {
    u32::try_from(c_number(text)?).ok()
}

impl Expr {
    /// The names of the interfaces that it asks for; indexes need no looking up.
    pub fn devices(&self) -> Vec<Vec<u8>> {
        let names = std::cell::RefCell::new(Vec::new());
        self.mentions(&|predicate| {
            if let Some(name) = named(predicate) {
                names.borrow_mut().push(name.to_vec());
            }
            false
        });
        names.into_inner()
    }

    /// The same where `names` are those of another network namespace.
    pub fn in_netns(&self, names: &dyn Lookup) -> Expr {
        self.with(&|predicate| {
            let name = named(predicate)?;
            let ifindex = index(name, names).unwrap_or(NOWHERE);
            Some(Expr::Pred(Predicate::Device { ifindex, name: name.to_vec() }))
        })
    }

    /// The same for sockets of all network namespaces, where its interfaces are of this one.
    pub fn with_devices_of(&self, netns: NetnsId) -> Expr {
        let here = Predicate::Number { of: Number::Netns, compare: Compare::Equal, value: netns.0 };
        self.with(&|predicate| {
            named(predicate)?;
            Some(Expr::Pred(predicate.clone()).and(Expr::Pred(here.clone())))
        })
    }
}

fn named(predicate: &Predicate) -> Option<&[u8]> {
    match predicate {
        Predicate::Device { name, .. } => Some(&name[..]).filter(|name| number(name).is_none()),
        _ => None,
    }
}
