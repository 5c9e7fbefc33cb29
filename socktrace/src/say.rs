//! Words for the person at the terminal, on stderr, under the name that the tool was called by.

use std::io::{self, Write};
use std::sync::OnceLock;

static NAME: OnceLock<Name> = OnceLock::new();

/// The name that the tool was called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Socktrace,
    /// Through a link, in place of the other tool: without subcommands of ours.
    Ss,
}

impl Name {
    pub fn as_str(self) -> &'static str {
        match self {
            Name::Socktrace => "socktrace",
            Name::Ss => "ss",
        }
    }
}

/// Sets the name, once, at the start.
pub fn set_name(name: Name) {
    let _ = NAME.set(name);
}

/// Says one thing on stderr. What it quotes may be anybody's: nothing in it steers a terminal.
pub fn complain(what: &str) {
    let name = NAME.get().copied().unwrap_or(Name::Socktrace).as_str();
    let what = what.replace(|c: char| c.is_control() && c != '\n', ".");
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{name}: {what}");
}
