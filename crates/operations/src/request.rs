//! What an operator can ask for.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use shoplake_contracts::{BackfillName, ShopId};
use shoplake_jobs::Partition;
use shoplake_lake::state::Step;
use shoplake_platform::failure::Failure;

/// An action with its arguments. In JSON `{"action": "add_shop", "shop_id": "acme"}`.
///
/// The comment of each variant names the [response](crate::response).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Applies the migrations of the warehouse that were not applied yet, and creates, replaces and
    /// drops the views of the marts: [`Applied`](crate::response::Applied).
    Migrate,
    /// Adds a shop and creates its webhook secret: [`ShopSecret`](crate::response::ShopSecret).
    AddShop {
        /// The shop.
        shop_id: ShopId,
    },
    /// Replaces a shop's webhook secret. The secret before it stays valid:
    /// [`ShopSecret`](crate::response::ShopSecret).
    RotateSecret {
        /// The shop.
        shop_id: ShopId,
    },
    /// Adds the shops that have a secret to the list of shops:
    /// [`SyncedShops`](crate::response::SyncedShops).
    SyncShops,
    /// Lets a shop send data that is older than its datasets' windows:
    /// [`OpenedBackfill`](crate::response::OpenedBackfill).
    OpenBackfill {
        /// The shop.
        shop_id: ShopId,
        /// The name of the backfill, which its rows carry.
        name: BackfillName,
        /// When it ends, at most 31 days ahead.
        until: DateTime<Utc>,
    },
    /// Ends a shop's backfill: [`ClosedBackfill`](crate::response::ClosedBackfill).
    CloseBackfill {
        /// The shop.
        shop_id: ShopId,
    },
    /// Computes a model's partitions again, both ends included, even if their inputs are the same:
    /// [`Backfilled`](crate::response::Backfilled).
    Backfill {
        /// The model.
        model: String,
        /// The first partition.
        from: Partition,
        /// The last partition.
        to: Partition,
    },
    /// Loads a model's partitions into the warehouse again as they are in gold, both ends included:
    /// [`Reloaded`](crate::response::Reloaded).
    Reload {
        /// The model.
        model: String,
        /// The first partition.
        from: Partition,
        /// The last partition.
        to: Partition,
    },
    /// Returns a reference table: [`Reference`](crate::response::Reference).
    GetReference {
        /// The table.
        table: String,
    },
    /// Replaces the rows of a reference table: [`ReferenceSet`](crate::response::ReferenceSet).
    SetReference {
        /// The table.
        table: String,
        /// All of its rows, with a line of column names.
        csv: String,
    },
    /// Processes failed messages or quarantined lines again:
    /// [`Redriven`](crate::response::Redriven).
    Redrive(RedriveTarget),
    /// Checks which datasets have stopped arriving, and alerts people once:
    /// [`FreshnessReport`](crate::response::FreshnessReport).
    CheckFreshness,
    /// Sends what partitions owe, compares their states with silver and gold, and conforms bronze
    /// objects that were not conformed. Run by a schedule: [`Swept`](crate::response::Swept).
    Sweep,
    /// Records that a step of a job's execution failed after all its retries, and alerts people
    /// once until it succeeds. Sent by the state machines:
    /// [`RecordedFailure`](crate::response::RecordedFailure).
    RecordFailure {
        /// The key of the job document.
        job: String,
        /// The step that failed.
        step: Step,
        /// The name of the error.
        error: String,
        /// What the error says.
        cause: String,
    },
    /// Sends the alert about failed checks of a job's commit, unless it was sent. Sent by the state
    /// machine: [`SentAlerts`](crate::response::SentAlerts).
    SendAlert {
        /// The key of the job document.
        job: String,
        /// The version of the commit.
        version: u64,
    },
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// If the JSON is not a request. The failure is permanent.
    pub fn from_json(json: serde_json::Value) -> Result<Self, Failure> {
        serde_json::from_value(json).map_err(|error| {
            Failure::permanent(format!(
                "invalid request: expected an action (migrate, add_shop, rotate_secret, \
                 sync_shops, open_backfill, close_backfill, backfill, reload, get_reference, \
                 set_reference, redrive, check_freshness, sweep, record_failure or send_alert) \
                 with its arguments: {error}"
            ))
        })
    }
}

/// What to process again. In JSON `{"queue": "dirty"}`, or
/// `{"quarantine": "visits", "day": "2026-11-21"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RedriveFields", into = "RedriveFields")]
pub enum RedriveTarget {
    /// The messages of a dead-letter queue.
    Queue(FailedQueue),
    /// The quarantined lines of a dataset that arrived on a day.
    Quarantine {
        /// The dataset, or `_unknown`.
        dataset: String,
        /// The day of arrival.
        day: NaiveDate,
    },
}

/// A queue of messages that could not be processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailedQueue {
    /// Dirty partitions that could not be delivered or dispatched.
    Dirty,
    /// Batches of a stream that could not be conformed.
    Streams,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RedriveFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<FailedQueue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quarantine: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day: Option<NaiveDate>,
}

/// The arguments of a redrive name nothing, or two things at once.
#[derive(Debug, thiserror::Error)]
#[error(
    "a redrive takes either \"queue\":\"dirty\", or \"queue\":\"streams\", or \
     \"quarantine\":\"<dataset>\" and \"day\":\"YYYY-MM-DD\""
)]
struct InvalidTarget;

impl TryFrom<RedriveFields> for RedriveTarget {
    type Error = InvalidTarget;

    fn try_from(fields: RedriveFields) -> Result<Self, Self::Error> {
        match fields {
            RedriveFields { queue: Some(queue), quarantine: None, day: None } => {
                Ok(Self::Queue(queue))
            }
            RedriveFields { queue: None, quarantine: Some(dataset), day: Some(day) } => {
                Ok(Self::Quarantine { dataset, day })
            }
            _ => Err(InvalidTarget),
        }
    }
}

impl From<RedriveTarget> for RedriveFields {
    fn from(target: RedriveTarget) -> Self {
        match target {
            RedriveTarget::Queue(queue) => Self { queue: Some(queue), quarantine: None, day: None },
            RedriveTarget::Quarantine { dataset, day } => {
                Self { queue: None, quarantine: Some(dataset), day: Some(day) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        for json in [
            json!({"action": "migrate"}),
            json!({"action": "add_shop", "shop_id": "acme"}),
            json!({"action": "open_backfill", "shop_id": "acme", "name": "history",
            "until": "2026-12-01T00:00:00Z"}),
            json!({"action": "reload", "model": "m", "from": "2026-11-01", "to": "2026-11-21"}),
            json!({"action": "redrive", "queue": "streams"}),
            json!({"action": "redrive", "quarantine": "visits", "day": "2026-11-21"}),
            json!({"action": "sweep"}),
            json!({"action": "record_failure", "job": "jobs/m/2026-11-21/0a.json",
            "step": "load", "error": "States.Timeout", "cause": ""}),
            json!({"action": "send_alert", "job": "jobs/m/2026-11-21/0a.json", "version": 3}),
        ] {
            let request = Request::from_json(json.clone()).unwrap();
            assert_eq!(json!(request), json);
        }
    }

    #[test]
    fn an_invalid_request_is_a_permanent_failure() {
        for json in [
            json!({}),
            json!({"action": "drop_everything"}),
            json!({"action": "add_shop", "shop_id": "../other"}),
            json!({"action": "rotate_secret", "shop_id": "acme", "unexpected": 1}),
            json!({"action": "open_backfill", "shop_id": "acme", "name": "History",
            "until": "2026-12-01T00:00:00Z"}),
            json!({"action": "open_backfill", "shop_id": "acme", "name": "history",
            "until": "tomorrow"}),
            json!({"action": "backfill", "model": "m", "from": "yesterday", "to": "today"}),
            json!({"action": "reload", "model": "m", "from": "yesterday", "to": "today"}),
            json!({"action": "set_reference", "table": "weights"}),
            json!({"action": "redrive"}),
            json!({"action": "redrive", "queue": "gold"}),
            json!({"action": "redrive", "queue": "dirty", "day": "2026-11-21"}),
            json!({"action": "redrive", "queue": "dirty", "unexpected": 1}),
            json!({"action": "redrive", "quarantine": "visits"}),
        ] {
            let failure = Request::from_json(json.clone()).unwrap_err();
            assert!(failure.is_permanent(), "{json}: {failure}");
        }
    }

    #[test]
    fn an_incomplete_redrive_names_the_arguments_that_it_takes() {
        let failure = Request::from_json(json!({"action": "redrive"})).unwrap_err();
        assert!(failure.to_string().contains("\"quarantine\":\"<dataset>\""), "{failure}");
    }
}
