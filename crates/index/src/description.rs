//! Descriptions of tables and columns.

use serde::{Deserialize, Serialize};

/// A description of a table or a column: one line of 1 to 4,000 characters without a backslash.
///
/// The warehouse stores it as a comment, whose SQL takes no parameters: Redshift reads a backslash
/// in a literal as an escape, PostgreSQL does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Description(String);

/// A text that is not a valid description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid description {actual:?}: expected one line of 1 to {} characters without a backslash",
    Description::MAX_CHARS
)]
pub struct InvalidDescription {
    /// The text.
    pub actual: String,
}

impl Description {
    /// The most characters.
    pub const MAX_CHARS: usize = 4_000;

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns `One row per shop.` for `one row per shop`.
    #[must_use]
    pub fn sentence(&self) -> Self {
        let mut rest = self.0.chars();
        let first = rest.next().into_iter().flat_map(char::to_uppercase).collect::<String>();
        Self(format!("{first}{}.", rest.as_str()))
    }
}

impl TryFrom<String> for Description {
    type Error = InvalidDescription;

    fn try_from(text: String) -> Result<Self, InvalidDescription> {
        let is_valid = !text.trim().is_empty()
            && text.chars().count() <= Self::MAX_CHARS
            && !text.contains(|character: char| character == '\\' || character.is_control());
        if is_valid { Ok(Self(text)) } else { Err(InvalidDescription { actual: text }) }
    }
}

impl From<Description> for String {
    fn from(description: Description) -> Self {
        description.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(text: &str) -> Result<Description, InvalidDescription> {
        text.to_owned().try_into()
    }

    #[test]
    fn a_grain_becomes_a_sentence() {
        for (grain, sentence) in
            [("one row per shop's day", "One row per shop's day."), ("é", "É.")]
        {
            assert_eq!(description(grain).unwrap().sentence().as_str(), sentence);
        }
    }

    #[test]
    fn texts_that_a_comment_cannot_hold_are_refused() {
        let longest = "é".repeat(Description::MAX_CHARS);
        for text in ["The shop's \"day\"; 50 % :day", longest.as_str()] {
            assert_eq!(description(text).unwrap().as_str(), text);
        }
        let too_long = format!("{longest}.");
        for text in ["", " ", "two\nlines", "a\\b", "a\0b", too_long.as_str()] {
            let error = description(text).unwrap_err().to_string();
            assert!(
                error.ends_with("expected one line of 1 to 4000 characters without a backslash")
            );
        }
    }
}
