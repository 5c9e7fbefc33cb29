//! Shows an expression as a tree, and where each part of it is judged.

use std::fmt::{self, Write};

use super::kernel::{KernelOps, compile};
use super::needs::Need;
use super::tree::{Expr, Predicate};

/// The tree of an expression, a line for each connective and predicate, with a column for each
/// place where expressions are judged.
pub struct Explained<'a>(pub &'a Expr);

/// A line of the tree.
struct Line {
    text: String,
    listing: String,
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = vec![Line { text: String::new(), listing: "in a listing".into() }];
        let parts = match self.0 {
            Expr::And(parts) => &parts[..],
            other => std::slice::from_ref(other),
        };
        if let Expr::And(_) = self.0 {
            lines.push(Line { text: "and".into(), listing: String::new() });
        }
        for (i, part) in parts.iter().enumerate() {
            let pushdown = compile(part, KernelOps::ALL);
            let place = match (&pushdown.bytecode, &pushdown.rest) {
                (_, None) => Place::Kernel,
                (Some(_), Some(_)) => Place::Both,
                (None, Some(_)) => Place::Here,
            };
            let branch = match self.0 {
                Expr::And(_) => Branch::of(i, parts.len()),
                _ => Branch::Root,
            };
            tree(part, place, "", branch, &mut lines);
        }
        let width = lines.iter().map(|line| line.text.chars().count()).max().unwrap_or(0);
        for line in &lines {
            let text = format!("{:width$}  {}", line.text, line.listing);
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

fn tree(expr: &Expr, place: Place, indent: &str, branch: Branch, lines: &mut Vec<Line>) {
    let (first, below) = branch.strokes();
    let mut push = |text: &dyn fmt::Display, listing: String| {
        lines.push(Line { text: format!("{indent}{first}{text}"), listing });
    };
    let (word, parts) = match expr {
        Expr::And(parts) => ("and", &parts[..]),
        Expr::Or(parts) => ("or", &parts[..]),
        // "not equal" is one predicate to whoever typed it.
        Expr::Not(inner) => match &**inner {
            Expr::Pred(predicate) => return push(expr, listing(predicate, place)),
            inner => ("not", std::slice::from_ref(inner)),
        },
        Expr::Pred(predicate) => return push(expr, listing(predicate, place)),
    };
    push(&word, String::new());
    let indent = format!("{indent}{below}");
    for (i, part) in parts.iter().enumerate() {
        tree(part, place, &indent, Branch::of(i, parts.len()), lines);
    }
}

fn listing(predicate: &Predicate, place: Place) -> String {
    let mut text = String::from(match place {
        Place::Kernel => "kernel (INET_DIAG bytecode)",
        Place::Both if KernelOps::ALL.decides(predicate) => "kernel, and with the rest here",
        Place::Both | Place::Here => "here",
    });
    for (i, need) in Need::ALL.into_iter().filter(|need| predicate.needs(*need)).enumerate() {
        let join = if i == 0 { ", from" } else { " and" };
        // Writing to a String does not fail.
        let _ = write!(text, "{join} {}", need.source());
    }
    text
}
