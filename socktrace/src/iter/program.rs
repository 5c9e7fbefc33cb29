//! A program as it lies in an object of ours: instructions, and the fields of the kernel whose
//! places are to be put into them.

use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection};

use crate::btf::kernel::Place;
use crate::btf::{Btf, Kind};

const INSTRUCTION: usize = 8;

pub(super) struct Program {
    pub(super) code: Vec<u8>,
    pub(super) fields: Vec<Field>,
}

/// A field that an instruction reads or computes the address of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The instruction, by its place in the code in bytes.
    at: usize,
    /// The name of the struct, and of the member, its member and so on.
    pub(super) root: Vec<u8>,
    pub(super) path: Vec<Vec<u8>>,
    /// How large it is in the source, if it is a number or a pointer.
    size: Option<u32>,
}

impl Field {
    /// As in C, for people.
    pub(super) fn name(&self) -> String {
        let parts = [&self.root].into_iter().chain(&self.path);
        let parts: Vec<_> = parts.map(|part| String::from_utf8_lossy(part)).collect();
        parts.join(".")
    }
}

impl Program {
    /// The program of a section; `None` if the object has none, or has what is not known here.
    pub(super) fn parse(object: &[u8], section: &str) -> Option<Program> {
        let file = ElfFile64::<LittleEndian>::parse(object).ok()?;
        let data = |name: &str| file.section_by_name(name)?.data().ok();
        let holder = file.section_by_name(section)?;
        // A call to a function of the object, or a map.
        if holder.relocations().next().is_some() {
            return None;
        }
        let btf = Btf::parse(data(".BTF")?)?;
        let fields = relocations(data(".BTF.ext")?, &btf, section.as_bytes())?;
        Some(Program { code: holder.data().ok()?.to_vec(), fields })
    }

    /// Puts the place of a field into its instruction; false if it cannot be there.
    #[must_use]
    pub(super) fn set(&mut self, index: usize, place: Place) -> bool {
        const CLASS: u8 = 7;
        const MEMORY: std::ops::RangeInclusive<u8> = 1..=3;
        let field = &self.fields[index];
        let Some(code) = self.code.get_mut(field.at..field.at + INSTRUCTION) else { return false };
        if MEMORY.contains(&(code[0] & CLASS)) {
            // What is read there is as large as it is in the source.
            let Ok(offset) = i16::try_from(place.offset) else { return false };
            code[2..4].copy_from_slice(&offset.to_le_bytes());
            return place.size == field.size;
        }
        code[4..8].copy_from_slice(&place.offset.to_le_bytes());
        true
    }
}

/// The relocations of a section: `.BTF.ext` lists them by section, each with an instruction, a
/// type, a path of numbers within it, and what is asked: 0 for the offset.
fn relocations(ext: &[u8], btf: &Btf, section: &[u8]) -> Option<Vec<Field>> {
    let word = |at: usize| Some(u32::from_le_bytes(*ext.get(at..)?.first_chunk()?));
    let start = (word(4)? + word(24)?) as usize;
    let end = start + word(28)? as usize;
    let size = word(start)? as usize;
    let mut at = start + 4;
    let mut fields = Vec::new();
    while at < end {
        let (name, count) = (word(at)?, word(at + 4)? as usize);
        at += 8;
        for record in (0..count).map(|i| at + i * size) {
            let (of, access, asked) = (word(record + 4)?, word(record + 8)?, word(record + 12)?);
            if btf.text(name) == section {
                let field = field(btf, of, btf.text(access), word(record)? as usize)?;
                fields.push((asked == 0).then_some(field)?);
            }
        }
        at += count * size;
    }
    Some(fields)
}

/// The field that a path of numbers leads to. The first is an index into an array of the root;
/// members without a name are passed over.
fn field(btf: &Btf, root: u32, access: &[u8], at: usize) -> Option<Field> {
    let name = btf.name(btf.get(root)?).to_vec();
    let (mut of, mut path) = (root, Vec::new());
    for number in std::str::from_utf8(access).ok()?.split(':').skip(1) {
        let Kind::Struct { members, .. } = &btf.resolved(of)?.kind else { return None };
        let member = members.get(number.parse::<usize>().ok()?)?;
        let member_name = btf.member_name(member);
        if !member_name.is_empty() {
            path.push(member_name.to_vec());
        }
        of = member.of;
    }
    let size = match btf.resolved(of)?.kind {
        Kind::Int { size, .. } | Kind::Enum { size, .. } => Some(size),
        Kind::Pointer { .. } => Some(8),
        _ => None,
    };
    Some(Field { at, root: name, path, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_of_fields_are_put_into_instructions() {
        let field = |at| Field { at, root: Vec::new(), path: Vec::new(), size: Some(4) };
        // r1 = *(u32 *)(r1 + 7); r1 += 7.
        let code = vec![0x61, 0x11, 7, 0, 0, 0, 0, 0, 0x07, 0x01, 0, 0, 7, 0, 0, 0];
        let mut program = Program { code, fields: vec![field(0), field(8)] };
        let place = Place { offset: 0x1234, size: Some(4) };
        assert!(program.set(0, place) && program.set(1, place));
        assert_eq!(program.code[..8], [0x61, 0x11, 0x34, 0x12, 0, 0, 0, 0]);
        assert_eq!(program.code[8..], [0x07, 0x01, 0, 0, 0x34, 0x12, 0, 0]);
    }

    #[test]
    fn what_is_read_must_be_as_large_and_within_reach() {
        let field = Field { at: 0, root: Vec::new(), path: Vec::new(), size: Some(4) };
        let mut program = Program { code: vec![0x61, 0x11, 0, 0, 0, 0, 0, 0], fields: vec![field] };
        assert!(!program.set(0, Place { offset: 8, size: Some(8) }));
        assert!(!program.set(0, Place { offset: 8, size: None }));
        assert!(!program.set(0, Place { offset: 40_000, size: Some(4) }));
        assert!(program.set(0, Place { offset: 8, size: Some(4) }));
    }

    #[test]
    fn what_is_no_object_has_no_program() {
        assert!(Program::parse(b"", "iter/task_file").is_none());
    }
}
