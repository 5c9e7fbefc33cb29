//! Shell patterns, as for the names of UNIX sockets.

use std::fmt;

use super::print::Typed;

/// A pattern as `fnmatch` with `FNM_CASEFOLD` reads it in the C locale: `*`, `?`, `[a-z]`, `[!a]`,
/// `[[:alpha:]]`, and a backslash before a byte that stands for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: Vec<u8>,
    case: Case,
}

/// Whether `a` and `A` are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Folded,
    Exact,
}

impl Case {
    fn same(self, one: u8, other: u8) -> bool {
        match self {
            Case::Folded => one.eq_ignore_ascii_case(&other),
            Case::Exact => one == other,
        }
    }

    fn fold(self, byte: u8) -> u8 {
        match self {
            Case::Folded => byte.to_ascii_lowercase(),
            Case::Exact => byte,
        }
    }
}

impl Glob {
    /// A pattern without regard to case.
    pub fn new(pattern: Vec<u8>) -> Glob {
        Glob { pattern, case: Case::Folded }
    }

    /// A pattern that tells `a` from `A`.
    pub fn exact(pattern: Vec<u8>) -> Glob {
        Glob { pattern, case: Case::Exact }
    }

    /// The text that it stands for, if it has no wildcards.
    pub fn literal(&self) -> Option<&[u8]> {
        (!self.pattern.iter().any(|byte| b"*?[\\".contains(byte))).then_some(&self.pattern)
    }

    /// The text without wildcards that it is, or begins with before a star; whether that is all.
    pub(super) fn beginning(&self) -> Option<(&[u8], bool)> {
        let (text, is_whole) = match self.pattern.strip_suffix(b"*") {
            Some(text) => (text, false),
            None => (&self.pattern[..], true),
        };
        let is_plain = !text.iter().any(|byte| b"*?[\\".contains(byte));
        (is_plain && self.case == Case::Exact).then_some((text, is_whole))
    }

    /// Whether the name matches as a whole; its NUL bytes count as `@`, as they are shown.
    pub fn matches(&self, name: &[u8]) -> bool {
        let pattern = &self.pattern[..];
        let (mut p, mut n) = (0, 0);
        // Where to go on after the last star took one byte more.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            if pattern.get(p) == Some(&b'*') {
                p += 1;
                retry = Some((p, n));
                continue;
            }
            let step = match name.get(n) {
                None if p == pattern.len() => return true,
                None => return false,
                Some(&byte) => one(&pattern[p..], shown(byte), self.case),
            };
            match (step, retry) {
                (Some(length), _) => {
                    p += length;
                    n += 1;
                }
                (None, Some((star, from))) => {
                    p = star;
                    n = from + 1;
                    retry = Some((star, n));
                }
                (None, None) => return false,
            }
        }
    }
}

fn shown(byte: u8) -> u8 {
    if byte == 0 { b'@' } else { byte }
}

/// How much of the pattern matches this one byte; `None` if it does not.
fn one(pattern: &[u8], byte: u8, case: Case) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', ..] => match bracket(pattern, byte, case) {
            Some((length, true)) => Some(length),
            Some((_, false)) => None,
            // A bracket that is never closed stands for itself.
            None => (byte == b'[').then_some(1),
        },
        [b'\\', escaped, ..] => case.same(*escaped, byte).then_some(2),
        [b'\\'] => None,
        [literal, ..] => case.same(*literal, byte).then_some(1),
    }
}

/// The length of a bracket expression and whether it holds the byte; `None` if it is not closed.
fn bracket(pattern: &[u8], byte: u8, case: Case) -> Option<(usize, bool)> {
    let is_negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let first = if is_negated { 2 } else { 1 };
    let mut at = first;
    let mut is_member = false;
    loop {
        let rest = pattern.get(at..)?;
        if rest.first()? == &b']' && at > first {
            return Some((at + 1, is_member != is_negated));
        }
        if let Some((class, length)) = class(rest) {
            is_member |= in_class(class, byte);
            at += length;
            continue;
        }
        let (low, length) = member(rest)?;
        at += length;
        let (high, length) = match pattern.get(at..)? {
            [b'-', end, ..] if *end != b']' => {
                let (high, length) = member(&pattern[at + 1..])?;
                (high, length + 1)
            }
            _ => (low, 0),
        };
        at += length;
        is_member |= (case.fold(low)..=case.fold(high)).contains(&case.fold(byte));
    }
}

fn member(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [b'\\', escaped, ..] => Some((*escaped, 2)),
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

fn class(rest: &[u8]) -> Option<(&[u8], usize)> {
    let inner = rest.strip_prefix(b"[:")?;
    let length = inner.windows(2).position(|end| end == b":]")?;
    let name = &inner[..length];
    name.iter().all(u8::is_ascii_lowercase).then_some((name, length + 4))
}

fn in_class(class: &[u8], byte: u8) -> bool {
    match class {
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"alpha" => byte.is_ascii_alphabetic(),
        // Case is not folded for classes.
        b"upper" => byte.is_ascii_uppercase(),
        b"lower" => byte.is_ascii_lowercase(),
        b"blank" => matches!(byte, b' ' | b'\t'),
        b"cntrl" => byte.is_ascii_control(),
        b"digit" => byte.is_ascii_digit(),
        b"graph" => byte.is_ascii_graphic(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"punct" => byte.is_ascii_punctuation(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => false,
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Typed(&self.pattern).fmt(f)
    }
}
