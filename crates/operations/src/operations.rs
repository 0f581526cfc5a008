//! The actions.

use std::sync::Arc;

use shoplake_aws::{DirtyQueue, Executions, SecretStore, Topic};
use shoplake_index::ModelIndex;
use shoplake_lake::Store;
use shoplake_platform::clock::Clock;
use shoplake_platform::failure::Failure;
use shoplake_warehouse::{
    Warehouse,
    migrations::{Migration, MigrationError, migrate, replace_views},
};

use crate::freshness::Freshness;
use crate::redrive::Redrive;
use crate::request::Request;
use crate::response::{Applied, Response};
use crate::sweep::Sweep;
use crate::{alerts, backfill, failures, references, reload, shops};

/// The services that the actions use.
pub struct Operations {
    /// The deployed models.
    pub models: ModelIndex,
    /// The deployed migrations of the warehouse.
    pub migrations: Vec<Migration>,
    /// The warehouse.
    pub warehouse: Arc<dyn Warehouse>,
    /// The secrets of shops.
    pub secrets: Arc<dyn SecretStore>,
    /// The queue of dirty partitions.
    pub queue: Arc<dyn DirtyQueue>,
    /// The lake.
    pub lake: Arc<dyn Store>,
    /// The state machines.
    pub executions: Arc<dyn Executions>,
    /// The topic of alerts.
    pub topic: Arc<dyn Topic>,
    /// Redrives.
    pub redrive: Redrive,
    /// The freshness checks.
    pub freshness: Freshness,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Operations {
    /// Runs an action.
    ///
    /// Every action may be repeated.
    ///
    /// # Errors
    /// If the request is invalid, which is permanent, or if a service fails.
    pub async fn run(&self, request: Request) -> Result<Response, Failure> {
        let lake = self.lake.as_ref();
        let secrets = self.secrets.as_ref();
        let now = self.clock.now();
        match request {
            Request::Migrate => self.migrate().await.map(Response::Applied),
            Request::AddShop { shop_id } => {
                shops::add(lake, secrets, &shop_id).await.map(Response::ShopSecret)
            }
            Request::RotateSecret { shop_id } => {
                shops::rotate(lake, secrets, &shop_id).await.map(Response::ShopSecret)
            }
            Request::SyncShops => shops::sync(lake, secrets).await.map(Response::SyncedShops),
            Request::OpenBackfill { shop_id, name, until } => {
                shops::open_backfill(lake, secrets, shop_id, name, until, now)
                    .await
                    .map(Response::OpenedBackfill)
            }
            Request::CloseBackfill { shop_id } => {
                shops::close_backfill(lake, secrets, shop_id).await.map(Response::ClosedBackfill)
            }
            Request::Backfill { model, from, to } => {
                backfill::backfill(&self.models, self.queue.as_ref(), model, from, to)
                    .await
                    .map(Response::Backfilled)
            }
            Request::Reload { model, from, to } => {
                let (warehouse, executions) = (self.warehouse.as_ref(), self.executions.as_ref());
                reload::reload(&self.models, lake, warehouse, executions, model, (from, to), now)
                    .await
                    .map(Response::Reloaded)
            }
            Request::GetReference { table } => {
                references::get(&self.models, lake, table).await.map(Response::Reference)
            }
            Request::SetReference { table, csv } => {
                references::set(&self.models, lake, table, &csv).await.map(Response::ReferenceSet)
            }
            Request::Redrive(target) => self
                .redrive
                .run(lake, self.queue.as_ref(), target, now)
                .await
                .map(Response::Redriven),
            Request::CheckFreshness => self
                .freshness
                .check(lake, self.warehouse.as_ref(), now)
                .await
                .map(Response::Freshness),
            Request::Sweep => {
                let sweep = Sweep {
                    models: &self.models,
                    contracts: &self.redrive.contracts,
                    lake,
                    bucket: &self.redrive.bucket,
                    queue: self.queue.as_ref(),
                    executions: self.executions.as_ref(),
                    topic: self.topic.as_ref(),
                    now,
                };
                sweep.run().await.map(Response::Swept)
            }
            Request::RecordFailure { job, step, error, cause } => {
                let (topic, error) = (self.topic.as_ref(), format!("{error}: {cause}"));
                failures::record(lake, topic, &job, step, &error, now)
                    .await
                    .map(Response::RecordedFailure)
            }
            Request::SendAlert { job, version } => {
                let sent = alerts::send(lake, self.topic.as_ref(), &job, version).await;
                sent.map(Response::SentAlerts)
            }
        }
    }

    async fn migrate(&self) -> Result<Applied, Failure> {
        let warehouse = self.warehouse.as_ref();
        let failure = |error: MigrationError| {
            let is_permanent = error.is_permanent();
            if is_permanent { Failure::permanent(error) } else { Failure::retryable(error) }
        };
        let done = migrate(warehouse, &self.migrations).await.map_err(failure)?;
        let views = replace_views(warehouse, &self.models.views).await.map_err(failure)?;
        Ok(Applied {
            applied: done.applied,
            already_applied: done.already_applied,
            replaced_views: views.replaced,
            dropped_views: views.dropped,
        })
    }
}

#[cfg(test)]
mod tests {
    use shoplake_aws::secrets::MemorySecrets;
    use shoplake_aws::topic::MemoryTopic;
    use shoplake_aws::{MemoryDirtyQueue, MemoryExecutions};
    use shoplake_contracts::Contracts;
    use shoplake_lake::MemoryStore;
    use shoplake_platform::clock::SystemClock;
    use shoplake_platform::metrics::Metrics;
    use shoplake_warehouse::RecordingWarehouse;

    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    fn operations() -> Operations {
        Operations {
            models: ModelIndex::default(),
            migrations: vec![],
            warehouse: Arc::new(RecordingWarehouse::answering(|statements| {
                Ok(vec![Some(Default::default()); statements.len()])
            })),
            secrets: Arc::new(MemorySecrets::default()),
            queue: Arc::new(MemoryDirtyQueue::default()),
            lake: Arc::new(MemoryStore::default()),
            executions: Arc::new(MemoryExecutions::default()),
            topic: Arc::new(MemoryTopic::default()),
            redrive: testing::redrive(),
            freshness: Freshness::new(
                &Contracts::default(),
                Arc::new(MemoryTopic::default()),
                Metrics::stdout("control"),
            ),
            clock: Arc::new(SystemClock),
        }
    }

    /// Runs the action of a request in JSON, and returns its response in JSON.
    async fn run(operations: &Operations, request: Value) -> Result<Value, Failure> {
        operations.run(Request::from_json(request)?).await.map(|response| json!(response))
    }

    #[tokio::test]
    async fn adding_a_shop_returns_its_secret() {
        let operations = operations();
        let answer =
            run(&operations, json!({"action": "add_shop", "shop_id": "acme"})).await.unwrap();
        assert_eq!(answer["shop_id"], "acme");
        assert!(answer["webhook_secret"].as_str().unwrap().starts_with("whsec_"));
    }

    #[tokio::test]
    async fn a_shop_is_added_and_its_backfill_opened_and_closed() {
        let operations = operations();
        run(&operations, json!({"action": "add_shop", "shop_id": "acme"})).await.unwrap();
        let until = operations.clock.now() + chrono::TimeDelta::days(7);
        let open = json!({"action": "open_backfill", "shop_id": "acme", "name": "history-2024",
            "until": until});
        let answer = run(&operations, open).await.unwrap();
        assert_eq!(answer["backfill"]["name"], "history-2024");
        let answer = run(&operations, json!({"action": "sync_shops"})).await.unwrap();
        assert_eq!(answer, json!({"shops": 1, "added": []}));
        let close = json!({"action": "close_backfill", "shop_id": "acme"});
        assert_eq!(run(&operations, close).await.unwrap()["closed"], "history-2024");
    }

    #[tokio::test]
    async fn a_migration_without_pending_changes_applies_nothing() {
        let answer = run(&operations(), json!({"action": "migrate"})).await.unwrap();
        assert_eq!(
            answer,
            json!({
                "applied": [], "already_applied": 0, "replaced_views": [], "dropped_views": [],
            })
        );
    }

    #[tokio::test]
    async fn a_migration_creates_the_views_of_the_models() {
        let mut operations = operations();
        let index = json!({"models": [], "references": {}, "views": [
            {"warehouse": "sales.v", "sql": "select 1 as shop_id"},
        ]});
        operations.models = serde_json::from_value(index).unwrap();
        let answer = run(&operations, json!({"action": "migrate"})).await.unwrap();
        assert_eq!(answer["replaced_views"], json!(["sales.v"]));
    }

    #[tokio::test]
    async fn a_reload_of_days_without_gold_starts_nothing() {
        let operations =
            Operations { models: shoplake_testing::definitions().1.index(), ..operations() };
        let event = json!({"action": "reload", "model": "feedback_score", "from": "2026-11-21",
            "to": "2026-11-22"});
        let answer = run(&operations, event).await.unwrap();
        assert_eq!(
            answer,
            json!({"model": "feedback_score", "started": 0, "restored": 0, "absent": 2})
        );
    }

    #[tokio::test]
    async fn a_redrive_of_empty_queues_moves_nothing() {
        let operations = operations();
        let dirty = run(&operations, json!({"action": "redrive", "queue": "dirty"})).await.unwrap();
        assert_eq!(dirty["moved"], 0);
        let streams =
            run(&operations, json!({"action": "redrive", "queue": "streams"})).await.unwrap();
        assert_eq!(streams["batches"], 0);
        let event = json!({"action": "redrive", "quarantine": "visits", "day": "2026-11-21"});
        assert_eq!(run(&operations, event).await.unwrap()["lines"]["sent"], 0);
    }

    #[tokio::test]
    async fn freshness_without_datasets_is_empty() {
        let answer = run(&operations(), json!({"action": "check_freshness"})).await.unwrap();
        assert_eq!(answer, json!({"datasets": [], "incomplete_batches": []}));
    }
}
