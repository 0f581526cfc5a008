//! Values as people read them. An unknown value is a dash, never a zero.

use std::cmp::Ordering;
use std::fmt;

use chrono::NaiveDateTime;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value as Json;

use super::model::Unit;

pub(crate) const DASH: &str = "–";

/// A number of the warehouse, with all its digits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    Double(f64),
    Decimal(Decimal),
}

impl Number {
    pub(crate) const ZERO: Self = Self::Integer(0);

    /// The nearest double, for lengths of a drawing.
    pub(crate) fn to_f64(self) -> f64 {
        match self {
            #[allow(clippy::cast_precision_loss)]
            Self::Integer(value) => value as f64,
            Self::Double(value) => value,
            Self::Decimal(value) => value.to_f64().unwrap_or(f64::NAN),
        }
    }

    /// The number in decimal notation: a double as it is written, because the nearest double of
    /// 1.005 is 1.00499... and would round down. `None` if it has too many digits.
    fn to_decimal(self) -> Option<Decimal> {
        match self {
            Self::Integer(value) => Some(value.into()),
            Self::Double(value) => value.to_string().parse().ok(),
            Self::Decimal(value) => Some(value),
        }
    }

    /// Returns the exact sum where both are exact, otherwise the sum of doubles.
    pub(crate) fn add(self, other: Self) -> Self {
        let exact = match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.checked_add(b).map(Self::Integer),
            (Self::Double(_), _) | (_, Self::Double(_)) => None,
            (a, b) => a
                .to_decimal()
                .zip(b.to_decimal())
                .and_then(|(a, b)| a.checked_add(b))
                .map(Self::Decimal),
        };
        exact.unwrap_or_else(|| Self::Double(self.to_f64() + other.to_f64()))
    }

    /// Returns the quotient; `None` if the divisor is not positive.
    pub(crate) fn divide_by_positive(self, divisor: Self) -> Option<Self> {
        if divisor.to_f64() <= 0.0 {
            return None;
        }
        let exact = self.to_decimal().zip(divisor.to_decimal());
        let quotient = exact.and_then(|(a, b)| a.checked_div(b)).map(Self::Decimal);
        Some(quotient.unwrap_or_else(|| Self::Double(self.to_f64() / divisor.to_f64())))
    }

    pub(crate) fn is_zero(self) -> bool {
        self.to_f64() == 0.0
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        match (self.to_decimal(), other.to_decimal()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => self.to_f64().total_cmp(&other.to_f64()),
        }
    }

    /// Rounded half away from zero, with thousands separators; a zero has no sign.
    pub(crate) fn grouped(self, places: u32) -> String {
        let text = match self.to_decimal() {
            Some(exact) => {
                let rounded =
                    exact.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
                format!("{rounded:.*}", places as usize)
            }
            None => format!("{:.*}", places as usize, self.to_f64()),
        };
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) if digits.bytes().any(|digit| matches!(digit, b'1'..=b'9')) => {
                ("−", digits)
            }
            Some(digits) => ("", digits),
            None => ("", text.as_str()),
        };
        let (whole, fraction) = digits
            .split_once('.')
            .map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
        let mut grouped = sign.to_owned();
        for (index, digit) in whole.chars().enumerate() {
            if index > 0 && (whole.len() - index).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        if let Some(fraction) = fraction {
            grouped.push('.');
            grouped.push_str(fraction);
        }
        grouped
    }
}

impl fmt::Display for Number {
    /// All digits, as a program reads them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(formatter),
            Self::Double(value) => value.fmt(formatter),
            Self::Decimal(value) => value.fmt(formatter),
        }
    }
}

/// A value of the warehouse.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Unknown,
    Number(Number),
    Text(String),
}

impl Value {
    /// The value as the Data API gives it: decimals, days and times are strings there.
    pub(crate) fn from_json(json: &Json, unit: &Unit) -> Self {
        match json {
            Json::Null => Self::Unknown,
            Json::Number(number) => number.as_i64().map_or_else(
                || {
                    number
                        .as_f64()
                        .map_or(Self::Unknown, |value| Self::Number(Number::Double(value)))
                },
                |value| Self::Number(Number::Integer(value)),
            ),
            Json::String(text) => match text.parse() {
                Ok(decimal) if unit.is_number() => Self::Number(Number::Decimal(decimal)),
                _ => Self::Text(text.clone()),
            },
            other => Self::Text(other.to_string()),
        }
    }

    pub(crate) fn number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The value as a program reads it, with all its digits; empty if it is unknown.
    pub(crate) fn exact(&self) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl From<Option<Number>> for Value {
    fn from(number: Option<Number>) -> Self {
        number.map_or(Self::Unknown, Self::Number)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Number(Number::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
    }
}

/// Returns the value with its unit.
pub(crate) fn show(value: &Value, unit: &Unit) -> String {
    match value {
        Value::Unknown => DASH.to_owned(),
        Value::Text(text) if *unit == Unit::Time => show_time(text),
        Value::Text(text) => text.clone(),
        Value::Number(number) if !unit.is_number() => number.to_string(),
        Value::Number(number) => show_number(*number, unit),
    }
}

fn show_number(number: Number, unit: &Unit) -> String {
    let (places, suffix) = match unit {
        Unit::Count => (0, ""),
        Unit::Percent => (1, " %"),
        Unit::Seconds => (1, " s"),
        Unit::Hours => (1, " h"),
        Unit::Days => (1, " d"),
        Unit::Score => (1, ""),
        Unit::Rating => (2, " / 5"),
        Unit::Ratio => (2, " ×"),
        Unit::Amount | Unit::Money(_) | Unit::Text | Unit::Day | Unit::Time => (2, ""),
    };
    let number = if *unit == Unit::Percent { hundredfold(number) } else { number };
    let text = number.grouped(places);
    match unit {
        Unit::Money(currency) => format!("{text} {currency}"),
        _ => text + suffix,
    }
}

fn hundredfold(number: Number) -> Number {
    let exact = number.to_decimal().and_then(|exact| exact.checked_mul(Decimal::ONE_HUNDRED));
    exact.map_or_else(|| Number::Double(number.to_f64() * 100.0), Number::Decimal)
}

/// A time to the minute, as the warehouse writes it or as it came if it is not one.
fn show_time(text: &str) -> String {
    let parsed = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"));
    parsed.map_or_else(|_| text.to_owned(), |time| time.format("%Y-%m-%d %H:%M").to_string())
}

/// Returns a tick of an axis: 1.5k rather than 1,500.00 EUR.
pub(crate) fn brief(value: f64, unit: &Unit) -> String {
    let is_percent = *unit == Unit::Percent;
    let number = if is_percent { value * 100.0 } else { value };
    for (size, letter) in [(1e9, "bn"), (1e6, "m"), (1e3, "k")] {
        if number.abs() >= size {
            return three_digits(number / size) + letter;
        }
    }
    three_digits(number) + if is_percent { " %" } else { "" }
}

/// Three significant digits without trailing zeros; powers of ten only beyond four digits.
fn three_digits(value: f64) -> String {
    let scientific = format!("{value:.2e}");
    let exponent: i32 =
        scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let text = if (-4..3).contains(&exponent) {
        let fixed = format!("{value:.*}", usize::try_from(2 - exponent).unwrap_or(0));
        match fixed.contains('.') {
            true => fixed.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => fixed,
        }
    } else {
        scientific
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn value(json: Json, unit: &Unit) -> String {
        show(&Value::from_json(&json, unit), unit)
    }

    #[test]
    fn values_are_written_with_their_unit() {
        let money = |currency: &str| Unit::Money(currency.to_owned());
        for (json, unit, text) in [
            (json!(null), money("EUR"), "–"),
            (json!(0), Unit::Count, "0"),
            (json!("1234567.8950"), money("EUR"), "1,234,567.90 EUR"),
            // Rounds to zero, which has no sign.
            (json!("-0.0049"), money("EUR"), "0.00 EUR"),
            (json!("-1234.5"), Unit::Amount, "−1,234.50"),
            // Half a cent goes up, not to the even cent.
            (json!("0.125"), money("GBP"), "0.13 GBP"),
            (json!(0.12345), Unit::Percent, "12.3 %"),
            (json!(7.25), Unit::Hours, "7.3 h"),
            // As it is written, not as the nearest double (1.00499...) would round.
            (json!(1.005), Unit::Ratio, "1.01 ×"),
            (json!(1234), Unit::Count, "1,234"),
            (json!("1234"), Unit::Count, "1,234"),
            (json!("<b>"), Unit::Text, "<b>"),
            (json!("12"), Unit::Text, "12"),
            (json!("2026-11-20 09:05:00"), Unit::Time, "2026-11-20 09:05"),
            (json!("2026-11-20"), Unit::Day, "2026-11-20"),
        ] {
            assert_eq!(value(json.clone(), &unit), text, "{json} {unit:?}");
        }
    }

    #[test]
    fn numbers_keep_all_digits_for_programs() {
        for (json, text) in
            [(json!("40.0000"), "40.0000"), (json!(0.1), "0.1"), (json!(7), "7"), (json!(null), "")]
        {
            assert_eq!(Value::from_json(&json, &Unit::Amount).exact(), text);
        }
    }

    #[test]
    fn ticks_are_brief() {
        for (number, unit, text) in [
            (1500.0, Unit::Count, "1.5k"),
            (2e6, Unit::Count, "2m"),
            (0.5, Unit::Percent, "50 %"),
            (-20.0, Unit::Count, "−20"),
            (0.0, Unit::Count, "0"),
            (0.25, Unit::Ratio, "0.25"),
            (123.0, Unit::Count, "123"),
        ] {
            assert_eq!(brief(number, &unit), text);
        }
    }

    #[test]
    fn sums_of_decimals_are_exact() {
        let cents = || Number::Decimal("0.1".parse().unwrap());
        let sum = cents().add(cents()).add(cents());
        assert_eq!(sum.to_string(), "0.3");
        assert_eq!(Number::Integer(1).add(Number::Integer(2)), Number::Integer(3));
    }
}
