//! Numbers in lines of text.

/// The fields of a line, parted by blanks.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(line: &'a [u8]) -> Fields<'a> {
        Fields { rest: line }
    }

    pub(super) fn next(&mut self) -> Option<&'a [u8]> {
        self.rest = self.rest.trim_ascii_start();
        let end = self.rest.iter().position(u8::is_ascii_whitespace).unwrap_or(self.rest.len());
        let (field, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!field.is_empty()).then_some(field)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.next().map(drop))
    }

    pub(super) fn decimal(&mut self) -> Option<u32> {
        u32::try_from(self.signed()?).ok()
    }

    /// A number that the kernel may print with a sign or not.
    pub(super) fn signed(&mut self) -> Option<i64> {
        std::str::from_utf8(self.next()?).ok()?.parse().ok()
    }

    pub(super) fn hex(&mut self) -> Option<u64> {
        hex(self.next()?)
    }

    /// All that is left, without the blanks around it.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest.trim_ascii()
    }
}

pub(super) fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits
        .iter()
        .try_fold(0u64, |value, digit| Some(value << 4 | u64::from((*digit as char).to_digit(16)?)))
}

pub(super) fn hex32(digits: &[u8]) -> Option<u32> {
    u32::try_from(hex(digits)?).ok()
}
