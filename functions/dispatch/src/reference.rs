//! Reference tables: their edited rows, and the partitions that depend on them.

use std::collections::BTreeSet;

use anyhow::Context;
use shoplake_aws::EventPublisher;
use shoplake_jobs::{Partition, PartitionDirty};
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::{Store, StoreError};
use shoplake_models::{Model, References};

use crate::handler::Dispatch;

impl<L: Store, E, Q, P: EventPublisher, C> Dispatch<L, E, Q, P, C> {
    /// Returns the model's reference tables that have edited rows in the lake.
    pub(crate) async fn references(&self, model: &Model) -> anyhow::Result<References> {
        let mut references = References::new();
        for name in model.references() {
            let key = keys::reference(name);
            let Some(object) = self.lake.get(&key).await? else { continue };
            let table = self
                .models
                .reference(name)
                .with_context(|| format!("no reference table {name:?}"))?;
            let rows = str::from_utf8(&object.bytes).map_err(anyhow::Error::from);
            let edited = rows.and_then(|rows| Ok(table.with_rows(rows)?)).with_context(|| {
                format!(
                    "{key} is invalid, so its readers are not computed; write it with the control \
                     function (set_reference), which checks it"
                )
            })?;
            references.insert(name.to_owned(), edited);
        }
        Ok(references)
    }

    /// Publishes each partition that was computed with the table's former rows. dispatch sends
    /// nothing to its own queue, which Lambda would take for a loop.
    pub(crate) async fn recompute_readers(&self, table: &str) -> anyhow::Result<()> {
        self.models
            .reference(table)
            .with_context(|| format!("no reference table {table:?}: it was removed or renamed"))?;
        for model in self.models.readers_of_reference(table) {
            let partitions = self.known_partitions(model).await?;
            tracing::info!(
                table,
                model = model.name,
                partitions = partitions.len(),
                "recomputing the readers of a reference table"
            );
            let reason = format!("the reference table {table} was edited");
            let dirty = partitions
                .into_iter()
                .map(|partition| PartitionDirty::one(&model.name, partition, reason.clone()));
            self.publisher.publish(&dirty.collect::<Vec<_>>()).await?;
        }
        Ok(())
    }

    /// Returns the model's partitions that are in gold or have a job document. A job that computes
    /// a partition for the first time may have the former rows, and its partition is not in gold
    /// yet.
    async fn known_partitions(&self, model: &Model) -> Result<BTreeSet<Partition>, StoreError> {
        let gold = self.lake.list(&keys::gold_values(&model.name, &model.partition)).await?;
        let of_gold = gold.iter().filter_map(|entry| match keys::parse(&entry.key) {
            Some(LakeKey::Gold { partition, .. }) => Some(partition),
            _ => None,
        });
        let jobs = self.lake.list(&keys::jobs(&model.name)).await?;
        let of_jobs = jobs.iter().filter_map(|entry| keys::job_partition(&model.name, &entry.key));
        Ok(of_gold.chain(of_jobs).collect())
    }
}

#[cfg(test)]
mod tests {
    use shoplake_lake::state::{self, Step};
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
        let sent = dispatch.publisher.take_dirty().into_iter();
        sent.map(|dirty| format!("{} {}", dirty.model, dirty.partition)).collect()
    }

    #[tokio::test]
    async fn edited_rows_replace_the_packaged_ones() {
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
    async fn an_edit_dirties_the_computed_partitions_of_its_readers() {
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
    async fn invalid_rows_stop_their_readers_alone() {
        let dispatch = dispatch();
        silver(&dispatch, "gold/visits_per_day/day=2010-12-01/data.parquet").await;
        edit(&dispatch, "shop_id,weight\na,much\n").await;
        let response = dispatch.handle(event(&[dirty("weighted_visits", "2010-12-01")])).await;
        assert!(failures(&response).is_empty(), "the sweep sends it again");
        assert!(started(&dispatch).await.is_empty());

        let partition = "2010-12-01".parse().unwrap();
        let state = state::read(&dispatch.lake, "weighted_visits", partition).await.unwrap().state;
        let error = &state.failures[&Step::Compute].error;
        assert!(
            error.contains("set_reference") && error.contains("line 2, column \"weight\""),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_removed_table_returns_its_message_to_the_queue() {
        let response = dispatch().handle(event(&[created("reference/gone.csv")])).await;
        assert_eq!(failures(&response), ["message-0"]);
    }
}
