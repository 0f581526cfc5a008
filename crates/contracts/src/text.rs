//! Parses and formats RFC 3339 times, dates, decimals and integers without allocations, and finds
//! the characters that the warehouse can't store.

use std::fmt;

use crate::reason::Code;

/// Microseconds of a UTC day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Parses `YYYY-MM-DD` of the proleptic Gregorian calendar. Returns days since 1970-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes: &[u8; 10] = text.as_bytes().try_into().ok()?;
    if bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = two_digits(bytes[0], bytes[1])? * 100 + two_digits(bytes[2], bytes[3])?;
    let month = two_digits(bytes[5], bytes[6])?;
    let day = two_digits(bytes[8], bytes[9])?;
    ((1..=12).contains(&month) && day >= 1 && day <= days_of_month(year, month))
        .then(|| days_from_civil(year, month, day))
}

/// Parses an RFC 3339 time. Returns microseconds since 1970-01-01T00:00:00Z; digits beyond
/// microseconds are cut off. A leap second becomes the last microsecond of its day, so that it
/// stays on that day.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 20
        || !matches!(bytes[10], b'T' | b't')
        || bytes[13] != b':'
        || bytes[16] != b':'
    {
        return None;
    }
    // `get`: the tenth byte may be within a character.
    let days = i64::from(parse_date(text.get(..10)?)?);
    let hour = i64::from(two_digits(bytes[11], bytes[12])?);
    let minute = i64::from(two_digits(bytes[14], bytes[15])?);
    let second = i64::from(two_digits(bytes[17], bytes[18])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (micros, zone) = fraction(&bytes[19..])?;
    let minutes = days * 1440 + hour * 60 + minute - offset_minutes(zone)?;
    if second == 60 {
        return (minutes.rem_euclid(1440) == 1439).then_some(minutes * 60_000_000 + 59_999_999);
    }
    Some(minutes * 60_000_000 + second * 1_000_000 + micros)
}

/// Returns the microseconds of `.123456`, and the following bytes.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = bytes.strip_prefix(b".") else { return Some((0, bytes)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let shown = digits[..count].iter().map(|digit| i64::from(digit - b'0'));
    let micros =
        shown.chain(std::iter::repeat(0)).take(6).fold(0, |micros, digit| micros * 10 + digit);
    Some((micros, &digits[count..]))
}

/// Returns the offset `Z`, `+hh:mm` or `-hh:mm` in minutes east of Greenwich.
fn offset_minutes(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) =
                (i64::from(two_digits(*h1, *h2)?), i64::from(two_digits(*m1, *m2)?));
            let offset = hours * 60 + minutes;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'+' { offset } else { -offset })
        }
        _ => None,
    }
}

/// Parses a plain decimal (`-12.50`; no exponent, no leading zero, digits on both sides of a
/// point). Returns its unscaled value: 125000 for `12.5` at scale 4.
pub fn parse_decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let point = digits.iter().position(|byte| *byte == b'.');
    let (whole, decimals) = match point {
        Some(point) => (&digits[..point], &digits[point + 1..]),
        None => (digits, &[][..]),
    };
    let leading_zero = whole.len() > 1 && whole[0] == b'0';
    if whole.is_empty()
        || leading_zero
        || whole.len() > usize::from(precision - scale)
        || decimals.len() > usize::from(scale)
        || (point.is_some() && decimals.is_empty())
    {
        return None;
    }
    let mut unscaled: i128 = 0;
    for byte in whole.iter().chain(decimals) {
        if !byte.is_ascii_digit() {
            return None;
        }
        unscaled = unscaled * 10 + i128::from(byte - b'0');
    }
    unscaled *= 10_i128.pow(u32::from(scale) - decimals.len() as u32);
    Some(if negative { -unscaled } else { unscaled })
}

/// Parses a JSON number as an integer, by its exact value: `2.0` and `1e1` are integers.
/// `1.0000000000000000001` and `1e-400` are not, although their nearest doubles are.
///
/// # Errors
///
/// [`Code::Malformed`] if the text is not a JSON number, [`Code::Type`] if its value is not an
/// integer, [`Code::TooLarge`] or [`Code::TooSmall`] if 64 bits can't hold it.
pub fn parse_integer(number: &str) -> Result<i64, Code> {
    let (is_negative, rest) = match number.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (whole, rest) = digits(rest);
    if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
        return Err(Code::Malformed);
    }
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => {
            let (fraction, rest) = digits(rest);
            if fraction.is_empty() {
                return Err(Code::Malformed);
            }
            (fraction, rest)
        }
        rest => (&[][..], rest),
    };
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', rest @ ..] => exponent(rest).ok_or(Code::Malformed)?,
        _ => return Err(Code::Malformed),
    };
    let out_of_range = if is_negative { Code::TooSmall } else { Code::TooLarge };
    // The value is `significant` without its zeros at both ends, times ten to the power of `shift`.
    let zeros = whole.iter().chain(fraction).rev().take_while(|digit| **digit == b'0').count();
    let count = whole.len() + fraction.len() - zeros;
    let significant = whole.iter().chain(fraction).take(count).skip_while(|digit| **digit == b'0');
    if count == 0 {
        return Ok(0);
    }
    let shift = exponent.saturating_sub(fraction.len() as i64).saturating_add(zeros as i64);
    let Ok(shift) = u32::try_from(shift) else {
        return Err(if shift < 0 { Code::Type } else { out_of_range });
    };
    // 64 bits hold at most 19 digits, and an i128 holds 38.
    let length = significant.clone().count() as u64 + u64::from(shift);
    if length > 19 {
        return Err(out_of_range);
    }
    let magnitude = significant.fold(0_i128, |value, digit| value * 10 + i128::from(digit - b'0'))
        * 10_i128.pow(shift);
    i64::try_from(if is_negative { -magnitude } else { magnitude }).map_err(|_| out_of_range)
}

/// Returns the digits at the beginning of the bytes, and the following bytes.
fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// Parses the exponent after `e`. An exponent out of range saturates: a number never has enough
/// digits to compensate for it.
fn exponent(bytes: &[u8]) -> Option<i64> {
    let (is_negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (digits, rest) = digits(bytes);
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    (!digits.is_empty() && rest.is_empty()).then_some(if is_negative { -value } else { value })
}

/// Returns the first character that the warehouse can't store, and its position in characters from
/// 1.
///
/// * U+0000: Redshift's COPY fails on it ("Preparing your input data": null terminators), and
///   PostgreSQL can't store it in any text type ("Character Types").
/// * The noncharacters, U+FDD0 to U+FDEF and the last two of each plane (U+FFFE, U+FFFF, ...,
///   U+10FFFE, U+10FFFF): Redshift lists them as invalid characters ("Multibyte character load
///   errors"), which COPY accepts or replaces depending on an option.
///
/// Lone surrogates and sequences of more than four bytes, which Redshift rejects as well, do not
/// occur in Rust's texts.
#[inline]
pub fn unsupported_character(text: &str) -> Option<(usize, char)> {
    // One pass without branches is enough for nearly all texts: an unsupported character has a byte
    // that is 0 or at least 0xEF.
    let is_suspect = text.bytes().fold(false, |found, byte| found | (byte == 0) | (byte >= 0xEF));
    if is_suspect { first_unsupported(text) } else { None }
}

#[cold]
fn first_unsupported(text: &str) -> Option<(usize, char)> {
    (1..).zip(text.chars()).find(|(_, character)| is_unsupported(*character))
}

fn is_unsupported(character: char) -> bool {
    let code = u32::from(character);
    code == 0 || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
}

/// Returns at most `maximum` characters of the text, with unsupported characters as `\u{0}`, for
/// messages that the warehouse stores.
pub fn storable(text: &str, maximum: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(maximum));
    for (position, character) in text.chars().enumerate() {
        if position == maximum {
            shown.push_str("...");
            break;
        }
        if is_unsupported(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Returns the bytes without one UTF-8 byte order mark at their beginning. Some editors and exports
/// write one before JSON.
pub fn without_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

fn two_digits(tens: u8, ones: u8) -> Option<i32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

fn days_of_month(year: i32, month: i32) -> i32 {
    match month {
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `days_from_civil` of Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Returns the UTC day of a time; days and microseconds since 1970-01-01. Every `i64` has one.
pub fn day(micros: i64) -> i32 {
    micros.div_euclid(MICROS_PER_DAY) as i32
}

/// Days since 1970-01-01; its text is `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub i32);

impl fmt::Display for Day {
    /// Howard Hinnant's `civil_from_days`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = i64::from(self.0) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        write!(formatter, "{year:04}-{month:02}-{day:02}")
    }
}

/// Microseconds since 1970-01-01T00:00:00Z; its text is RFC 3339 with six decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub i64);

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = Day(day(self.0));
        let micros = self.0.rem_euclid(MICROS_PER_DAY);
        let seconds = micros / 1_000_000;
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(formatter, "{day}T{hour:02}:{minute:02}:{second:02}.{:06}Z", micros % 1_000_000)
    }
}

/// An unscaled value and its scale; its text has no trailing zeros after the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The digits without the point.
    pub unscaled: i128,
    /// How many of them stand after the point.
    pub scale: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.unscaled < 0 { "-" } else { "" };
        let unit = 10_u128.pow(u32::from(self.scale));
        let magnitude = self.unscaled.unsigned_abs();
        let decimals = format!("{:0width$}", magnitude % unit, width = usize::from(self.scale));
        let decimals = decimals.trim_end_matches('0');
        let point = if decimals.is_empty() { "" } else { "." };
        write!(formatter, "{sign}{}{point}{decimals}", magnitude / unit)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_is_read_in_any_zone_and_precision() {
        assert_eq!(parse_timestamp("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(parse_timestamp("1970-01-01t01:00:00.5+01:00"), Some(500_000));
        assert_eq!(parse_timestamp("1969-12-31T23:59:59.1234567z"), Some(-876_544));
        assert_eq!(
            parse_timestamp("2016-12-31T23:59:60Z").map(|at| Timestamp(at).to_string()).as_deref(),
            Some("2016-12-31T23:59:59.999999Z")
        );
        for wrong in [
            "2026-01-01T00:00:60Z",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00",
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
        ] {
            assert_eq!(parse_timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_decimal_is_exact() {
        assert_eq!(parse_decimal("12.5", 18, 4), Some(125_000));
        assert_eq!(parse_decimal("-0.0001", 18, 4), Some(-1));
        for wrong in
            ["", "-", ".5", "5.", "05", "+1", "1e3", "1.00001", "123456789012345", " 1", "1 "]
        {
            assert_eq!(parse_decimal(wrong, 18, 4), None, "{wrong}");
        }
    }

    #[test]
    fn an_integer_is_decided_by_its_exact_value() {
        for (number, expected) in [
            ("0", 0),
            ("-0", 0),
            ("0.000", 0),
            ("0e999999999999999999999", 0),
            ("2.0", 2),
            ("3.00", 3),
            ("1e0", 1),
            ("-1.50e+2", -150),
            ("1200e-2", 12),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808.0", i64::MIN),
            ("0.000000000000000000001e21", 1),
        ] {
            assert_eq!(parse_integer(number), Ok(expected), "{number}");
        }
        for (number, code) in [
            ("1.5", Code::Type),
            ("0.00012E4", Code::Type),
            ("1.0000000000000000001", Code::Type),
            ("1e-400", Code::Type),
            ("-1e-99999999999999999999", Code::Type),
            ("1e400", Code::TooLarge),
            ("-1e99999999999999999999", Code::TooSmall),
            ("9223372036854775808", Code::TooLarge),
            ("-9223372036854775809", Code::TooSmall),
        ] {
            assert_eq!(parse_integer(number), Err(code), "{number}");
        }
        for number in [
            "", "-", "+1", "01", "1.", ".5", "1e", "1e+", "1 ", "0x1", "1_0", "NaN", "--1", "1e1.0",
        ] {
            assert_eq!(parse_integer(number), Err(Code::Malformed), "{number}");
        }
    }

    #[test]
    fn unsupported_characters_are_nul_and_the_noncharacters() {
        for code in
            ['\0', '\u{FDD0}', '\u{FDEF}', '\u{FFFE}', '\u{FFFF}', '\u{1FFFE}', '\u{10FFFF}']
        {
            assert_eq!(
                unsupported_character(&format!("\u{20AC}b{code}d")),
                Some((3, code)),
                "{code:?}"
            );
        }
        for text in [
            "",
            "\u{1}\t\n\u{7F}",
            "\u{FDCF}\u{FDF0}\u{FFFD}\u{FEFF}",
            "\u{1F600}\u{10FFFD}",
            "\u{E000}",
        ] {
            assert_eq!(unsupported_character(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_storable_text_shows_what_it_replaces() {
        assert_eq!(storable("a\0b\u{FFFF}c", 10), r"a\u{0}b\u{ffff}c");
        assert_eq!(storable("\u{1F600}bcd", 3), "\u{1F600}bc...");
    }

    proptest! {
        #[test]
        fn a_storable_text_has_no_unsupported_character(
            text in any::<String>(),
            maximum in 0..50_usize,
        ) {
            prop_assert_eq!(unsupported_character(&storable(&text, maximum)), None);
            let is_any = text.chars().any(is_unsupported);
            prop_assert_eq!(unsupported_character(&text).is_some(), is_any);
        }

        #[test]
        fn any_integer_survives_its_exponent(value in any::<i64>(), zeros in 0..6_usize) {
            let plain = value.to_string();
            prop_assert_eq!(parse_integer(&plain), Ok(value));
            let with_fraction = format!("{plain}.{}", "0".repeat(zeros + 1));
            prop_assert_eq!(parse_integer(&with_fraction), Ok(value));
            let with_exponent = format!("{plain}{}e-{zeros}", "0".repeat(zeros));
            prop_assert_eq!(parse_integer(&with_exponent), Ok(value));
        }

        #[test]
        fn any_time_survives_its_text(
            micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000,
        ) {
            let text = Timestamp(micros).to_string();
            prop_assert_eq!(parse_timestamp(&text), Some(micros));
            let parsed = DateTime::parse_from_rfc3339(&text).unwrap();
            prop_assert_eq!(parsed.timestamp_micros(), micros);
        }

        #[test]
        fn any_decimal_survives_its_text(
            unscaled in -999_999_999_999_999_999_i128..=999_999_999_999_999_999,
        ) {
            let text = Decimal { unscaled, scale: 4 }.to_string();
            prop_assert_eq!(parse_decimal(&text, 18, 4), Some(unscaled));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "\\PC{0,30}|[0-9TtZz:.+-]{0,30}") {
            parse_date(&text);
            parse_timestamp(&text);
            parse_decimal(&text, 18, 4);
            let _ = parse_integer(&text);
        }
    }
}
