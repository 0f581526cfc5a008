//! Names of schemas, tables and columns, which cannot be parameters and so must be safe to render.

use std::{fmt, str::FromStr};

/// Redshift's limit for a name, in bytes.
const MAX_BYTES: usize = 127;

/// A name in lower case, `[a-z_][a-z0-9_]*`. It is rendered in double quotes, so that it may be a
/// reserved word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(String);

impl Identifier {
    /// Returns the name without quotes, for use as a value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Identifier {
    type Err = InvalidIdentifier;

    fn from_str(name: &str) -> Result<Self, InvalidIdentifier> {
        let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
        let is_plain =
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if starts_well && is_plain && name.len() <= MAX_BYTES {
            Ok(Self(name.to_owned()))
        } else {
            Err(InvalidIdentifier { actual: name.to_owned() })
        }
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A table of a mart, written `schema.table`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The mart.
    pub schema: Identifier,
    /// The table in it.
    pub table: Identifier,
}

impl FromStr for TableName {
    type Err = InvalidIdentifier;

    fn from_str(name: &str) -> Result<Self, InvalidIdentifier> {
        let (schema, table) =
            name.split_once('.').ok_or_else(|| InvalidIdentifier { actual: name.to_owned() })?;
        Ok(Self { schema: schema.parse()?, table: table.parse()? })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A name that is not valid in the warehouse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid name {actual:?}: expected at most {MAX_BYTES} lower-case letters, digits and \
     underscores (schema.table for a table); rename it in the model"
)]
pub struct InvalidIdentifier {
    /// The name.
    pub actual: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_parts_of_a_table_name_are_quoted() {
        assert_eq!("sales.order".parse::<TableName>().unwrap().to_string(), r#""sales"."order""#);
    }

    #[test]
    fn invalid_names_are_refused() {
        for name in ["", "Sales", "1st", "a b", "a\"b", "a;b", "é", &"a".repeat(128)] {
            assert!(name.parse::<Identifier>().is_err(), "{name:?}");
        }
        for name in ["sales", "a.b.c", ".b", "a."] {
            assert!(name.parse::<TableName>().is_err(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_rendered_name_cannot_leave_its_quotes(text in ".{0,20}") {
            if let Ok(name) = text.parse::<Identifier>() {
                let rendered = name.to_string();
                prop_assert_eq!(rendered.matches('"').count(), 2);
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
