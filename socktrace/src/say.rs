//! Words for the person at the terminal, on stderr, under the name that the tool was called by.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// Back to the start of the line, and all of it away.
const ERASE: &str = "\r\x1b[K";

/// Whether the line of the terminal holds what was told for the moment.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// Tells something for the moment, on stderr if that is a terminal: the next words take its place.
pub fn tell(what: std::fmt::Arguments<'_>) {
    IS_TOLD.store(true, Ordering::Relaxed);
    // Who cannot see it does without.
    let _ = write!(io::stderr(), "{ERASE}{what}");
}

/// Takes away what was told for the moment.
pub fn erase_told() {
    if IS_TOLD.swap(false, Ordering::Relaxed) {
        let _ = io::stderr().write_all(ERASE.as_bytes());
    }
}

/// Says one thing on stderr. What it quotes may be anybody's: nothing in it steers a terminal.
pub fn complain(what: &str) {
    let name = NAME.get().copied().unwrap_or(Name::Socktrace).as_str();
    let what = what.replace(|c: char| c.is_control() && c != '\n', ".");
    erase_told();
    // With stderr gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{name}: {what}");
}
