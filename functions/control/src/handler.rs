//! Which actions there are.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use shoplake_aws::secrets::ExposeSecret;
use shoplake_aws::{DirtyQueue, Executions, SecretStore};
use shoplake_contracts::{BackfillName, ShopId};
use shoplake_lake::Store;
use shoplake_models::Models;
use shoplake_platform::failure::Failure;
use shoplake_warehouse::{
    Warehouse,
    migrations::{Migration, migrate},
};

use crate::{
    backfill,
    freshness::Freshness,
    redrive::{Redrive, Source},
    references, reload, shops,
};

/// What an operator may ask for.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum Action {
    /// Bring the warehouse's schemas up to date.
    Migrate,
    /// Give a new shop its webhook secret.
    AddShop { shop_id: ShopId },
    /// Give a shop another webhook secret.
    RotateSecret { shop_id: ShopId },
    /// Add the shops that have a secret to the list of shops.
    SyncShops,
    /// Let a shop send data that is older than its datasets' windows.
    OpenBackfill { shop_id: ShopId, name: BackfillName, until: DateTime<Utc> },
    /// End that.
    CloseBackfill { shop_id: ShopId },
    /// Have a model's days computed again, both ends included.
    Backfill { model: String, from: NaiveDate, to: NaiveDate },
    /// Have a model's days loaded into the warehouse as they are in gold, both ends included.
    Reload { model: String, from: NaiveDate, to: NaiveDate },
    /// Answer a reference table.
    GetReference { table: String },
    /// Replace the rows of a reference table.
    SetReference { table: String, csv: String },
    /// Have done again what failed: the letters of a queue, or the quarantined lines of a dataset
    /// and day.
    Redrive { queue: Option<Source>, quarantine: Option<String>, day: Option<NaiveDate> },
    /// Alert people if a dataset has stopped arriving.
    CheckFreshness,
}

/// The handler and what it works with.
pub(crate) struct Control<W, S, Q> {
    /// The models that are deployed.
    pub(crate) models: Models,
    /// The migrations that are deployed.
    pub(crate) migrations: Vec<Migration>,
    /// Where they are applied.
    pub(crate) warehouse: W,
    /// Where the secrets of shops are kept.
    pub(crate) secrets: S,
    /// Where dirty partitions are announced.
    pub(crate) queue: Q,
    /// The lake.
    pub(crate) lake: Arc<dyn Store>,
    /// What shows the warehouse what is in gold.
    pub(crate) executions: Arc<dyn Executions>,
    /// What failed, and where it is done again.
    pub(crate) redrive: Redrive,
    /// What watches over the datasets' arrival.
    pub(crate) freshness: Freshness,
}

impl<W: Warehouse, S: SecretStore, Q: DirtyQueue> Control<W, S, Q> {
    /// Does what the event asks for.
    pub(crate) async fn handle(&self, event: Value) -> Result<Value, Failure> {
        let action = serde_json::from_value(event).map_err(|error| {
            Failure::permanent(format!(
                "expected an action (migrate, add_shop, rotate_secret, sync_shops, open_backfill, close_backfill, backfill, reload, get_reference, set_reference, redrive or check_freshness): {error}"
            ))
        })?;
        match action {
            Action::Migrate => match migrate(&self.warehouse, &self.migrations).await {
                Ok(applied) => Ok(json!(applied)),
                Err(error) if error.is_permanent() => Err(Failure::permanent(error)),
                Err(error) => Err(Failure::retryable(error)),
            },
            Action::AddShop { shop_id } => {
                let secret = shops::add(self.lake.as_ref(), &self.secrets, &shop_id).await?;
                Ok(json!({"shop_id": shop_id, "webhook_secret": secret.expose_secret()}))
            }
            Action::RotateSecret { shop_id } => {
                let secret = shops::rotate(self.lake.as_ref(), &self.secrets, &shop_id).await?;
                Ok(json!({"shop_id": shop_id, "webhook_secret": secret.expose_secret()}))
            }
            Action::SyncShops => shops::sync(self.lake.as_ref(), &self.secrets).await,
            Action::OpenBackfill { shop_id, name, until } => {
                let lake = self.lake.as_ref();
                shops::open_backfill(lake, &self.secrets, &shop_id, &name, until, Utc::now()).await
            }
            Action::CloseBackfill { shop_id } => {
                shops::close_backfill(self.lake.as_ref(), &self.secrets, &shop_id).await
            }
            Action::Backfill { model, from, to } => {
                let partitions =
                    backfill::backfill(&self.models, &self.queue, &model, from, to).await?;
                Ok(json!({"model": model, "partitions": partitions}))
            }
            Action::Reload { model, from, to } => {
                let (lake, executions) = (self.lake.as_ref(), self.executions.as_ref());
                reload::reload(&self.models, lake, executions, &model, from, to).await
            }
            Action::GetReference { table } => {
                references::get(&self.models, self.lake.as_ref(), &table).await
            }
            Action::SetReference { table, csv } => {
                references::set(&self.models, self.lake.as_ref(), &table, &csv).await
            }
            Action::Redrive { queue, quarantine, day } => {
                let what = (queue, quarantine, day);
                self.redrive.run(self.lake.as_ref(), &self.queue, what, Utc::now()).await
            }
            Action::CheckFreshness => {
                self.freshness.check(self.lake.as_ref(), &self.warehouse, Utc::now()).await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shoplake_aws::secrets::MemorySecrets;
    use shoplake_aws::topic::MemoryTopic;
    use shoplake_aws::{MemoryDirtyQueue, MemoryExecutions};
    use shoplake_contracts::Contracts;
    use shoplake_lake::MemoryStore;
    use shoplake_platform::metrics::Metrics;
    use shoplake_warehouse::RecordingWarehouse;

    use super::*;
    use crate::testing;

    fn control() -> Control<RecordingWarehouse, MemorySecrets, MemoryDirtyQueue> {
        Control {
            models: Models::from_sources(&Contracts::default(), []).unwrap(),
            migrations: vec![],
            warehouse: RecordingWarehouse::answering(|statements| {
                Ok(vec![Some(Default::default()); statements.len()])
            }),
            secrets: MemorySecrets::default(),
            queue: MemoryDirtyQueue::default(),
            lake: Arc::new(MemoryStore::default()),
            executions: Arc::new(MemoryExecutions::default()),
            redrive: testing::redrive(),
            freshness: Freshness::new(
                &Contracts::default(),
                Arc::new(MemoryTopic::default()),
                Metrics::stdout("control"),
            ),
        }
    }

    #[tokio::test]
    async fn given_a_new_shop_when_added_then_the_answer_has_its_secret() {
        let control = control();
        let answer =
            control.handle(json!({"action": "add_shop", "shop_id": "acme"})).await.unwrap();
        assert_eq!(answer["shop_id"], "acme");
        assert!(answer["webhook_secret"].as_str().unwrap().starts_with("whsec_"));
    }

    #[tokio::test]
    async fn a_shop_is_added_and_its_backfill_opened_and_closed() {
        let control = control();
        control.handle(json!({"action": "add_shop", "shop_id": "acme"})).await.unwrap();
        let until = Utc::now() + chrono::TimeDelta::days(7);
        let open = json!({"action": "open_backfill", "shop_id": "acme", "name": "history-2024", "until": until});
        let answer = control.handle(open).await.unwrap();
        assert_eq!(answer["backfill"]["name"], "history-2024");
        let answer = control.handle(json!({"action": "sync_shops"})).await.unwrap();
        assert_eq!(answer, json!({"shops": 1, "added": []}));
        let close = json!({"action": "close_backfill", "shop_id": "acme"});
        assert_eq!(control.handle(close).await.unwrap()["closed"], "history-2024");
    }

    #[tokio::test]
    async fn given_nothing_to_migrate_when_migrated_then_the_answer_says_so() {
        let answer = control().handle(json!({"action": "migrate"})).await.unwrap();
        assert_eq!(answer, json!({"applied": [], "already_applied": 0}));
    }

    #[tokio::test]
    async fn given_days_that_nobody_has_computed_when_reloaded_then_the_answer_says_so() {
        let control = Control { models: testing::models(), ..control() };
        let event = json!({"action": "reload", "model": "feedback_score", "from": "2026-11-21", "to": "2026-11-22"});
        let answer = control.handle(event).await.unwrap();
        assert_eq!(answer, json!({"model": "feedback_score", "started": 0, "absent": 2}));
    }

    #[tokio::test]
    async fn given_nothing_that_failed_when_redriven_then_each_answer_says_so() {
        let control = control();
        let dirty = control.handle(json!({"action": "redrive", "queue": "dirty"})).await.unwrap();
        assert_eq!(dirty["moved"], 0);
        let streams =
            control.handle(json!({"action": "redrive", "queue": "streams"})).await.unwrap();
        assert_eq!(streams["batches"], 0);
        let event = json!({"action": "redrive", "quarantine": "visits", "day": "2026-11-21"});
        assert_eq!(control.handle(event).await.unwrap()["lines"]["sent"], 0);
    }

    #[tokio::test]
    async fn given_no_dataset_that_has_to_arrive_when_its_freshness_is_checked_then_there_is_nothing_to_say()
     {
        let answer = control().handle(json!({"action": "check_freshness"})).await.unwrap();
        assert_eq!(answer, json!({"datasets": []}));
    }

    #[tokio::test]
    async fn given_what_is_no_action_when_handled_then_it_fails_for_good() {
        for event in [
            json!({}),
            json!({"action": "drop_everything"}),
            json!({"action": "add_shop", "shop_id": "../other"}),
            json!({"action": "rotate_secret", "shop_id": "acme", "surprise": 1}),
            json!({"action": "open_backfill", "shop_id": "acme", "name": "History", "until": "2026-12-01T00:00:00Z"}),
            json!({"action": "open_backfill", "shop_id": "acme", "name": "history", "until": "tomorrow"}),
            json!({"action": "backfill", "model": "m", "from": "yesterday", "to": "today"}),
            json!({"action": "reload", "model": "m", "from": "yesterday", "to": "today"}),
            json!({"action": "set_reference", "table": "weights"}),
            json!({"action": "redrive"}),
            json!({"action": "redrive", "queue": "gold"}),
            json!({"action": "redrive", "queue": "dirty", "day": "2026-11-21"}),
            json!({"action": "redrive", "quarantine": "visits"}),
        ] {
            let failure = control().handle(event).await.unwrap_err();
            assert!(failure.is_permanent(), "{failure}");
        }
    }
}
