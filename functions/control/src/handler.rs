//! Which actions there are.

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Value, json};
use shoplake_contracts::ShopId;
use shoplake_models::Models;
use shoplake_platform::failure::Failure;
use shoplake_warehouse::{
    Warehouse,
    migrations::{Migration, migrate},
};

use crate::{backfill, queue::Queue, shops, vault::Vault};

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
    /// Have a model's days computed again, both ends included.
    Backfill { model: String, from: NaiveDate, to: NaiveDate },
}

/// The handler and what it works with.
pub(crate) struct Control<W, V, Q> {
    /// The models that are deployed.
    pub(crate) models: Models,
    /// The migrations that are deployed.
    pub(crate) migrations: Vec<Migration>,
    /// Where they are applied.
    pub(crate) warehouse: W,
    /// Where the secrets of shops are kept.
    pub(crate) vault: V,
    /// Where dirty partitions are announced.
    pub(crate) queue: Q,
}

impl<W: Warehouse, V: Vault, Q: Queue> Control<W, V, Q> {
    /// Does what the event asks for.
    pub(crate) async fn handle(&self, event: Value) -> Result<Value, Failure> {
        let action = serde_json::from_value(event).map_err(|error| {
            Failure::permanent(format!(
                "expected an action (migrate, add_shop, rotate_secret or backfill): {error}"
            ))
        })?;
        match action {
            Action::Migrate => match migrate(&self.warehouse, &self.migrations).await {
                Ok(applied) => Ok(json!(applied)),
                Err(error) if error.is_permanent() => Err(Failure::permanent(error)),
                Err(error) => Err(Failure::retryable(error)),
            },
            Action::AddShop { shop_id } => {
                let secret = shops::add(&self.vault, &shop_id).await?;
                Ok(json!({"shop_id": shop_id, "webhook_secret": secret.expose()}))
            }
            Action::RotateSecret { shop_id } => {
                let secret = shops::rotate(&self.vault, &shop_id).await?;
                Ok(json!({"shop_id": shop_id, "webhook_secret": secret.expose()}))
            }
            Action::Backfill { model, from, to } => {
                let partitions = backfill::backfill(&self.models, &self.queue, &model, from, to).await?;
                Ok(json!({"model": model, "partitions": partitions}))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use shoplake_contracts::Contracts;
    use shoplake_warehouse::RecordingWarehouse;

    use super::*;
    use crate::{queue::memory::MemoryQueue, vault::memory::MemoryVault};

    fn control() -> Control<RecordingWarehouse, MemoryVault, MemoryQueue> {
        Control {
            models: Models::from_sources(&Contracts::default(), []).unwrap(),
            migrations: vec![],
            warehouse: RecordingWarehouse::answering(|statements| {
                Ok(vec![Some(Default::default()); statements.len()])
            }),
            vault: MemoryVault::default(),
            queue: MemoryQueue::default(),
        }
    }

    #[tokio::test]
    async fn given_a_new_shop_when_added_then_the_answer_has_its_secret() {
        let control = control();
        let answer = control.handle(json!({"action": "add_shop", "shop_id": "acme"})).await.unwrap();
        assert_eq!(answer["shop_id"], "acme");
        assert!(answer["webhook_secret"].as_str().unwrap().starts_with("whsec_"));
    }

    #[tokio::test]
    async fn given_nothing_to_migrate_when_migrated_then_the_answer_says_so() {
        let answer = control().handle(json!({"action": "migrate"})).await.unwrap();
        assert_eq!(answer, json!({"applied": [], "already_applied": 0}));
    }

    #[tokio::test]
    async fn given_what_is_no_action_when_handled_then_it_fails_for_good() {
        for event in [
            json!({}),
            json!({"action": "drop_everything"}),
            json!({"action": "add_shop", "shop_id": "../other"}),
            json!({"action": "rotate_secret", "shop_id": "acme", "surprise": 1}),
            json!({"action": "backfill", "model": "m", "from": "yesterday", "to": "today"}),
        ] {
            let failure = control().handle(event).await.unwrap_err();
            assert!(failure.is_permanent(), "{failure}");
        }
    }
}
