//! Values of socket-local BPF storage, in terms of the types that their map was declared with.

use super::{Array, Object, Value};
use crate::bpfmap::{bits, signed, unsigned};
use crate::btf::{Btf, Kind, Member};

/// Types nest no deeper than this in anything that a compiler made.
const MAX_DEPTH: usize = 32;
/// Empty types inside one another would have no end.
const MAX_PARTS: u32 = 1 << 16;

/// `type` and `value`: what cannot be told of it is left out.
pub(super) fn value(object: &mut Object<'_>, btf: &Btf, id: u32, bytes: &[u8]) {
    object.written("type", |out| {
        let _ = btf.write_type(id, out);
    });
    let mut values = Values { btf, left: MAX_PARTS };
    let _ = values.write(Slot::Member(object, "value"), id, bytes, 0);
}

struct Values<'b> {
    btf: &'b Btf,
    /// How many parts may still be written.
    left: u32,
}

/// Where a value goes.
enum Slot<'s, 'o> {
    Member(&'s mut Object<'o>, &'s str),
    Element(&'s mut Array<'o>),
}

impl<'s> Slot<'s, '_> {
    fn value(self, value: impl Value) {
        match self {
            Slot::Member(object, key) => object.value(key, value),
            Slot::Element(array) => array.value(value),
        }
    }

    fn text(self, text: &[u8]) {
        match self {
            Slot::Member(object, key) => object.bytes(key, text),
            Slot::Element(array) => array.value(String::from_utf8_lossy(text).into_owned()),
        }
    }

    fn object(self) -> Object<'s> {
        match self {
            Slot::Member(object, key) => object.object(key),
            Slot::Element(array) => array.object(),
        }
    }

    fn array(self) -> Array<'s> {
        match self {
            Slot::Member(object, key) => object.array(key),
            Slot::Element(array) => array.array(),
        }
    }
}

impl Values<'_> {
    fn write(&mut self, slot: Slot<'_, '_>, id: u32, bytes: &[u8], depth: usize) -> Option<()> {
        self.left = self.left.checked_sub(1).filter(|_| depth < MAX_DEPTH)?;
        let bytes = bytes.get(..self.btf.size(id)?)?;
        let known = self.btf.resolved(id)?;
        match &known.kind {
            Kind::Int { .. } if self.btf.name(known) == b"_Bool" => {
                slot.value(unsigned(bytes)? != 0)
            }
            Kind::Int { is_signed: true, .. } => slot.value(signed(bytes)?),
            Kind::Int { .. } => slot.value(unsigned(bytes)?),
            Kind::Pointer { .. } => slot.value(unsigned(bytes)?),
            Kind::Float { .. } => slot.value(float(bytes)?),
            Kind::Enum { is_signed, values, .. } => {
                let value =
                    if *is_signed { signed(bytes)? } else { unsigned(bytes)?.cast_signed() };
                match values.iter().find(|(_, known)| *known == value) {
                    Some((name, _)) => slot.text(self.btf.text(*name)),
                    None if *is_signed => slot.value(value),
                    None => slot.value(value.cast_unsigned()),
                }
            }
            Kind::Array { element, .. } if self.is_text(*element) => {
                slot.text(bytes.split(|byte| *byte == 0).next().unwrap_or_default());
            }
            Kind::Array { element, count } => {
                let size = self.btf.size(*element)?;
                let mut array = slot.array();
                for i in (0..*count as usize).take_while(|_| size > 0) {
                    let from = bytes.get(i * size..)?;
                    self.write(Slot::Element(&mut array), *element, from, depth + 1)?;
                }
            }
            Kind::Struct { members, .. } => {
                self.members(&mut slot.object(), members, bytes, depth);
            }
            _ => return None,
        }
        Some(())
    }

    /// Those of a struct without a name are members of the one around it, as in C.
    fn members(&mut self, object: &mut Object<'_>, members: &[Member], bytes: &[u8], depth: usize) {
        for member in members {
            let Some(from) = bytes.get(member.bit_offset as usize / 8..) else { continue };
            let name = self.btf.member_name(member);
            let unnamed = self.btf.resolved(member.of).filter(|_| name.is_empty());
            if let Some(Kind::Struct { members, .. }) = unnamed.map(|known| &known.kind) {
                if let Some(left) = self.left.checked_sub(1).filter(|_| depth < MAX_DEPTH) {
                    self.left = left;
                    self.members(object, members, from, depth + 1);
                }
                continue;
            }
            let Some(key) = identifier(name) else { continue };
            if member.bits == 0 {
                let _ = self.write(Slot::Member(object, key), member.of, from, depth + 1);
            } else if let Some(value) = bits(self.btf, member, from) {
                match self.btf.resolved(member.of).map(|known| &known.kind) {
                    Some(Kind::Int { is_signed: true, .. }) => {
                        let unused = 64 - member.bits;
                        object.value(key, value.cast_signed() << unused >> unused);
                    }
                    _ => object.value(key, value),
                }
            }
        }
    }

    fn is_text(&self, element: u32) -> bool {
        self.btf.resolved(element).is_some_and(|element| {
            matches!(element.kind, Kind::Int { size: 1, .. }) && self.btf.name(element) == b"char"
        })
    }
}

/// JSON has no word for what is no number.
fn float(bytes: &[u8]) -> Option<f64> {
    let value = match bytes.len() {
        4 => f32::from_ne_bytes(bytes.try_into().ok()?).into(),
        8 => f64::from_ne_bytes(bytes.try_into().ok()?),
        _ => return None,
    };
    Some(value).filter(|value| value.is_finite())
}

/// The kernel takes no other names; a key is written as it is.
fn identifier(name: &[u8]) -> Option<&str> {
    let is_one = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    std::str::from_utf8(name)
        .ok()
        .filter(|name| !name.is_empty() && name.bytes().all(|b| is_one(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The BTF and a value of `struct val` of testdata/bpf/value.h.
    const BTF: &[u8] = include_bytes!("../../../testdata/bpf/value.btf");
    const VALUE: &[u8] = include_bytes!("../../../testdata/bpf/value.bin");
    const STRUCT_VAL: u32 = 9;

    fn json(btf: &[u8], id: u32, bytes: &[u8]) -> Option<serde_json::Value> {
        let btf = Btf::parse(btf)?;
        let mut out = Vec::new();
        value(&mut Object::new(&mut out), &btf, id, bytes);
        Some(serde_json::from_slice(&out).unwrap())
    }

    #[test]
    fn a_value_has_the_members_of_its_type() {
        let expected = serde_json::json!({
            "type": "struct val",
            "value": {
                "a": 7, "b": [0, 1_099_511_627_776_u64], "name": "hi", "col": "GREEN", "col2": 77,
                "in": {"c": 120, "s": -3}, "arr": [{"c": 0, "s": 0}, {"c": 0, "s": 0}],
                "p": 0, "q": 0x1234, "t": true, "bf1": -2, "bf2": 9, "cv": 0, "u1": 5,
                "u2": f64::from(f32::from_bits(5)), "an": {"x": 3}, "d": 0.0, "f": 0.0, "neg": -5,
                "sc": -7, "bytes": [200, 0, 0], "zero": [], "ll": -123_456_789_012_i64
            }
        });
        let mut value = json(BTF, STRUCT_VAL, VALUE).unwrap();
        // The columns leave out what follows a NUL.
        for key in ["arr", "bytes"] {
            let (told, wanted) = (value["value"][key].take(), &expected["value"][key]);
            assert_eq!(told.as_array().unwrap().len(), wanted.as_array().unwrap().len(), "{key}");
            value["value"][key] = wanted.clone();
        }
        assert_eq!(value, expected);
    }

    proptest! {
        #[test]
        fn damaged_types_and_values_are_json_all_the_same(
            at in 0..BTF.len(),
            byte in any::<u8>(),
            id in 0u32..40,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut damaged = BTF.to_vec();
            damaged[at] = byte;
            let _ = json(&damaged, id, &bytes);
        }
    }
}
