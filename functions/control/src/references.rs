//! The reference tables that an operator edits.

use serde_json::{Value, json};
use shoplake_lake::{Condition, Metadata, Store, keys};
use shoplake_models::{Models, ReferenceTable};
use shoplake_platform::failure::Failure;

/// Answers a table: what is declared of it, and its current rows as CSV.
pub(crate) async fn get(models: &Models, lake: &dyn Store, table: &str) -> Result<Value, Failure> {
    let declared = declared(models, table)?;
    let edited = lake.get(&keys::reference(table)).await.map_err(Failure::retryable)?;
    // As it is, even if it cannot be read: whoever wants to repair it has to see it.
    let csv = edited.as_ref().map(|object| String::from_utf8_lossy(&object.bytes));
    let columns = declared.columns.iter().map(|(name, of)| (name.clone(), json!(of)));
    Ok(json!({
        "table": table,
        "description": declared.description,
        "key": declared.key,
        "columns": columns.collect::<serde_json::Map<_, _>>(),
        "edited_at": edited.as_ref().map(|object| object.head.last_modified),
        "csv": csv.as_deref().unwrap_or(&declared.csv),
    }))
}

/// Replaces a table's rows, if they are what the table is declared to be; answers how many there
/// are. The lake tells dispatch, which has everything computed again that was computed with the
/// former rows.
pub(crate) async fn set(
    models: &Models,
    lake: &dyn Store,
    table: &str,
    csv: &str,
) -> Result<Value, Failure> {
    let edited = declared(models, table)?.edited(csv).map_err(|error| {
        Failure::permanent(format!(
            "the reference table {table} stays as it is: {error}; correct the line and set all rows again"
        ))
    })?;
    lake.put(
        &keys::reference(table),
        edited.csv.clone().into(),
        Metadata::new(),
        Condition::Always,
    )
    .await
    .map_err(Failure::retryable)?;
    tracing::info!(table, rows = edited.row_count(), "reference table edited");
    let models = models.readers_of_reference(table).map(|model| &model.name).collect::<Vec<_>>();
    Ok(json!({"table": table, "rows": edited.row_count(), "computed_again": models}))
}

fn declared<'a>(models: &'a Models, table: &str) -> Result<&'a ReferenceTable, Failure> {
    models.reference(table).ok_or_else(|| {
        let known = models.references().keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        Failure::permanent(format!("expected one of the reference tables {known}, got {table:?}"))
    })
}

#[cfg(test)]
mod tests {
    use shoplake_contracts::Contracts;
    use shoplake_lake::MemoryStore;

    use super::*;

    const WEIGHTS: &str = "\
# description = \"What an activity weighs.\"
# key = [\"activity\"]
# columns = { activity = \"string\", weight = \"decimal(9,4)\" }
activity,weight
search,1
click,1
";

    fn models() -> Models {
        Models::from_sources(&Contracts::default(), [("reference/weights.csv", WEIGHTS)]).unwrap()
    }

    #[tokio::test]
    async fn given_a_table_that_nobody_edited_then_its_packaged_rows_are_answered() {
        let answer = get(&models(), &MemoryStore::default(), "weights").await.unwrap();
        assert_eq!(answer["csv"], "activity,weight\nsearch,1\nclick,1\n");
        assert_eq!(answer["columns"], json!({"activity": "string", "weight": "decimal(9,4)"}));
        assert_eq!(answer["edited_at"], Value::Null);
    }

    #[tokio::test]
    async fn given_rows_when_set_then_they_are_in_the_lake_as_they_came() {
        let lake = MemoryStore::default();
        let csv = "activity,weight\nsearch,1.5\nclick,2\n";
        let answer = set(&models(), &lake, "weights", csv).await.unwrap();
        assert_eq!(answer, json!({"table": "weights", "rows": 2, "computed_again": []}));
        assert_eq!(lake.keys(), ["reference/weights.csv"]);
        assert_eq!(get(&models(), &lake, "weights").await.unwrap()["csv"], csv);
    }

    #[tokio::test]
    async fn given_rows_that_can_not_be_when_set_then_nothing_changes_and_the_error_says_where() {
        let lake = MemoryStore::default();
        let failure =
            set(&models(), &lake, "weights", "activity,weight\nsearch,much\n").await.unwrap_err();
        assert!(failure.is_permanent());
        assert_eq!(
            failure.to_string(),
            "the reference table weights stays as it is: line 2, column \"weight\": expected a number with at most 5 digits \
             before and 4 after the point, got \"much\"; correct the line and set all rows again"
        );
        assert!(lake.keys().is_empty());
    }

    #[tokio::test]
    async fn unknown_activities_and_tables_without_rows_change_nothing() {
        for (csv, says) in [
            (
                "activity,weight\nsearch,1\nserach,2\n",
                "line 3, column \"activity\": expected one of click, search",
            ),
            ("activity,weight\n", "line 2: expected at least one row"),
            ("activity,weight\nsearch,1\nsearch,2\n", "line 3: expected activity to occur once"),
            ("activity,weight\nsea\0rch,1\n", "line 2, column \"activity\""),
        ] {
            let lake = MemoryStore::default();
            let failure = set(&models(), &lake, "weights", csv).await.unwrap_err();
            assert!(failure.is_permanent() && failure.to_string().contains(says), "{failure}");
            assert!(lake.keys().is_empty());
        }
    }

    #[tokio::test]
    async fn a_byte_order_mark_is_accepted_and_not_kept() {
        let lake = MemoryStore::default();
        set(&models(), &lake, "weights", "\u{feff}activity,weight\nsearch,2\n").await.unwrap();
        assert_eq!(
            get(&models(), &lake, "weights").await.unwrap()["csv"],
            "activity,weight\nsearch,2\n"
        );
    }

    #[tokio::test]
    async fn given_an_unknown_table_then_the_error_lists_those_there_are() {
        let failure = get(&models(), &MemoryStore::default(), "wages").await.unwrap_err();
        assert_eq!(
            failure.to_string(),
            "expected one of the reference tables weights, got \"wages\""
        );
    }

    #[tokio::test]
    async fn given_a_lake_that_is_down_then_it_is_worth_another_attempt() {
        let lake = MemoryStore::default();
        lake.fail([true]);
        let csv = "activity,weight\nsearch,2\n";
        assert!(!set(&models(), &lake, "weights", csv).await.unwrap_err().is_permanent());
    }
}
