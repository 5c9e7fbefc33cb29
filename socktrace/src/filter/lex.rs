//! Cuts the typed text into words, keeping where each of them stood.
//!
//! A word ends at white space; a backslash takes away the meaning of the byte after it. What a
//! word means depends on where it stands, so the parser asks for the next one by kind.

use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::words::{CONNECTIVES, Connective, OPERATORS, Operator, connective, operator};

/// One word, with the backslashes resolved.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) text: Vec<u8>,
    pub(super) span: Range<usize>,
}

/// A connective or a parenthesis, as it may stand between predicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Joint {
    Connective(Connective),
    Open,
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    at: usize,
    attached: usize,
}

pub(super) struct Lexer {
    text: Vec<u8>,
    at: usize,
    /// How many parentheses that were attached to the word after them are open. `ss` knows none,
    /// so only then may a closing one be cut off a word which could contain it.
    attached: usize,
}

impl Lexer {
    /// The arguments, and then the lines of the file that do not begin with `#`.
    pub(super) fn new(arguments: &[OsString], file: Option<&[u8]>) -> Lexer {
        let arguments = arguments.iter().map(|argument| (b' ', argument.as_bytes()));
        let lines = file.unwrap_or_default().split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.starts_with(b"#")).map(|line| (b'\n', line));
        let mut text = Vec::new();
        for (separator, part) in arguments.chain(lines).filter(|(_, part)| !part.is_empty()) {
            if !text.is_empty() {
                text.push(separator);
            }
            text.extend_from_slice(part);
        }
        Lexer { text, at: 0, attached: 0 }
    }

    pub(super) fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// Where the lexer is, to come back to.
    pub(super) fn mark(&self) -> Mark {
        Mark { at: self.at, attached: self.attached }
    }

    pub(super) fn reset(&mut self, mark: Mark) {
        (self.at, self.attached) = (mark.at, mark.attached);
    }

    /// Where the next word begins (or the text ends).
    pub(super) fn position(&mut self) -> usize {
        while self.text.get(self.at).is_some_and(|byte| is_space(*byte)) {
            self.at += 1;
        }
        self.at
    }

    pub(super) fn at_end(&mut self) -> bool {
        self.position() == self.text.len()
    }

    /// The next word as far as white space, which is not yet consumed.
    pub(super) fn peek(&mut self) -> Option<Token> {
        let start = self.position();
        self.word(start, is_space)
    }

    fn word(&self, start: usize, ends: fn(u8) -> bool) -> Option<Token> {
        let mut text = Vec::new();
        let mut at = start;
        while let Some(&byte) = self.text.get(at) {
            if byte == b'\\' {
                at += 1;
                text.extend(self.text.get(at));
            } else if ends(byte) {
                break;
            } else {
                text.push(byte);
            }
            at += 1;
        }
        let end = at.min(self.text.len());
        (start < end).then_some(Token { text, span: start..end })
    }

    pub(super) fn consume(&mut self, token: &Token) {
        self.at = token.span.end;
    }

    /// The parenthesis or connective that comes next, and how long it is; attached ones are found
    /// at the beginning of a word.
    pub(super) fn peek_joint(&mut self) -> Option<(Joint, Range<usize>)> {
        let token = self.peek()?;
        if let Some(connective) = connective(&token.text) {
            return Some((Joint::Connective(connective), token.span));
        }
        let rest = &self.text[self.at..token.span.end];
        let (joint, length) = match rest {
            [b'(', ..] => (Joint::Open, 1),
            [b')', ..] => (Joint::Close, 1),
            _ => CONNECTIVES
                .iter()
                .find(|(word, _)| is_symbol(word) && rest.starts_with(word.as_bytes()))
                .map(|(word, connective)| (Joint::Connective(*connective), word.len()))?,
        };
        Some((joint, self.at..self.at + length))
    }

    pub(super) fn consume_joint(&mut self, joint: Joint, span: &Range<usize>) {
        self.at = span.end;
        let is_attached = self.text.get(self.at).is_some_and(|byte| !is_space(*byte));
        match joint {
            Joint::Open if is_attached || self.attached > 0 => self.attached += 1,
            Joint::Close => self.attached = self.attached.saturating_sub(1),
            _ => {}
        }
    }

    /// The name of a predicate: the next word, or its beginning if that `is_name` and an operator
    /// or a closing parenthesis is attached.
    pub(super) fn peek_name(&mut self, is_name: impl Fn(&[u8]) -> bool) -> Option<Token> {
        let token = self.peek()?;
        let start = token.span.start;
        let rest = &self.text[start..token.span.end];
        let length = rest.iter().position(|byte| b"=!<>()".contains(byte));
        match length.map(|length| &rest[..length]) {
            Some(name) if is_name(name) => {
                Some(Token { text: name.to_vec(), span: start..start + name.len() })
            }
            _ => Some(token),
        }
    }

    /// The operator that comes next. One that is a symbol may have its value attached, but after
    /// white space only if `may_split`: else the word is a value that begins so.
    pub(super) fn operator(&mut self, may_split: bool) -> Option<(Operator, Range<usize>)> {
        let before = self.at;
        let token = self.peek()?;
        let start = token.span.start;
        if let Some(operator) = operator(&token.text) {
            self.at = token.span.end;
            return Some((operator, token.span));
        }
        if start > before && !may_split {
            return None;
        }
        let rest = &self.text[start..token.span.end];
        let (word, operator) = OPERATORS
            .iter()
            .find(|(word, _)| is_symbol(word) && rest.starts_with(word.as_bytes()))?;
        self.at = start + word.len();
        Some((*operator, start..self.at))
    }

    /// The next word, to be read as a value. It ends before a closing parenthesis, unless a value
    /// of this kind may contain one; then it loses those at its end, if attached ones are open.
    pub(super) fn peek_value(&mut self, may_contain_parenthesis: bool) -> Option<Token> {
        let start = self.position();
        if !may_contain_parenthesis {
            return self.word(start, |byte| is_space(byte) || byte == b')').or_else(|| self.peek());
        }
        let mut token = self.peek()?;
        while self.attached > 0
            && token.text.len() > 1
            && token.text.ends_with(b")")
            && !self.text[..token.span.end].ends_with(b"\\)")
        {
            token.text.pop();
            token.span.end -= 1;
        }
        Some(token)
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_symbol(word: &str) -> bool {
    !word.as_bytes()[0].is_ascii_alphabetic()
}
