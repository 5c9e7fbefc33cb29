//! Shows an expression as a tree, and where each part of it is judged.

use std::fmt::{self, Write};

use super::kernel::{KernelOps, compile};
use super::needs::Need;
use super::probe::{is_known, probe};
use super::tree::{Expr, Predicate};
use crate::socket::TableSet;

/// The tree of an expression, a line for each connective and predicate, with a column for each
/// place where expressions are judged.
pub struct Explained<'a> {
    pub expr: &'a Expr,
    /// Those that are listed.
    pub tables: TableSet,
}

/// A line of the tree.
struct Line {
    text: String,
    listing: String,
    trace: &'static str,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines =
            vec![Line { text: String::new(), listing: "in a listing".into(), trace: "in a trace" }];
        let parts = match self.expr {
            Expr::And(parts) => &parts[..],
            other => std::slice::from_ref(other),
        };
        if let Expr::And(_) = self.expr {
            lines.push(Line { text: "and".into(), listing: String::new(), trace: "" });
        }
        for (i, part) in parts.iter().enumerate() {
            let pushdown = compile(part, KernelOps::ALL);
            let places = Places {
                listing: match (&pushdown.bytecode, &pushdown.rest) {
                    (_, None) => Place::Kernel,
                    (Some(_), Some(_)) => Place::Both,
                    (None, Some(_)) => Place::Here,
                },
                is_probed: probe(part).is_some(),
                tables: self.tables,
            };
            let branch = match self.expr {
                Expr::And(_) => Branch::of(i, parts.len()),
                _ => Branch::Root,
            };
            tree(part, places, "", branch, &mut lines);
        }
        let width = |of: fn(&Line) -> &str| {
            lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0)
        };
        let (first, second) = (width(|line| &line.text), width(|line| &line.listing));
        for line in &lines {
            let Line { text, listing, trace } = line;
            let text = format!("{text:first$}  {listing:second$}  {trace}");
            writeln!(f, "{}", text.trim_end())?;
        }
        Ok(())
    }
}

/// Where a part of the outermost "and" is judged.
#[derive(Clone, Copy)]
enum Place {
    Kernel,
    /// The kernel refuses what it can, the rest is judged here.
    Both,
    Here,
}

#[derive(Clone, Copy)]
struct Places {
    listing: Place,
    /// Whether the eBPF programs of a trace can refuse something by this part.
    is_probed: bool,
    tables: TableSet,
}

#[derive(Clone, Copy)]
enum Branch {
    Root,
    Middle,
    Last,
}

impl Branch {
    fn of(i: usize, count: usize) -> Branch {
        if i + 1 == count { Branch::Last } else { Branch::Middle }
    }

    /// What stands before its first line, and before those below it.
    fn strokes(self) -> (&'static str, &'static str) {
        match self {
            Branch::Root => ("", ""),
            Branch::Middle => ("├─ ", "│  "),
            Branch::Last => ("└─ ", "   "),
        }
    }
}

fn tree(expr: &Expr, places: Places, indent: &str, branch: Branch, lines: &mut Vec<Line>) {
    let (first, below) = branch.strokes();
    let mut push = |text: &dyn fmt::Display, judged: Option<&Predicate>| {
        lines.push(Line {
            text: format!("{indent}{first}{text}"),
            listing: judged.map(|predicate| listing(predicate, places)).unwrap_or_default(),
            trace: match judged {
                None => "",
                Some(predicate) if places.is_probed && is_known(predicate) => "kernel (eBPF)",
                Some(_) => "here",
            },
        });
    };
    let (word, parts) = match expr {
        Expr::And(parts) => ("and", &parts[..]),
        Expr::Or(parts) => ("or", &parts[..]),
        // "not equal" is one predicate to whoever typed it.
        Expr::Not(inner) => match &**inner {
            Expr::Pred(predicate) => return push(expr, Some(predicate)),
            inner => ("not", std::slice::from_ref(inner)),
        },
        Expr::Pred(predicate) => return push(expr, Some(predicate)),
    };
    push(&word, None);
    let indent = format!("{indent}{below}");
    for (i, part) in parts.iter().enumerate() {
        tree(part, places, &indent, Branch::of(i, parts.len()), lines);
    }
}

fn listing(predicate: &Predicate, places: Places) -> String {
    let mut text = String::from(match places.listing {
        Place::Kernel => "kernel (INET_DIAG bytecode)",
        Place::Both if KernelOps::ALL.decides(predicate) => "kernel, and with the rest here",
        Place::Both | Place::Here => "here",
    });
    let is_asked = |need: &Need| predicate.needs(*need) && need.tables().intersects(places.tables);
    for (i, need) in Need::ALL.into_iter().filter(is_asked).enumerate() {
        let join = if i == 0 { ", from" } else { " and" };
        // Writing to a String does not fail.
        let _ = write!(text, "{join} {}", need.source());
    }
    text
}
