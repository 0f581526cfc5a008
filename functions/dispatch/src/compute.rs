//! Starts the job of a dirty partition, at most one at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future;
use shoplake_aws::{DirtyQueue, Executions, GlueRun};
use shoplake_jobs::{JobDocument, Partition, PartitionDirty};
use shoplake_lake::lease::{self, Acquired};
use shoplake_lake::{Condition, Metadata, Store, keys};
use shoplake_models::{GoldHead, InputRange, Listing, Model, Plan};
use shoplake_platform::clock::Clock;

use crate::engine::{Engine, input_bytes};
use crate::handler::Dispatch;

impl<L: Store, E: Executions, Q: DirtyQueue, C: Clock> Dispatch<L, E, Q, C> {
    /// Starts a job for the partition if it is out of date, not leased, and not computed recently.
    pub(crate) async fn compute(&self, model: &Model, partition: Partition) -> anyhow::Result<()> {
        // The order matters: first the version that the commit will replace, then the inputs. So a
        // commit has at least the inputs of the version that it replaces.
        let head = self.lake.head(&model.output_key(partition)).await?;
        let gold = head.as_ref().map(GoldHead::try_from).transpose()?;
        if gold.is_none() && self.is_empty_partition(model, partition).await? {
            tracing::info!(model = model.name, %partition, "empty partition");
            return Ok(());
        }
        let ranges = self.models.input_ranges(model, partition);
        let (listing, references) =
            future::try_join(self.list(ranges), self.references(model)).await?;

        let plan = self.models.plan_with(model, partition, &listing, gold.as_ref(), &references);
        let Plan::Job(job) = plan else {
            tracing::info!(model = model.name, %partition, "up to date");
            return Ok(());
        };
        if let Some(delay) = head.and_then(|head| self.remaining(model, head.last_modified)) {
            let reason = format!("computed less than {} seconds ago", model.every_seconds);
            return self.send_after(model, partition, delay, reason).await;
        }
        let bytes = input_bytes(&listing);
        let engine = self.engines.choose(bytes);
        let lease = keys::lease(&model.name, partition);
        let now = self.clock.now();
        let reason =
            match lease::acquire(&self.lake, &lease, &job.id, now, now + engine.lease()).await? {
                Acquired::Granted => None,
                Acquired::Held(by) => Some(format!("job {} is computing it", by.job)),
                Acquired::Contended => Some("other jobs compete for its lease".to_owned()),
            };
        if let Some(reason) = reason {
            return self.send_after(model, partition, engine.wait(), reason).await;
        }
        tracing::info!(model = model.name, %partition, job = job.id, bytes, ?engine, "computing");
        let started = self.run(&job, engine, now).await;
        if started.is_err()
            && let Err(error) = lease::release(&self.lake, &lease, &job.id).await
        {
            tracing::warn!(lease, %error, "could not release a lease; it will expire");
        }
        started
    }

    async fn run(
        &self,
        job: &JobDocument,
        engine: Engine,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let partition = job.partition.value;
        let key = keys::job(&job.model, partition, &job.id);
        let document = serde_json::to_vec(job)?;
        self.lake.put(&key, document.into(), Metadata::new(), Condition::Always).await?;
        match engine {
            Engine::Lambda => self.executions.start_silver_to_gold(&key).await?,
            Engine::Glue => {
                let run = GlueRun {
                    // One name per lease: a job that failed can be started again under another
                    // name.
                    name: format!("{}-{}", job.id, now.timestamp()),
                    job: key,
                    result: keys::job_result(&job.model, partition, &job.id),
                    lease: keys::lease(&job.model, partition),
                    id: job.id.clone(),
                };
                self.executions.start_silver_to_gold_glue(&run).await?;
            }
        }
        Ok(())
    }

    async fn send_after(
        &self,
        model: &Model,
        partition: Partition,
        delay: Duration,
        reason: String,
    ) -> anyhow::Result<()> {
        let delay_seconds = delay.as_secs();
        tracing::info!(model = model.name, %partition, delay_seconds, reason, "delayed");
        let dirty = PartitionDirty::one(&model.name, partition, reason);
        Ok(self.queue.send_after(&dirty, delay).await?)
    }

    /// Returns the partitions that have an input of their own day, or are in gold.
    ///
    /// A change dirties every day whose window holds it, and most of those days are in the future.
    /// For many days, one listing of each input is cheaper than one for every day.
    pub(crate) async fn non_empty(
        &self,
        model: &Model,
        days: &[Partition],
    ) -> anyhow::Result<BTreeSet<Partition>> {
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else {
            return Ok(BTreeSet::new());
        };
        let (first, last) = (first.to_string(), last.to_string());
        let prefixes =
            self.models.own_partition_ranges(model, days[0]).into_iter().map(|range| range.prefix);
        let prefixes = prefixes.chain([keys::gold_values(&model.name, &model.partition)]);
        let listings = prefixes.map(async |prefix| {
            let entries = self.lake.list_range(&prefix, &first, &last).await?;
            let day =
                |key: &str| key.strip_prefix(&prefix)?.split('/').next()?.parse::<Partition>().ok();
            anyhow::Ok(entries.iter().filter_map(|entry| day(&entry.key)).collect::<BTreeSet<_>>())
        });
        let found: BTreeSet<_> =
            future::try_join_all(listings).await?.into_iter().flatten().collect();
        Ok(days.iter().copied().filter(|day| found.contains(day)).collect())
    }

    /// Returns whether no input has an object of the partition's own day. It lists one day, so it
    /// comes before the listing of the whole window.
    async fn is_empty_partition(
        &self,
        model: &Model,
        partition: Partition,
    ) -> anyhow::Result<bool> {
        let listing = self.list(self.models.own_partition_ranges(model, partition)).await?;
        Ok(listing.values().all(Vec::is_empty))
    }

    /// Returns all objects of the ranges. The listings run concurrently.
    async fn list(&self, ranges: Vec<InputRange>) -> anyhow::Result<Listing> {
        let listings = ranges.into_iter().map(async |range| {
            let (first, last) = (range.first.to_string(), range.last.to_string());
            let entries = self.lake.list_range(&range.prefix, &first, &last).await?;
            anyhow::Ok((range.input, entries))
        });
        Ok(future::try_join_all(listings).await?.into_iter().collect())
    }

    /// Returns the rest of the model's `every_seconds` in whole seconds, at least one; `None` when
    /// it is over.
    fn remaining(&self, model: &Model, computed: DateTime<Utc>) -> Option<Duration> {
        let rest =
            computed + chrono::Duration::seconds(model.every_seconds.into()) - self.clock.now();
        rest.to_std()
            .ok()
            .filter(|rest| !rest.is_zero())
            .map(|rest| Duration::from_secs(rest.as_secs() + 1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shoplake_aws::Fault;

    use super::*;
    use crate::engine::Engines;
    use crate::testing::{
        commit, created, dirty, dispatch, event, failures, job, silver, started, take_glue_runs,
        take_jobs,
    };

    #[tokio::test]
    async fn a_partition_that_is_up_to_date_is_dropped() {
        let dispatch = dispatch();
        let key = "silver/visits/dt=2010-12-01/a.parquet";
        silver(&dispatch, key).await;
        dispatch.handle(event(&[created(key)])).await;
        let started = take_jobs(&dispatch);
        for key in started {
            let job = job(&dispatch, &key).await;
            commit(&dispatch, &job).await;
        }

        let response = dispatch.handle(event(&[created(key)])).await;

        assert!(failures(&response).is_empty());
        assert!(dispatch.executions.is_empty());
        assert!(dispatch.queue.take_dirty().is_empty());
    }

    #[tokio::test]
    async fn a_recent_partition_waits_for_the_rest_of_every_seconds() {
        let dispatch = dispatch();
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        let message = dirty("visits_per_day", "2010-12-01");
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        let first = take_jobs(&dispatch).pop().unwrap();
        let first = job(&dispatch, &first).await;
        commit(&dispatch, &first).await;
        silver(&dispatch, "silver/visits/dt=2010-12-01/b.parquet").await;

        dispatch.clock.advance(chrono::Duration::seconds(5));
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        assert!(dispatch.executions.is_empty());
        assert_eq!(dispatch.queue.take_dirty()[0].1, Duration::from_secs(16));

        dispatch.clock.advance(chrono::Duration::seconds(16));
        dispatch.handle(event(&[message])).await;
        let second = take_jobs(&dispatch).pop().unwrap();
        let second = job(&dispatch, &second).await;
        assert_eq!(second.output.version, 2);
        assert!(second.output.expected_etag.is_some());
    }

    #[tokio::test]
    async fn an_empty_day_is_computed_once_it_has_inputs() {
        let dispatch = dispatch();
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        let tomorrow = dirty("visits_per_day", "2010-12-02");
        dispatch.handle(event(std::slice::from_ref(&tomorrow))).await;
        assert!(started(&dispatch).await.is_empty() && dispatch.queue.take_dirty().is_empty());

        silver(&dispatch, "silver/visits/dt=2010-12-02/a.parquet").await;
        dispatch.handle(event(&[tomorrow])).await;
        assert_eq!(
            started(&dispatch).await[0].inputs[0].objects.len(),
            2,
            "its whole window counts"
        );
    }

    #[tokio::test]
    async fn a_partition_waits_while_its_job_runs() {
        let dispatch = dispatch();
        let message = dirty("visits_per_day", "2010-12-01");
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        let [first] = started(&dispatch).await.try_into().unwrap();

        silver(&dispatch, "silver/visits/dt=2010-12-01/b.parquet").await;
        let response = dispatch.handle(event(std::slice::from_ref(&message))).await;
        assert!(failures(&response).is_empty() && started(&dispatch).await.is_empty());
        let (delayed, delay) = dispatch.queue.take_dirty().pop().unwrap();
        assert_eq!(
            (delayed.partition.to_string(), delay),
            ("2010-12-01".into(), Engine::Lambda.wait())
        );
        assert!(delayed.reason.contains(&first.id), "{}", delayed.reason);

        commit(&dispatch, &first).await;
        dispatch.clock.advance(chrono::Duration::seconds(20));
        dispatch.handle(event(&[message])).await;
        assert_eq!(started(&dispatch).await[0].output.version, 2);
    }

    #[tokio::test]
    async fn a_crashed_job_starts_again_after_its_lease_expired() {
        let dispatch = dispatch();
        let message = dirty("visits_per_day", "2010-12-01");
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        let crashed = started(&dispatch).await;

        dispatch.clock.advance(Engine::Lambda.lease());
        dispatch.handle(event(&[message])).await;
        assert_eq!(
            started(&dispatch).await,
            crashed,
            "the same job from the same state of the lake"
        );
    }

    #[tokio::test]
    async fn a_big_job_runs_on_glue_with_a_longer_lease() {
        let mut dispatch = dispatch();
        let message = dirty("visits_per_day", "2010-12-01");
        let objects =
            ["silver/visits/dt=2010-12-01/a.parquet", "silver/visits/dt=2010-11-30/b.parquet"];
        dispatch.engines.glue_above_bytes = objects.map(str::len).into_iter().sum::<usize>() as u64;
        for key in objects {
            silver(&dispatch, key).await;
        }
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        let [small] = started(&dispatch).await.try_into().unwrap();
        commit(&dispatch, &small).await;
        assert!(dispatch.executions.is_empty(), "the limit itself fits");

        silver(&dispatch, "silver/visits/dt=2010-12-01/c.parquet").await;
        dispatch.clock.advance(chrono::Duration::seconds(20));
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        assert!(started(&dispatch).await.is_empty());
        let [run] = take_glue_runs(&dispatch).try_into().unwrap();
        let big = job(&dispatch, &run.job).await;
        assert_eq!((&run.id, big.inputs[0].objects.len()), (&big.id, 3));
        assert!(run.name.starts_with(&big.id) && run.name.len() <= 80, "{}", run.name);
        assert_eq!(
            [run.job, run.result, run.lease],
            [
                format!("{}.json", big.id),
                format!("{}.result.json", big.id),
                "running.json".to_owned()
            ]
            .map(|name| format!("jobs/visits_per_day/2010-12-01/{name}"))
        );

        dispatch.clock.advance(Engine::Lambda.lease());
        dispatch.handle(event(std::slice::from_ref(&message))).await;
        assert!(dispatch.executions.is_empty(), "its lease lasts for hours");
        assert_eq!(dispatch.queue.take_dirty().pop().unwrap().1, Engine::Glue.wait());

        dispatch.clock.advance(Engine::Glue.lease());
        dispatch.handle(event(&[message])).await;
        let again = take_glue_runs(&dispatch).pop().unwrap();
        assert_eq!(again.id, big.id, "the same job from the same state of the lake");
        assert_ne!(
            again.name, run.name,
            "the name of an execution that failed stays taken for 90 days"
        );
    }

    #[tokio::test]
    async fn without_glue_a_big_job_runs_in_lambda() {
        let mut dispatch = dispatch();
        dispatch.engines = Engines { glue_above_bytes: 0, glue: false };
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        dispatch.handle(event(&[dirty("visits_per_day", "2010-12-01")])).await;
        assert_eq!(started(&dispatch).await.len(), 1);
        assert!(dispatch.executions.is_empty());
    }

    #[tokio::test]
    async fn a_failed_start_releases_the_lease() {
        let dispatch = dispatch();
        let message = dirty("visits_per_day", "2010-12-01");
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        dispatch.executions.fail([Some(Fault::Refused)]);
        assert_eq!(
            failures(&dispatch.handle(event(std::slice::from_ref(&message))).await),
            ["message-0"]
        );

        assert!(failures(&dispatch.handle(event(&[message])).await).is_empty());
        assert_eq!(started(&dispatch).await.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The ranged listings equal the listings of the window's days.
        #[test]
        fn a_window_lists_what_its_days_list(
            keys in prop::collection::btree_set(
                "(silver/visits/dt=2010-(11-2[5-9]|12-0[1-9])/(hour=0[0-9]/|)|gold/visits_per_day/day=2010-(11-2[5-9]|12-0[1-9])/|silver/other/dt=2010-12-01/|gold/visits_per_day_2/day=2010-12-01/)[a-c].parquet",
                0..40,
            ),
            day in 1_u32..9,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let partition = Partition::Day(chrono::NaiveDate::from_ymd_opt(2010, 12, day).unwrap());
            runtime.block_on(async {
                let dispatch = dispatch();
                for key in &keys {
                    silver(&dispatch, key).await;
                }
                for model in dispatch.models.iter() {
                    let mut expected = Listing::new();
                    for input in dispatch.models.input_prefixes(model, partition) {
                        let entries = expected.entry(input.input).or_default();
                        for prefix in &input.prefixes {
                            entries.extend(dispatch.lake.list(prefix).await.unwrap());
                        }
                    }
                    let ranges = dispatch.models.input_ranges(model, partition);
                    let listed = dispatch.list(ranges).await.unwrap();
                    prop_assert_eq!(&listed, &expected);

                    let has_input = !dispatch.is_empty_partition(model, partition).await.unwrap();
                    let plan = dispatch.models.plan(model, partition, &listed, None);
                    prop_assert_eq!(has_input, matches!(plan, Plan::Job(_)), "both apply one rule");
                }
                Ok(())
            })?;
        }
    }
}
