//! Numbers as C's printf prints them, appended to a buffer without an allocation.

use std::io::Write;

/// `%u`.
#[inline]
pub fn unsigned(out: &mut Vec<u8>, value: u64) {
    match value {
        0..10 => out.push(b'0' + value as u8),
        _ => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// A label and `%u`.
pub fn labelled(out: &mut Vec<u8>, label: &str, value: u64) {
    out.extend_from_slice(label.as_bytes());
    unsigned(out, value);
}

/// `%-6d`: a queue. The kernel's number is signed: what is destroyed may be one short.
pub fn queue(out: &mut Vec<u8>, value: u32) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value as i32).as_bytes();
    let mut field = *b"      ";
    match field.get_mut(..digits.len()) {
        Some(start) => {
            start.copy_from_slice(digits);
            out.extend_from_slice(&field);
        }
        None => out.extend_from_slice(digits),
    }
}

/// `%0{digits}u` of a value that has no more digits, of which there are eight at most.
#[inline]
pub fn zero_padded(out: &mut Vec<u8>, value: u64, digits: usize) {
    let mut text = [0; 8];
    let mut rest = value;
    for digit in text[..digits].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    shortened(out, text, digits);
}

/// `%llx`.
pub fn hex(out: &mut Vec<u8>, value: u64) {
    let digits = (value.max(1).ilog2() / 4 + 1) as usize;
    let mut text = [0; 16];
    let mut rest = value;
    for digit in text[..digits].iter_mut().rev() {
        *digit = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    shortened(out, text, digits);
}

/// Appends the beginning of a text. All of it is copied, because its length is known to the
/// compiler, and then there is no call.
#[inline]
pub fn shortened<const LENGTH: usize>(out: &mut Vec<u8>, text: [u8; LENGTH], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(&text);
    out.truncate(end);
}

/// `%#x`: C leaves the prefix away for zero.
pub fn hex_alternate(out: &mut Vec<u8>, value: u64) {
    if value == 0 {
        out.push(b'0');
    } else {
        write_to(out, format_args!("{value:#x}"));
    }
}

/// `write!` into a buffer, which cannot fail.
pub fn write_to(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes all that is written to it");
}

/// `%g` of `thousandths / 1000`.
pub fn milli(out: &mut Vec<u8>, thousandths: u32) {
    // Six significant digits hold any of these exactly, so no floating point is needed.
    if thousandths >= 1_000_000 {
        general(out, f64::from(thousandths) / 1000.0, 6);
        return;
    }
    unsigned(out, u64::from(thousandths / 1000));
    let fraction = thousandths % 1000;
    if fraction != 0 {
        out.push(b'.');
        let digits = [fraction / 100, fraction / 10 % 10, fraction % 10];
        let used = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
        out.extend(digits[..used].iter().map(|digit| b'0' + *digit as u8));
    }
}

/// `%g` of `numerator / denominator`, exactly: what is no whole number of units below six digits.
pub fn quotient(out: &mut Vec<u8>, numerator: u32, denominator: u32) {
    const DIGITS: i32 = 6;
    let (n, d) = (u64::from(numerator), u64::from(denominator));
    // Between 1 and 100,000 there is no exponent, and scaling stays within 64 bits.
    let whole = n / d.max(1);
    if !(1..100_000).contains(&whole) {
        return general(out, f64::from(numerator) / f64::from(denominator), 6);
    }
    let decimals = DIGITS - 1 - whole.ilog10() as i32;
    let scale = 10u64.pow(decimals as u32);
    let (mut scaled, rest) = (n * scale / d, n * scale % d);
    // Half goes to the even one, as printf rounds.
    if rest * 2 > d || rest * 2 == d && scaled % 2 == 1 {
        scaled += 1;
    }
    unsigned(out, scaled / scale);
    let mut fraction = scaled % scale;
    if fraction != 0 {
        let mut digits = decimals as usize;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            digits -= 1;
        }
        out.push(b'.');
        zero_padded(out, fraction, digits);
    }
}

/// `%.{precision}g`.
pub fn general(out: &mut Vec<u8>, value: f64, precision: usize) {
    let start = out.len();
    write_to(out, format_args!("{:.*e}", precision - 1, value));
    let Some(e) = out[start..].iter().position(|byte| *byte == b'e') else { return };
    let exponent: i32 = std::str::from_utf8(&out[start + e + 1..])
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default();
    let precision = i32::try_from(precision).unwrap_or(i32::MAX);
    if (-4..precision).contains(&exponent) {
        out.truncate(start);
        let decimals = usize::try_from(precision - 1 - exponent).unwrap_or_default();
        write_to(out, format_args!("{value:.decimals$}"));
        trim_zeros(out, start);
    } else {
        out.truncate(start + e);
        trim_zeros(out, start);
        let sign = if exponent < 0 { '-' } else { '+' };
        write_to(out, format_args!("e{sign}{:02}", exponent.unsigned_abs()));
    }
}

fn trim_zeros(out: &mut Vec<u8>, start: usize) {
    if out[start..].contains(&b'.') {
        while out.last() == Some(&b'0') {
            out.pop();
        }
        if out.last() == Some(&b'.') {
            out.pop();
        }
    }
}

/// How rates are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateStyle {
    /// Whole bits per second.
    Exact,
    /// Three digits and a unit.
    Human,
}

/// A rate in bits per second, without the unit that follows.
pub fn rate(out: &mut Vec<u8>, bits_per_second: f64, style: RateStyle) {
    if style == RateStyle::Exact {
        // To the nearest whole number, as printf rounds; beyond 2^53 there are no others.
        return match bits_per_second.round_ties_even() {
            whole @ 0.0..1e18 => unsigned(out, whole as u64),
            whole => write_to(out, format_args!("{whole:.0}")),
        };
    }
    for (threshold, unit) in [(1e12, b'T'), (1e9, b'G'), (1e6, b'M'), (1e3, b'k')] {
        if bits_per_second > threshold {
            general(out, bits_per_second / threshold, 3);
            out.push(unit);
            return;
        }
    }
    general(out, bits_per_second, 6);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"<".to_vec();
        write(&mut out);
        String::from_utf8(out).unwrap()[1..].to_owned()
    }

    #[test]
    fn general_is_that_of_printf() {
        // Each as `printf '%g'` prints it.
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (100_000.0, "100000"),
            (1_000_000.0, "1e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (999_999.5, "1e+06"),
            (2.5, "2.5"),
            (1_048.576, "1048.58"),
        ] {
            assert_eq!(text(|out| general(out, value, 6)), expected);
        }
        assert_eq!(text(|out| general(out, 12_345.0, 3)), "1.23e+04");
        assert_eq!(text(|out| general(out, 99.96, 3)), "100");
    }

    #[test]
    fn thousandths_agree_with_general() {
        for value in (0..2_000_000).step_by(37).chain([999, 1000, 999_999, 1_000_000, u32::MAX]) {
            assert_eq!(
                text(|out| milli(out, value)),
                text(|out| general(out, f64::from(value) / 1000.0, 6))
            );
        }
    }

    #[test]
    fn quotients_agree_with_general() {
        for numerator in (0..60_000).chain((60_000..40_000_000).step_by(997)).chain([u32::MAX]) {
            assert_eq!(
                text(|out| quotient(out, numerator, 256)),
                text(|out| general(out, f64::from(numerator) / 256.0, 6)),
                "{numerator}"
            );
        }
    }

    #[test]
    fn exact_rates_are_rounded_as_printf_rounds() {
        for value in [0.0, 0.5, 1.5, 2.5, 1e9 / 3.0, 4_503_599_627_370_497.5, 1e17, 2e18, 1e30] {
            let expected = format!("{value:.0}");
            assert_eq!(text(|out| rate(out, value, RateStyle::Exact)), expected);
        }
    }

    #[test]
    fn integers() {
        assert_eq!(text(|out| unsigned(out, 0)), "0");
        assert_eq!(text(|out| unsigned(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(text(|out| queue(out, 42)), "42    ");
        assert_eq!(text(|out| queue(out, 123_456)), "123456");
        assert_eq!(text(|out| queue(out, 1_234_567)), "1234567");
        assert_eq!(text(|out| queue(out, u32::MAX)), "-1    ");
        for value in (0..2000).chain([9_999_999, 10_000_000, 99_999_999]) {
            assert_eq!(text(|out| unsigned(out, value)), value.to_string());
            assert_eq!(text(|out| zero_padded(out, value, 8)), format!("{value:08}"));
        }
        assert_eq!(text(|out| zero_padded(out, 42, 6)), "000042");
        for value in [0, 1, 15, 16, 255, 256, 0xdead_beef, u64::MAX] {
            assert_eq!(text(|out| hex(out, value)), format!("{value:x}"));
        }
        assert_eq!(text(|out| hex_alternate(out, 0)), "0");
        assert_eq!(text(|out| hex_alternate(out, 16)), "0x10");
    }
}
