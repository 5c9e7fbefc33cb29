//! Why a filter is refused, and where.

use std::fmt;
use std::ops::Range;

/// A filter that cannot be understood. It displays in the words of `ss`, where `ss` has some,
/// and the filter with the offending word marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    pub kind: ErrorKind,
    /// The filter as one text.
    pub text: Vec<u8>,
    /// The bytes of the offending word in `text`; empty at its end if a word is missing.
    pub span: Range<usize>,
    /// What would have been understood there.
    pub expected: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// A word that is missing, unknown, or in the wrong place.
    Syntax,
    NestedTooDeep,
    /// `state` or `exclude` without a name.
    MissingState,
    State(Vec<u8>),
    Port(Vec<u8>),
    /// An inet address or the name of a host.
    Prefix(Vec<u8>),
    /// An address of another family.
    Address,
    Device,
    Mark(Vec<u8>),
    Cgroup {
        path: Vec<u8>,
        reason: String,
    },
    /// A value of a word that `ss` lacks.
    Value(Vec<u8>),
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Syntax => f.write_str("the filter is not understood"),
            ErrorKind::NestedTooDeep => f.write_str("the filter is nested too deeply"),
            ErrorKind::MissingState => {
                f.write_str("Command line is not complete. Try option \"help\"")
            }
            ErrorKind::State(name) => write!(f, "wrong state name: {}", Plain(name)),
            ErrorKind::Port(word) => {
                write!(f, "\"{}\" does not look like a port.", Plain(word))
            }
            ErrorKind::Prefix(word) => {
                write!(f, "an inet prefix is expected rather than \"{}\".", Plain(word))
            }
            ErrorKind::Address => f.write_str("Cannot parse dst/src address."),
            ErrorKind::Device => f.write_str("Cannot parse device."),
            ErrorKind::Mark(word) => write!(f, "Cannot parse mark {}.", Plain(word)),
            ErrorKind::Cgroup { path, reason } => {
                write!(f, "Cannot parse cgroup {}: {reason}", Plain(path))
            }
            ErrorKind::Value(word) => write!(f, "Cannot parse \"{}\".", Plain(word)),
        }
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.kind)?;
        let before = &self.text[..self.span.start];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let after = &self.text[self.span.end..];
        let line_end =
            self.span.end + after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
        writeln!(f, "  {}", Plain(&self.text[line_start..line_end]))?;
        let indent = width(&self.text[line_start..self.span.start]);
        let marks = width(&self.text[self.span.clone()]).max(1);
        write!(f, "  {:indent$}{:^<marks$} expected {}", "", "", self.expected)
    }
}

impl std::error::Error for FilterError {}

/// Text for a terminal: what is not printable becomes a question mark.
struct Plain<'a>(&'a [u8]);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in String::from_utf8_lossy(self.0).chars() {
            fmt::Write::write_char(f, if c.is_control() { '?' } else { c })?;
        }
        Ok(())
    }
}

fn width(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).chars().count()
}
