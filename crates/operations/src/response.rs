//! What an action returns.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use shoplake_aws::shops::Backfill;
use shoplake_contracts::{BackfillName, ShopId};
use shoplake_jobs::{ColumnType, Partition};

/// The result of an action: the JSON of the struct that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// Of `migrate`.
    Applied(Applied),
    /// Of `add_shop` and `rotate_secret`.
    ShopSecret(ShopSecret),
    /// Of `sync_shops`.
    SyncedShops(SyncedShops),
    /// Of `open_backfill`.
    OpenedBackfill(OpenedBackfill),
    /// Of `close_backfill`.
    ClosedBackfill(ClosedBackfill),
    /// Of `backfill`.
    Backfilled(Backfilled),
    /// Of `reload`.
    Reloaded(Reloaded),
    /// Of `get_reference`.
    Reference(Reference),
    /// Of `set_reference`.
    ReferenceSet(ReferenceSet),
    /// Of `redrive`.
    Redriven(Redriven),
    /// Of `check_freshness`.
    Freshness(FreshnessReport),
    /// Of `sweep`.
    Swept(Swept),
    /// Of `record_failure`.
    RecordedFailure(RecordedFailure),
    /// Of `send_alert`.
    SentAlerts(SentAlerts),
}

/// Migrations and views of the warehouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The migrations that this run applied, in order.
    pub applied: Vec<String>,
    /// How many were applied before.
    pub already_applied: usize,
    /// The views that this run created or replaced.
    pub replaced_views: Vec<String>,
    /// The views that this run dropped, because no definition has them any more.
    pub dropped_views: Vec<String>,
}

/// A shop's new secret. This response is the only place that shows it; its `Debug` does not.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShopSecret {
    /// The shop.
    pub shop_id: ShopId,
    /// The secret, `whsec_<base64>`.
    pub webhook_secret: String,
}

impl fmt::Debug for ShopSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ShopSecret").field("shop_id", &self.shop_id).finish_non_exhaustive()
    }
}

/// The list of shops after a synchronization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncedShops {
    /// How many shops are listed.
    pub shops: usize,
    /// The shops that were added.
    pub added: Vec<ShopId>,
}

/// A backfill that is open now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedBackfill {
    /// The shop.
    pub shop_id: ShopId,
    /// Its backfill.
    pub backfill: Backfill,
}

/// A backfill that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedBackfill {
    /// The shop.
    pub shop_id: ShopId,
    /// The backfill; none if none was open.
    pub closed: Option<BackfillName>,
}

/// Partitions that will be computed again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfilled {
    /// The model.
    pub model: String,
    /// How many of its partitions were sent to the dirty queue.
    pub partitions: usize,
}

/// Partitions that are being loaded again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The model.
    pub model: String,
    /// How many executions were started.
    pub started: usize,
    /// How many of them load an older commit than the warehouse has: gold was restored.
    pub restored: usize,
    /// How many partitions are not in gold.
    pub absent: usize,
}

/// A reference table: its declaration and its current rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The table.
    pub table: String,
    /// What it is for.
    pub description: String,
    /// Columns that identify a row.
    pub key: Vec<String>,
    /// The types of its columns.
    pub columns: BTreeMap<String, ColumnType>,
    /// When the rows were set; none if they are the packaged ones.
    pub edited_at: Option<DateTime<Utc>>,
    /// The rows, with a line of column names. They are shown even if they cannot be used, so that
    /// an operator can repair them.
    pub csv: String,
}

/// A reference table that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceSet {
    /// The table.
    pub table: String,
    /// How many rows it has now.
    pub rows: usize,
    /// The models that are computed again.
    pub computed_again: Vec<String>,
}

/// What a redrive did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Redriven {
    /// Of a dataset's quarantine.
    Quarantine {
        /// The dataset.
        quarantine: String,
        /// The day of arrival.
        day: NaiveDate,
        /// The lines.
        lines: RedrivenLines,
    },
    /// Of the failed batches of streams.
    Streams {
        /// `streams`
        queue: String,
        /// How many batches were processed.
        batches: usize,
        /// How many bronze objects are being conformed for them.
        objects: usize,
        /// The batches that stay in the queue.
        left: LeftBatches,
        /// Whether there are more than one run processes.
        more: bool,
    },
    /// Of the dirty queue.
    Dirty {
        /// `dirty`
        queue: String,
        /// How many messages were moved.
        moved: usize,
        /// Whether there are more than one run moves.
        more: bool,
    },
}

/// Quarantined lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedrivenLines {
    /// How many objects of quarantine were read.
    pub objects: usize,
    /// How many lines were put to their stream again.
    pub sent: usize,
    /// How many lines still violate their contract.
    pub still_wrong: usize,
}

/// Batches that stay in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBatches {
    /// Firehose may not have written all of their records yet.
    pub too_recent: usize,
    /// Bronze has no object of their time.
    pub not_in_bronze: usize,
    /// They are not batches of this deployment's streams.
    pub not_understood: usize,
}

/// What a sweep found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// How many days of silver and gold were compared with the states.
    pub compared_days: usize,
    /// How many partitions owed something that their states did not say.
    pub found: usize,
    /// How many partitions owe something, now or later.
    pub owed: usize,
    /// How many of them a message was sent for, because it is due.
    pub sent: usize,
    /// How many markers were deleted, because their partitions owe nothing.
    pub settled: usize,
    /// How many alerts about failed checks and steps were sent, because their executions ended
    /// before.
    #[serde(default)]
    pub alerts: usize,
    /// How many bronze objects were not conformed in time.
    #[serde(default)]
    pub unconformed: usize,
    /// How many of them are being conformed again.
    #[serde(default)]
    pub conforming: usize,
    /// How many bronze objects the operator was alerted to, because several attempts to conform
    /// them failed.
    #[serde(default)]
    pub reported: usize,
}

/// A recorded failure of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFailure {
    /// The model.
    pub model: String,
    /// Its partition.
    pub partition: Partition,
    /// Whether the operator was alerted: once until the step succeeds.
    pub alert: bool,
    /// How often the step failed since it succeeded.
    pub attempts: u32,
    /// When it is tried again; none if another job has taken over.
    pub retry_at: Option<DateTime<Utc>>,
}

/// Alerts about failed checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAlerts {
    /// The model.
    pub model: String,
    /// Its partition.
    pub partition: Partition,
    /// How many were sent: none if the alert was sent before.
    pub sent: usize,
}

/// The freshness of each dataset whose contract sets `fresh_within`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshnessReport {
    /// The datasets.
    pub datasets: Vec<FreshnessResult>,
    /// The batches whose rows have not all arrived within the `fresh_within` of their dataset.
    #[serde(default)]
    pub incomplete_batches: Vec<IncompleteBatch>,
}

/// A delivery of a batch that has been incomplete for longer than its dataset's `fresh_within`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncompleteBatch {
    /// The shop.
    pub shop_id: String,
    /// The dataset.
    pub dataset: String,
    /// The batch.
    pub batch: String,
    /// The newest delivery with a control total; none if its sender does not tell deliveries apart.
    pub run: Option<String>,
    /// When the connector had sent it.
    pub completed_at: DateTime<Utc>,
    /// Rows in its control total.
    pub expected_rows: i64,
    /// Rows that have arrived, in silver or in quarantine.
    pub arrived_rows: i64,
    /// The sum of their quantities in its control total; none if they have no quantity.
    pub expected_quantity: Option<i64>,
    /// The sum of the quantities of the rows in silver; none if they have no quantity.
    pub arrived_quantity: Option<i64>,
    /// Whether this check alerted people.
    pub alerted: bool,
}

/// The freshness of a dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreshnessResult {
    /// The dataset.
    pub dataset: String,
    /// When its newest object arrived. None if it never received data: a dataset that was never
    /// connected is not late.
    pub newest_object_at: Option<DateTime<Utc>>,
    /// Whether it arrived in time; none if it never received data.
    pub is_fresh: Option<bool>,
    /// Whether this check alerted people.
    pub alerted: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_output_of_a_response_has_no_secret() {
        let secret = "whsec_c2hvcGxha2U=".to_owned();
        let shop_id = "acme".parse().unwrap();
        let response = Response::ShopSecret(ShopSecret { shop_id, webhook_secret: secret.clone() });
        let text = format!("{response:?}");
        assert!(text.contains("acme") && !text.contains(&secret), "{text}");
    }
}
