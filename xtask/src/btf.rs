//! BTF, as far as relocations need it: what a type is called, and which field an access string
//! means. Written against the format, not against a loader, so that it can find one wrong.

use anyhow::{Context, Result, bail, ensure};

const MAGIC: u16 = 0xeb9f;

pub(crate) struct Btf<'a> {
    /// Type 0 is void and not among them.
    types: Vec<Type>,
    strings: &'a [u8],
}

struct Type {
    name: u32,
    kind: u32,
    /// Of a pointer, typedef or qualifier, the type behind it.
    target: u32,
    /// Of a struct or union: name and type of each.
    members: Vec<(u32, u32)>,
    /// Of an array: the type of its elements.
    element: u32,
}

const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const TYPE_TAG: u32 = 18;

impl<'a> Btf<'a> {
    /// Parses a `.BTF` section.
    pub(crate) fn parse(section: &'a [u8]) -> Result<Btf<'a>> {
        let (header, body) = header(section)?;
        let at = |index| word(header, index);
        let (types_at, types_len) = (at(8)? as usize, at(12)? as usize);
        let (strings_at, strings_len) = (at(16)? as usize, at(20)? as usize);
        let strings = body.get(strings_at..strings_at + strings_len).context("no strings")?;
        let mut rest = body.get(types_at..types_at + types_len).context("no types")?;
        let mut types = Vec::new();
        while !rest.is_empty() {
            let (r#type, size) = parse_type(rest)?;
            types.push(r#type);
            rest = rest.get(size..).context("a type is cut off")?;
        }
        Ok(Btf { types, strings })
    }

    pub(crate) fn string(&self, offset: u32) -> Result<&'a str> {
        let bytes = self.strings.get(offset as usize..).context("no such string")?;
        let end = bytes.iter().position(|byte| *byte == 0).context("a string has no end")?;
        Ok(std::str::from_utf8(&bytes[..end])?)
    }

    /// The field that an access string such as `0:3:1` means within a type, as in C:
    /// `sock.__sk_common.skc_num`.
    pub(crate) fn field(&self, root: u32, access: &str) -> Result<String> {
        let mut path = self.string(self.get(root)?.name)?.to_owned();
        let mut current = root;
        // The first number is an index into an array of the root type.
        for index in access.split(':').skip(1) {
            let index: usize = index.parse().context("an access string is made of numbers")?;
            let r#type = self.unqualified(current)?;
            match r#type.kind {
                STRUCT | UNION => {
                    let (name, member) = *r#type.members.get(index).context("no such member")?;
                    let name = self.string(name)?;
                    if !name.is_empty() {
                        path.push('.');
                        path.push_str(name);
                    }
                    current = member;
                }
                ARRAY => {
                    path.push_str(&format!("[{index}]"));
                    current = r#type.element;
                }
                kind => bail!("a type of kind {kind} has no parts"),
            }
        }
        Ok(path)
    }

    fn get(&self, id: u32) -> Result<&Type> {
        let index = (id as usize).checked_sub(1).context("void has no name")?;
        self.types.get(index).context("no such type")
    }

    fn unqualified(&self, mut id: u32) -> Result<&Type> {
        loop {
            let r#type = self.get(id)?;
            match r#type.kind {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = r#type.target,
                _ => return Ok(r#type),
            }
        }
    }
}

/// A type and how many bytes it takes.
fn parse_type(bytes: &[u8]) -> Result<(Type, usize)> {
    let (name, info, target) = (word(bytes, 0)?, word(bytes, 4)?, word(bytes, 8)?);
    let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
    let extra = match kind {
        1 | 14 | 17 => 4,
        ARRAY => 12,
        STRUCT | UNION | 15 | 19 => 12 * count,
        6 | 13 => 8 * count,
        2 | 7..=12 | 16 | TYPE_TAG => 0,
        kind => bail!("no type has kind {kind}"),
    };
    let members = match kind {
        STRUCT | UNION => (0..count)
            .map(|i| Ok((word(bytes, 12 + 12 * i)?, word(bytes, 16 + 12 * i)?)))
            .collect::<Result<_>>()?,
        _ => Vec::new(),
    };
    let element = if kind == ARRAY { word(bytes, 12)? } else { 0 };
    Ok((Type { name, kind, target, members, element }, 12 + extra))
}

/// A CO-RE relocation: an instruction whose number the loader replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// The section that the instruction is in.
    pub section: String,
    /// Where in it, in bytes.
    pub offset: u32,
    pub field: String,
    /// What is asked of the field; 0 is its offset in bytes.
    pub kind: u32,
}

/// The CO-RE relocations of a `.BTF.ext` section.
pub(crate) fn relocations(section: &[u8], btf: &Btf<'_>) -> Result<Vec<Relocation>> {
    let (header, body) = header(section)?;
    ensure!(header.len() >= 32, "a .BTF.ext without relocations");
    let (start, len) = (word(header, 24)? as usize, word(header, 28)? as usize);
    let info = body.get(start..start + len).context("the relocations are cut off")?;
    let mut found = Vec::new();
    if info.is_empty() {
        return Ok(found);
    }
    let size = word(info, 0)? as usize;
    ensure!(size >= 16, "a relocation has four numbers");
    let mut rest = &info[4..];
    while !rest.is_empty() {
        let (name, count) = (btf.string(word(rest, 0)?)?, word(rest, 4)? as usize);
        let records = rest.get(8..8 + size * count).context("the relocations are cut off")?;
        for record in records.chunks_exact(size) {
            found.push(Relocation {
                section: name.to_owned(),
                offset: word(record, 0)?,
                field: btf.field(word(record, 4)?, btf.string(word(record, 8)?)?)?,
                kind: word(record, 12)?,
            });
        }
        rest = &rest[8 + size * count..];
    }
    Ok(found)
}

/// Header and body of a section of either kind.
fn header(section: &[u8]) -> Result<(&[u8], &[u8])> {
    let magic = section.get(..2).context("the section is empty")?;
    ensure!(magic == MAGIC.to_le_bytes(), "not little-endian BTF");
    section.split_at_checked(word(section, 4)? as usize).context("the header is cut off")
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    let bytes = bytes.get(at..at + 4).context("the section is cut off")?;
    Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}
