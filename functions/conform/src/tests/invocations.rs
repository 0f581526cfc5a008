//! One invocation at a time.

use bytes::Bytes;
use shoplake_lake::{Condition, Metadata, Store, shops};
use shoplake_platform::metrics::{QUARANTINED_LINES, WRITTEN_SILVER_ROWS};

use super::{conform, envelope, event, payload};
use crate::Answer;

#[tokio::test]
async fn a_bad_line_is_quarantined_and_not_delivered_again() {
    let (conform, sink) = conform();
    let records = vec![(7, envelope("m1", event("e1"))), (8, "garbage".to_owned())];

    let answer = conform.handle(&payload(&records)).await.unwrap();

    assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"batchItemFailures":[]}"#);
    assert_eq!(conform.lake.keys().len(), 3, "{:?}", conform.lake.keys());
    assert_eq!((sink.total(WRITTEN_SILVER_ROWS), sink.total(QUARANTINED_LINES)), (1.0, 1.0));
}

#[tokio::test]
async fn a_failing_lake_restarts_the_batch_at_its_first_record() {
    let (conform, sink) = conform();
    conform.lake.fail([true]);

    let answer = conform.handle(&payload(&[(7, envelope("m1", event("e1")))])).await.unwrap();

    assert_eq!(
        serde_json::to_string(&answer).unwrap(),
        r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#
    );
    assert!(sink.lines().is_empty(), "unwritten rows are counted");
}

#[tokio::test]
async fn the_metadata_of_an_object_names_its_shops() {
    let (conform, _) = conform();
    conform.handle(&payload(&[(7, envelope("m1", event("e1")))])).await.unwrap();
    let [key] = conform.lake.keys().try_into().unwrap();
    let head = conform.lake.head(&key).await.unwrap().unwrap();
    assert_eq!(shops::of(&head), ["acme"]);
}

#[tokio::test]
async fn the_rows_of_a_bronze_object_are_counted() {
    let (conform, _) = conform();
    let key = "bronze/web/dt=2026-11-21/hour=10/x.gz";
    let lines = Bytes::from(format!("{}\n", envelope("m1", event("e1"))));
    conform.lake.put(key, lines, Metadata::new(), Condition::Always).await.unwrap();

    let answer = conform.handle(&format!(r#"{{"bucket":"lake","key":"{key}"}}"#)).await.unwrap();

    let Answer::Object { counts } = answer else { panic!("{answer:?}") };
    assert_eq!(counts["web_traffic"].silver_rows, 1);
    assert!(conform.lake.keys().contains(&"silver/web_traffic/dt=2026-11-20/x.parquet".to_owned()));
}

#[tokio::test]
async fn a_bronze_object_has_a_receipt_when_its_rows_are_written() {
    let (conform, _) = conform();
    let key = "bronze/web/dt=2026-11-21/hour=10/x.gz";
    let lines = Bytes::from(format!("{}\n", envelope("m1", event("e1"))));
    conform.lake.put(key, lines, Metadata::new(), Condition::Always).await.unwrap();
    let receipt = "state/conformed/web/dt=2026-11-21/hour=10/x.gz".to_owned();
    let payload = format!(r#"{{"bucket":"lake","key":"{key}","retry":true}}"#);

    conform.lake.fail([false, true]);
    assert!(!conform.handle(&payload).await.unwrap_err().is_permanent());
    assert!(!conform.lake.keys().contains(&receipt));

    conform.handle(&payload).await.unwrap();
    assert!(conform.lake.keys().contains(&receipt));
}

#[tokio::test]
async fn a_failure_that_no_retry_can_repair_is_permanent() {
    let (conform, _) = conform();
    for payload in [
        "nonsense",
        "{}",
        r#"{"bucket":"other","key":"k"}"#,
        r#"{"bucket":"lake","key":"k"}"#,
        r#"{"Records":[1]}"#,
    ] {
        assert!(conform.handle(payload).await.unwrap_err().is_permanent(), "{payload}");
    }
}

#[tokio::test]
async fn a_failing_lake_is_retryable_when_an_object_is_read() {
    let (conform, _) = conform();
    conform.lake.fail([true]);
    assert!(!conform.handle(r#"{"bucket":"lake","key":"k"}"#).await.unwrap_err().is_permanent());
}
