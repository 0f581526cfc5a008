//! Why a row was refused, for machines (`code`) and for the person who repairs it (the texts).

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing that is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Where: `device.type`, `line_items[2].quantity`; empty for the document itself.
    pub field: String,
    /// What the contract asks for.
    pub expected: String,
    /// What came, cut short when it is long.
    pub actual: String,
    /// What kind of mistake it is.
    pub code: Code,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let field = if self.field.is_empty() { "the document" } else { &self.field };
        write!(formatter, "{field}: expected {}, got {}", self.expected, self.actual)
    }
}

/// The kinds of mistakes. Their names are part of the interface: dashboards and clients group by
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The bytes are not JSON.
    Malformed,
    /// A required field is not there.
    Missing,
    /// The same field twice: which one counts differs between readers.
    Duplicate,
    /// Another JSON type.
    Type,
    /// Not a date, a timestamp or a decimal.
    Format,
    /// Not one of the listed values, or a value that is ruled out.
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
    /// The data names another shop than the one it was sent for.
    ShopMismatch,
    /// A text has a character that the warehouse can't store.
    UnsupportedCharacter,
    /// A time before the window that the dataset accepts.
    TooOld,
    /// A time after the window that the dataset accepts.
    InTheFuture,
}

impl Code {
    /// The code as it is written in JSON.
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
