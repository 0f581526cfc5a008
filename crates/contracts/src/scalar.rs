//! The type and the constraints of one field. The decoder and the explanation share these checks,
//! so they can't disagree.

use regex::Regex;
use shoplake_jobs::ColumnType;

use crate::json::Json;
use crate::reason::Code;
use crate::text;
use crate::value::Value;

/// A field of one value.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) kind: Kind,
    /// Whether JSON `null` is accepted.
    pub(crate) null: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Text(TextRules),
    Timestamp(TextRules),
    Date(TextRules),
    Decimal { precision: u8, scale: u8, sign: Sign, rules: TextRules },
    Integer { minimum: i64, maximum: i64, rules: Listed<i64> },
    Double(DoubleRules),
    Boolean(Listed<bool>),
}

/// `enum` (or `const`), and `not` with either of them.
#[derive(Clone, Debug)]
pub(crate) struct Listed<T> {
    pub(crate) allowed: Option<Vec<T>>,
    pub(crate) refused: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { allowed: None, refused: Vec::new() }
    }
}

impl<T> Listed<T> {
    #[inline]
    fn check(&self, same: impl Fn(&T) -> bool) -> Result<(), Code> {
        let allowed = self.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(&same));
        if allowed && !self.refused.iter().any(same) { Ok(()) } else { Err(Code::NotAllowed) }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct TextRules {
    /// In characters, as in JSON Schema.
    pub(crate) minimum: usize,
    pub(crate) maximum: Option<usize>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) listed: Listed<Box<str>>,
}

impl TextRules {
    #[inline]
    fn check(&self, value: &str) -> Result<(), Code> {
        if text::unsupported_character(value).is_some() {
            return Err(Code::UnsupportedCharacter);
        }
        // A character has one to four bytes, so the number of bytes mostly decides and the
        // characters are not counted.
        if value.len() < self.minimum
            || (value.len() < self.minimum * 4 && value.chars().count() < self.minimum)
        {
            return Err(Code::TooShort);
        }
        if self
            .maximum
            .is_some_and(|maximum| value.len() > maximum && value.chars().count() > maximum)
        {
            return Err(Code::TooLong);
        }
        self.listed.check(|listed| **listed == *value)?;
        match &self.pattern {
            Some(pattern) if !pattern.is_match(value) => Err(Code::Pattern),
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct DoubleRules {
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) above: Option<f64>,
    pub(crate) below: Option<f64>,
}

impl DoubleRules {
    fn check(&self, value: f64) -> Result<(), Code> {
        if self.minimum.is_some_and(|minimum| value < minimum)
            || self.above.is_some_and(|above| value <= above)
        {
            return Err(Code::TooSmall);
        }
        if self.maximum.is_some_and(|maximum| value > maximum)
            || self.below.is_some_and(|below| value >= below)
        {
            return Err(Code::TooLarge);
        }
        Ok(())
    }
}

/// The signs of decimals that a pattern accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Any,
    NotNegative,
    Positive,
}

impl Sign {
    pub(crate) const ALL: [Self; 3] = [Self::Any, Self::NotNegative, Self::Positive];

    /// Returns the `pattern` that a decimal of this sign must declare, so that any validator
    /// accepts exactly the values that the column can store.
    pub(crate) fn pattern(self, precision: u8, scale: u8) -> String {
        let more = precision - scale - 1;
        let decimals = if scale == 0 { String::new() } else { format!(r"(\.[0-9]{{1,{scale}}})?") };
        match self {
            Self::Any => format!("^-?(0|[1-9][0-9]{{0,{more}}}){decimals}$"),
            Self::NotNegative => format!("^(0|[1-9][0-9]{{0,{more}}}){decimals}$"),
            Self::Positive if scale == 0 => format!("^[1-9][0-9]{{0,{more}}}$"),
            Self::Positive => {
                let below_one: Vec<String> = (0..scale)
                    .map(|zeros| match scale - zeros - 1 {
                        0 => format!("{}[1-9]", "0".repeat(usize::from(zeros))),
                        rest => format!("{}[1-9][0-9]{{0,{rest}}}", "0".repeat(usize::from(zeros))),
                    })
                    .collect();
                format!(r"^([1-9][0-9]{{0,{more}}}{decimals}|0\.({}))$", below_one.join("|"))
            }
        }
    }
}

impl Scalar {
    pub(crate) fn column_type(&self) -> ColumnType {
        match &self.kind {
            Kind::Text(_) => ColumnType::String,
            Kind::Timestamp(_) => ColumnType::Timestamp,
            Kind::Date(_) => ColumnType::Date,
            Kind::Decimal { precision, scale, .. } => {
                ColumnType::Decimal { precision: *precision, scale: *scale }
            }
            Kind::Integer { .. } => ColumnType::Bigint,
            Kind::Double(_) => ColumnType::Double,
            Kind::Boolean(_) => ColumnType::Boolean,
        }
    }

    pub(crate) fn null<'a>(&self) -> Result<Value<'a>, Code> {
        if self.null { Ok(Value::Null) } else { Err(Code::Type) }
    }

    pub(crate) fn boolean<'a>(&self, value: bool) -> Result<Value<'a>, Code> {
        match &self.kind {
            Kind::Boolean(listed) => {
                listed.check(|listed| *listed == value).map(|()| Value::Boolean(value))
            }
            _ => Err(Code::Type),
        }
    }

    #[inline]
    pub(crate) fn integer<'a>(&self, value: i64) -> Result<Value<'a>, Code> {
        match &self.kind {
            Kind::Integer { minimum, .. } if value < *minimum => Err(Code::TooSmall),
            Kind::Integer { maximum, .. } if value > *maximum => Err(Code::TooLarge),
            Kind::Integer { rules, .. } => {
                rules.check(|listed| *listed == value).map(|()| Value::Integer(value))
            }
            Kind::Double(rules) => rules.check(value as f64).map(|()| Value::Double(value as f64)),
            _ => Err(Code::Type),
        }
    }

    pub(crate) fn unsigned<'a>(&self, value: u64) -> Result<Value<'a>, Code> {
        match (i64::try_from(value), &self.kind) {
            (Ok(value), _) => self.integer(value),
            (Err(_), Kind::Integer { .. }) => Err(Code::TooLarge),
            (Err(_), Kind::Double(rules)) => {
                rules.check(value as f64).map(|()| Value::Double(value as f64))
            }
            (Err(_), _) => Err(Code::Type),
        }
    }

    pub(crate) fn double<'a>(&self, value: f64) -> Result<Value<'a>, Code> {
        match &self.kind {
            // Engines differ in the order of -0.0 and 0.0; their sum is 0.0.
            Kind::Double(rules) => rules.check(value).map(|()| Value::Double(value + 0.0)),
            _ => Err(Code::Type),
        }
    }

    /// Checks an integer by its JSON text: the nearest double, which parsers return, has fewer
    /// digits.
    #[inline]
    pub(crate) fn written_integer<'a>(&self, json: &str) -> Result<Value<'a>, Code> {
        match json.as_bytes() {
            b"null" => self.null(),
            [b'-' | b'0'..=b'9', ..] => self.integer(text::parse_integer(json)?),
            _ => Err(Code::Type),
        }
    }

    /// Checks a text. `keep` returns the text as a value that lives as long as the row.
    #[inline]
    pub(crate) fn text<'a>(
        &self,
        value: &str,
        keep: impl FnOnce() -> Value<'a>,
    ) -> Result<Value<'a>, Code> {
        match &self.kind {
            Kind::Text(rules) => rules.check(value).map(|()| keep()),
            Kind::Timestamp(rules) => {
                let micros = text::parse_timestamp(value).ok_or(Code::Format)?;
                rules.check(value).map(|()| Value::Timestamp(micros))
            }
            Kind::Date(rules) => {
                let day = text::parse_date(value).ok_or(Code::Format)?;
                rules.check(value).map(|()| Value::Date(day))
            }
            Kind::Decimal { precision, scale, sign, rules } => {
                let unscaled =
                    text::parse_decimal(value, *precision, *scale).ok_or(Code::Format)?;
                match sign {
                    Sign::NotNegative if value.starts_with('-') => Err(Code::TooSmall),
                    Sign::Positive if unscaled <= 0 => Err(Code::TooSmall),
                    _ => rules.check(value).map(|()| Value::Decimal(unscaled)),
                }
            }
            _ => Err(Code::Type),
        }
    }

    pub(crate) fn json(&self, value: &Json) -> Result<Value<'static>, Code> {
        match value {
            Json::Null => self.null(),
            Json::Boolean(value) => self.boolean(*value),
            Json::Integer(value) => self.integer(*value),
            Json::Unsigned(value) => self.unsigned(*value),
            Json::Double(_, number) if matches!(self.kind, Kind::Integer { .. }) => {
                self.written_integer(number)
            }
            Json::Double(value, _) => self.double(*value),
            Json::Text(value) => self.text(value, || Value::Null),
            Json::Array(_) | Json::Object(_) => Err(Code::Type),
        }
    }

    /// Returns what was expected, for the reason of a violation.
    pub(crate) fn expected(&self, code: Code) -> String {
        let rule = match (&self.kind, code) {
            (
                Kind::Text(rules)
                | Kind::Timestamp(rules)
                | Kind::Date(rules)
                | Kind::Decimal { rules, .. },
                _,
            ) => rules.expected(code),
            (Kind::Integer { rules, .. }, Code::NotAllowed) => Some(rules.expected()),
            (Kind::Boolean(rules), Code::NotAllowed) => Some(rules.expected()),
            (Kind::Double(rules), Code::TooSmall | Code::TooLarge) => Some(rules.expected(code)),
            _ => None,
        };
        let what = rule.unwrap_or_else(|| match &self.kind {
            Kind::Text(_) => "a string".to_owned(),
            Kind::Timestamp(_) => {
                "an RFC 3339 time as a string, such as \"2026-11-21T10:00:00Z\"".to_owned()
            }
            Kind::Date(_) => "a date as a string, such as \"2026-11-21\"".to_owned(),
            Kind::Decimal { precision, scale, sign, .. } => {
                let sign = match sign {
                    Sign::Any => "",
                    Sign::NotNegative => " of 0 or more",
                    Sign::Positive => " above 0",
                };
                format!(
                    "a decimal{sign} as a string, such as \"12.50\", with at most {} digits \
                     before the point and {scale} after it",
                    precision - scale
                )
            }
            Kind::Integer { minimum, maximum, .. } => {
                format!("an integer from {minimum} to {maximum}")
            }
            Kind::Double(_) => "a number".to_owned(),
            Kind::Boolean(_) => "true or false".to_owned(),
        });
        if self.null && code == Code::Type { format!("{what}, or null") } else { what }
    }
}

impl TextRules {
    fn expected(&self, code: Code) -> Option<String> {
        Some(match code {
            Code::TooShort => format!("at least {}", characters(self.minimum)),
            Code::TooLong => format!("at most {}", characters(self.maximum?)),
            Code::Pattern => format!("a string matching {}", self.pattern.as_ref()?.as_str()),
            Code::NotAllowed => self.listed.expected(),
            Code::UnsupportedCharacter => UNSUPPORTED.to_owned(),
            _ => return None,
        })
    }
}

/// The rule for every text of every contract.
const UNSUPPORTED: &str = "a string without characters that the warehouse can't store: U+0000, \
     U+FDD0 to U+FDEF and those that end in FFFE or FFFF";

fn characters(count: usize) -> String {
    if count == 1 { "1 character".to_owned() } else { format!("{count} characters") }
}

impl DoubleRules {
    fn expected(&self, code: Code) -> String {
        let bound = |word: &str, limit: Option<f64>| limit.map(|limit| format!("{word} {limit}"));
        let bounds = if code == Code::TooSmall {
            [bound("at least", self.minimum), bound("more than", self.above)]
        } else {
            [bound("at most", self.maximum), bound("less than", self.below)]
        };
        format!("a number of {}", bounds.into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }
}

impl<T: std::fmt::Debug> Listed<T> {
    fn expected(&self) -> String {
        let list = |values: &[T]| {
            values.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>().join(", ")
        };
        match &self.allowed {
            Some(allowed) if allowed.len() == 1 => list(allowed),
            Some(allowed) => format!("one of {}", list(allowed)),
            None => format!("any value but {}", list(&self.refused)),
        }
    }
}
