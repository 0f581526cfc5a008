//! The header of a SQL file: TOML in its leading comment lines.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use shoplake_index::Description;
use shoplake_jobs::{Alert, Severity};

use crate::checks::CommonChecks;

/// The header of a model.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelHeader {
    pub(crate) grain: Description,
    pub(crate) key: Vec<String>,
    pub(crate) partition: String,
    pub(crate) inputs: Vec<String>,
    /// The column of an input that names the day for which a row is read, by input.
    #[serde(default)]
    pub(crate) by_column: BTreeMap<String, String>,
    /// The inputs that are read whole.
    #[serde(default)]
    pub(crate) all: Vec<String>,
    /// The dataset whose moved rows the model finds, `silver.<dataset>`.
    pub(crate) moved_rows_of: Option<String>,
    #[serde(default)]
    pub(crate) lookback_days: u16,
    #[serde(default)]
    pub(crate) lookahead_days: u16,
    #[serde(default)]
    pub(crate) every_seconds: u32,
    pub(crate) alert: Option<Alert>,
    /// Descriptions of the columns, by name.
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, Description>,
    #[serde(default)]
    pub(crate) checks: CommonChecks,
}

/// The header of a check.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckHeader {
    pub(crate) model: String,
    pub(crate) severity: Severity,
    #[serde(default)]
    pub(crate) inputs: Vec<String>,
    pub(crate) description: String,
}

/// Returns the header of a file and its query, without a closing semicolon.
pub(crate) fn read<H: DeserializeOwned>(text: &str) -> Result<(H, &str), toml::de::Error> {
    let mut header = String::new();
    let mut query = text;
    // Every line of the header is kept, so that a TOML error has the line number of the file.
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

-- prose after an empty line is not a header
select 1;
"#;

    #[test]
    fn leading_comments_are_the_header_and_the_rest_is_the_query() {
        let (header, query) = read::<ModelHeader>(MODEL).unwrap();
        assert_eq!(header.key, ["shop_id", "day"]);
        assert_eq!((header.lookback_days, header.lookahead_days, header.every_seconds), (1, 0, 0));
        assert_eq!(query, "-- prose after an empty line is not a header\nselect 1");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = read::<ModelHeader>(&MODEL.replace("lookback_days", "look_back_days"))
            .unwrap_err()
            .to_string();
        for part in ["line 5, column 2", "unknown field `look_back_days`", "`columns`, `checks`"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_missing_header_is_refused_with_its_first_key() {
        let error = read::<ModelHeader>("select 1").unwrap_err().to_string();
        assert!(error.contains("missing field `grain`"), "{error}");
    }

    #[test]
    fn an_invalid_description_is_refused() {
        let error = read::<ModelHeader>(&MODEL.replace("one row per shop and day", " "))
            .unwrap_err()
            .to_string();
        assert!(error.contains("invalid description \" \": expected one line"), "{error}");
    }

    #[test]
    fn an_unknown_severity_is_refused_with_the_known_ones() {
        let text = "-- model = \"m\"\n-- severity = \"fatal\"\n-- description = \"d\"\nselect 1";
        let error = read::<CheckHeader>(text).unwrap_err().to_string();
        assert!(error.contains("`error`") && error.contains("`warn`"), "{error}");
    }
}
