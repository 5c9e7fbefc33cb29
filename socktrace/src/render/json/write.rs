//! Objects and arrays, written straight into the output buffer: no tree, no allocation.

use std::mem;

use super::value::{Value, hex_digit, is_plain, string};
use crate::render::number::shortened;

/// A JSON object that is being written; dropping it closes it. Keys are words of the schema.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before the next member: the brace that opens the object, or a comma.
    lead: u8,
}

/// Of a key and what is around it: longer ones are rare.
const KEY_BYTES: usize = 32;

impl<'a> Object<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Object<'a> {
        Object { out, lead: b'{' }
    }

    #[inline]
    pub fn value(&mut self, key: &str, value: impl Value) {
        self.key(key);
        value.write(self.out);
    }

    /// As [`Object::value`]; what is not known is left out.
    #[inline]
    pub fn known(&mut self, key: &str, value: Option<impl Value>) {
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
        let lead = self.lead;
        self.key(key);
        self.out.push(b'"');
        let start = self.out.len();
        write(self.out);
        if is_plain(&self.out[start..]) {
            return self.out.push(b'"');
        }
        let text = self.out.split_off(start);
        self.out.truncate(before);
        self.lead = lead;
        self.bytes(key, &text);
    }

    /// Text that `write` appends, all of it printable ASCII without quotes.
    #[inline]
    pub fn plain(&mut self, key: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.key(key);
        plain(self.out, write);
    }

    /// Bytes that are no text, in hexadecimal.
    pub fn binary(&mut self, key: &str, bytes: &[u8]) {
        self.hex(&[key], bytes);
    }

    /// Words or other texts, as an array.
    pub fn words(&mut self, key: &str, words: impl IntoIterator<Item = impl Value>) {
        let mut array = self.array(key);
        words.into_iter().for_each(|word| array.value(word));
    }

    #[inline]
    pub fn object(&mut self, key: &str) -> Object<'_> {
        self.key(key);
        Object::new(self.out)
    }

    #[inline]
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

    /// Where the key is known to the compiler, all of it is written at once.
    #[inline(always)]
    fn key(&mut self, key: &str) {
        let mut text = [0; KEY_BYTES];
        let end = key.len() + 2;
        if end + 2 > KEY_BYTES {
            return self.long_key(key);
        }
        text[0] = mem::replace(&mut self.lead, b',');
        text[1] = b'"';
        text[2..end].copy_from_slice(key.as_bytes());
        text[end..end + 2].copy_from_slice(b"\":");
        shortened(self.out, text, end + 2);
    }

    #[cold]
    fn long_key(&mut self, key: &str) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn separate(&mut self) {
        self.out.push(mem::replace(&mut self.lead, b','));
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
    #[inline]
    fn drop(&mut self) {
        if self.lead != b',' {
            self.out.push(self.lead);
        }
        self.out.push(b'}');
    }
}

/// A JSON array that is being written; dropping it closes it.
pub struct Array<'a> {
    out: &'a mut Vec<u8>,
    /// What stands before the next element: the bracket that opens the array, or a comma.
    lead: u8,
}

impl<'a> Array<'a> {
    pub fn new(out: &'a mut Vec<u8>) -> Array<'a> {
        Array { out, lead: b'[' }
    }

    pub fn value(&mut self, value: impl Value) {
        self.separate();
        value.write(self.out);
    }

    /// As [`Object::plain`].
    pub fn plain(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        plain(self.out, write);
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
        self.out.push(mem::replace(&mut self.lead, b','));
    }
}

impl Drop for Array<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.lead != b',' {
            self.out.push(self.lead);
        }
        self.out.push(b']');
    }
}

#[inline]
fn plain(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    let start = out.len();
    write(out);
    debug_assert!(is_plain(&out[start..]), "{}", out[start..].escape_ascii());
    out.push(b'"');
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
            object.words("none", [""; 0]);
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
                assert_eq!(
                    object(|object| object.value("n", name.to_owned())),
                    expected,
                    "as a value"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_read_back(name: Vec<u8>, other: String) {
            let text = object(|object| {
                object.bytes("a", &name);
                object.written("b", |out| out.extend_from_slice(&name));
                object.value("c", &other);
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
