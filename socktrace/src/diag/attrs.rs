//! Netlink attributes, read in place and written into requests. Lengths that lie end the walk.

const HEADER: usize = 4;
const TYPE_MASK: u16 = 0x3fff;

/// The attributes in `bytes`, as (type, payload), without the nested and byte-order flags.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let [a, b, c, d] = *self.rest.first_chunk::<HEADER>()?;
        let len = usize::from(u16::from_ne_bytes([a, b]));
        let kind = u16::from_ne_bytes([c, d]) & TYPE_MASK;
        let payload = self.rest.get(HEADER..len)?;
        self.rest = self.rest.get(align(len)..).unwrap_or_default();
        Some((kind, payload))
    }
}

/// `N` bytes of `bytes` from `at`, if it has them.
#[inline]
pub fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

#[inline]
pub fn u8_of(payload: &[u8]) -> Option<u8> {
    payload.first().copied()
}

#[inline]
pub fn u16_of(payload: &[u8]) -> Option<u16> {
    array(payload, 0).map(u16::from_ne_bytes)
}

#[inline]
pub fn u32_of(payload: &[u8]) -> Option<u32> {
    array(payload, 0).map(u32::from_ne_bytes)
}

#[inline]
pub fn u64_of(payload: &[u8]) -> Option<u64> {
    array(payload, 0).map(u64::from_ne_bytes)
}

/// A string attribute up to its NUL, or all of it where there is none.
pub fn c_string(payload: &[u8]) -> &[u8] {
    payload.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Appends one attribute, padded as netlink wants it. Payloads here are far below 64 KB; one that
/// does not fit the length field is refused by returning false.
#[must_use]
pub fn push(out: &mut Vec<u8>, kind: u16, payload: &[u8]) -> bool {
    let Ok(len) = u16::try_from(HEADER + payload.len()) else { return false };
    out.extend_from_slice(&len.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(payload);
    out.resize(align(out.len()), 0);
    true
}

/// Netlink pads messages and attributes to four bytes.
pub const fn align(len: usize) -> usize {
    (len + 3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_read_back() {
        let mut bytes = Vec::new();
        assert!(push(&mut bytes, 3, b"abcde"));
        assert!(push(&mut bytes, 0x8004, b""));
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(3, &b"abcde"[..]), (4, &b""[..])]);
    }

    #[test]
    fn lying_lengths_end_the_walk() {
        for bytes in [&[0u8, 0, 1, 0][..], &[3, 0, 1, 0], &[9, 0, 1, 0, 1], &[4, 0, 1], &[]] {
            assert_eq!(attributes(bytes).count(), 0, "{bytes:?}");
        }
    }

    #[test]
    fn a_payload_that_does_not_fit_is_refused() {
        let mut bytes = Vec::new();
        assert!(!push(&mut bytes, 1, &vec![0; 65_532]));
        assert!(bytes.is_empty());
    }
}
