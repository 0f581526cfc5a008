//! String literals for COPY and COMMENT, which take no parameters.

use std::fmt;

use shoplake_index::Description;

/// A string that is safe between single quotes: printable ASCII without quote, backslash and space.
///
/// Other values are named parameters. COPY takes none, and its source and role have only these
/// characters (an S3 URI and an ARN). A backslash is refused, because Redshift reads it as an
/// escape and PostgreSQL does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal(String);

impl Literal {
    /// Returns the literal if the text is safe.
    pub fn new(text: impl Into<String>) -> Result<Self, UnsafeLiteral> {
        let text = text.into();
        let is_safe = |byte: u8| byte.is_ascii_graphic() && byte != b'\'' && byte != b'\\';
        if !text.is_empty() && text.bytes().all(is_safe) {
            Ok(Self(text))
        } else {
            Err(UnsafeLiteral { actual: text })
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0)
    }
}

/// Returns a description between single quotes, for COMMENT. Only a quote needs an escape: a
/// description has no backslash.
pub(crate) fn quoted(description: &Description) -> String {
    format!("'{}'", description.as_str().replace('\'', "''"))
}

/// A string that is not safe between quotes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid literal {actual:?}: expected an S3 URI or ARN of printable ASCII without quotes, \
     backslashes and spaces"
)]
pub struct UnsafeLiteral {
    /// The text.
    pub actual: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uri_is_quoted() {
        let uri = Literal::new("s3://lake/gold/m/business_date=2010-12-01/data.parquet").unwrap();
        assert_eq!(uri.to_string(), "'s3://lake/gold/m/business_date=2010-12-01/data.parquet'");
    }

    #[test]
    fn a_text_that_could_end_the_literal_is_refused() {
        for text in ["", "a'b", "a\\", "a b", "a\nb", "\0", "naïve"] {
            assert!(Literal::new(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_quoted_description_ends_at_its_last_quote(text in ".{1,40}") {
            if let Ok(description) = Description::try_from(text.clone()) {
                let rendered = quoted(&description);
                let content = rendered.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                let content = content.unwrap_or_default();
                prop_assert!(!content.replace("''", "").contains(['\'', '\\']));
                prop_assert_eq!(content.replace("''", "'"), text);
            }
        }

        #[test]
        fn a_literal_has_only_its_own_quotes(text in ".{0,40}") {
            if let Ok(literal) = Literal::new(text) {
                let rendered = literal.to_string();
                prop_assert_eq!(rendered.matches('\'').count(), 2);
                prop_assert!(!rendered.contains('\\'));
            }
        }
    }
}
