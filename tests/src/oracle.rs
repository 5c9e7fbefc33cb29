//! The `ss` that listings are compared with, and what an old one cannot be asked.
//!
//! `SOCKTRACE_ORACLE` names it; else it is the one that `cargo xtask oracle` fetched; else the
//! installed one, if it is a modern one: what an old one does wrong would count as ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::skip;

/// Older than this, the layout of listings differs.
const MODERN: u32 = 7;

/// What `ss` learnt after 6.1: long options, letters, words of the filter.
const LACKING_BEFORE_7: &[&str] =
    &["--no-queues", "--bound-inactive", "--threads", "--bpf-map", "bound-inactive"];
const LETTERS_LACKING_BEFORE_7: &[char] = &['Q', 'B', 'T'];

/// What `ss` has forgotten since 7.1, with the kernel's DCCP; ours still knows it.
const FORGOTTEN_SINCE_7_1: &[&str] = &["-d", "-da", "-dani", "--dccp", "dccp"];

/// Fields of `-i` that `ss` learnt after 6.1: they are taken out of both listings.
const FIELDS_LACKING_BEFORE_7: &[&str] =
    &["rcv_wnd:", "rehash:", "usec_ts", "seq:", "sfseq:", "write_seq:", "snd_una:", "rcv_nxt:"];

pub struct Oracle {
    path: PathBuf,
    major: u32,
}

/// The oracle of this run; `None` where there is no `ss` at all.
pub fn oracle() -> Option<&'static Oracle> {
    static ORACLE: OnceLock<Option<Oracle>> = OnceLock::new();
    ORACLE
        .get_or_init(|| {
            let named = std::env::var_os("SOCKTRACE_ORACLE").map(PathBuf::from);
            let fetched = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/oracle/ss"));
            let fetched = fetched.canonicalize().ok();
            let installed = || Oracle::ask("ss".into()).filter(Oracle::is_modern);
            named.or(fetched).map_or_else(installed, Oracle::ask)
        })
        .as_ref()
}

impl Oracle {
    fn ask(path: PathBuf) -> Option<Oracle> {
        let answer = Command::new(&path).arg("-V").output().ok()?;
        let answer = String::from_utf8(answer.stdout).ok()?;
        let version = answer.trim().rsplit_once("iproute2-")?.1;
        let major = version.split('.').next()?.parse().ok()?;
        Some(Oracle { path, major })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn is_modern(&self) -> bool {
        self.major >= MODERN
    }

    /// Whether this oracle knows all of what is asked; says so when it does not.
    pub fn knows(&self, arguments: &[String]) -> bool {
        if self.is_modern() {
            let forgotten =
                arguments.iter().find(|word| FORGOTTEN_SINCE_7_1.contains(&word.as_str()));
            if let Some(word) = forgotten {
                println!("{} may know {word} no more", self.path.display());
            }
            return forgotten.is_none();
        }
        let unknown = arguments.iter().find(|argument| {
            LACKING_BEFORE_7.iter().any(|lacking| argument.contains(lacking))
                || (argument.starts_with('-')
                    && !argument.starts_with("--")
                    && argument.contains(LETTERS_LACKING_BEFORE_7))
        });
        if let Some(unknown) = unknown {
            skip::report(&format!("{} does not know {unknown}", self.path.display()));
        }
        unknown.is_none()
    }

    /// Whether what it said on standard error is a complaint: an old one complains of every
    /// protocol that the kernel lacks.
    pub fn complains(&self, stderr: &[u8]) -> bool {
        !stderr.is_empty() && (self.is_modern() || !stderr.starts_with(b"RTNETLINK answers: "))
    }

    /// Takes out of a listing what versions differ in: for an old oracle blanks between columns,
    /// the Process column without `-p`, fields that it does not know. Nothing for a modern one.
    pub fn level(&self, listing: &[u8]) -> Vec<u8> {
        if self.is_modern() {
            return listing.to_vec();
        }
        let text = String::from_utf8_lossy(listing).replace("PortProcess", "Port");
        let mut levelled = String::with_capacity(text.len());
        for line in text.lines() {
            let words = line.split_whitespace().filter(|word| {
                *word != "Process"
                    && !FIELDS_LACKING_BEFORE_7.iter().any(|field| word.starts_with(field))
            });
            for word in words {
                levelled.push_str(word);
                levelled.push(' ');
            }
            levelled.push('\n');
        }
        levelled.into_bytes()
    }
}
