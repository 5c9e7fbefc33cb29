//! The grammar: `not` binds to what is next; `and` (which may be left out) and `or` bind alike, from
//! left to right, as in `ss`: `a or b and c` is `(a or b) and c`.

use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::error::{ErrorKind, FilterError};
use super::host::{self, Value};
use super::lex::{Joint, Lexer, Token};
use super::tree::{Compare, Expr, Predicate};
use super::words::{self, Connective, Kind, Operator, Operators, Word};
use super::{Filter, Lookup, Scope, states};
use crate::socket::Family;

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
    let mut filter = Filter::default();
    match parser.states(&mut filter).and_then(|()| parser.whole()) {
        Ok(expr) => Ok(Filter { expr, family: parser.family, ..filter }),
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
    fn states(&mut self, filter: &mut Filter) -> Result<(), Refusal> {
        while let Some(word) = self.lexer.peek() {
            let Some(change) = states::change(&word.text) else { break };
            self.lexer.consume(&word);
            let Some(name) = self.lexer.peek() else {
                return Err(self.refuse_here(ErrorKind::MissingState, states::EXPECTED));
            };
            let Some(set) = states::named(&name.text) else {
                let kind = ErrorKind::State(name.text);
                return Err(Refusal { kind, span: name.span, expected: states::EXPECTED.into() });
            };
            self.lexer.consume(&name);
            filter.states = change.apply(filter.states, set);
        }
        Ok(())
    }

    fn whole(&mut self) -> Result<Option<Expr>, Refusal> {
        if self.lexer.at_end() {
            return Ok(None);
        }
        let expr = self.chain(0)?;
        if self.lexer.at_end() { Ok(Some(expr)) } else { Err(self.refuse_next(AFTER_PREDICATE)) }
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
        let Some(name) = self.lexer.peek_name(is_predicate) else {
            return Err(self.refuse_here(ErrorKind::Syntax, &expected_predicate()));
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
            .read_value(word, compare, &value)
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
        match self.lexer.peek_value(may_contain_parenthesis) {
            Some(value) if !words::is_reserved(&value.text) => Ok(value),
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
            Kind::Device | Kind::Cgroup => true,
            Kind::Mark | Kind::Autobound => false,
        }
    }

    fn read_value(
        &self,
        word: &Word,
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
                let ifindex = host::interface(text, self.names);
                plain(Predicate::Device {
                    ifindex: ifindex.ok_or_else(|| refuse(ErrorKind::Device))?,
                })
            }
            Kind::Mark => {
                let mark =
                    host::mark(text).ok_or_else(|| refuse(ErrorKind::Mark(text.to_vec())))?;
                plain(Predicate::Mark { value: mark.0, mask: mark.1 })
            }
            Kind::Cgroup => {
                let id = self.names.cgroup(OsStr::from_bytes(text)).map_err(|error| {
                    let reason = error.to_string();
                    refuse(ErrorKind::Cgroup { path: text.to_vec(), reason })
                })?;
                plain(Predicate::Cgroup { id, path: text.to_vec() })
            }
            Kind::Autobound => plain(Predicate::Autobound),
        };
        Ok(if is_negated { Value { expr: value.expr.negate(), ..value } } else { value })
    }

    /// Refuses what stands where a predicate should begin.
    fn refuse_predicate(&mut self, word: Token) -> Refusal {
        // `ss` takes an unknown word for an address, and says so.
        let is_address = !words::is_reserved(&word.text)
            && word.text.first().is_some_and(u8::is_ascii_alphabetic);
        let kind = if is_address { ErrorKind::Prefix(word.text) } else { ErrorKind::Syntax };
        Refusal { kind, span: word.span, expected: expected_predicate() }
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

fn expected_predicate() -> String {
    let names: Vec<&str> = words::PREDICATES.iter().map(|word| word.name).collect();
    format!("a predicate ({}), not or an opening parenthesis", names.join(", "))
}

fn is_predicate(name: &[u8]) -> bool {
    words::predicate(name).is_some()
}
