//! What has no members: numbers, truth values and strings.

use crate::render::number::unsigned;

/// A number, a truth value, a word of the schema, or text that is known to be UTF-8.
pub trait Value {
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! naturals {
    ($($number:ty)*) => {$(
        impl Value for $number {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                unsigned(out, *self as u64);
            }
        }
    )*};
}

naturals!(u8 u16 u32 u64 usize);

macro_rules! integers {
    ($($number:ty)*) => {$(
        impl Value for $number {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                if *self < 0 {
                    out.push(b'-');
                }
                unsigned(out, self.unsigned_abs().into());
            }
        }
    )*};
}

integers!(i8 i32 i64);

impl Value for f64 {
    fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("a Vec takes all that is written to it");
    }
}

impl Value for bool {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

/// A word of the program itself, in which nothing is to be escaped.
impl Value for &'static str {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        debug_assert!(is_plain(self.as_bytes()), "{self:?} is no word");
        out.push(b'"');
        out.extend_from_slice(self.as_bytes());
        out.push(b'"');
    }
}

impl Value for String {
    fn write(&self, out: &mut Vec<u8>) {
        string(out, self.as_bytes());
    }
}

impl<T: Value> Value for &T {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

/// A string of any bytes, quoted; whether it says all of them. What is not UTF-8 becomes U+FFFD.
/// Characters that would steer a terminal or turn its text around are escaped.
#[inline]
pub(super) fn string(out: &mut Vec<u8>, text: &[u8]) -> bool {
    out.push(b'"');
    let is_exact = if is_plain(text) {
        out.extend_from_slice(text);
        true
    } else {
        escape(out, text)
    };
    out.push(b'"');
    is_exact
}

#[cold]
fn escape(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let mut is_exact = true;
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|character| escaped(out, character));
        if !chunk.invalid().is_empty() {
            is_exact = false;
            out.extend_from_slice(b"\\ufffd");
        }
    }
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

/// Whether each byte stands for itself in a string, whatever is beside it.
#[inline]
pub(super) fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks();
    let rest = rest.iter().fold(each_byte(b' '), |word, byte| word << 8 | u64::from(*byte));
    words.iter().all(|word| are_plain(u64::from_le_bytes(*word))) && are_plain(rest)
}

/// As [`is_plain`], of eight bytes at once.
#[inline]
fn are_plain(bytes: u64) -> bool {
    const ONES: u64 = each_byte(1);
    // As long as all are ASCII, a byte gets its highest bit only as DEL, by what is below a blank,
    // and by what is nothing but a quote or a backslash; and only then takes from the next.
    let highest = bytes
        | bytes.wrapping_add(ONES)
        | bytes.wrapping_sub(each_byte(b' '))
        | (bytes ^ each_byte(b'"')).wrapping_sub(ONES)
        | (bytes ^ each_byte(b'\\')).wrapping_sub(ONES);
    highest & each_byte(0x80) == 0
}

const fn each_byte(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

pub(super) fn hex_digit(value: u8) -> u8 {
    match value {
        0..10 => b'0' + value,
        _ => b'a' + value - 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn plain_is_what_needs_no_escape(text in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut out = Vec::new();
            let is_exact = escape(&mut out, &text);
            let is_ascii = text.is_ascii();
            prop_assert_eq!(is_plain(&text), is_exact && is_ascii && out == text);
        }
    }

    #[test]
    fn one_byte_that_is_not_plain_is_seen_wherever_it_is() {
        for length in 0..20 {
            assert!(is_plain(&vec![b'~'; length]));
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b' '; length];
                    text[at] = byte;
                    let expected = matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
                    assert_eq!(is_plain(&text), expected, "{byte:#x} at {at} of {length}");
                }
            }
        }
    }
}
