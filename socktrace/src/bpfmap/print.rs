//! A value in terms of its type, as `ss` has its library print it, oddities included.

use crate::btf::{Btf, Kind, Member};
use crate::render::number::write_to;

/// How a value is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A line for each part, indented by so many tabs.
    Lines {
        indent: usize,
    },
    OneLine,
}

/// Types nest no deeper than this in anything that a compiler made.
const MAX_DEPTH: usize = 32;
/// Values are no longer than this in print: empty types inside one another would make them so.
const MAX_TEXT: usize = 1 << 20;

/// Appends a value; false if its type is not one of values, or the value is too short for it.
pub(super) fn value(btf: &Btf, id: u32, bytes: &[u8], layout: Layout, out: &mut Vec<u8>) -> bool {
    let limit = out.len() + MAX_TEXT;
    let mut printer = Printer {
        btf,
        layout,
        out,
        limit,
        depth: 0,
        knows_characters: false,
        is_terminated: false,
        in_array: false,
    };
    printer.typed(None, id, bytes).is_some()
}

struct Printer<'a> {
    btf: &'a Btf,
    layout: Layout,
    out: &'a mut Vec<u8>,
    /// How long `out` may become.
    limit: usize,
    depth: usize,
    /// Set by the first array of bytes: from then on bytes are shown as characters.
    knows_characters: bool,
    /// A NUL was shown as a character: the array that it is in ends there.
    is_terminated: bool,
    /// The type of an array's elements is said once, before them, and so are those inside them.
    in_array: bool,
}

impl Printer<'_> {
    fn typed(&mut self, member: Option<&Member>, id: u32, bytes: &[u8]) -> Option<()> {
        if self.depth > MAX_DEPTH || self.out.len() > self.limit {
            return None;
        }
        self.indent();
        let name = member.map(|member| self.btf.member_name(member)).unwrap_or_default();
        if !name.is_empty() {
            self.out.push(b'.');
            self.out.extend_from_slice(name);
            self.out.extend_from_slice(b" = ");
        }
        if !self.in_array {
            self.out.push(b'(');
            self.btf.write_type(id, self.out)?;
            self.out.push(b')');
        }
        if let Some(member) = member.filter(|member| member.bits != 0) {
            return self.bit_field(member, bytes);
        }
        let size = self.btf.size(id)?;
        let bytes = bytes.get(..size)?;
        match &self.btf.resolved(id)?.kind {
            Kind::Int { is_signed, .. } => self.integer(bytes, *is_signed)?,
            Kind::Pointer { .. } => match unsigned(bytes)? {
                0 => self.scalar(format_args!("(nil)")),
                address => self.scalar(format_args!("{address:#x}")),
            },
            Kind::Float { .. } => match bytes.len() {
                4 => {
                    self.scalar(format_args!("{:.6}", f32::from_ne_bytes(bytes.try_into().ok()?)));
                }
                8 => {
                    self.scalar(format_args!("{:.6}", f64::from_ne_bytes(bytes.try_into().ok()?)));
                }
                _ => return None,
            },
            Kind::Enum { is_signed, values, .. } => {
                let value =
                    if *is_signed { signed(bytes)? } else { unsigned(bytes)?.cast_signed() };
                match values.iter().find(|(_, known)| *known == value) {
                    Some((name, _)) => {
                        self.out.extend_from_slice(self.btf.text(*name));
                        self.end_value();
                    }
                    // Nothing follows a number that has no name.
                    None if *is_signed => write_to(self.out, format_args!("{value}")),
                    None => write_to(self.out, format_args!("{}", value.cast_unsigned())),
                }
            }
            Kind::Array { element, count } => self.array(*element, *count, bytes)?,
            Kind::Struct { members, .. } => {
                self.open(b'{');
                for member in members {
                    let from = bytes.get(member.bit_offset as usize / 8..)?;
                    self.typed(Some(member), member.of, from)?;
                }
                self.close(b'}');
            }
            _ => return None,
        }
        Some(())
    }

    fn integer(&mut self, bytes: &[u8], is_signed: bool) -> Option<()> {
        if let ([byte], true) = (bytes, self.knows_characters) {
            match byte {
                _ if self.is_terminated => return Some(()),
                0 => {
                    self.is_terminated = true;
                    self.scalar(format_args!("'\\0'"));
                    return Some(());
                }
                b' '..=b'~' => {
                    self.scalar(format_args!("'{}'", char::from(*byte)));
                    return Some(());
                }
                _ => {}
            }
        }
        match (bytes.len(), is_signed) {
            (16, _) => {
                let value = u128::from_ne_bytes(bytes.try_into().ok()?);
                self.scalar(format_args!("{value:#x}"));
            }
            (_, true) => {
                let value = signed(bytes)?;
                self.scalar(format_args!("{value}"));
            }
            (_, false) => {
                let value = unsigned(bytes)?;
                self.scalar(format_args!("{value}"));
            }
        }
        Some(())
    }

    fn array(&mut self, element: u32, count: u32, bytes: &[u8]) -> Option<()> {
        let size = self.btf.size(element)?;
        if size == 1 && matches!(self.btf.resolved(element)?.kind, Kind::Int { .. }) {
            self.knows_characters = true;
        }
        let in_array = std::mem::replace(&mut self.in_array, true);
        let was_terminated = std::mem::replace(&mut self.is_terminated, false);
        self.open(b'[');
        for i in 0..count as usize {
            if self.is_terminated || size == 0 {
                break;
            }
            self.typed(None, element, bytes.get(i * size..)?)?;
        }
        self.is_terminated = was_terminated;
        self.in_array = in_array;
        self.close(b']');
        Some(())
    }

    fn bit_field(&mut self, member: &Member, bytes: &[u8]) -> Option<()> {
        let value = bits(self.btf, member, bytes)?;
        self.scalar(format_args!("{value:#x}"));
        Some(())
    }

    fn scalar(&mut self, text: std::fmt::Arguments<'_>) {
        write_to(self.out, text);
        self.end_value();
    }

    fn open(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.depth += 1;
        if self.layout != Layout::OneLine {
            self.out.push(b'\n');
        }
    }

    fn close(&mut self, bracket: u8) {
        self.depth -= 1;
        self.indent();
        self.out.push(bracket);
        self.end_value();
    }

    fn indent(&mut self) {
        if let Layout::Lines { indent } = self.layout {
            let tabs = self.out.len() + indent + self.depth;
            self.out.resize(tabs, b'\t');
        }
    }

    /// What follows a value that is part of another.
    fn end_value(&mut self) {
        if self.depth > 0 {
            self.out.push(b',');
            if self.layout != Layout::OneLine {
                self.out.push(b'\n');
            }
        }
    }
}

/// The bits of a bit field, in bytes that begin where it does.
pub(crate) fn bits(btf: &Btf, member: &Member, bytes: &[u8]) -> Option<u64> {
    let size = btf.size(member.of)?;
    let shift = member.bit_offset % 8;
    let mut wide = [0; 16];
    let length = (shift + member.bits).div_ceil(8) as usize;
    if size > 8 || member.bits > 64 {
        return None;
    }
    wide[..length].copy_from_slice(bytes.get(..length)?);
    // BTF counts the bits of little-endian machines from the lowest one.
    let value = u128::from_le_bytes(wide) >> shift & ((1 << member.bits) - 1);
    u64::try_from(value).ok()
}

pub(crate) fn unsigned(bytes: &[u8]) -> Option<u64> {
    Some(match bytes.len() {
        1 => bytes[0].into(),
        2 => u16::from_ne_bytes(bytes.try_into().ok()?).into(),
        4 => u32::from_ne_bytes(bytes.try_into().ok()?).into(),
        8 => u64::from_ne_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

pub(crate) fn signed(bytes: &[u8]) -> Option<i64> {
    let value = unsigned(bytes)?.cast_signed();
    let unused = 64 - 8 * bytes.len();
    Some(value << unused >> unused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The BTF and a value of `struct val` of testdata/bpf/value.h, and what ss 7.3 printed for it.
    const BTF: &[u8] = include_bytes!("../../testdata/bpf/value.btf");
    const VALUE: &[u8] = include_bytes!("../../testdata/bpf/value.bin");
    const TEXT: &str = include_str!("../../testdata/bpf/value.txt");
    const STRUCT_VAL: u32 = 9;

    fn text(id: u32, bytes: &[u8], layout: Layout) -> Option<String> {
        let mut out = Vec::new();
        let btf = Btf::parse(BTF)?;
        value(&btf, id, bytes, layout, &mut out).then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_value_is_printed_as_ss_prints_it() {
        let lines = text(STRUCT_VAL, VALUE, Layout::Lines { indent: 0 }).unwrap();
        assert_eq!(lines, TEXT);
        let one_line = text(STRUCT_VAL, VALUE, Layout::OneLine).unwrap();
        assert_eq!(one_line, TEXT.replace(['\n', '\t'], ""));
    }

    #[test]
    fn a_value_that_is_too_short_is_refused() {
        for length in 0..VALUE.len() {
            let _ = text(STRUCT_VAL, &VALUE[..length], Layout::OneLine);
        }
        assert_eq!(text(STRUCT_VAL, &VALUE[..VALUE.len() - 1], Layout::OneLine), None);
        assert_eq!(text(1000, VALUE, Layout::OneLine), None);
    }

    proptest! {
        #[test]
        fn damaged_types_and_values_cause_no_panic(
            at in 0..BTF.len(),
            byte in any::<u8>(),
            cut in 0..BTF.len(),
            id in 0u32..40,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut damaged = BTF.to_vec();
            damaged[at] = byte;
            for types in [&damaged[..], &BTF[..cut]] {
                if let Some(btf) = Btf::parse(types) {
                    let _ = value(&btf, id, &bytes, Layout::OneLine, &mut Vec::new());
                }
            }
        }

        #[test]
        fn integers_of_any_declared_size_cause_no_panic(
            kind in prop_oneof![Just(1u32), Just(6), Just(16), Just(19)],
            flags in any::<u32>(),
            size in prop_oneof![0u32..40, any::<u32>()],
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let info = kind << 24 | flags & 0x8000_0000;
            let words = [0, info, size, flags];
            let length = if kind == 1 { 16u32 } else { 12 };
            let mut blob = 0xeb9fu32.to_ne_bytes().to_vec();
            for word in [24, 0, length, length, 1].into_iter().chain(words) {
                blob.extend_from_slice(&word.to_ne_bytes());
            }
            blob.truncate(24 + length as usize);
            blob.push(0);
            let btf = Btf::parse(&blob).expect("a type without members");
            let _ = value(&btf, 1, &bytes, Layout::OneLine, &mut Vec::new());
        }
    }
}
