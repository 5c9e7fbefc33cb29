//! The words of the language: predicates, operators and connectives, as tables.

use super::tree::{Compare, Side};

/// A predicate of the language.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What may follow, for the error message.
    pub(super) expects: &'static str,
}

/// What a predicate asks, and so how its value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Host(Side),
    Port(Side),
    Device,
    Mark,
    Cgroup,
    Autobound,
}

pub(super) const PREDICATES: &[Word] = &[
    Word { name: "dst", kind: Kind::Host(Side::Destination), expects: ADDRESS },
    Word { name: "src", kind: Kind::Host(Side::Source), expects: ADDRESS },
    Word { name: "dport", kind: Kind::Port(Side::Destination), expects: PORT },
    Word { name: "sport", kind: Kind::Port(Side::Source), expects: PORT },
    Word { name: "dev", kind: Kind::Device, expects: "the name or index of an interface" },
    Word { name: "fwmark", kind: Kind::Mark, expects: "a mark, VALUE or VALUE/MASK" },
    Word { name: "cgroup", kind: Kind::Cgroup, expects: "the path of a cgroup" },
    Word { name: "autobound", kind: Kind::Autobound, expects: "no value" },
];

const ADDRESS: &str = "an address, [FAMILY:]HOST[/LENGTH][:PORT]";
const PORT: &str = "a port number or the name of a service, [FAMILY:][:]PORT";

impl Kind {
    /// Which comparisons it knows.
    pub(super) fn operators(self) -> Operators {
        match self {
            Kind::Host(_) => Operators::Equality,
            Kind::Port(_) => Operators::Order,
            Kind::Device | Kind::Mark | Kind::Cgroup => Operators::Difference,
            Kind::Autobound => Operators::None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operators {
    /// The predicate takes no value.
    None,
    /// `=` only.
    Equality,
    /// `=` and `!=`.
    Difference,
    /// All of them.
    Order,
}

impl Operators {
    pub(super) fn allow(self, operator: Operator) -> bool {
        let least = match operator {
            Operator::Is(Compare::Equal) => Operators::Equality,
            Operator::IsNot => Operators::Difference,
            Operator::Is(_) => Operators::Order,
        };
        self >= least
    }

    pub(super) fn expects(self) -> &'static str {
        match self {
            Operators::None => "no operator",
            Operators::Equality => "=, or nothing, before the value",
            Operators::Difference => "= or !=",
            Operators::Order => "one of = != > < >= <=",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Is(Compare),
    IsNot,
}

/// The operators; of two that begin alike the longer comes first.
pub(super) const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Is(Compare::Equal)),
    ("=", Operator::Is(Compare::Equal)),
    ("eq", Operator::Is(Compare::Equal)),
    ("!=", Operator::IsNot),
    ("neq", Operator::IsNot),
    ("ne", Operator::IsNot),
    (">=", Operator::Is(Compare::GreaterOrEqual)),
    ("geq", Operator::Is(Compare::GreaterOrEqual)),
    ("ge", Operator::Is(Compare::GreaterOrEqual)),
    ("<=", Operator::Is(Compare::LessOrEqual)),
    ("leq", Operator::Is(Compare::LessOrEqual)),
    ("le", Operator::Is(Compare::LessOrEqual)),
    (">", Operator::Is(Compare::Greater)),
    ("gt", Operator::Is(Compare::Greater)),
    ("<", Operator::Is(Compare::Less)),
    ("lt", Operator::Is(Compare::Less)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connective {
    And,
    Or,
    Not,
}

/// The connectives; of two that begin alike the longer comes first.
pub(super) const CONNECTIVES: &[(&str, Connective)] = &[
    ("and", Connective::And),
    ("&&", Connective::And),
    ("&", Connective::And),
    ("or", Connective::Or),
    ("||", Connective::Or),
    ("|", Connective::Or),
    ("not", Connective::Not),
    ("!", Connective::Not),
];

pub(super) fn predicate(name: &[u8]) -> Option<&'static Word> {
    PREDICATES.iter().find(|word| word.name.as_bytes() == name)
}

pub(super) fn operator(name: &[u8]) -> Option<Operator> {
    OPERATORS.iter().find(|(word, _)| word.as_bytes() == name).map(|(_, operator)| *operator)
}

pub(super) fn connective(name: &[u8]) -> Option<Connective> {
    CONNECTIVES.iter().find(|(word, _)| word.as_bytes() == name).map(|(_, connective)| *connective)
}

/// Whether the word means something wherever it stands, so that it cannot be a value.
pub(super) fn is_reserved(name: &[u8]) -> bool {
    matches!(name, b"(" | b")")
        || predicate(name).is_some()
        || operator(name).is_some()
        || connective(name).is_some()
}
