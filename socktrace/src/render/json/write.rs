//! Objects and arrays, written straight into the output buffer: no tree, no allocation.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

/// A JSON object that is being written; dropping it closes it. Keys are words of the schema.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Object<'a> {
        out.push(b'{');
        Object { out, is_empty: true }
    }

    /// A number, a truth value, or text that is known to be UTF-8.
    pub fn value(&mut self, key: &str, value: impl Serialize) {
        self.key(key);
        serialize(self.out, &value);
    }

    /// As [`Object::value`]; what is not known is left out.
    pub fn known(&mut self, key: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }

    /// Text of any bytes. If they are not UTF-8, `KEY_hex` has them as they are.
    pub fn bytes(&mut self, key: &str, text: &[u8]) {
        self.key(key);
        let is_exact = string(self.out, text);
        if !is_exact {
            self.hex(&[key, "_hex"], text);
        }
    }

    /// Text of any bytes that `write` appends.
    pub fn written(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.out.len();
        let was_empty = self.is_empty;
        self.key(key);
        self.out.push(b'"');
        let start = self.out.len();
        write(self.out);
        if self.out[start..].iter().all(|byte| is_plain(*byte)) {
            return self.out.push(b'"');
        }
        let text = self.out.split_off(start);
        self.out.truncate(before);
        self.is_empty = was_empty;
        self.bytes(key, &text);
    }

    /// Bytes that are no text, in hexadecimal.
    pub fn binary(&mut self, key: &str, bytes: &[u8]) {
        self.hex(&[key], bytes);
    }

    /// Words of a fixed list, as an array.
    pub fn words<'w>(&mut self, key: &str, words: impl IntoIterator<Item = &'w str>) {
        let mut array = self.array(key);
        words.into_iter().for_each(|word| array.value(word));
    }

    pub fn object(&mut self, key: &str) -> Object<'_> {
        self.key(key);
        Object::new(self.out)
    }

    pub fn array(&mut self, key: &str) -> Array<'_> {
        self.key(key);
        Array::new(self.out)
    }

    /// Adds the members of an object that is written already.
    pub fn members_of(&mut self, object: &[u8]) {
        let members = object.strip_prefix(b"{").and_then(|object| object.strip_suffix(b"}"));
        if let Some(members) = members.filter(|members| !members.is_empty()) {
            self.separate();
            self.out.extend_from_slice(members);
        }
    }

    fn key(&mut self, key: &str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
    }

    fn hex(&mut self, key: &[&str], bytes: &[u8]) {
        self.separate();
        self.out.push(b'"');
        key.iter().for_each(|part| self.out.extend_from_slice(part.as_bytes()));
        self.out.extend_from_slice(b"\":\"");
        self.out.extend(bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(hex_digit));
        self.out.push(b'"');
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        self.out.push(b'}');
    }
}

/// A JSON array that is being written; dropping it closes it.
pub struct Array<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Array<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Array<'a> {
        out.push(b'[');
        Array { out, is_empty: true }
    }

    pub fn value(&mut self, value: impl Serialize) {
        self.separate();
        serialize(self.out, &value);
    }

    /// Text that `write` appends, all of it printable ASCII.
    pub fn written(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        self.out.push(b'"');
        write(self.out);
        self.out.push(b'"');
    }

    pub fn object(&mut self) -> Object<'_> {
        self.separate();
        Object::new(self.out)
    }

    pub fn array(&mut self) -> Array<'_> {
        self.separate();
        Array::new(self.out)
    }

    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(b',');
        }
    }
}

impl Drop for Array<'_> {
    fn drop(&mut self) {
        self.out.push(b']');
    }
}

fn serialize(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Safe);
    value.serialize(&mut serializer).expect("numbers and words serialize into a Vec");
}

/// Escapes in strings what [`escaped`] does, beyond what JSON asks for.
struct Safe;

impl Formatter for Safe {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut safe = Vec::new();
        fragment.chars().for_each(|character| escaped(&mut safe, character));
        writer.write_all(&safe)
    }
}

/// A string of any bytes, quoted; whether it says all of them. What is not UTF-8 becomes U+FFFD.
/// Characters that would steer a terminal or turn its text around are escaped.
fn string(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let mut is_exact = true;
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            escaped(out, character);
        }
        if !chunk.invalid().is_empty() {
            is_exact = false;
            out.extend_from_slice(b"\\ufffd");
        }
    }
    out.push(b'"');
    is_exact
}

fn escaped(out: &mut Vec<u8>, character: char) {
    match character {
        '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
        '\n' => out.extend_from_slice(b"\\n"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\0'..='\x1f'
        | '\x7f'..='\u{9f}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => {
            let unit = u32::from(character);
            out.extend_from_slice(b"\\u");
            out.extend([12, 8, 4, 0].map(|shift| hex_digit((unit >> shift & 15) as u8)));
        }
        _ => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Whether a byte stands for itself in a string, whatever is beside it.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn hex_digit(value: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(write: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        write(&mut Object::new(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn objects_close_themselves() {
        let text = object(|object| {
            object.value("port", 80);
            object.known("mark", None::<u32>);
            object.known("uid", Some(0));
            object.object("local").value("up", true);
            object.words("flags", ["a", "b"]);
            object.words("none", []);
            let mut list = object.array("owners");
            list.object().bytes("comm", b"x");
            list.object();
        });
        assert_eq!(
            text,
            r#"{"port":80,"uid":0,"local":{"up":true},"flags":["a","b"],"none":[],"owners":[{"comm":"x"},{}]}"#
        );
    }

    #[test]
    fn an_object_may_join_another() {
        let text = object(|object| {
            object.members_of(b"{}");
            object.value("a", 1);
            object.members_of(br#"{"b":2}"#);
        });
        assert_eq!(text, r#"{"a":1,"b":2}"#);
    }

    #[test]
    fn hostile_names_are_safe() {
        for (name, expected) in [
            (&b"a\"b\\c"[..], r#"{"n":"a\"b\\c"}"#),
            (b"new\nline\ttab", r#"{"n":"new\nline\ttab"}"#),
            (b"\x1b[31m\0\x7f", r#"{"n":"\u001b[31m\u0000\u007f"}"#),
            // The one-byte form of ESC [ and a mark that turns text around.
            (b"\xc2\x9b2J\xe2\x80\xae", r#"{"n":"\u009b2J\u202e"}"#),
            ("é".as_bytes(), "{\"n\":\"é\"}"),
            (b"caf\xe9\xff.", r#"{"n":"caf\ufffd\ufffd.","n_hex":"636166e9ff2e"}"#),
            (b"", r#"{"n":""}"#),
        ] {
            assert_eq!(object(|object| object.bytes("n", name)), expected);
            let written = object(|object| object.written("n", |out| out.extend_from_slice(name)));
            assert_eq!(written, expected, "as written");
            if let Ok(name) = std::str::from_utf8(name) {
                assert_eq!(object(|object| object.value("n", name)), expected, "as a value");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_read_back(name: Vec<u8>, other: String) {
            let text = object(|object| {
                object.bytes("a", &name);
                object.written("b", |out| out.extend_from_slice(&name));
                object.value("c", &*other);
            });
            let back: serde_json::Value = serde_json::from_str(&text).unwrap();
            for key in ["a", "b"] {
                match back.get(format!("{key}_hex")) {
                    None => prop_assert_eq!(back[key].as_str().unwrap().as_bytes(), &name[..]),
                    Some(hex) => {
                        let bytes: Vec<String> = name.iter().map(|b| format!("{b:02x}")).collect();
                        prop_assert_eq!(hex.as_str().unwrap(), bytes.concat());
                        prop_assert_eq!(
                            back[key].as_str().unwrap(),
                            String::from_utf8_lossy(&name)
                        );
                    }
                }
            }
            prop_assert_eq!(back["c"].as_str().unwrap(), other);
        }
    }
}
