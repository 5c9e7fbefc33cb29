//! In which network namespaces a listing is made.

use std::fs::File;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result};
use rustix::io::Errno;

use crate::cli::plan::Scope;
use crate::container::Homes;
use crate::netns::{self, BindFailure, Found, Namespace};
use crate::procfs;
use crate::say::complain;

/// Goes where the scope says, once and for all.
pub(crate) fn enter(scope: &Scope, homes: &Homes) -> Result<()> {
    let word = match scope {
        Scope::Here | Scope::All => return Ok(()),
        Scope::Named(word) | Scope::Called(word) => word,
    };
    if matches!(scope, Scope::Called(_)) && !netns::is_named(word) {
        return Ok(netns::enter_called(word, &procfs::root(), homes)?);
    }
    for BindFailure { from, to, errno } in netns::enter(word)? {
        complain(&format!("Bind {} -> {} failed: {errno}", from.display(), to.display()));
    }
    Ok(())
}

/// The namespace that this is in, held.
pub(crate) fn here() -> Result<OwnedFd> {
    let file = File::open("/proc/thread-self/ns/net");
    Ok(file.context("cannot open the network namespace of this process")?.into())
}

/// Calls `each` in each namespace of the scope; where it is only one, without naming it.
pub(crate) fn each(
    scope: &Scope,
    homes: &Homes,
    each: &mut dyn FnMut(Option<&Namespace>) -> Result<()>,
) -> Result<()> {
    if *scope != Scope::All {
        return each(None);
    }
    let Found { namespaces, refused, without_sockets } =
        netns::find(&procfs::root(), homes).context("cannot look for network namespaces")?;
    if let Some(error) = without_sockets {
        complain(&format!("network namespaces that only a socket keeps were not found: {error}"));
    }
    let home = here()?;
    let mut skipped = Skipped { refused, ..Skipped::default() };
    let mut result = Ok(());
    let mut has_left = false;
    for namespace in &namespaces {
        // The first is the one that this is in: whoever may enter no other has that.
        if Some(namespace.id) == netns::current() || skipped.note(go(namespace, &mut has_left)) {
            skipped.elsewhere += netns::leading_elsewhere(&namespaces).unwrap_or(0);
            result = each(Some(namespace));
        }
        if result.is_err() {
            break;
        }
    }
    if has_left {
        netns::move_into(&home)
            .context("cannot return to the network namespace of this process")?;
    }
    skipped.say();
    result
}

/// What is missing from a listing of all namespaces.
#[derive(Default)]
struct Skipped {
    vanished: u32,
    forbidden: u32,
    /// Namespaces whose sockets were seen, with no way in.
    unreachable: u32,
    /// Interfaces that lead to namespaces that were not found.
    elsewhere: usize,
    /// Processes whose namespace is not known.
    refused: u32,
}

enum NotThere {
    Vanished,
    Unreachable,
    Failed(Errno),
}

fn go(namespace: &Namespace, has_left: &mut bool) -> Result<(), NotThere> {
    let why = if namespace.has_way() { NotThere::Vanished } else { NotThere::Unreachable };
    let file = namespace.open().ok_or(why)?;
    netns::move_into(&file).map_err(NotThere::Failed)?;
    *has_left = true;
    Ok(())
}

impl Skipped {
    /// Whether the namespace was entered.
    fn note(&mut self, entered: Result<(), NotThere>) -> bool {
        match entered {
            Ok(()) => return true,
            Err(NotThere::Failed(Errno::PERM | Errno::ACCESS)) => self.forbidden += 1,
            Err(NotThere::Unreachable) => self.unreachable += 1,
            Err(NotThere::Vanished | NotThere::Failed(_)) => self.vanished += 1,
        }
        false
    }

    fn say(&self) {
        let is_root = rustix::process::geteuid().is_root();
        let hint = if is_root { "" } else { " (run it as root)" };
        for (count, what, hint) in [
            (self.vanished, "network namespaces vanished before they were listed", ""),
            (self.forbidden, "network namespaces may not be entered", hint),
            (
                self.unreachable,
                "network namespaces were seen, not entered: no process leads there",
                "",
            ),
            (
                u32::try_from(self.elsewhere).unwrap_or(u32::MAX),
                "interfaces lead to network namespaces that were not found, so not entered",
                "",
            ),
            (self.refused, "processes may not be looked into, nor may their namespaces", hint),
        ] {
            if count > 0 {
                complain(&format!("{count} {what}{hint}"));
            }
        }
    }
}
