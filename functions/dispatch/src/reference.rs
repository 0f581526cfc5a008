//! Reference tables: their rows in the lake, and what has to be computed again when an operator has
//! edited them.

use std::collections::BTreeSet;

use anyhow::Context;
use shoplake_aws::DirtyQueue;
use shoplake_jobs::{Partition, PartitionDirty};
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::{Store, StoreError};
use shoplake_models::{Model, References};

use crate::handler::Dispatch;

impl<L: Store, E, Q: DirtyQueue, C> Dispatch<L, E, Q, C> {
    /// The reference tables of the model that the lake has other rows for than the package.
    pub(crate) async fn references(&self, model: &Model) -> anyhow::Result<References> {
        let mut references = References::new();
        for name in model.references() {
            let key = keys::reference(name);
            let Some(object) = self.lake.get(&key).await? else { continue };
            let table = self
                .models
                .reference(name)
                .with_context(|| format!("there is no reference table {name:?}"))?;
            let rows = str::from_utf8(&object.bytes).map_err(anyhow::Error::from);
            let edited = rows.and_then(|rows| Ok(table.with_rows(rows)?)).with_context(|| {
                format!(
                    "{key} cannot be used, so nothing is computed with it; write it with the control function (set_reference), which checks it"
                )
            })?;
            references.insert(name.to_owned(), edited);
        }
        Ok(references)
    }

    /// Marks all partitions dirty that have been computed with the table's former rows.
    pub(crate) async fn reread(&self, table: &str) -> anyhow::Result<()> {
        self.models.reference(table).with_context(|| {
            format!("there is no reference table {table:?}: was it removed or renamed?")
        })?;
        for model in self.models.readers_of_reference(table) {
            let partitions = self.known_partitions(model).await?;
            tracing::info!(
                table,
                model = model.name,
                partitions = partitions.len(),
                "computing again"
            );
            let reason = format!("the reference table {table} was edited");
            let dirty = partitions
                .into_iter()
                .map(|partition| PartitionDirty::one(&model.name, partition, reason.clone()));
            self.queue.send(&dirty.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    /// The model's partitions that are in gold, and those that have been planned lately: one that
    /// is being computed for the first time right now may have been planned with the former rows,
    /// and is not in gold yet.
    async fn known_partitions(&self, model: &Model) -> Result<BTreeSet<Partition>, StoreError> {
        let gold = self.lake.list(&keys::gold_values(&model.name, &model.partition)).await?;
        let of_gold = gold.iter().filter_map(|entry| match keys::parse(&entry.key) {
            Some(LakeKey::Gold { partition, .. }) => partition.parse().ok(),
            _ => None,
        });
        let prefix = keys::jobs(&model.name);
        let jobs = self.lake.list(&prefix).await?;
        let of_jobs = jobs.iter().filter_map(|entry| {
            let (partition, _) = entry.key.strip_prefix(&prefix)?.split_once('/')?;
            partition.parse().ok()
        });
        Ok(of_gold.chain(of_jobs).collect())
    }
}

#[cfg(test)]
mod tests {
    use shoplake_lake::{Condition, Metadata};

    use crate::testing::{
        TestDispatch, commit, created, dirty, dispatch, event, failures, silver, started,
    };

    use super::*;

    async fn edit(dispatch: &TestDispatch, csv: &'static str) -> String {
        let key = keys::reference("weights");
        dispatch.lake.put(&key, csv.into(), Metadata::new(), Condition::Always).await.unwrap();
        created(&key)
    }

    fn marked(dispatch: &TestDispatch) -> Vec<String> {
        let sent = dispatch.queue.take_dirty().into_iter();
        sent.map(|(dirty, _)| format!("{} {}", dirty.model, dirty.partition)).collect()
    }

    #[tokio::test]
    async fn given_no_edited_rows_then_the_packaged_ones_count_and_after_an_edit_the_edited_ones() {
        let dispatch = dispatch();
        silver(&dispatch, "gold/visits_per_day/day=2010-12-01/data.parquet").await;
        let message = dirty("weighted_visits", "2010-12-01");
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        let packaged = started(&dispatch).await.remove(0);
        let rows = |job: &shoplake_jobs::JobDocument| {
            let view = job.views.iter().find(|view| view.name == "reference__weights");
            view.unwrap().sql.clone()
        };
        assert!(rows(&packaged).contains("('a', '1')"), "{packaged:?}");
        commit(&dispatch, &packaged).await;

        edit(&dispatch, "shop_id,weight\na,2\n").await;
        dispatch.handle(event(&[message])).await;
        let edited = started(&dispatch).await.remove(0);
        assert!(rows(&edited).contains("('a', '2')"), "{edited:?}");
    }

    #[tokio::test]
    async fn given_an_edit_then_the_partitions_computed_before_it_are_dirty_and_no_other_model() {
        let dispatch = dispatch();
        for day in ["2010-12-01", "2010-12-05"] {
            silver(&dispatch, &format!("gold/weighted_visits/day={day}/data.parquet")).await;
            silver(&dispatch, &format!("gold/visits_per_day/day={day}/data.parquet")).await;
        }
        silver(&dispatch, "jobs/weighted_visits/2010-12-06/0123.json").await;
        let message = edit(&dispatch, "shop_id,weight\na,2\n").await;

        let response = dispatch.handle(event(&[message.clone(), message])).await;

        assert!(failures(&response).is_empty());
        let expected = [
            "weighted_visits 2010-12-01",
            "weighted_visits 2010-12-05",
            "weighted_visits 2010-12-06",
        ];
        assert_eq!(marked(&dispatch), expected);
    }

    #[tokio::test]
    async fn given_rows_that_can_not_be_then_nothing_is_computed_with_them() {
        let dispatch = dispatch();
        silver(&dispatch, "gold/visits_per_day/day=2010-12-01/data.parquet").await;
        edit(&dispatch, "shop_id,weight\na,much\n").await;
        let response = dispatch.handle(event(&[dirty("weighted_visits", "2010-12-01")])).await;
        assert_eq!(failures(&response), ["message-0"]);
        assert!(started(&dispatch).await.is_empty());

        let model = dispatch.models.get("weighted_visits").unwrap();
        let error = format!("{:#}", dispatch.references(model).await.unwrap_err());
        assert!(
            error.contains("set_reference") && error.contains("line 2, column \"weight\""),
            "{error}"
        );
    }

    #[tokio::test]
    async fn given_a_table_that_is_gone_then_its_message_comes_back() {
        let response = dispatch().handle(event(&[created("reference/gone.csv")])).await;
        assert_eq!(failures(&response), ["message-0"]);
    }
}
