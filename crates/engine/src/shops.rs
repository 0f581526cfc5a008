//! The shops of rows, and the shops whose rows make a job fail.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use arrow::array::{AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::prelude::{Expr, col, lit};
use shoplake_jobs::NO_SHOP;

use crate::compute::Computation;
use crate::error::EngineError;

/// The column with the shop of a row.
pub(crate) const SHOP: &str = "shop_id";

/// The failing shops that the search finds one by one. Beyond them it stops with groups of shops.
const FAILING_SHOPS: usize = 16;

/// Returns the shop of each row, null for a row without one.
fn of_rows(rows: &RecordBatch) -> Result<StringArray, ArrowError> {
    let column = rows.column(rows.schema().index_of(SHOP)?);
    Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone())
}

/// Adds the shops of the rows to `found`.
pub(crate) fn add(rows: &RecordBatch, found: &mut BTreeSet<String>) -> Result<(), ArrowError> {
    for shop in &of_rows(rows)? {
        let shop = shop.unwrap_or(NO_SHOP);
        if !found.contains(shop) {
            found.insert(shop.to_owned());
        }
    }
    Ok(())
}

/// Returns the rows of the shops that `is_kept` accepts.
pub(crate) fn filter(
    rows: &RecordBatch,
    is_kept: impl Fn(&str) -> bool,
) -> Result<RecordBatch, ArrowError> {
    let shops = of_rows(rows)?;
    let kept: BooleanArray =
        shops.iter().map(|shop| Some(is_kept(shop.unwrap_or(NO_SHOP)))).collect();
    filter_record_batch(rows, &kept)
}

/// Returns the condition that a row belongs to one of `shops`.
pub(crate) fn is_one_of(shops: &[String]) -> Expr {
    // The text that is no shop keeps the list from being empty: a condition that the planner knows
    // to be false would remove parts of the query, and hide that they fail without any row.
    let named = shops.iter().map(String::as_str).filter(|shop| *shop != NO_SHOP).chain([""]);
    let is_named = col(SHOP).in_list(named.map(lit).collect(), false);
    if shops.iter().any(|shop| shop == NO_SHOP) {
        is_named.or(col(SHOP).is_null())
    } else {
        is_named
    }
}

/// The shops of a job whose SQL fails.
pub(crate) struct Divided {
    /// The shops whose rows make it fail, with the error.
    pub(crate) failing: BTreeMap<String, String>,
    /// All other shops.
    pub(crate) others: Vec<String>,
}

/// Returns the shops whose rows make the SQL fail with an error such as `error`, that of a run with
/// all shops.
///
/// # Errors
/// Returns `error` if no shop's rows are the cause: the SQL fails without any row, or only for
/// shops together. It is then the model's fault.
pub(crate) async fn divide(
    computation: &Computation<'_>,
    error: EngineError,
) -> Result<Divided, EngineError> {
    let shops: Vec<String> = computation.shops().await?.into_iter().collect();
    if shops.is_empty() || fails(computation, &[]).await?.is_some() {
        return Err(error);
    }
    let mut search = Search::new(&shops, error.to_string());
    while let Some(group) = search.next_group() {
        let (first, second) = group.split_at(group.len() / 2);
        let mut failed = 0;
        for half in [first, second] {
            if let Some(error) = fails(computation, half).await? {
                search.add(half, error.to_string());
                failed += 1;
            }
        }
        if failed == 0 {
            return Err(error);
        }
    }
    let failing = search.failing;
    let others = shops.iter().filter(|shop| !failing.contains_key(*shop)).cloned().collect();
    Ok(Divided { failing, others })
}

/// Returns the error that the rows of `shops` cause; `None` if the SQL does not fail.
async fn fails(
    computation: &Computation<'_>,
    shops: &[String],
) -> Result<Option<EngineError>, EngineError> {
    match computation.run(Some(shops)).await {
        Ok(_) => Ok(None),
        Err(error) if error.is_of_data() => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// A search for failing shops, which halves the groups that fail, the largest first.
///
/// For k failing shops of n, it runs at most 2 k log2(n) halves, and the halves of one size have
/// each row at most once. After 2 * [`FAILING_SHOPS`] * log2(n) halves, all shops of the groups
/// that still fail count as failing.
struct Search<'a> {
    /// Groups that fail, with their errors.
    groups: VecDeque<(&'a [String], String)>,
    /// How many halves may still run.
    halves: usize,
    /// The failing shops, with their errors.
    failing: BTreeMap<String, String>,
}

impl<'a> Search<'a> {
    /// Starts with all shops, which fail together.
    fn new(shops: &'a [String], error: String) -> Self {
        let levels = shops.len().next_power_of_two().ilog2() as usize;
        Self {
            groups: VecDeque::from([(shops, error)]),
            halves: 2 * FAILING_SHOPS * levels,
            failing: BTreeMap::new(),
        }
    }

    /// Returns the next group to halve; `None` at the end.
    fn next_group(&mut self) -> Option<&'a [String]> {
        while let Some((group, error)) = self.groups.pop_front() {
            if group.len() > 1 && self.halves >= 2 {
                self.halves -= 2;
                return Some(group);
            }
            self.failing.extend(group.iter().map(|shop| (shop.clone(), error.clone())));
        }
        None
    }

    /// Adds a half that fails.
    fn add(&mut self, half: &'a [String], error: String) {
        self.groups.push_back((half, error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the shops that a search finds, and how many halves it ran.
    fn search(shops: &[String], bad: &BTreeSet<String>) -> (BTreeSet<String>, usize) {
        let mut halves = 0;
        let mut search = Search::new(shops, "it fails".to_owned());
        while let Some(group) = search.next_group() {
            let (first, second) = group.split_at(group.len() / 2);
            for half in [first, second] {
                halves += 1;
                if half.iter().any(|shop| bad.contains(shop)) {
                    search.add(half, "it fails".to_owned());
                }
            }
        }
        (search.failing.into_keys().collect(), halves)
    }

    fn shops(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("shop-{number:04}")).collect()
    }

    #[test]
    fn the_search_finds_each_failing_shop_in_few_runs() {
        for count in [1, 2, 3, 7, 64, 1000] {
            let shops = shops(count);
            let levels = count.next_power_of_two().ilog2() as usize;
            for failing in 1..=FAILING_SHOPS.min(count) {
                // Spread, and one beside the other.
                for step in [count / failing, 1] {
                    let bad = shops.iter().step_by(step).take(failing).cloned().collect();
                    let (found, halves) = search(&shops, &bad);
                    assert_eq!(found, bad);
                    assert!(halves <= 2 * failing * levels, "{halves} for {failing} of {count}");
                }
            }
        }
    }

    #[test]
    fn a_search_for_many_failing_shops_ends_with_groups() {
        let shops = shops(1024);
        let bad = shops.iter().step_by(8).cloned().collect();
        let (found, halves) = search(&shops, &bad);
        assert!(halves <= 2 * FAILING_SHOPS * 10, "{halves}");
        assert!(found.is_superset(&bad));
        let all: BTreeSet<String> = shops.iter().cloned().collect();
        assert_eq!(search(&shops, &all).0, all);
    }
}
