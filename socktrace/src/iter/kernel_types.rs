//! The types of the running kernel, as far as given names reach.
//!
//! They are five megabytes, of which an iterator needs a hundred bytes: so they are read past once,
//! and what was asked for is looked up where it lies.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use rustc_hash::{FxHashMap, FxHashSet};

use super::program::{Field, Place};
use crate::btf::{Kind, Type};

const PATH: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
const MAX_DEPTH: usize = 16;
const STRUCT: u32 = 4;
const FUNCTION: u32 = 12;

pub(super) struct KernelTypes {
    file: File,
    /// Where the types begin, and each of them after that; the first is that of id 1.
    types_at: u64,
    places: Vec<u32>,
    /// Names by their place among the strings.
    names: FxHashMap<Vec<u8>, u32>,
    /// Structs and functions that have one of the names.
    named: Vec<Named>,
}

#[derive(Clone, Copy)]
struct Named {
    name: u32,
    kind: u32,
    id: u32,
}

impl KernelTypes {
    /// Looks for the names of types, functions and members.
    pub(super) fn read(wanted: &FxHashSet<&[u8]>) -> io::Result<KernelTypes> {
        let file = File::open(PATH)?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0)?;
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        if u16::from_ne_bytes([header[0], header[1]]) != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no BTF"));
        }
        let begin = u64::from(word(4));
        let (types_at, strings_at) = (begin + u64::from(word(8)), begin + u64::from(word(16)));
        let mut reader = BufReader::with_capacity(16 << 10, &file);
        reader.seek(SeekFrom::Start(strings_at))?;
        let names = find_names(&mut reader, word(20), wanted)?;
        reader.seek(SeekFrom::Start(types_at))?;
        let (places, named) = find_types(&mut reader, word(12), &names)?;
        Ok(KernelTypes { file, types_at, places, names, named })
    }

    /// The id of a function.
    pub(super) fn function(&self, name: &[u8]) -> Option<u32> {
        self.named_types(name, FUNCTION).next()
    }

    /// Where a field lies; `None` if there is none, or several of that name that differ.
    pub(super) fn place(&self, field: &Field) -> Option<Place> {
        let mut places = self
            .named_types(&field.root, STRUCT)
            .filter_map(|root| self.place_within(root, &field.path));
        let first = places.next()?;
        places.all(|other| other == first).then_some(first)
    }

    fn named_types(&self, name: &[u8], kind: u32) -> impl Iterator<Item = u32> {
        let name = self.names.get(name).copied();
        let same = move |named: &&Named| Some(named.name) == name && named.kind == kind;
        self.named.iter().filter(same).map(|named| named.id)
    }

    fn place_within(&self, root: u32, path: &[Vec<u8>]) -> Option<Place> {
        let (mut bits, mut of) = (0, root);
        for name in path {
            let name = *self.names.get(name)?;
            let (at, member) = self.member(of, name, MAX_DEPTH)?;
            (bits, of) = (bits + at, member);
        }
        let size = match self.resolved(of)?.kind {
            Kind::Int { size, .. } | Kind::Enum { size, .. } => Some(size),
            Kind::Pointer { .. } => Some(8),
            _ => None,
        };
        (bits % 8 == 0).then_some(Place { offset: bits / 8, size })
    }

    /// The offset in bits and the type of a member, which may lie in a nameless one.
    fn member(&self, of: u32, name: u32, depth: usize) -> Option<(u32, u32)> {
        let depth = depth.checked_sub(1)?;
        let Kind::Struct { members, .. } = self.resolved(of)?.kind else { return None };
        let own = members.iter().find(|member| member.name == name && member.bits == 0);
        own.map(|member| (member.bit_offset, member.of)).or_else(|| {
            members.iter().filter(|member| member.name == 0).find_map(|nameless| {
                let (at, of) = self.member(nameless.of, name, depth)?;
                Some((nameless.bit_offset + at, of))
            })
        })
    }

    /// The type without typedefs and modifiers.
    fn resolved(&self, mut id: u32) -> Option<Type> {
        for _ in 0..MAX_DEPTH {
            match self.get(id)? {
                Type { kind: Kind::Typedef { to } | Kind::Modifier { to }, .. } => id = to,
                other => return Some(other),
            }
        }
        None
    }

    fn get(&self, id: u32) -> Option<Type> {
        let index = (id as usize).checked_sub(1)?;
        let (start, end) = (*self.places.get(index)?, *self.places.get(index + 1)?);
        let mut bytes = vec![0; end.checked_sub(start)? as usize];
        self.file.read_exact_at(&mut bytes, self.types_at + u64::from(start)).ok()?;
        Type::parse(&bytes)
    }
}

fn find_names(
    reader: &mut impl BufRead,
    length: u32,
    wanted: &FxHashSet<&[u8]>,
) -> io::Result<FxHashMap<Vec<u8>, u32>> {
    let mut names = FxHashMap::default();
    let mut name = Vec::new();
    let mut at = 0;
    while at < length {
        name.clear();
        let read = reader.read_until(0, &mut name)?;
        if name.pop().is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if wanted.contains(&name[..]) {
            names.insert(name.clone(), at);
        }
        at += read as u32;
    }
    Ok(names)
}

/// Where each type begins, with the end of the last, and those that have one of the names.
fn find_types(
    reader: &mut BufReader<&File>,
    length: u32,
    names: &FxHashMap<Vec<u8>, u32>,
) -> io::Result<(Vec<u32>, Vec<Named>)> {
    let wanted: FxHashSet<u32> = names.values().copied().collect();
    let (mut places, mut named) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < length {
        places.push(at);
        let mut fixed = [0; 12];
        reader.read_exact(&mut fixed)?;
        let word = |at: usize| {
            u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]])
        };
        let (name, kind) = (word(0), word(4) >> 24 & 0x1f);
        if matches!(kind, STRUCT | FUNCTION) && wanted.contains(&name) {
            named.push(Named { name, kind, id: places.len() as u32 });
        }
        let rest = Type::length_after(word(4));
        reader.seek_relative(rest as i64)?;
        at += 12 + rest as u32;
    }
    places.push(at);
    Ok((places, named))
}
