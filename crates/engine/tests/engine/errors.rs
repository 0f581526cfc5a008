//! Errors say which table, which object and which column, and what to do.

use shoplake_contracts::ColumnType;
use shoplake_engine::{DataFusion, EngineError, Limits};
use shoplake_lake::{Condition, Metadata, Store};
use shoplake_testing::{Lake, row};

const MODEL: &str = "session_duration_bounce_rate";
const DAY: &str = "2026-03-01";
const FOLDER: &str = "dt=2026-03-01";

async fn error(lake: &Lake) -> EngineError {
    lake.run(MODEL, DAY).await.unwrap_err()
}

#[tokio::test]
async fn an_error_names_a_column_of_another_type() {
    let lake = Lake::new();
    let mut columns = lake.contracts.get("web_traffic").unwrap().columns.clone();
    let column = columns.iter_mut().find(|column| column.name == "occurred_at").unwrap();
    column.column_type = ColumnType::String;
    lake.write_columns("web_traffic", FOLDER, "a", &columns, &[]).await;
    assert_eq!(
        error(&lake).await.to_string(),
        "silver.web_traffic: the object silver/web_traffic/dt=2026-03-01/a.parquet has the \
         column \"occurred_at\" as string, \
         expected timestamp; a contract changes only by adding optional fields, so write the \
         object again"
    );
}

#[tokio::test]
async fn a_missing_required_column_is_a_permanent_error() {
    let lake = Lake::new();
    let mut columns = lake.contracts.get("web_traffic").unwrap().columns.clone();
    columns.retain(|column| column.name != "session_id");
    lake.write_columns("web_traffic", FOLDER, "a", &columns, &[]).await;
    let error = error(&lake).await;
    assert!(
        matches!(&error, EngineError::MissingColumn { column, .. } if column == "session_id"),
        "{error}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn an_error_names_an_object_that_is_not_parquet() {
    let lake = Lake::new();
    let key = "silver/web_traffic/dt=2026-03-01/a.parquet";
    lake.store.put(key, "no parquet".into(), Metadata::new(), Condition::Always).await.unwrap();
    let error = error(&lake).await;
    assert!(
        matches!(&error, EngineError::Unreadable { key: found, .. } if found == key),
        "{error}"
    );
}

#[tokio::test]
async fn a_deleted_object_is_a_retryable_error() {
    let lake = Lake::new();
    let key = lake.write("web_traffic", FOLDER, "a", &[]).await;
    let job = lake.job(MODEL, DAY).await;
    lake.store.delete(&key).await.unwrap();
    let error =
        shoplake_engine::run(&lake.store, &job, None, &DataFusion::default()).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::MissingObject { key: gone, .. } if *gone == key),
        "{error}"
    );
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_failure_of_the_store_is_a_retryable_error() {
    let lake = Lake::new();
    lake.write("web_traffic", FOLDER, "a", &[]).await;
    let job = lake.job(MODEL, DAY).await;
    lake.store.fail([true]);
    let error =
        shoplake_engine::run(&lake.store, &job, None, &DataFusion::default()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
}

#[tokio::test]
async fn an_error_of_a_query_names_the_model_and_the_column() {
    let lake = Lake::new();
    lake.write("web_traffic", FOLDER, "a", &[]).await;
    let mut job = lake.job(MODEL, DAY).await;
    job.sql = "select no_such_column from silver__web_traffic".to_owned();
    let run = async |job| {
        shoplake_engine::run(&lake.store, &job, None, &DataFusion::default()).await.unwrap_err()
    };
    let error = run(job.clone()).await;
    assert!(
        error.to_string().starts_with("model session_duration_bounce_rate, its query: "),
        "{error}"
    );
    assert!(error.to_string().contains("no_such_column") && !error.is_retryable(), "{error}");

    job.sql = "select shop_id, null as session_date from silver__web_traffic".to_owned();
    assert!(matches!(
        run(job.clone()).await,
        EngineError::OutputType { column, .. } if column == "session_date"
    ));

    job.sql = "select shop_id from silver__web_traffic".to_owned();
    assert!(matches!(
        run(job).await,
        EngineError::OutputColumn { column, .. } if column == "session_date"
    ));
}

#[tokio::test]
async fn too_little_memory_is_an_error_of_its_own() {
    let lake = Lake::new();
    let events: Vec<_> = (0..2000)
        .map(|number| {
            row(
                &[
                    ("shop_id", "acme"),
                    ("session_id", "s1"),
                    ("visitor_id", "v1"),
                    ("event_type", "page_view"),
                    ("page_url", "https://shop.example/"),
                    ("occurred_at", "2026-03-01T10:00:00Z"),
                    ("device_type", "mobile"),
                    ("device_os", "ios"),
                    ("device_browser", "safari"),
                    ("_received_at", "2026-03-01T10:00:00Z"),
                ],
                &[
                    ("event_id", &format!("event-{number}")),
                    ("_envelope_id", &format!("envelope-{number}")),
                ],
            )
        })
        .collect();
    lake.write("web_traffic", FOLDER, "a", &events).await;
    let job = lake.job(MODEL, DAY).await;
    let engine = DataFusion::new(Limits { memory_bytes: 10_000, parallelism: 1 });
    let error = shoplake_engine::run(&lake.store, &job, None, &engine).await.unwrap_err();
    assert!(matches!(error, EngineError::Memory { .. }), "{error}");
}
