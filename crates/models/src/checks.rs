//! Common checks: a few words in a model's header, compiled to SQL that both engines run.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::dataset::Dataset;
use crate::definition::Reason;
use crate::models::Check;
use crate::query::{Query, QueryError};
use crate::render::runs_name;
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
    /// An input whose batches arrived as their control totals say.
    control_totals: Option<String>,
}

impl CommonChecks {
    /// Returns the columns of the model that the checks name.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.not_null.iter().chain(self.reconciles.keys()).map(String::as_str)
    }

    /// Returns the checks of `model`. Each returns `shop_id`: that of a row of the model, whose key
    /// has it, or that of a control total.
    ///
    /// Control totals have severity error: what a run with other rows or quantities than its total
    /// is about is not known, so its shop keeps the rows of the last commit until a right run
    /// arrives.
    pub(crate) fn compile(
        &self,
        model: &str,
        inputs: &[String],
        datasets: &BTreeMap<String, Dataset>,
    ) -> Result<Vec<Check>, Reason> {
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
                Vec::new(),
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
                Vec::new(),
                description_of(&description),
                &rows_that_violate(model, &conditions),
            )?);
        }
        if let Some(dataset) = &self.control_totals {
            checks.push(check_totals(dataset, inputs, datasets)?);
        }
        Ok(checks)
    }
}

fn check(
    name: String,
    severity: Severity,
    inputs: Vec<String>,
    description: String,
    sql: &str,
) -> Result<Check, QueryError> {
    let query = Query::parse(sql)?;
    Ok(Check { name, file: None, severity, inputs, description, query })
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

/// Returns the check of the control totals of a dataset. It lists batches whose newest run is not
/// complete although as many rows as expected have arrived, or more. Each run is compared with
/// itself.
///
/// Fewer rows are a failure only without a run, as such rows count at once. The freshness check
/// finds other batches that stay incomplete.
fn check_totals(
    dataset: &str,
    inputs: &[String],
    datasets: &BTreeMap<String, Dataset>,
) -> Result<Check, Reason> {
    let reference = format!("silver.{dataset}");
    let has_runs = datasets.get(&reference).is_some_and(|dataset| dataset.has_batches);
    if !has_runs || !inputs.contains(&reference) {
        return Err(Reason::Value {
            key: "checks.control_totals",
            value: dataset.to_owned(),
            expected: "an input of the model whose contract has \"batch\" in x-dataset, without \
                       \"silver.\"",
        });
    }
    let runs = runs_name(&reference);
    let sql = format!(
        "with newest as (
    select
        shop_id,
        batch,
        max(run) as run
    from {runs}
    group by
        shop_id,
        batch
),

final as (
    select
        runs.shop_id,
        runs.batch,
        runs.run,
        runs.expected_rows,
        runs.landed_rows + runs.rejected_rows as actual_rows,
        runs.rejected_rows,
        runs.quarantined_rows,
        runs.expected_quantity,
        runs.landed_quantity as actual_quantity
    from {runs} as runs
    left semi join newest
        on
            runs.shop_id = newest.shop_id
            and runs.batch = newest.batch
            and runs.run = newest.run
    where not runs.is_complete
)

select *
from final
where
    run = ''
    or actual_rows >= expected_rows"
    );
    Ok(check(
        format!("control_totals_{dataset}"),
        Severity::Error,
        // The runs are a view of the model's own input.
        Vec::new(),
        format!(
            "no more rows of {dataset} arrived than the control total of a batch says, and the \
             quantities of as many rows add up to its quantity"
        ),
        &sql,
    )?)
}

#[cfg(test)]
mod tests {
    use shoplake_contracts::Contracts;

    use super::*;

    fn compile(toml: &str) -> Vec<(String, String)> {
        let checks: CommonChecks = toml::from_str(toml).unwrap();
        let compiled = checks.compile("daily", &[], &BTreeMap::new()).unwrap();
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

    /// The datasets of a contract whose batches are snapshots.
    fn datasets() -> BTreeMap<String, Dataset> {
        let contracts = Contracts::from_sources([
            ("pos_sales", include_str!("../../contracts/schemas/pos_sales.json")),
            ("control_totals", include_str!("../../contracts/schemas/control_totals.json")),
            ("quarantined", include_str!("../../contracts/schemas/quarantined.json")),
        ]);
        crate::dataset::all(&contracts.unwrap())
    }

    fn inputs() -> [String; 2] {
        ["silver.pos_sales", "silver.quarantined"].map(str::to_owned)
    }

    #[test]
    fn control_totals_compare_the_runs_of_an_input() {
        let datasets = datasets();
        let compile = |dataset: &str, inputs: &[String]| {
            let checks = format!("control_totals = \"{dataset}\"");
            let checks: CommonChecks = toml::from_str(&checks).unwrap();
            checks.compile("daily", inputs, &datasets).map_err(|error| error.to_string())
        };
        let checks = compile("pos_sales", &inputs()).unwrap();
        let [check] = &checks[..] else { panic!("one check") };
        assert_eq!(check.name, "control_totals_pos_sales");
        let sql = check.query.render(str::to_owned);
        assert!(sql.contains("where not runs.is_complete"), "{sql}");
        for (dataset, inputs) in [("quarantined", &inputs()[..]), ("pos_sales", &[])] {
            let error = compile(dataset, inputs).unwrap_err();
            assert!(
                error.contains("an input of the model whose contract has \"batch\""),
                "{error}"
            );
        }
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
    fn control_totals_withhold_and_other_common_checks_warn() {
        let severities = |toml: &str| {
            let checks: CommonChecks = toml::from_str(toml).unwrap();
            let compiled = checks.compile("daily", &inputs(), &datasets()).unwrap();
            compiled.into_iter().map(|check| check.severity).collect::<Vec<_>>()
        };
        let rules = "not_null = [\"units\"]\nreconciles = { net = \"gross\" }";
        let totals = "control_totals = \"pos_sales\"";
        assert_eq!(
            severities(&format!("{rules}\n{totals}")),
            [Severity::Warn, Severity::Warn, Severity::Error]
        );
        assert_eq!(
            severities(&format!("severity = \"error\"\n{rules}")),
            [Severity::Error, Severity::Error]
        );
    }

    #[test]
    fn control_totals_return_the_shop() {
        let totals = "control_totals = \"pos_sales\"";
        let checks: CommonChecks = toml::from_str(totals).unwrap();
        let [check] = &checks.compile("daily", &inputs(), &datasets()).unwrap()[..] else {
            panic!("one check")
        };
        assert_eq!(check.query.columns().unwrap()[0], "shop_id");
    }
}
