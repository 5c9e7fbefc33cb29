//! Values of the words that `ss` lacks: numbers and names of every kind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::glob::Glob;
use super::host::c_number;
use super::subject::{Name, Number, StateOf};
use super::tree::{Predicate, Protocol};
use super::{Lookup, states, words};

/// The number that `text` says, in the unit of the number it is compared with. `word` is how the
/// predicate was written.
pub(super) fn number(of: Number, word: &[u8], text: &[u8], names: &dyn Lookup) -> Option<u64> {
    match of {
        Number::Uid => c_number(text).or_else(|| names.user(text).map(u64::from)),
        Number::Gid => c_number(text).or_else(|| names.group(text).map(u64::from)),
        Number::Netns => c_number(text).or_else(|| names.netns(text)),
        Number::Cookie if word == b"sk" => {
            let digits = text.strip_prefix(b"0x").unwrap_or(text);
            let is_plain = digits.iter().all(u8::is_ascii_hexdigit);
            let digits = std::str::from_utf8(digits).ok().filter(|_| is_plain)?;
            u64::from_str_radix(digits, 16).ok()
        }
        of => of.unit().parse(text),
    }
}

pub(super) fn name(of: Name, text: &[u8]) -> Predicate {
    Predicate::Name { of, glob: Glob::exact(text.to_vec()) }
}

/// A file may have several paths, so the one that is meant is looked up.
pub(super) fn path(text: &[u8], names: &dyn Lookup) -> Predicate {
    let glob = Glob::exact(text.to_vec());
    let path = glob.literal().filter(|path| path.starts_with(b"/"));
    let file = path.and_then(|path| names.socket_file(OsStr::from_bytes(path)));
    Predicate::Path { glob, file }
}

pub(super) fn protocol(text: &[u8], names: &dyn Lookup) -> Option<Predicate> {
    let protocol = match words::tables_named(text) {
        Some(tables) => Protocol::Tables(tables),
        None => Protocol::Ip(match c_number(text) {
            Some(number) => u16::try_from(number).ok()?,
            None => names.ip_protocol(text)?.into(),
        }),
    };
    Some(Predicate::Protocol(protocol))
}

pub(super) fn state(of: StateOf, text: &[u8]) -> Option<Predicate> {
    Some(Predicate::State { of, set: states::nameable(states::named(text)?) })
}

/// Whether the value of `cgroup` is a pattern over paths rather than one of them.
pub(super) fn is_pattern(text: &[u8]) -> bool {
    text.iter().any(|byte| b"*?[".contains(byte))
}
