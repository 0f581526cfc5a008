//! Why a row was rejected: a code for programs, texts for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One violation of a contract by one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The field: `device.type`, `line_items[2].quantity`; empty for the document itself.
    pub field: String,
    /// What the contract expects.
    pub expected: String,
    /// What was found, shortened if it is long.
    pub actual: String,
    /// The kind of violation.
    pub code: Code,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "the document" } else { &self.field };
        write!(formatter, "{field}: expected {}, got {}", self.expected, self.actual)
    }
}

/// The kinds of violations. Their names are an interface: dashboards and clients group by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The bytes are not JSON.
    Malformed,
    /// A required field is missing.
    Missing,
    /// The same field twice: parsers differ in which one they return.
    Duplicate,
    /// A value of another JSON type.
    Type,
    /// Not a date, a timestamp or a decimal.
    Format,
    /// Not one of the allowed values, or a forbidden value.
    NotAllowed,
    /// Does not match the pattern.
    Pattern,
    /// Fewer characters than the minimum.
    TooShort,
    /// More characters than the maximum.
    TooLong,
    /// Below the minimum.
    TooSmall,
    /// Above the maximum.
    TooLarge,
    /// Fewer items than the minimum.
    TooFewItems,
    /// More items than the maximum.
    TooManyItems,
    /// The data names another shop than its envelope.
    ShopMismatch,
    /// A text has a character that the warehouse can't store.
    UnsupportedCharacter,
    /// A row of another batch than the one that it was delivered in.
    OtherBatch,
    /// Another time than an earlier event of the request has, which has the same key.
    TimeMismatch,
    /// A time before the window that the dataset accepts.
    TooOld,
    /// A time after the window that the dataset accepts.
    InTheFuture,
}

impl Code {
    /// Returns the code's name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Duplicate => "duplicate",
            Self::Type => "type",
            Self::Format => "format",
            Self::NotAllowed => "not_allowed",
            Self::Pattern => "pattern",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::TooSmall => "too_small",
            Self::TooLarge => "too_large",
            Self::TooFewItems => "too_few_items",
            Self::TooManyItems => "too_many_items",
            Self::ShopMismatch => "shop_mismatch",
            Self::UnsupportedCharacter => "unsupported_character",
            Self::OtherBatch => "other_batch",
            Self::TimeMismatch => "time_mismatch",
            Self::TooOld => "too_old",
            Self::InTheFuture => "in_the_future",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
