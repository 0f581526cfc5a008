//! A batch of the dataset `pos_sales`, for the tests of a run.

use chrono::{DateTime, Utc};
use shoplake_connector::{Batch, Dataset, Destination};

/// The stream of the batch.
pub(crate) const STREAM: &str = "shoplake-test-pos";

/// Returns the batch of 2010-12-01.
pub(crate) fn batch() -> Batch {
    Batch {
        shop: "acme".parse().unwrap(),
        connector: "pos",
        name: "2010-12-01".to_owned(),
        business_date: "2010-12-01".parse().unwrap(),
    }
}

/// Returns the dataset, whose control totals sum the quantities.
pub(crate) fn dataset() -> Dataset {
    Dataset::new("pos_sales", &shoplake_testing::schema("pos_sales"), Some("quantity")).unwrap()
}

/// Returns where the batch goes.
pub(crate) fn destination() -> Destination {
    Destination {
        shop: "acme".parse().unwrap(),
        stream_name: STREAM.to_owned(),
        lake_bucket: String::new(),
        backfill: None,
    }
}

/// Returns when the connector runs.
pub(crate) fn now() -> DateTime<Utc> {
    "2010-12-02T05:00:00Z".parse().unwrap()
}
