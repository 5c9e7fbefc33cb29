//! Numbers as people write them: `64k`, `50ms`, `80%`.

use std::fmt;

use super::host::c_number;
use super::subject::Unit;

const KILO: u64 = 1 << 10;

/// The units of a size, the largest first; `k` is 1024, as for memory everywhere in the kernel.
const SIZES: &[(&str, u64)] =
    &[("T", KILO * KILO * KILO * KILO), ("G", KILO * KILO * KILO), ("M", KILO * KILO), ("k", KILO)];

/// The units of a time in nanoseconds, the largest first.
const TIMES: &[(&str, u64)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Hundredths in a percent.
const PERCENT: u64 = 100;

impl Unit {
    /// What a number of this unit looks like, for the error message.
    pub(super) const fn expects(self) -> &'static str {
        match self {
            Unit::Plain => "a number",
            Unit::Hexadecimal => "a number, decimal or 0x hexadecimal",
            Unit::Bytes => "a number of bytes, such as 1500, 64k, 1.5M or 2G",
            Unit::Nanoseconds => "a time with its unit, such as 300us, 50ms, 1.5s, 5m or 2h",
            Unit::BasisPoints => "a percentage, such as 80%",
        }
    }

    pub(super) fn parse(self, text: &[u8]) -> Option<u64> {
        match self {
            Unit::Plain | Unit::Hexadecimal => c_number(text),
            Unit::Bytes => c_number(text).or_else(|| {
                let text = std::str::from_utf8(text).ok()?;
                let text =
                    text.strip_suffix("iB").or_else(|| text.strip_suffix('B')).unwrap_or(text);
                let unit = |name: &str| {
                    let same = |(unit, _): &&(&str, u64)| unit.eq_ignore_ascii_case(name);
                    if name.is_empty() { Some(1) } else { Some(SIZES.iter().find(same)?.1) }
                };
                scaled(text, unit)
            }),
            Unit::Nanoseconds => scaled(std::str::from_utf8(text).ok()?, |name| {
                TIMES.iter().find(|(unit, _)| *unit == name).map(|(_, scale)| *scale)
            })
            // Nothing is nothing in every unit.
            .or_else(|| (c_number(text)? == 0).then_some(0)),
            Unit::BasisPoints => scaled(std::str::from_utf8(text).ok()?, |name| {
                matches!(name, "" | "%").then_some(PERCENT)
            }),
        }
    }

    pub(super) fn write(self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest = |units: &[(&'static str, u64)]| {
            units
                .iter()
                .find(|(_, scale)| value != 0 && value.is_multiple_of(*scale))
                .map_or(("", 1), |unit| *unit)
        };
        match self {
            Unit::Plain => write!(f, "{value}"),
            Unit::Hexadecimal => write!(f, "{value:#x}"),
            Unit::Bytes => {
                let (name, scale) = largest(SIZES);
                write!(f, "{}{name}", value / scale)
            }
            Unit::Nanoseconds => {
                let (name, scale) = largest(TIMES);
                write!(f, "{}{name}", value / scale)
            }
            Unit::BasisPoints if value.is_multiple_of(PERCENT) => write!(f, "{}%", value / PERCENT),
            Unit::BasisPoints => write!(f, "{}.{:02}%", value / PERCENT, value % PERCENT),
        }
    }
}

/// A decimal number, with a fraction or without, times its unit; what is beyond the last whole
/// digit of the unit below is dropped.
fn scaled(text: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, name) = text.split_at(digits);
    let scale = unit(name)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || number.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let mut place = u128::from(scale);
    let mut part = 0u128;
    let mut divisor = 1u128;
    for digit in fraction.bytes().take(18) {
        // A second point is no digit.
        let digit = u128::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        divisor *= 10;
        part = part * 10 + digit;
    }
    place = place * part / divisor;
    whole.checked_add(u64::try_from(place).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let table = [
            (Unit::Bytes, "1500", Some(1500)),
            (Unit::Bytes, "0x10", Some(16)),
            (Unit::Bytes, "64k", Some(65536)),
            (Unit::Bytes, "64K", Some(65536)),
            (Unit::Bytes, "64kB", Some(65536)),
            (Unit::Bytes, "64KiB", Some(65536)),
            (Unit::Bytes, "1.5M", Some(1_572_864)),
            (Unit::Bytes, "2G", Some(1 << 31)),
            (Unit::Bytes, "1.", None),
            (Unit::Bytes, ".5k", None),
            (Unit::Bytes, "1.2.3k", None),
            (Unit::Bytes, "1x", None),
            (Unit::Bytes, "k", None),
            (Unit::Bytes, "-1", None),
            (Unit::Bytes, "99999999999999999999T", None),
            (Unit::Nanoseconds, "50ms", Some(50_000_000)),
            (Unit::Nanoseconds, "0.5us", Some(500)),
            (Unit::Nanoseconds, "1.5s", Some(1_500_000_000)),
            (Unit::Nanoseconds, "5m", Some(300_000_000_000)),
            (Unit::Nanoseconds, "2h", Some(7_200_000_000_000)),
            (Unit::Nanoseconds, "0", Some(0)),
            (Unit::Nanoseconds, "50", None),
            (Unit::Nanoseconds, "50MS", None),
            (Unit::BasisPoints, "80%", Some(8000)),
            (Unit::BasisPoints, "80", Some(8000)),
            (Unit::BasisPoints, "12.5%", Some(1250)),
            (Unit::Plain, "1k", None),
            (Unit::Hexadecimal, "0x1f", Some(31)),
        ];
        for (unit, text, value) in table {
            assert_eq!(unit.parse(text.as_bytes()), value, "{unit:?} {text}");
        }
    }
}
