//! The types of the running kernel, as far as given names reach.
//!
//! They are five megabytes, of which a hundred bytes are needed: so they are read past once, and
//! what was asked for is looked up where it lies.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Kind, MAGIC, MAX_DEPTH, Type};

pub(crate) const PATH: &str = "/sys/kernel/btf/vmlinux";
const HEADER: usize = 24;
const VOID: u32 = 0;
const INT: u32 = 1;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FORWARD: u32 = 7;
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 12;
const FLOAT: u32 = 16;
const ENUM_64: u32 = 19;
/// No name that is asked for, or told, is longer.
const LONGEST_NAME: usize = 64;

/// Where the bytes are.
pub(crate) trait Source {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()>;
    fn reader(&self, from: u64) -> io::Result<impl BufRead + Seek>;
}

impl Source for File {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, at)
    }

    fn reader(&self, from: u64) -> io::Result<impl BufRead + Seek> {
        let mut reader = BufReader::with_capacity(16 << 10, self);
        reader.seek(SeekFrom::Start(from))?;
        Ok(reader)
    }
}

impl Source for &[u8] {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.reader(at)?.read_exact(buffer)
    }

    fn reader(&self, from: u64) -> io::Result<impl BufRead + Seek> {
        let mut reader = Cursor::new(*self);
        reader.set_position(from);
        Ok(reader)
    }
}

pub(crate) struct KernelTypes<S> {
    source: S,
    /// Where the types begin, and each of them after that; the first is that of id 1.
    types_at: u64,
    places: Vec<u32>,
    strings_at: u64,
    strings_length: u32,
    /// Names by their place among the strings.
    names: FxHashMap<Vec<u8>, u32>,
    /// What has one of the names and a kind that is asked for.
    named: Vec<Named>,
}

#[derive(Clone, Copy)]
struct Named {
    name: u32,
    kind: u32,
    id: u32,
}

/// Where a field lies in its struct, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) offset: u32,
    /// How large it is, if it is a number or a pointer.
    pub(crate) size: Option<u32>,
}

impl<S: Source> KernelTypes<S> {
    /// Looks for the names of types, functions and members.
    pub(crate) fn read(source: S, wanted: &FxHashSet<&[u8]>) -> io::Result<KernelTypes<S>> {
        let mut header = [0; HEADER];
        source.read_exact_at(&mut header, 0)?;
        let word = |at: usize| {
            u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        if u16::from_ne_bytes([header[0], header[1]]) != MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no BTF"));
        }
        let begin = u64::from(word(4));
        let (types_at, strings_at) = (begin + u64::from(word(8)), begin + u64::from(word(16)));
        let strings_length = word(20);
        let names = find_names(&mut source.reader(strings_at)?, strings_length, wanted)?;
        let (places, named) = find_types(&mut source.reader(types_at)?, word(12), &names)?;
        Ok(KernelTypes { source, types_at, places, strings_at, strings_length, names, named })
    }

    /// The id of a function.
    pub(crate) fn function(&self, name: &[u8]) -> Option<u32> {
        self.named_types(name, FUNCTION).next()
    }

    /// The id of a typedef.
    pub(crate) fn typedef(&self, name: &[u8]) -> Option<u32> {
        self.named_types(name, TYPEDEF).next()
    }

    /// How many arguments a function has, or what a type is a pointer to or a name of.
    pub(crate) fn arguments(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MAX_DEPTH {
            match self.resolved(id)?.kind {
                Kind::Prototype { arguments } => return Some(arguments),
                Kind::Function { prototype: to } | Kind::Pointer { to } => id = to,
                _ => return None,
            }
        }
        None
    }

    /// The values of an enum, with their names.
    pub(crate) fn enum_values(&self, name: &[u8]) -> Option<Vec<(Vec<u8>, i64)>> {
        let id = self.named_types(name, ENUM).next()?;
        let Kind::Enum { values, .. } = self.get(id)?.kind else { return None };
        values.into_iter().map(|(name, value)| Some((self.text(name)?, value))).collect()
    }

    /// Where a field lies; `None` if there is none, or several of that name that differ.
    pub(crate) fn place(&self, root: &[u8], path: &[Vec<u8>]) -> Option<Place> {
        let roots = self.named_types(root, STRUCT);
        let mut places = roots.filter_map(|root| self.place_within(root, path));
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

    /// Where a type begins, and where it ends.
    fn bounds(&self, id: u32) -> Option<(u32, u32)> {
        let index = (id as usize).checked_sub(1)?;
        Some((*self.places.get(index)?, *self.places.get(index + 1)?))
    }

    fn get(&self, id: u32) -> Option<Type> {
        let (start, end) = self.bounds(id)?;
        let mut bytes = vec![0; end.checked_sub(start)? as usize];
        self.source.read_exact_at(&mut bytes, self.types_at + u64::from(start)).ok()?;
        Type::parse(&bytes)
    }

    fn text(&self, offset: u32) -> Option<Vec<u8>> {
        let mut text = [0; LONGEST_NAME];
        let length = self.strings_length.checked_sub(offset)? as usize;
        let text = &mut text[..length.min(LONGEST_NAME)];
        self.source.read_exact_at(text, self.strings_at + u64::from(offset)).ok()?;
        Some(text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    }
}

impl KernelTypes<&[u8]> {
    /// A BTF of the types that have one of the names, and of what lies within them, under numbers of
    /// their own; what pointers point at is left out. `None` if it cannot be understood.
    pub(crate) fn cut_out(&self) -> Option<Vec<u8>> {
        let kept = self.named_and_within()?;
        let numbers: FxHashMap<u32, u32> = kept.iter().copied().zip(1..).collect();
        let mut types = Vec::new();
        for id in kept {
            let (start, end) = self.bounds(id)?;
            let begin = types.len();
            types.extend_from_slice(self.slice(self.types_at + u64::from(start), end - start)?);
            renumber(&mut types[begin..], &numbers);
        }
        self.btf(&types, self.slice(self.strings_at, self.strings_length)?)
    }

    /// A BTF that tells the numbers of functions and typedefs that have one of the names. The types
    /// before them are there, for the sake of the numbers, but have no name.
    pub(crate) fn numbers(&self) -> Option<Vec<u8>> {
        const LENGTH: usize = 12;
        let is_told = |named: &&Named| matches!(named.kind, FUNCTION | TYPEDEF);
        let last = self.named.iter().filter(is_told).map(|named| named.id as usize).max();
        let mut types =
            [0, FORWARD << 24, 0].map(u32::to_ne_bytes).as_flattened().repeat(last.unwrap_or(0));
        let mut strings = vec![0];
        for (name, at) in &self.names {
            for named in self.named.iter().filter(is_told).filter(|named| named.name == *at) {
                let of = [u32::try_from(strings.len()).ok()?, named.kind << 24, 0];
                let place = types.get_mut((named.id as usize - 1) * LENGTH..)?;
                place[..LENGTH].copy_from_slice(of.map(u32::to_ne_bytes).as_flattened());
            }
            strings.extend_from_slice(name);
            strings.push(0);
        }
        self.btf(&types, &strings)
    }

    /// The types that have one of the names or lie within one that has, in order.
    fn named_and_within(&self) -> Option<BTreeSet<u32>> {
        let mut kept = BTreeSet::new();
        let mut rest: Vec<u32> = self.named.iter().map(|named| named.id).collect();
        while let Some(id) = rest.pop() {
            if id == VOID || !kept.insert(id) {
                continue;
            }
            match self.get(id)?.kind {
                Kind::Struct { members, .. } => rest.extend(members.iter().map(|member| member.of)),
                Kind::Array { element: of, .. }
                | Kind::Typedef { to: of }
                | Kind::Modifier { to: of } => rest.push(of),
                _ => {}
            }
        }
        Some(kept)
    }

    fn btf(&self, types: &[u8], strings: &[u8]) -> Option<Vec<u8>> {
        let [of_types, of_strings] = [types, strings].map(|part| u32::try_from(part.len()).ok());
        let header = [HEADER as u32, 0, of_types?, of_types?, of_strings?].map(u32::to_ne_bytes);
        Some([self.source.get(..4)?, header.as_flattened(), types, strings].concat())
    }

    fn slice(&self, at: u64, length: u32) -> Option<&[u8]> {
        let at = usize::try_from(at).ok()?;
        self.source.get(at..at.checked_add(length as usize)?)
    }
}

/// Has the types that a type refers to by their new numbers; those that have none are void.
fn renumber(of: &mut [u8], numbers: &FxHashMap<u32, u32>) {
    let (words, _) = of.as_chunks_mut::<4>();
    let refers = match u32::from_ne_bytes(words[1]) >> 24 & 0x1f {
        // The element and the index.
        ARRAY => (3..5).step_by(1),
        STRUCT | UNION => (4..words.len()).step_by(3),
        INT | ENUM | FORWARD | FLOAT | ENUM_64 => (0..0).step_by(1),
        _ => (2..3).step_by(1),
    };
    for at in refers {
        let to = u32::from_ne_bytes(words[at]);
        words[at] = numbers.get(&to).copied().unwrap_or(VOID).to_ne_bytes();
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
    reader: &mut (impl Read + Seek),
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
        if matches!(kind, STRUCT | ENUM | TYPEDEF | FUNCTION) && wanted.contains(&name) {
            named.push(Named { name, kind, id: places.len() as u32 });
        }
        let rest = Type::length_after(word(4));
        reader.seek_relative(rest as i64)?;
        at += 12 + rest as u32;
    }
    places.push(at);
    Ok((places, named))
}
