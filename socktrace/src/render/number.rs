//! Numbers as C's printf prints them, appended to a buffer without an allocation.

use std::io::Write;

/// `%u`. A call, so that who writes a label before it is small enough to be inlined.
#[inline(never)]
pub fn unsigned(out: &mut Vec<u8>, value: u64) {
    match decimal(value) {
        Some(Digits { text, length }) => shortened(out, text, length),
        None => many_digits(out, value),
    }
}

/// As [`unsigned`], of more than eight digits.
#[inline(never)]
fn many_digits(out: &mut Vec<u8>, value: u64) {
    let (high, low) = (value / 100_000_000, value % 100_000_000);
    match decimal(high) {
        Some(Digits { text, length }) => {
            shortened(out, text, length);
            zero_padded(out, low, 8);
        }
        None => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// The digits of a number, and blanks behind them.
#[derive(Debug, Clone, Copy)]
pub struct Digits<const LENGTH: usize = 8> {
    pub text: [u8; LENGTH],
    pub length: usize,
}

impl Digits {
    /// From all eight, of which the first is in the lowest byte: those after the zeros that the
    /// number begins with, but one at least.
    #[inline]
    fn of(values: u64, ascii: u64) -> Digits {
        Digits::last(ascii, 8 - (values.trailing_zeros() / 8).min(7))
    }

    /// The last of eight.
    #[inline]
    fn last(ascii: u64, length: u32) -> Digits {
        // What a shift brings in is zero: with the bits of blanks turned over, that is a blank.
        const BLANKS: u64 = EACH_BYTE * b' ' as u64;
        let text = ((ascii ^ BLANKS) >> (64 - 8 * length)) ^ BLANKS;
        Digits { text: text.to_le_bytes(), length: length as usize }
    }
}

const EACH_BYTE: u64 = u64::from_ne_bytes([1; 8]);

/// `%u`, unless there are more than eight digits.
#[inline]
pub fn decimal(value: u64) -> Option<Digits> {
    if value < 10 {
        let mut text = [b' '; 8];
        text[0] = b'0' + value as u8;
        return Some(Digits { text, length: 1 });
    }
    let values = (value < 100_000_000).then(|| eight_digits(value as u32))?;
    Some(Digits::of(values, decimal_ascii(values)))
}

/// `%u.%03u` of thousands and the rest, unless there are more than eight digits.
#[inline]
pub fn thousandths(value: u64) -> Option<Digits<12>> {
    if value < 10_000 {
        let [a, b, c, d] = (four_digits(value as u32) + 0x3030_3030).to_le_bytes();
        let mut text = [b' '; 12];
        text[..5].copy_from_slice(&[a, b'.', b, c, d]);
        return Some(Digits { text, length: 5 });
    }
    let values = (value < 100_000_000).then(|| eight_digits(value as u32))?;
    let ascii = decimal_ascii(values);
    let (whole, rest) = (ascii & 0xff_ffff_ffff, ascii >> 40);
    let whole_and_point = whole | (u64::from(b'.') << 40);
    let blanks = u128::from_ne_bytes([b' '; 16]) << 72;
    let padded = blanks | (u128::from(rest) << 48) | u128::from(whole_and_point);
    // Of the five digits before the point, one stays whatever it is.
    let zeros = (values.trailing_zeros() / 8).min(4);
    let [text @ .., _, _, _, _] = (padded >> (8 * zeros)).to_le_bytes();
    Some(Digits { text, length: 9 - zeros as usize })
}

/// `%0{digits}u` of a value that has no more digits, of which there are eight at most.
#[inline]
pub fn padded_decimal(value: u32, digits: u32) -> Digits {
    Digits::last(decimal_ascii(eight_digits(value)), digits)
}

/// The digits of a number, each in a byte. All of them at once are cut out of it: halves, halves
/// of these, and each of them.
#[inline]
fn eight_digits(value: u32) -> u64 {
    let value = u64::from(value);
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    // A product and a shift are a division, exact for numbers as small as these.
    let hundreds = ((fours * 10_486) >> 20) & 0x7f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

/// As [`eight_digits`], but half as many.
#[inline]
fn four_digits(value: u32) -> u32 {
    let hundreds = (value * 10_486) >> 20;
    let twos = hundreds | ((value - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f;
    tens | ((twos - tens * 10) << 8)
}

#[inline]
fn decimal_ascii(digits: u64) -> u64 {
    digits + EACH_BYTE * u64::from(b'0')
}

/// `%x`.
#[inline]
pub fn hexadecimal(value: u32) -> Digits {
    let digits = eight_hex_digits(value);
    Digits::of(digits, hex_ascii(digits))
}

/// `%08x`.
#[inline]
pub fn padded_hexadecimal(value: u32) -> [u8; 8] {
    hex_ascii(eight_hex_digits(value)).to_le_bytes()
}

/// The digits of a number in base 16, each in a byte.
#[inline]
fn eight_hex_digits(value: u32) -> u64 {
    let mut digits = u64::from(value.swap_bytes());
    digits = (digits | (digits << 16)) & 0x0000_ffff_0000_ffff;
    digits = (digits | (digits << 8)) & 0x00ff_00ff_00ff_00ff;
    ((digits >> 4) | (digits << 8)) & 0x0f0f_0f0f_0f0f_0f0f
}

#[inline]
fn hex_ascii(digits: u64) -> u64 {
    let letters = ((digits + EACH_BYTE * 6) >> 4) & EACH_BYTE;
    digits + EACH_BYTE * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)
}

/// A label and `%u`.
#[inline]
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
    let Digits { text, length } = padded_decimal(value as u32, digits as u32);
    shortened(out, text, length);
}

/// `%llx`.
pub fn hex(out: &mut Vec<u8>, value: u64) {
    let (high, low) = ((value >> 32) as u32, value as u32);
    let Digits { text, length } = hexadecimal(if high == 0 { low } else { high });
    shortened(out, text, length);
    if high != 0 {
        out.extend_from_slice(&padded_hexadecimal(low));
    }
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
        for value in (8..20).flat_map(|digits| {
            let power = 10u64.pow(digits);
            [power - 1, power, power + 12_345, power + power / 2, u64::MAX - power]
        }) {
            assert_eq!(text(|out| unsigned(out, value)), value.to_string());
        }
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
        for value in (0..20_000).chain((20_000..100_000_000).step_by(9_973)).chain([99_999_999]) {
            let Digits { text, length } = thousandths(value).unwrap();
            let expected = format!("{}.{:03}", value / 1000, value % 1000);
            assert_eq!(String::from_utf8(text.to_vec()).unwrap(), format!("{expected:12}"));
            assert_eq!(length, expected.len());
        }
        assert!(thousandths(100_000_000).is_none());
        for value in [0, 1, 15, 16, 255, 256, 0xdead_beef, u64::MAX] {
            assert_eq!(text(|out| hex(out, value)), format!("{value:x}"));
        }
        assert_eq!(text(|out| hex_alternate(out, 0)), "0");
        assert_eq!(text(|out| hex_alternate(out, 16)), "0x10");
    }
}
