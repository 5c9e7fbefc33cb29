//! The grammar: `not` binds to what is next; `and` (which may be left out) and `or` bind alike,
//! from left to right, as in `ss`: `a or b and c` is `(a or b) and c`.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::error::{ErrorKind, FilterError};
use super::host::{self, Value};
use super::lex::{Joint, Lexer, Token};
use super::subject::{Name, StateOf};
use super::tree::{Compare, Expr, Predicate};
use super::words::{self, Connective, Kind, Operator, Operators, Word};
use super::{Filter, Lookup, Scope, device, states, value};
use crate::socket::{Family, StateSet};

/// How deep parentheses may nest: enough for any person, and little enough for any stack.
const MAX_DEPTH: usize = 200;

pub(super) fn parse(
    file: Option<&[u8]>,
    arguments: &[OsString],
    scope: Scope,
    names: &dyn Lookup,
) -> Result<Filter, FilterError> {
    let lexer = Lexer::new(arguments, file);
    let mut parser = Parser { lexer, scope, names, family: None };
    match parser.filter() {
        Ok((states, expr)) => Ok(Filter { states, family: parser.family, expr }),
        Err(refusal) => Err(refusal.at(parser.lexer)),
    }
}

/// A [`FilterError`] that has yet to take the text from the lexer.
pub(super) struct Refusal {
    pub(super) kind: ErrorKind,
    pub(super) span: Range<usize>,
    pub(super) expected: String,
}

impl Refusal {
    fn at(self, lexer: Lexer) -> FilterError {
        let Refusal { kind, span, expected } = self;
        FilterError { kind, text: lexer.into_text(), span, expected }
    }
}

struct Parser<'a> {
    lexer: Lexer,
    scope: Scope,
    names: &'a dyn Lookup,
    /// The family of the last address that had one.
    family: Option<Family>,
}

impl Parser<'_> {
    fn filter(&mut self) -> Result<(Option<StateSet>, Option<Expr>), Refusal> {
        let start = self.lexer.mark();
        let mut states = None;
        while let Some((change, set)) = self.state_word(Style::OfSs)? {
            states = change.apply(states, set);
        }
        // The states that are said first choose what is listed, whatever follows, unless they are
        // an alternative to it.
        if self.lexer.mark() != start {
            match self.lexer.peek_joint() {
                Some((joint @ Joint::Connective(Connective::And), span)) => {
                    self.lexer.consume_joint(joint, &span);
                    return Ok((states, Some(self.expression_to_end()?)));
                }
                Some((Joint::Connective(Connective::Or), _)) => {
                    self.lexer.reset(start);
                    states = None;
                }
                _ => {}
            }
        }
        Ok((states, self.whole()?))
    }

    /// The next `state NAME` or `exclude NAME`, if that is what comes next.
    fn state_word(&mut self, style: Style) -> Result<Option<(states::Change, StateSet)>, Refusal> {
        let Some(word) = self.lexer.peek_name(|name| states::change(name).is_some()) else {
            return Ok(None);
        };
        let Some(mut change) = states::change(&word.text) else { return Ok(None) };
        let before = self.lexer.mark();
        self.lexer.consume(&word);
        if let Some((operator, span)) = self.lexer.operator(true) {
            if style == Style::OfSs {
                // With an operator it is a predicate like others.
                self.lexer.reset(before);
                return Ok(None);
            }
            change = match operator {
                Operator::Is(Compare::Equal) => change,
                Operator::IsNot => change.opposite(),
                Operator::Is(_) => {
                    let expected = format!("{} after state", Operators::Difference.expects());
                    return Err(Refusal { kind: ErrorKind::Syntax, span, expected });
                }
            };
        }
        let Some(name) = self.lexer.peek_value(style == Style::OfSs) else {
            return Err(self.refuse_here(ErrorKind::MissingState, words::STATE));
        };
        let Some(set) = states::named(&name.text) else {
            return Err(refuse_state(name));
        };
        self.lexer.consume(&name);
        Ok(Some((change, set)))
    }

    /// States in the midst of an expression. Those that follow each other add up, as they do where
    /// they are said first.
    fn states(&mut self) -> Result<Option<Expr>, Refusal> {
        let Some((change, set)) = self.state_word(Style::Predicate)? else { return Ok(None) };
        let mut states = change.combine(None, set);
        while let Some((change, set)) = self.state_word(Style::Predicate)? {
            states = change.combine(Some(states), set);
        }
        let set = states::nameable(states);
        Ok(Some(Expr::Pred(Predicate::State { of: StateOf::Now, set })))
    }

    fn whole(&mut self) -> Result<Option<Expr>, Refusal> {
        if self.lexer.at_end() { Ok(None) } else { self.expression_to_end().map(Some) }
    }

    fn expression_to_end(&mut self) -> Result<Expr, Refusal> {
        let expr = self.chain(0)?;
        if self.lexer.at_end() { Ok(expr) } else { Err(self.refuse_next(AFTER_PREDICATE)) }
    }

    fn chain(&mut self, depth: usize) -> Result<Expr, Refusal> {
        let mut expr = self.negated(depth)?;
        while !self.lexer.at_end() {
            let mut join: fn(Expr, Expr) -> Expr = Expr::and;
            match self.lexer.peek_joint() {
                Some((Joint::Close, _)) => break,
                Some((joint @ Joint::Connective(Connective::And), span)) => {
                    self.lexer.consume_joint(joint, &span);
                }
                Some((joint @ Joint::Connective(Connective::Or), span)) => {
                    self.lexer.consume_joint(joint, &span);
                    join = Expr::or;
                }
                _ => {}
            }
            expr = join(expr, self.negated(depth)?);
        }
        Ok(expr)
    }

    fn negated(&mut self, depth: usize) -> Result<Expr, Refusal> {
        let mut is_negated = false;
        while let Some((joint @ Joint::Connective(Connective::Not), span)) = self.lexer.peek_joint()
        {
            self.lexer.consume_joint(joint, &span);
            is_negated = !is_negated;
        }
        let expr = self.primary(depth)?;
        Ok(if is_negated { expr.negate() } else { expr })
    }

    fn primary(&mut self, depth: usize) -> Result<Expr, Refusal> {
        let Some((joint @ Joint::Open, span)) = self.lexer.peek_joint() else {
            return self.predicate();
        };
        if depth == MAX_DEPTH {
            let expected = format!("at most {MAX_DEPTH} open parentheses");
            return Err(Refusal { kind: ErrorKind::NestedTooDeep, span, expected });
        }
        self.lexer.consume_joint(joint, &span);
        let expr = self.chain(depth + 1)?;
        match self.lexer.peek_joint() {
            Some((joint @ Joint::Close, span)) => self.lexer.consume_joint(joint, &span),
            _ => return Err(self.refuse_next("and, or, or a closing parenthesis")),
        }
        Ok(expr)
    }

    fn predicate(&mut self) -> Result<Expr, Refusal> {
        if let Some(states) = self.states()? {
            return Ok(states);
        }
        let Some(name) = self.lexer.peek_name(is_predicate) else {
            return Err(self.refuse_here(ErrorKind::Syntax, &expected_predicate(b"")));
        };
        let Some(word) = words::predicate(&name.text) else {
            return Err(self.refuse_predicate(name));
        };
        self.lexer.consume(&name);
        if word.kind == Kind::Autobound {
            return Ok(Expr::Pred(Predicate::Autobound));
        }
        let compare = self.comparison(word)?;
        let value = self.value(word)?;
        let Value { expr, family } = self
            .read_value(word, &name.text, compare, &value)
            .map_err(|(kind, expected)| Refusal { kind, span: value.span.clone(), expected })?;
        self.lexer.consume(&value);
        if let Some(family) = family {
            self.scope.family = Some(family);
            self.family = Some(family);
        }
        Ok(expr)
    }

    fn comparison(&mut self, word: &Word) -> Result<Operator, Refusal> {
        let may_split = !self.is_free_text(word.kind);
        let Some((operator, span)) = self.lexer.operator(may_split) else {
            return Ok(Operator::Is(Compare::Equal));
        };
        let operators = word.kind.operators();
        if operators.allow(operator) {
            return Ok(operator);
        }
        let expected = format!("{} after {}", operators.expects(), word.name);
        Err(Refusal { kind: ErrorKind::Syntax, span, expected })
    }

    fn value(&mut self, word: &Word) -> Result<Token, Refusal> {
        let may_contain_parenthesis = self.is_free_text(word.kind)
            || self.lexer.peek().is_some_and(|value| value.text.starts_with(b"unix:"));
        let is_reserved = match word.kind {
            // What `ss` lacks may be compared with any name, that of a predicate too.
            Kind::Name(_) | Kind::Path => words::is_joint,
            _ => words::is_reserved,
        };
        match self.lexer.peek_value(may_contain_parenthesis) {
            Some(value) if !is_reserved(&value.text) => Ok(value),
            Some(value) => Err(Refusal {
                kind: ErrorKind::Syntax,
                span: value.span,
                expected: format!("{} after {}", word.expects, word.name),
            }),
            None => {
                let expected = match word.kind.operators() {
                    Operators::None => word.expects.to_owned(),
                    _ => format!("{} after {}", word.expects, word.name),
                };
                Err(self.refuse_here(ErrorKind::Syntax, &expected))
            }
        }
    }

    /// Whether a value may be almost any text, so that no part of it is taken for something else.
    fn is_free_text(&self, kind: Kind) -> bool {
        match kind {
            Kind::Host(_) | Kind::Port(_) => self.scope.family == Some(Family::Unix),
            Kind::Device | Kind::Cgroup | Kind::Name(_) | Kind::Path => true,
            _ => false,
        }
    }

    fn read_value(
        &self,
        word: &Word,
        typed: &[u8],
        operator: Operator,
        value: &Token,
    ) -> Result<Value, (ErrorKind, String)> {
        let text = &value.text[..];
        let refuse = |kind| (kind, format!("{} after {}", word.expects, word.name));
        let (compare, is_negated) = match operator {
            Operator::Is(compare) => (compare, false),
            Operator::IsNot => (Compare::Equal, true),
        };
        let plain = |predicate| Value { expr: Expr::Pred(predicate), family: None };
        let value = match word.kind {
            Kind::Host(side) => {
                host::address(text, side, self.scope, self.names).map_err(refuse)?
            }
            Kind::Port(side) => {
                host::port(text, side, compare, self.scope, self.names).map_err(refuse)?
            }
            Kind::Device => {
                let ifindex = device::index(text, self.names)
                    .or_else(|| self.scope.any_netns.then_some(device::NOWHERE));
                plain(Predicate::Device {
                    ifindex: ifindex.ok_or_else(|| refuse(ErrorKind::Device))?,
                    name: text.to_vec(),
                })
            }
            Kind::Mark => {
                let mark =
                    host::mark(text).ok_or_else(|| refuse(ErrorKind::Mark(text.to_vec())))?;
                plain(Predicate::Mark { value: mark.0, mask: mark.1 })
            }
            Kind::Cgroup if value::is_pattern(text) && self.names.cgroup(path(text)).is_err() => {
                plain(value::name(Name::Cgroup, text))
            }
            Kind::Cgroup => {
                let id = self.names.cgroup(path(text)).map_err(|error| {
                    let reason = error.to_string();
                    refuse(ErrorKind::Cgroup { path: text.to_vec(), reason })
                })?;
                plain(Predicate::Cgroup { id, path: text.to_vec() })
            }
            Kind::Autobound => plain(Predicate::Autobound),
            Kind::Number(of) => {
                let value = value::number(of, typed, text, self.names);
                let value = value.ok_or_else(|| refuse(ErrorKind::Value(text.to_vec())))?;
                plain(Predicate::Number { of, compare, value })
            }
            Kind::Name(of) => plain(value::name(of, text)),
            Kind::Choice(of, among) => {
                if !among.iter().any(|known| known.as_bytes() == text) {
                    let kind = ErrorKind::Value(text.to_vec());
                    let expected = format!("{} after {}", word.expects, word.name);
                    return Err((kind, suggest(expected, text, among.iter().copied())));
                }
                plain(value::name(of, text))
            }
            Kind::Path => plain(value::path(text, self.names)),
            Kind::Protocol => plain(value::protocol(text, self.names).ok_or_else(|| {
                let (kind, expected) = refuse(ErrorKind::Value(text.to_vec()));
                (kind, suggest(expected, text, words::TABLES.iter().map(|(name, _)| *name)))
            })?),
            Kind::State(of) => plain(value::state(of, text).ok_or_else(|| {
                let (kind, expected) = refuse(ErrorKind::State(text.to_vec()));
                (kind, suggest(expected, text, states::names()))
            })?),
        };
        Ok(if is_negated { Value { expr: value.expr.negate(), ..value } } else { value })
    }

    /// Refuses what stands where a predicate should begin.
    fn refuse_predicate(&mut self, word: Token) -> Refusal {
        // `ss` takes an unknown word for an address, and says so.
        let is_address = !words::is_reserved(&word.text)
            && word.text.first().is_some_and(u8::is_ascii_alphabetic);
        let expected = expected_predicate(&word.text);
        let kind = if is_address { ErrorKind::Prefix(word.text) } else { ErrorKind::Syntax };
        Refusal { kind, span: word.span, expected }
    }

    fn refuse_next(&mut self, expected: &str) -> Refusal {
        let span = match self.lexer.peek() {
            Some(word) => word.span,
            None => return self.refuse_here(ErrorKind::Syntax, expected),
        };
        Refusal { kind: ErrorKind::Syntax, span, expected: expected.to_owned() }
    }

    fn refuse_here(&mut self, kind: ErrorKind, expected: &str) -> Refusal {
        let at = self.lexer.position();
        Refusal { kind, span: at..at, expected: expected.to_owned() }
    }
}

const AFTER_PREDICATE: &str = "and, or, another predicate, or the end";

/// How `state` is read: where it comes first, as `ss` reads it, or as one predicate of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    OfSs,
    Predicate,
}

fn path(text: &[u8]) -> &OsStr {
    OsStr::from_bytes(text)
}

fn refuse_state(name: Token) -> Refusal {
    let expected = suggest(words::STATE.to_owned(), &name.text, states::names());
    Refusal { kind: ErrorKind::State(name.text), span: name.span, expected }
}

/// What is expected where a predicate should begin; all of them, unless one is like what is there.
fn expected_predicate(word: &[u8]) -> String {
    let names = || words::PREDICATES.iter().flat_map(Word::names);
    // An operator may be attached, as in `prot=1`.
    let end = word.iter().position(|byte| b"=!<>()".contains(byte)).unwrap_or(word.len());
    if words::nearest(&word[..end], names()).is_some() {
        let expected = "a predicate, not or an opening parenthesis".to_owned();
        return suggest(expected, &word[..end], names());
    }
    let names: Vec<&str> = words::PREDICATES.iter().map(|word| word.name).collect();
    format!("a predicate ({}), not or an opening parenthesis", names.join(", "))
}

fn suggest(expected: String, word: &[u8], known: impl Iterator<Item = &'static str>) -> String {
    match words::nearest(word, known) {
        Some(known) => format!("{expected}; did you mean {known}?"),
        None => expected,
    }
}

fn is_predicate(name: &[u8]) -> bool {
    words::predicate(name).is_some()
}
