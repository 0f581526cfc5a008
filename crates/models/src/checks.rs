//! Common checks: a few words in a model's header, compiled to SQL that both engines run.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::models::Check;
use crate::query::{Query, QueryError};
use shoplake_jobs::Severity;

/// The length of a description without the words that say what was cut off: with them it fits the
/// 1,024 bytes of the warehouse's column.
const MAX_DESCRIPTION_BYTES: usize = 960;

/// The table `[checks]` of a model's header. A column that is named here is a column of the model.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CommonChecks {
    /// What a row that violates `not_null`, `bounds` or `reconciles` means for its shop: a warning
    /// by default.
    severity: Option<Severity>,
    /// Columns that are never null.
    not_null: Vec<String>,
    /// Conditions that no row violates. A condition that is null holds.
    bounds: Vec<String>,
    /// Columns with the expression that each one equals, nulls included.
    reconciles: BTreeMap<String, String>,
}

impl CommonChecks {
    /// Returns the columns of the model that the checks name.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.not_null.iter().chain(self.reconciles.keys()).map(String::as_str)
    }

    /// Returns the checks of `model`. Each returns `shop_id`, because the key of the model has it.
    pub(crate) fn compile(&self, model: &str) -> Result<Vec<Check>, QueryError> {
        let severity = self.severity.unwrap_or(Severity::Warn);
        let mut checks = Vec::new();
        let conditions: Vec<_> = self
            .not_null
            .iter()
            .map(|column| format!("{column} is not null"))
            .chain(self.bounds.iter().cloned())
            .collect();
        if !conditions.is_empty() {
            checks.push(check(
                format!("{model}_bounds"),
                severity,
                description_of(&conditions),
                &rows_that_violate(model, &conditions),
            )?);
        }
        if !self.reconciles.is_empty() {
            let equal = |(column, expression): (&String, &String)| {
                format!("{column} is not distinct from {expression}")
            };
            let conditions: Vec<_> = self.reconciles.iter().map(equal).collect();
            let description: Vec<_> = self
                .reconciles
                .iter()
                .map(|(column, expression)| format!("{column} = {expression}"))
                .collect();
            checks.push(check(
                format!("{model}_reconciles"),
                severity,
                description_of(&description),
                &rows_that_violate(model, &conditions),
            )?);
        }
        Ok(checks)
    }
}

fn check(
    name: String,
    severity: Severity,
    description: String,
    sql: &str,
) -> Result<Check, QueryError> {
    let query = Query::parse(sql)?;
    Ok(Check { name, file: None, severity, inputs: Vec::new(), description, query })
}

/// Returns the conditions in one line, cut between two of them where alerts, the report and the
/// warehouse would cut it anywhere.
fn description_of(conditions: &[String]) -> String {
    let mut description = String::from("each row satisfies ");
    for (number, condition) in conditions.iter().enumerate() {
        let separator = if number == 0 { "" } else { "; " };
        let condition = condition.split_whitespace().collect::<Vec<_>>().join(" ");
        if description.len() + separator.len() + condition.len() > MAX_DESCRIPTION_BYTES {
            let rest = conditions.len() - number;
            return format!("{description}; and {rest} more, in the header of the model");
        }
        description = format!("{description}{separator}{condition}");
    }
    description
}

fn rows_that_violate(model: &str, conditions: &[String]) -> String {
    let violations: Vec<_> =
        conditions.iter().map(|condition| format!("not ({condition})")).collect();
    format!("select *\nfrom gold.{model}\nwhere\n    {}", violations.join("\n    or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(toml: &str) -> Vec<(String, String)> {
        let checks: CommonChecks = toml::from_str(toml).unwrap();
        let compiled = checks.compile("daily").unwrap();
        compiled.into_iter().map(|check| (check.name, check.query.render(str::to_owned))).collect()
    }

    #[test]
    fn bounds_are_one_query_for_the_rows_that_violate_any() {
        let checks = compile("not_null = [\"units\"]\nbounds = [\"units > 0 or day is null\"]");
        assert_eq!(checks.len(), 1);
        assert_eq!(checks[0].0, "daily_bounds");
        insta::assert_snapshot!(checks[0].1, @r"
        select *
        from gold.daily
        where
            not (units is not null)
            or not (units > 0 or day is null)
        ");
    }

    #[test]
    fn a_column_that_reconciles_equals_its_expression() {
        let checks = compile("reconciles = { net = \"gross - discounts\" }");
        assert_eq!(checks[0].0, "daily_reconciles");
        insta::assert_snapshot!(checks[0].1, @r"
        select *
        from gold.daily
        where
            not (net is not distinct from gross - discounts)
        ");
    }

    #[test]
    fn a_description_is_one_line_that_fits_its_column() {
        assert_eq!(
            description_of(&["a >= 0".to_owned(), "case\n    when b then c\nend".to_owned()]),
            "each row satisfies a >= 0; case when b then c end"
        );
        let long = description_of(&vec!["units_of_the_day >= 0".to_owned(); 100]);
        assert!(long.len() <= 1_024, "{}", long.len());
        assert!(long.ends_with("; and 59 more, in the header of the model"), "{long}");
    }

    #[test]
    fn common_checks_warn_unless_the_header_says_error() {
        let severities = |toml: &str| {
            let checks: CommonChecks = toml::from_str(toml).unwrap();
            let compiled = checks.compile("daily").unwrap();
            compiled.into_iter().map(|check| check.severity).collect::<Vec<_>>()
        };
        let rules = "not_null = [\"units\"]\nreconciles = { net = \"gross\" }";
        assert_eq!(severities(rules), [Severity::Warn, Severity::Warn]);
        assert_eq!(
            severities(&format!("severity = \"error\"\n{rules}")),
            [Severity::Error, Severity::Error]
        );
    }
}
