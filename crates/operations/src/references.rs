//! The reference tables that an operator edits.

use shoplake_index::{ModelIndex, ReferenceTable};
use shoplake_lake::{Condition, Metadata, Store, keys};

use shoplake_platform::failure::Failure;

use crate::response::{Reference, ReferenceSet};

/// Returns a table with its current rows.
pub(crate) async fn get(
    models: &ModelIndex,
    lake: &dyn Store,
    table: String,
) -> Result<Reference, Failure> {
    let declared = declared(models, &table)?;
    let edited = lake.get(&keys::reference(&table)).await.map_err(Failure::retryable)?;
    let csv = edited.as_ref().map(|object| String::from_utf8_lossy(&object.bytes).into_owned());
    Ok(Reference {
        table,
        description: declared.description.clone(),
        key: declared.key.clone(),
        columns: declared.columns.clone(),
        edited_at: edited.map(|object| object.head.last_modified),
        csv: csv.unwrap_or_else(|| declared.csv.clone()),
    })
}

/// Replaces a table's rows, if they match its declaration. The write triggers dispatch, which
/// computes everything again that was computed with the rows before.
pub(crate) async fn set(
    models: &ModelIndex,
    lake: &dyn Store,
    table: String,
    csv: &str,
) -> Result<ReferenceSet, Failure> {
    let edited = declared(models, &table)?.edited(csv).map_err(|error| {
        Failure::permanent(format!(
            "invalid rows, the reference table {table} is unchanged: {error}; correct the line and \
             set all rows again"
        ))
    })?;
    lake.put(
        &keys::reference(&table),
        edited.csv.clone().into(),
        Metadata::new(),
        Condition::Always,
    )
    .await
    .map_err(Failure::retryable)?;
    tracing::info!(table, rows = edited.row_count(), "reference table edited");
    let computed_again =
        models.readers_of_reference(&table).map(|model| model.name.clone()).collect();
    Ok(ReferenceSet { rows: edited.row_count(), computed_again, table })
}

fn declared<'a>(models: &'a ModelIndex, table: &str) -> Result<&'a ReferenceTable, Failure> {
    models.reference(table).ok_or_else(|| {
        let known = models.references.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Failure::permanent(format!("unknown reference table {table:?}: expected one of {known}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shoplake_contracts::Contracts;
    use shoplake_lake::MemoryStore;
    use shoplake_models::Models;

    use super::*;

    const WEIGHTS: &str = "\
# description = \"What an activity weighs.\"
# key = [\"activity\"]
# columns = { activity = \"string\", weight = \"decimal(9,4)\" }
activity,weight
search,1
click,1
";

    async fn get(lake: &MemoryStore, table: &str) -> Result<Value, Failure> {
        super::get(&models(), lake, table.to_owned()).await.map(|table| json!(table))
    }

    async fn set(lake: &MemoryStore, csv: &str) -> Result<Value, Failure> {
        super::set(&models(), lake, "weights".to_owned(), csv).await.map(|set| json!(set))
    }

    fn models() -> ModelIndex {
        let source = [("reference/weights.csv", WEIGHTS)];
        Models::from_sources(&Contracts::default(), source).unwrap().index()
    }

    #[tokio::test]
    async fn a_table_without_edits_has_its_packaged_rows() {
        let answer = get(&MemoryStore::default(), "weights").await.unwrap();
        assert_eq!(answer["csv"], "activity,weight\nsearch,1\nclick,1\n");
        assert_eq!(answer["columns"], json!({"activity": "string", "weight": "decimal(9,4)"}));
        assert_eq!(answer["edited_at"], Value::Null);
    }

    #[tokio::test]
    async fn valid_rows_are_written_to_the_lake_unchanged() {
        let lake = MemoryStore::default();
        let csv = "activity,weight\nsearch,1.5\nclick,2\n";
        let answer = set(&lake, csv).await.unwrap();
        assert_eq!(answer, json!({"table": "weights", "rows": 2, "computed_again": []}));
        assert_eq!(lake.keys(), ["reference/weights.csv"]);
        assert_eq!(get(&lake, "weights").await.unwrap()["csv"], csv);
    }

    #[tokio::test]
    async fn invalid_rows_change_nothing_and_are_named() {
        let lake = MemoryStore::default();
        let failure = set(&lake, "activity,weight\nsearch,much\n").await.unwrap_err();
        assert!(failure.is_permanent());
        assert_eq!(
            failure.to_string(),
            "invalid rows, the reference table weights is unchanged: line 2, column \"weight\": \
             expected a number with at most 5 digits before and 4 after the point, got \"much\"; \
             correct the line and set all rows again"
        );
        assert!(lake.keys().is_empty());
    }

    #[tokio::test]
    async fn unknown_activities_and_tables_without_rows_change_nothing() {
        for (csv, expected) in [
            (
                "activity,weight\nsearch,1\nserach,2\n",
                "line 3, column \"activity\": expected one of click, search",
            ),
            ("activity,weight\n", "line 2: expected at least one row"),
            ("activity,weight\nsearch,1\nsearch,2\n", "line 3: expected activity to occur once"),
            ("activity,weight\nsea\0rch,1\n", "line 2, column \"activity\""),
        ] {
            let lake = MemoryStore::default();
            let failure = set(&lake, csv).await.unwrap_err();
            assert!(failure.is_permanent() && failure.to_string().contains(expected), "{failure}");
            assert!(lake.keys().is_empty());
        }
    }

    #[tokio::test]
    async fn a_byte_order_mark_is_accepted_and_not_kept() {
        let lake = MemoryStore::default();
        set(&lake, "\u{feff}activity,weight\nsearch,2\n").await.unwrap();
        assert_eq!(get(&lake, "weights").await.unwrap()["csv"], "activity,weight\nsearch,2\n");
    }

    #[tokio::test]
    async fn an_unknown_table_lists_the_known_ones() {
        let failure = get(&MemoryStore::default(), "wages").await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "unknown reference table \"wages\": expected one of weights"
        );
    }

    #[tokio::test]
    async fn an_outage_of_the_lake_is_retryable() {
        let lake = MemoryStore::default();
        lake.fail([true]);
        let csv = "activity,weight\nsearch,2\n";
        assert!(!set(&lake, csv).await.unwrap_err().is_permanent());
    }
}
