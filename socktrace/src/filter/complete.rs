//! What may come next in a filter that is being typed.

use super::words::{self, Connective, Word};
use super::{states, subject::StateOf};

/// What may stand at the end of the words that were typed so far.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// A predicate, or what joins it to the one before.
    Predicate,
    /// An operator, or the value at once.
    OperatorOrValue(&'static Word),
    Value(&'static Word),
    State,
}

/// What may come after these words.
pub fn after<'a>(typed: impl IntoIterator<Item = &'a [u8]>) -> Next {
    typed.into_iter().fold(Next::Predicate, |next, word| match next {
        Next::Predicate => match words::predicate(bare(word)) {
            _ if states::change(bare(word)).is_some() => Next::State,
            Some(predicate) if predicate.kind.operators() != words::Operators::None => {
                Next::OperatorOrValue(predicate)
            }
            _ => Next::Predicate,
        },
        Next::OperatorOrValue(word_before) if words::operator(word).is_some() => {
            Next::Value(word_before)
        }
        Next::State if words::operator(word).is_some() => Next::State,
        Next::OperatorOrValue(_) | Next::Value(_) | Next::State => Next::Predicate,
    })
}

/// A word without what may be attached before it.
fn bare(word: &[u8]) -> &[u8] {
    let start = word.iter().take_while(|byte| b"(!".contains(byte)).count();
    &word[start..]
}

/// Where the piece of a word begins that is still being typed: behind a parenthesis, or behind an
/// operator that is attached to a predicate. The piece before it may say what comes next.
pub fn piece(word: &[u8]) -> (usize, Option<Next>) {
    let rest = bare(word);
    let start = word.len() - rest.len();
    let Some(name) = rest.iter().position(|byte| b"=!<>".contains(byte)) else {
        return (start, None);
    };
    let operator = rest[name..].iter().take_while(|byte| b"=!<>".contains(byte)).count();
    let next = match words::predicate(&rest[..name]) {
        Some(word) if word.kind == words::Kind::State(StateOf::Now) => Next::State,
        Some(word) => Next::Value(word),
        None => return (start, None),
    };
    (start + name + operator, Some(next))
}

/// The predicates and what joins them, each with what it asks.
pub fn predicates() -> impl Iterator<Item = (&'static str, &'static str)> {
    let predicates =
        words::PREDICATES.iter().flat_map(|word| word.names().map(move |name| (name, word.asks)));
    let joints =
        words::CONNECTIVES.iter().filter(|(word, _)| word.starts_with(char::is_alphabetic));
    let joints = joints.map(|(word, connective)| {
        let help = match connective {
            Connective::And => "both",
            Connective::Or => "one of the two",
            Connective::Not => "the contrary of what follows",
        };
        (*word, help)
    });
    predicates.chain([("exclude", "all states but this")]).chain(joints)
}

pub fn states() -> impl Iterator<Item = &'static str> {
    states::names()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_next_depends_on_what_is_before() {
        let next = |line: &str| match after(line.split_whitespace().map(str::as_bytes)) {
            Next::Predicate => "predicate".to_owned(),
            Next::State => "state".to_owned(),
            Next::OperatorOrValue(word) => format!("operator or {}", word.name),
            Next::Value(word) => format!("value of {}", word.name),
        };
        for (line, expected) in [
            ("", "predicate"),
            ("state", "state"),
            ("state established", "predicate"),
            ("state =", "state"),
            ("exclude listening and", "predicate"),
            ("procname", "operator or comm"),
            ("procname =", "value of comm"),
            ("procname = nginx", "predicate"),
            ("procname nginx or", "predicate"),
            ("autobound", "predicate"),
            ("dport > 1 not cc !=", "value of cc"),
        ] {
            assert_eq!(next(line), expected, "{line}");
        }
    }

    #[test]
    fn a_piece_begins_behind_parentheses_and_attached_operators() {
        for (word, start) in [("pi", 0), ("(pi", 1), ("!(pi", 2), ("comm=ng", 5), ("(rtt>=", 6)] {
            assert_eq!(piece(word.as_bytes()).0, start, "{word}");
        }
        assert!(matches!(piece(b"state=est").1, Some(Next::State)));
        assert!(matches!(piece(b"comm!=x").1, Some(Next::Value(word)) if word.name == "comm"));
        assert!(piece(b"x=y").1.is_none());
    }
}
