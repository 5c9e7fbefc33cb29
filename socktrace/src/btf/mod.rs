//! BTF: types as data, as far as values of maps and fields of programs need them. Whatever the
//! bytes are, nothing panics.

pub(crate) mod kernel;

const MAGIC: u16 = 0xeb9f;
const MAX_DEPTH: usize = 32;

/// The types of a map or of a program.
#[derive(Debug)]
pub(crate) struct Btf {
    types: Vec<Type>,
    names: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Type {
    pub(crate) name: u32,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Void,
    Int {
        size: u32,
        is_signed: bool,
    },
    Pointer {
        to: u32,
    },
    Array {
        element: u32,
        count: u32,
    },
    Struct {
        size: u32,
        members: Vec<Member>,
        keyword: Keyword,
    },
    Enum {
        size: u32,
        is_signed: bool,
        values: Vec<(u32, i64)>,
    },
    Forward {
        keyword: Keyword,
    },
    Typedef {
        to: u32,
    },
    /// const, volatile, restrict, a type tag: not shown.
    Modifier {
        to: u32,
    },
    Function {
        prototype: u32,
    },
    Prototype {
        arguments: u32,
    },
    Float {
        size: u32,
    },
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Struct,
    Union,
}

impl Keyword {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Keyword::Struct => "struct",
            Keyword::Union => "union",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: u32,
    pub(crate) of: u32,
    pub(crate) bit_offset: u32,
    /// 0 for a member that is no bit field.
    pub(crate) bits: u32,
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Type {
    /// The type that `bytes` begin with.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Type> {
        read_type(&mut Reader { rest: bytes })
    }

    /// How many bytes follow the three words that each type begins with, by the second of them.
    pub(crate) fn length_after(info: u32) -> usize {
        let count = (info & 0xffff) as usize;
        match info >> 24 & 0x1f {
            1 | 14 | 17 => 4,
            3 => 12,
            4 | 5 | 15 | 19 => 12 * count,
            6 | 13 => 8 * count,
            _ => 0,
        }
    }
}

impl Reader<'_> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.rest.split_first_chunk::<4>()?;
        self.rest = rest;
        Some(u32::from_ne_bytes(*word))
    }
}

impl Btf {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Btf> {
        let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        if half(0)? != MAGIC {
            return None;
        }
        let header = word(4)? as usize;
        let section = |offset: u32, length: u32| {
            let start = header.checked_add(offset as usize)?;
            bytes.get(start..start.checked_add(length as usize)?)
        };
        let mut reader = Reader { rest: section(word(8)?, word(12)?)? };
        let names = section(word(16)?, word(20)?)?.to_vec();
        let mut types = vec![Type { name: 0, kind: Kind::Void }];
        while !reader.rest.is_empty() {
            types.push(read_type(&mut reader)?);
        }
        Some(Btf { types, names })
    }

    pub(crate) fn get(&self, id: u32) -> Option<&Type> {
        self.types.get(id as usize)
    }

    /// The type without typedefs and modifiers.
    pub(crate) fn resolved(&self, mut id: u32) -> Option<&Type> {
        for _ in 0..MAX_DEPTH {
            match self.get(id)? {
                Type { kind: Kind::Typedef { to } | Kind::Modifier { to }, .. } => id = *to,
                other => return Some(other),
            }
        }
        None
    }

    pub(crate) fn size(&self, id: u32) -> Option<usize> {
        self.size_within(id, MAX_DEPTH)
    }

    fn size_within(&self, id: u32, depth: usize) -> Option<usize> {
        Some(match &self.resolved(id)?.kind {
            Kind::Int { size, .. }
            | Kind::Struct { size, .. }
            | Kind::Enum { size, .. }
            | Kind::Float { size } => *size as usize,
            Kind::Pointer { .. } => size_of::<usize>(),
            Kind::Array { element, count } => {
                let element = self.size_within(*element, depth.checked_sub(1)?)?;
                element.checked_mul(*count as usize)?
            }
            _ => return None,
        })
    }

    /// The names of structs.
    pub(crate) fn named_structs(&self) -> impl Iterator<Item = &[u8]> {
        let is_struct = |of: &&Type| {
            matches!(of.kind, Kind::Struct { keyword: Keyword::Struct, .. }) && of.name != 0
        };
        self.types.iter().filter(is_struct).map(|of| self.name(of))
    }

    pub(crate) fn name(&self, of: &Type) -> &[u8] {
        self.text(of.name)
    }

    pub(crate) fn member_name(&self, of: &Member) -> &[u8] {
        self.text(of.name)
    }

    pub(crate) fn text(&self, offset: u32) -> &[u8] {
        let rest = self.names.get(offset as usize..).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The type as C writes it, without a name after it.
    pub(crate) fn write_type(&self, id: u32, out: &mut Vec<u8>) -> Option<()> {
        self.write_within(id, MAX_DEPTH, out)
    }

    fn write_within(&self, id: u32, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        let of = self.get(id)?;
        let keyword = match &of.kind {
            Kind::Void => {
                out.extend_from_slice(b"void");
                return Some(());
            }
            Kind::Modifier { to } => return self.write_within(*to, depth, out),
            Kind::Pointer { to } => {
                self.write_within(*to, depth, out)?;
                out.extend_from_slice(if out.ends_with(b"*") { b"*" } else { b" *" });
                return Some(());
            }
            Kind::Array { .. } => return self.write_array(id, depth, out),
            Kind::Struct { keyword, .. } | Kind::Forward { keyword } => keyword.word(),
            Kind::Enum { .. } => "enum",
            _ => "",
        };
        out.extend_from_slice(keyword.as_bytes());
        let name = self.name(of);
        if !keyword.is_empty() && !name.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(name);
        Some(())
    }

    /// The dimensions of an array stand behind its element, the outermost first.
    fn write_array(&self, mut id: u32, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let mut counts = Vec::new();
        loop {
            match self.get(id)?.kind {
                Kind::Array { element, count } if counts.len() < MAX_DEPTH => {
                    counts.push(count);
                    id = element;
                }
                Kind::Modifier { to } if counts.len() < MAX_DEPTH => {
                    if !matches!(self.get(to)?.kind, Kind::Array { .. }) {
                        break;
                    }
                    id = to;
                }
                _ => break,
            }
        }
        self.write_within(id, depth, out)?;
        for count in counts {
            out.extend_from_slice(format!("[{count}]").as_bytes());
        }
        Some(())
    }
}

fn read_type(reader: &mut Reader<'_>) -> Option<Type> {
    let (name, info, size_or_type) = (reader.word()?, reader.word()?, reader.word()?);
    let (count, flag) = (info & 0xffff, info >> 31 != 0);
    let kind = match info >> 24 & 0x1f {
        1 => Kind::Int { size: size_or_type, is_signed: reader.word()? >> 24 & 1 != 0 },
        2 => Kind::Pointer { to: size_or_type },
        3 => {
            let (element, _index, count) = (reader.word()?, reader.word()?, reader.word()?);
            Kind::Array { element, count }
        }
        kind @ (4 | 5) => {
            let mut members = Vec::new();
            for _ in 0..count {
                let (name, of, offset) = (reader.word()?, reader.word()?, reader.word()?);
                let (bit_offset, bits) =
                    if flag { (offset & 0xff_ffff, offset >> 24) } else { (offset, 0) };
                members.push(Member { name, of, bit_offset, bits });
            }
            let keyword = if kind == 4 { Keyword::Struct } else { Keyword::Union };
            Kind::Struct { size: size_or_type, members, keyword }
        }
        kind @ (6 | 19) => {
            let mut values = Vec::new();
            for _ in 0..count {
                let (name, low) = (reader.word()?, reader.word()?);
                let high = if kind == 19 { reader.word()? } else { 0 };
                let value = match kind {
                    19 => (u64::from(high) << 32 | u64::from(low)).cast_signed(),
                    _ if flag => low.cast_signed().into(),
                    _ => low.into(),
                };
                values.push((name, value));
            }
            Kind::Enum { size: size_or_type, is_signed: flag, values }
        }
        7 => Kind::Forward { keyword: if flag { Keyword::Union } else { Keyword::Struct } },
        8 => Kind::Typedef { to: size_or_type },
        9..=11 | 18 => Kind::Modifier { to: size_or_type },
        12 => Kind::Function { prototype: size_or_type },
        13 => {
            skip(reader, 2 * count)?;
            Kind::Prototype { arguments: count }
        }
        // Variables, sections and tags are no types of values; their length matters.
        14 | 17 => skip(reader, 1)?,
        15 => skip(reader, 3 * count)?,
        16 => Kind::Float { size: size_or_type },
        _ => Kind::Other,
    };
    Some(Type { name, kind })
}

fn skip(reader: &mut Reader<'_>, words: u32) -> Option<Kind> {
    for _ in 0..words {
        reader.word()?;
    }
    Some(Kind::Other)
}
