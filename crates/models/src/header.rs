//! The header of a SQL file: TOML in its leading comment lines.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use shoplake_jobs::{Notice, Severity};

/// What a model says about itself.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelHeader {
    pub(crate) grain: String,
    pub(crate) key: Vec<String>,
    pub(crate) partition: String,
    pub(crate) inputs: Vec<String>,
    #[serde(default)]
    pub(crate) lookback_days: u16,
    #[serde(default)]
    pub(crate) lookahead_days: u16,
    #[serde(default)]
    pub(crate) every_seconds: u32,
    pub(crate) warehouse: Option<String>,
    pub(crate) notice: Option<Notice>,
}

/// What a check says about itself.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckHeader {
    pub(crate) model: String,
    pub(crate) severity: Severity,
    #[serde(default)]
    pub(crate) inputs: Vec<String>,
    pub(crate) description: String,
}

/// Splits a file into its header and its query, which is returned without a closing semicolon.
pub(crate) fn read<H: DeserializeOwned>(text: &str) -> Result<(H, &str), toml::de::Error> {
    let mut header = String::new();
    let mut query = text;
    // Line by line, so that the line number of a TOML error is the file's.
    while let Some(comment) = query.strip_prefix("--") {
        let (line, rest) = comment.split_once('\n').unwrap_or((comment, ""));
        header.push_str(line);
        header.push('\n');
        query = rest;
    }
    let query = query.trim();
    Ok((toml::from_str(&header)?, query.strip_suffix(';').unwrap_or(query).trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: &str = r#"-- grain = "one row per shop and day"
-- key = ["shop_id", "day"]
-- partition = "day"
-- inputs = ["silver.web_traffic"]
-- lookback_days = 1   # a session that began yesterday

-- prose is not a header any more
select 1;
"#;

    #[test]
    fn given_leading_comments_then_they_are_the_header_and_the_rest_is_the_query() {
        let (header, query) = read::<ModelHeader>(MODEL).unwrap();
        assert_eq!(header.key, ["shop_id", "day"]);
        assert_eq!((header.lookback_days, header.lookahead_days, header.every_seconds), (1, 0, 0));
        assert_eq!(query, "-- prose is not a header any more\nselect 1");
    }

    #[test]
    fn given_an_unknown_key_then_the_error_names_it_and_its_line() {
        let error = read::<ModelHeader>(&MODEL.replace("lookback_days", "look_back_days"))
            .unwrap_err()
            .to_string();
        insta::assert_snapshot!(error, @r"
        TOML parse error at line 5, column 2
          |
        5 |  look_back_days = 1   # a session that began yesterday
          |  ^^^^^^^^^^^^^^
        unknown field `look_back_days`, expected one of `grain`, `key`, `partition`, `inputs`, `lookback_days`, `lookahead_days`, `every_seconds`, `warehouse`, `notice`
        ");
    }

    #[test]
    fn given_no_header_then_the_error_names_the_first_missing_key() {
        let error = read::<ModelHeader>("select 1").unwrap_err().to_string();
        assert!(error.contains("missing field `grain`"), "{error}");
    }

    #[test]
    fn given_another_severity_then_the_error_lists_those_there_are() {
        let text = "-- model = \"m\"\n-- severity = \"fatal\"\n-- description = \"d\"\nselect 1";
        let error = read::<CheckHeader>(text).unwrap_err().to_string();
        assert!(error.contains("expected `error` or `warn`"), "{error}");
    }
}
