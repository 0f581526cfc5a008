//! Reads rows with their dataset's contract.

use std::collections::HashMap;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shoplake_contracts::{
    Code, ColumnType, Contract, ContractError, Contracts, Partition, RowMetadata,
    text::{Day, Timestamp, parse_date, parse_integer, parse_timestamp},
};

/// The dataset that a connector fetches. Its contract is the only reader of a row's fields, so the
/// connector counts what silver will hold.
#[derive(Debug, Clone)]
pub struct Dataset {
    contract: Contract,
    /// The column that control totals sum.
    quantity: Option<&'static str>,
}

/// What a connector uses of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowSummary {
    /// Identifies the row within its batch. Rows with one key are one row in silver.
    pub(crate) key: String,
    /// What the control total sums; none for a row that its contract refuses.
    pub(crate) quantity: Option<i64>,
    /// When it happened, RFC 3339; none for a row that its contract refuses.
    pub(crate) occurred_at: Option<String>,
    /// The day or hour that silver will have it in; none for a row that its contract refuses, and
    /// for a dataset in buckets, of which there is a fixed number.
    pub(crate) partition: Option<Partition>,
}

impl Dataset {
    /// Compiles the `schema` of `dataset`. `quantity` names the column that control totals sum;
    /// without one they sum nothing.
    ///
    /// # Errors
    /// When the schema is not a contract, has no such column of whole numbers, or compares control
    /// totals with the sum of another column.
    pub fn new(
        dataset: &str,
        schema: &str,
        quantity: Option<&'static str>,
    ) -> Result<Self, ContractError> {
        let contracts = Contracts::from_sources([(dataset, schema)])?;
        let contract = contracts.get(dataset);
        let is_summable = |contract: &&Contract| {
            quantity.is_none_or(|quantity| {
                let column = contract.columns.iter().find(|column| column.name == quantity);
                column.is_some_and(|column| column.column_type == ColumnType::Bigint)
            })
        };
        let contract = contract.filter(is_summable).ok_or_else(|| ContractError::Schema {
            dataset: dataset.to_owned(),
            at: "/properties".to_owned(),
            problem: format!(
                "expected an integer {:?}, which the connector sums",
                quantity.unwrap_or_default()
            ),
        })?;
        if let Some(complete) = &contract.complete {
            let compared = complete.sum.as_ref().map(|sum| sum.column.as_str());
            if compared != quantity {
                return Err(ContractError::Schema {
                    dataset: dataset.to_owned(),
                    at: "/x-dataset/complete".to_owned(),
                    problem: format!(
                        "the connector sums {quantity:?}, but the contract compares the sum of \
                         {compared:?}; expected the same column, or no delivery is complete"
                    ),
                });
            }
        }
        Ok(Self { contract: contract.clone(), quantity })
    }

    /// Returns the dataset's name.
    pub fn name(&self) -> &str {
        &self.contract.dataset
    }

    /// Reads a row. A rejected row keeps its key if the key's columns are valid, so that a
    /// corrected row has the same id. Any other rejected row is identified by its bytes.
    pub(crate) fn summarize(&self, metadata: RowMetadata<'_>, row: &RawValue) -> RowSummary {
        let data = row.get().as_bytes();
        let reasons = match self.contract.read(metadata, data) {
            Ok(record) => {
                let occurred_at = record.timestamp(&self.contract.event_time);
                let partition = &self.contract.partition;
                let partition =
                    record.value(partition.column()).and_then(|value| partition.of(value));
                return RowSummary {
                    key: join(record.key()),
                    quantity: Some(
                        self.quantity.and_then(|column| record.integer(column)).unwrap_or(0),
                    ),
                    occurred_at: occurred_at.map(|micros| Timestamp(micros).to_string()),
                    partition: partition.filter(|value| !matches!(value, Partition::Bucket(_))),
                };
            }
            Err(reasons) => reasons,
        };
        // The contract does not check the key of a row that is not valid JSON. Such a key may have
        // any length and any characters, and would make an envelope that the stream or conform
        // rejects.
        let key_is_refused = reasons.iter().any(|reason| {
            reason.field.is_empty()
                || reason.code == Code::Malformed
                || self.contract.key.contains(&reason.field)
        });
        let key = if key_is_refused { None } else { self.valid_key(row) };
        let key = key.unwrap_or_else(|| format!("row-{}", hex::encode(&Sha256::digest(data)[..8])));
        RowSummary { key, quantity: None, occurred_at: None, partition: None }
    }

    /// Returns the key of a row, if the key's columns are valid.
    fn valid_key(&self, row: &RawValue) -> Option<String> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(row.get()).ok()?;
        let columns = self.contract.columns.iter();
        let types: HashMap<_, _> =
            columns.map(|column| (&column.name, column.column_type)).collect();
        let mut parts = Vec::with_capacity(self.contract.key.len());
        for column in self.contract.key.iter().filter(|column| *column != "shop_id") {
            parts.push(valid_part(*types.get(column)?, fields.get(column)?.get())?);
        }
        Some(join(parts))
    }
}

/// Joins the parts of a key. Escapes slashes in all parts but the last, so that ("a/b", "c") and
/// ("a", "b/c") are different keys. Every key has a slash, so that it never equals the id of a
/// control total.
fn join(mut parts: Vec<String>) -> String {
    let last = parts.pop().unwrap_or_default();
    if parts.is_empty() {
        return format!("id/{last}");
    }
    let escaped = parts.iter().map(|part| part.replace('%', "%25").replace('/', "%2F") + "/");
    escaped.collect::<String>() + &last
}

/// Returns a value in silver's notation: `2` for `2.0`, a time in UTC. None if a key cannot have
/// the column's type.
fn valid_part(column_type: ColumnType, json: &str) -> Option<String> {
    let text = || serde_json::from_str::<String>(json).ok();
    Some(match column_type {
        ColumnType::String => text()?,
        ColumnType::Bigint => parse_integer(json).ok()?.to_string(),
        ColumnType::Date => Day(parse_date(&text()?)?).to_string(),
        ColumnType::Timestamp => Timestamp(parse_timestamp(&text()?)?).to_string(),
        ColumnType::Double | ColumnType::Boolean | ColumnType::Decimal { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shoplake_testing::schema;

    use super::*;

    fn summary(dataset: &Dataset, row: &str) -> RowSummary {
        let (shop, received_at) =
            ("acme".parse().unwrap(), "2026-11-22T05:00:00Z".parse().unwrap());
        let row = RawValue::from_string(row.to_owned()).unwrap();
        dataset.summarize(RowMetadata::new(&shop, received_at), &row)
    }

    /// Returns a valid line of a receipt, with fields replaced by `changes`.
    fn sale(changes: serde_json::Value) -> String {
        let mut sale = json!({
            "transaction_id": "5363", "line_no": 2, "store_id": "s1", "region": "north",
            "product_id": "p1",
            "quantity": 6, "unit_price": "2.55", "discount": "0", "currency": "GBP",
            "sold_at": "2026-11-21T09:26:00+01:00", "business_date": "2026-11-21",
        });
        for (field, value) in changes.as_object().unwrap() {
            sale[field] = value.clone();
        }
        sale.to_string()
    }

    fn sales() -> Dataset {
        Dataset::new("pos_sales", &schema("pos_sales"), Some("quantity")).unwrap()
    }

    #[test]
    fn a_valid_row_has_the_key_quantity_and_time_of_its_contract() {
        let expected = RowSummary {
            key: "5363/2".to_owned(),
            quantity: Some(6),
            occurred_at: Some("2026-11-21T08:26:00.000000Z".to_owned()),
            partition: Some("2026-11-21".parse().unwrap()),
        };
        assert_eq!(summary(&sales(), &sale(json!({}))), expected);
        let escaped = sale(json!({})).replace("5363", "536\\u0033").replace(":2,", ":2.0,");
        assert_eq!(summary(&sales(), &escaped), expected);
    }

    #[test]
    fn whole_quantities_count_however_they_are_written() {
        for (written, quantity) in [("6", 6), ("2.0", 2), ("3.00", 3), ("-1.0", -1), ("1e1", 10)] {
            let row = sale(json!({})).replace("\"quantity\":6", &format!("\"quantity\":{written}"));
            assert_eq!(summary(&sales(), &row).quantity, Some(quantity), "{written}");
        }
        for refused in
            ["2.5", "\"6\"", "null", "0", "1000001", "99999999999999999999", "1e400", "[6]"]
        {
            let row = sale(json!({})).replace("\"quantity\":6", &format!("\"quantity\":{refused}"));
            let summary = summary(&sales(), &row);
            assert_eq!((summary.quantity, summary.occurred_at), (None, None), "{refused}");
        }
    }

    #[test]
    fn a_refused_row_keeps_the_key_of_its_corrected_form() {
        for changes in [
            json!({"unit_price": "0.00"}),
            json!({"product_id": null}),
            json!({"sold_at": "31/02/2010 25:61", "quantity": "six"}),
            json!({"line_no": 2.0, "region": ""}),
        ] {
            let row = sale(changes);
            let expected = RowSummary {
                key: "5363/2".to_owned(),
                quantity: None,
                occurred_at: None,
                partition: None,
            };
            assert_eq!(summary(&sales(), &row), expected, "{row}");
        }
    }

    #[test]
    fn a_row_without_a_valid_key_is_identified_by_its_bytes() {
        let rows = [
            sale(json!({"transaction_id": ""})),
            sale(json!({"transaction_id": null})),
            sale(json!({"line_no": 0})),
            sale(json!({"line_no": 1.5})),
            sale(json!({"line_no": "1"})),
            sale(json!({"transaction_id": "x".repeat(65)})),
            sale(json!({})).replace('{', r#"{"line_no":2,"#),
            sale(json!({"transaction_id": "a\0b"})).replace('{', r#"{"zz":1e400,"#),
            "{}".to_owned(),
            "null".to_owned(),
            "17".to_owned(),
        ];
        let mut keys: Vec<_> = rows.iter().map(|row| summary(&sales(), row).key).collect();
        assert!(keys.iter().all(|key| key.starts_with("row-") && key.len() == 20), "{keys:?}");
        assert_eq!(keys[10], summary(&sales(), "17").key);
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), rows.len());
    }

    #[test]
    fn a_slash_in_a_part_does_not_change_which_key_it_is() {
        let schema_of_levels = schema("inventory_levels");
        let levels = Dataset::new("inventory_levels", &schema_of_levels, Some("on_hand")).unwrap();
        let level = |location: &str, product: &str| {
            let row = json!({
                "location_id": location, "product_id": product,
                "snapshot_at": "2026-11-21T10:00:00Z",
                "on_hand": -2, "reserved": 0, "reorder_point": 5, "restocked_quantity": 0,
                "unit_cost": "1.50", "currency": "GBP",
            });
            let summary = summary(&levels, &row.to_string());
            assert_eq!(summary.quantity, Some(-2));
            summary.key
        };
        assert_eq!(level("ldn-01", "p017"), "ldn-01/p017/2026-11-21T10:00:00.000000Z");
        let keys = [level("a/b", "c"), level("a", "b/c"), level("a%2Fb", "c")];
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2], "{keys:?}");

        let customers = Dataset::new("oltp_customers", &schema("oltp_customers"), None).unwrap();
        let time = "2026-11-21T10:00:00Z";
        let row = json!({"customer_id": "a/7", "created_at": time, "extracted_at": time});
        let customer = summary(&customers, &row.to_string());
        assert_eq!((customer.key.as_str(), customer.quantity), ("id/a/7", Some(0)));
    }

    #[test]
    fn a_quantity_that_is_not_a_whole_number_is_an_error() {
        for column in ["pieces", "unit_price"] {
            let schema = schema("pos_sales");
            let error = Dataset::new("pos_sales", &schema, Some(column)).unwrap_err().to_string();
            assert!(error.contains("pos_sales") && error.contains(column), "{error}");
        }
    }

    #[test]
    fn the_quantity_that_is_summed_is_the_one_that_is_compared() {
        for column in [None, Some("line_no")] {
            let error = Dataset::new("pos_sales", &schema("pos_sales"), column).unwrap_err();
            let error = error.to_string();
            assert!(error.contains("/x-dataset/complete"), "{error}");
            assert!(error.contains("Some(\"quantity\")"), "{error}");
        }
    }
}
