//! The catalog of the repository's definitions, and of some that it does not have.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shoplake_catalog::{Catalog, Projection, Table, catalog};
use shoplake_contracts::Contracts;
use shoplake_models::Models;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

async fn of_repository() -> (Contracts, Models, Catalog) {
    let contracts = Contracts::load(&root().join("crates/contracts/schemas")).unwrap();
    let models = Models::load(&root().join("glue-sql"), &contracts).unwrap();
    let catalog = catalog(&contracts, &models).await.unwrap();
    (contracts, models, catalog)
}

/// The tables of one contract and no model.
async fn of_contract(dataset: &str, schema: &str) -> Result<Catalog, String> {
    let contracts = Contracts::from_sources([(dataset, schema)]).unwrap();
    let models = Models::from_sources(&contracts, []).unwrap();
    catalog(&contracts, &models).await.map_err(|error| error.to_string())
}

fn columns(table: &Table) -> Vec<String> {
    table.columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect()
}

/// An order with its lines; `partition` and one more field are the test's.
fn orders(partition: &str, field: &str) -> String {
    format!(
        r#"{{
            "title": "Orders", "description": "What was ordered.", "type": "object",
            "x-dataset": {{
                "source": "shop", "delivery": "stream", "key": ["shop_id", "order_id"], "version": null,
                "event_time": "placed_at", "partition": "{partition}", "sort": ["shop_id", "order_id"],
                "personal": ["contact_email"]
            }},
            "required": ["order_id", "placed_at", "contact", "line_items"],
            "properties": {{
                "order_id": {{ "type": "string", "description": "Names it." }},
                "placed_at": {{ "type": "string", "format": "date-time", "description": "When." }},
                "{field}": {{
                    "type": ["string", "null"], "x-type": "decimal(18,4)", "description": "Something.",
                    "pattern": "^-?(0|[1-9][0-9]{{0,13}})(\\.[0-9]{{1,4}})?$"
                }},
                "contact": {{
                    "type": "object", "description": "Who.", "required": ["email"],
                    "properties": {{ "email": {{ "type": "string", "description": "The address." }} }}
                }},
                "line_items": {{
                    "type": "array", "description": "The lines.", "x-child": {{ "dataset": "order_lines", "ordinal": "line_no" }},
                    "items": {{
                        "type": "object", "required": ["quantity"],
                        "properties": {{ "quantity": {{ "type": "integer", "minimum": 1, "maximum": 99, "description": "How many." }} }}
                    }}
                }}
            }}
        }}"#
    )
}

#[tokio::test]
async fn every_source_dataset_and_model_has_a_table() {
    let (contracts, models, catalog) = of_repository().await;
    for contract in contracts.iter() {
        assert!(catalog.table("silver", &contract.dataset).is_some(), "{}", contract.dataset);
        for source in &contract.sources {
            assert!(catalog.table("bronze", source).is_some(), "{source}");
        }
    }
    for model in models.iter() {
        let (database, name) = model.reference.split_once('.').unwrap();
        let table = catalog.table(database, name).unwrap_or_else(|| panic!("{}", model.reference));
        let mut names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        names.extend(table.partition_keys.iter().map(|key| key.name.as_str()));
        names.sort_unstable();
        let mut expected: Vec<_> = model.columns.iter().map(String::as_str).collect();
        expected.sort_unstable();
        assert_eq!(names, expected, "{}", model.reference);
    }
    let tables: usize = catalog.databases.values().map(BTreeMap::len).sum();
    let sources = catalog.databases["bronze"].len();
    assert_eq!(
        tables,
        contracts.iter().count() + models.iter().count() + sources + 1,
        "and no other"
    );
}

#[tokio::test]
async fn a_dataset_has_the_columns_of_its_contract_and_a_partition_that_is_none_of_them() {
    let (_, _, catalog) = of_repository().await;
    let sales = catalog.table("silver", "pos_sales").unwrap();
    assert_eq!(
        columns(sales),
        [
            "shop_id string",
            "transaction_id string",
            "line_no bigint",
            "store_id string",
            "region string",
            "product_id string",
            "product_name string",
            "quantity bigint",
            "unit_price decimal(18,4)",
            "discount decimal(18,4)",
            "unit_cost decimal(18,4)",
            "currency string",
            "customer_id string",
            "payment_method string",
            "sold_at timestamp",
            "business_date date",
            "_envelope_id string",
            "_received_at timestamp",
        ]
    );
    assert_eq!(
        (sales.location.as_str(), sales.template.as_str()),
        ("silver/pos_sales/", "silver/pos_sales/dt=${dt}/")
    );
    assert_eq!(
        (sales.partition_keys[0].name.as_str(), sales.partition_keys[0].key_type),
        ("dt", "date")
    );
    assert_eq!(sales.partition_keys.len(), 1);
}

#[tokio::test]
async fn a_model_has_its_partition_column_as_partition_key_only() {
    let (_, _, catalog) = of_repository().await;
    let sales = catalog.table("gold", "total_sales_by_region_product").unwrap();
    assert_eq!(
        columns(sales),
        [
            "shop_id string",
            "region string",
            "product_id string",
            "currency string",
            "gross_sales decimal(38,4)",
            "discounts decimal(38,4)",
            "net_sales decimal(38,4)",
            "units_sold bigint",
            "units_returned bigint",
            "transactions bigint",
        ]
    );
    assert_eq!(sales.partition_keys[0].name, "business_date");
    assert_eq!(sales.partition_keys[0].projection, Projection::Date);
    assert_eq!(
        sales.template,
        "gold/total_sales_by_region_product/business_date=${business_date}/"
    );
    assert!(
        sales.description.starts_with("One row per shop, business date"),
        "{}",
        sales.description
    );

    let stock = catalog.table("silver", "daily_stock").unwrap();
    assert_eq!(
        stock.location, "gold/daily_stock/",
        "models of silver are committed as those of gold are"
    );
}

#[tokio::test]
async fn given_nested_fields_and_lines_then_both_tables_are_flat() {
    let catalog = of_contract("orders", &orders("day(placed_at)", "total")).await.unwrap();
    let orders = catalog.table("silver", "orders").unwrap();
    assert_eq!(
        columns(orders),
        [
            "shop_id string",
            "order_id string",
            "placed_at timestamp",
            "total decimal(18,4)",
            "contact_email string",
            "_envelope_id string",
            "_received_at timestamp",
        ]
    );
    assert_eq!(orders.personal, ["contact_email"]);
    let lines = catalog.table("silver", "order_lines").unwrap();
    assert_eq!(
        columns(lines),
        [
            "shop_id string",
            "order_id string",
            "placed_at timestamp",
            "line_no bigint",
            "quantity bigint",
            "_envelope_id string",
            "_received_at timestamp",
        ]
    );
    assert_eq!(
        (lines.template.as_str(), lines.personal.len()),
        ("silver/order_lines/dt=${dt}/", 0)
    );
}

#[tokio::test]
async fn hours_and_buckets_are_projected_as_their_folders_are_named() {
    let catalog = of_contract("orders", &orders("hour(placed_at)", "total")).await.unwrap();
    let (table, values) =
        catalog.table_of("silver/orders/dt=2026-11-21/hour=09/a.parquet").unwrap();
    assert_eq!(table.template, "silver/orders/dt=${dt}/hour=${hour}/");
    assert_eq!(
        values,
        BTreeMap::from([("dt", "2026-11-21".to_owned()), ("hour", "09".to_owned())])
    );
    for unknown in
        ["dt=2026-11-21/hour=9", "dt=2026-11-21/hour=24", "dt=2026-11-21", "dt=20261121/hour=09"]
    {
        assert!(
            catalog.table_of(&format!("silver/orders/{unknown}/a.parquet")).is_none(),
            "{unknown}"
        );
    }

    let catalog = of_contract("orders", &orders("bucket(order_id, 64)", "total")).await.unwrap();
    assert!(catalog.table_of("silver/orders/bucket=0063/a.parquet").is_some());
    assert!(catalog.table_of("silver/orders/bucket=0064/a.parquet").is_none());
    assert!(catalog.table_of("silver/order_lines/bucket=0000/a.parquet").is_some());
}

#[tokio::test]
async fn given_a_field_called_as_the_partition_key_then_the_error_says_so() {
    let error = of_contract("orders", &orders("day(placed_at)", "dt")).await.unwrap_err();
    assert!(error.contains("\"orders\" has a column \"dt\""), "{error}");
    assert!(of_contract("orders", &orders("hour(placed_at)", "hour")).await.is_err());
    assert!(of_contract("orders", &orders("hour(placed_at)", "bucket")).await.is_ok());
}

/// The file is what Terraform's tests and offline plans read, and shows what a changed definition
/// does to the catalog.
#[tokio::test]
async fn the_catalog_of_the_infrastructure_tests_is_the_current_one() {
    let (_, _, catalog) = of_repository().await;
    let file = root().join("infra/tests/fixtures/packages/catalog.json");
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(
        written == serde_json::to_value(&catalog).unwrap(),
        "write it anew: cargo run -p shoplake-catalog -- --out infra/tests/fixtures/packages/catalog.json"
    );
}
