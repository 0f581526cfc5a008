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
    /// Columns that are never null.
    not_null: Vec<String>,
    /// Conditions that no row violates. A condition that is null holds.
    bounds: Vec<String>,
    /// Columns with the expression that each one equals, nulls included.
    reconciles: BTreeMap<String, String>,
    /// The dataset whose batches arrived whole.
    control_totals: Option<ControlTotals>,
}

/// Compares what connectors say they sent with what arrived.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlTotals {
    /// The dataset.
    dataset: String,
    /// An expression over its rows: the name of the batch that a row arrived in.
    batch: String,
    /// The column whose sum a control total states.
    quantity: String,
}

impl CommonChecks {
    /// Returns the columns of the model that the checks name.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.not_null.iter().chain(self.reconciles.keys()).map(String::as_str)
    }

    /// Returns the checks of `model`. All of them warn: a shop's data can make them fail, and must
    /// not keep back the rows of other shops.
    pub(crate) fn compile(&self, model: &str) -> Result<Vec<Check>, QueryError> {
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
                Vec::new(),
                description_of(&description),
                &rows_that_violate(model, &conditions),
            )?);
        }
        if let Some(totals) = &self.control_totals {
            checks.push(totals.check()?);
        }
        Ok(checks)
    }
}

fn check(
    name: String,
    inputs: Vec<String>,
    description: String,
    sql: &str,
) -> Result<Check, QueryError> {
    let query = Query::parse(sql)?;
    Ok(Check { name, file: None, severity: Severity::Warn, inputs, description, query })
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

impl ControlTotals {
    /// The query lists batches whose rows or quantities differ. A row in quarantine counts as
    /// arrived, once, unless a replay has made it a row of silver since. Its quantity is unknown,
    /// so the quantities of such a batch are not compared.
    fn check(&self) -> Result<Check, QueryError> {
        let Self { dataset, batch, quantity } = self;
        let sql = format!(
            "with totals as (
    select
        shop_id,
        batch,
        row_count as expected_rows,
        quantity_sum as expected_quantity
    from silver.control_totals
    where dataset = '{dataset}'
),

batches as (
    select
        shop_id,
        {batch} as batch,
        {quantity} as quantity
    from silver.{dataset}
),

landed as (
    select
        shop_id,
        batch,
        count(*) as landed_rows,
        sum(quantity) as landed_quantity
    from batches
    group by
        shop_id,
        batch
),

still_quarantined as (
    select
        quarantined.shop_id,
        quarantined.batch,
        case
            when quarantined.envelope_id = '_unknown' then quarantined.origin
            else quarantined.envelope_id
        end as line_id
    from silver.quarantined as quarantined
    left anti join silver.{dataset} as accepted
        on
            quarantined.shop_id = accepted.shop_id
            and quarantined.envelope_id = accepted._envelope_id
    where quarantined.dataset = '{dataset}'
),

rejected as (
    select
        shop_id,
        batch,
        count(distinct line_id) as rejected_rows
    from still_quarantined
    group by
        shop_id,
        batch
),

final as (
    select
        totals.shop_id,
        totals.batch,
        totals.expected_rows,
        coalesce(landed.landed_rows, 0) + coalesce(rejected.rejected_rows, 0) as actual_rows,
        coalesce(rejected.rejected_rows, 0) as rejected_rows,
        totals.expected_quantity,
        coalesce(landed.landed_quantity, 0) as actual_quantity
    from totals
    left join landed
        on
            totals.shop_id = landed.shop_id
            and totals.batch = landed.batch
    left join rejected
        on
            totals.shop_id = rejected.shop_id
            and totals.batch = rejected.batch
)

select *
from final
where
    expected_rows <> actual_rows
    or (rejected_rows = 0 and expected_quantity <> actual_quantity)"
        );
        let inputs =
            [dataset, "control_totals", "quarantined"].map(|name| format!("silver.{name}"));
        check(
            format!("control_totals_{dataset}"),
            inputs.to_vec(),
            format!(
                "the rows of {dataset} that a connector sent in a batch arrived, in silver or in \
                 quarantine"
            ),
            &sql,
        )
    }
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
    fn control_totals_read_the_dataset_its_totals_and_its_quarantine() {
        let checks: CommonChecks = toml::from_str(
            r#"control_totals = { dataset = "sales", batch = "string(day)", quantity = "1" }"#,
        )
        .unwrap();
        let [check] = &checks.compile("daily").unwrap()[..] else { panic!("one check") };
        assert_eq!(check.name, "control_totals_sales");
        assert_eq!(check.inputs, ["silver.sales", "silver.control_totals", "silver.quarantined"]);
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
    fn every_common_check_warns() {
        let checks: CommonChecks = toml::from_str("not_null = [\"units\"]").unwrap();
        assert_eq!(checks.compile("daily").unwrap()[0].severity, Severity::Warn);
    }
}
