//! The work of the pipeline in memory, until it is idle.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Duration, Utc};
use futures::future::try_join_all;
use serde_json::json;
use shoplake_aws::{Execution, GlueRun, ReceivedMessage};
use shoplake_function_transform::Request;
use shoplake_jobs::{JobOutcome, JobResult};
use shoplake_lake::{Store, keys, state};
use shoplake_operations::Sweep;
use shoplake_platform::clock::Clock;
use tokio::runtime::Handle;

use super::{Ended, Lake};
use crate::{bucket, messages};

/// The most sweeps until the pipeline is idle. More would mean that a sweep does not pay what is
/// owed.
const MAX_SWEEPS: usize = 500;

/// The jobs of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Jobs that ran.
    pub jobs: usize,
    /// Jobs that committed rows.
    pub commits: usize,
    /// Jobs that ended in a conflict.
    pub conflicts: usize,
}

impl Settled {
    fn count(&mut self, ran: Option<JobOutcome>) {
        let Some(outcome) = ran else { return };
        self.jobs += 1;
        match outcome {
            JobOutcome::Committed => self.commits += 1,
            JobOutcome::Conflict => self.conflicts += 1,
            JobOutcome::Unchanged => {}
        }
    }
}

impl Lake {
    /// Runs the pipeline until it is idle and no partition owes anything.
    ///
    /// # Errors
    /// When a function fails, or the sweep does not pay what is owed. A failed check is not an
    /// error: see [`failed_checks`](Self::failed_checks).
    pub async fn settle(&self) -> anyhow::Result<Settled> {
        let (mut settled, mut sweeps) = (Settled::default(), 0);
        loop {
            self.run_now(&mut settled).await?;
            if let Some(wait) = self.messages.next_delay() {
                self.sleep(wait);
            } else if let Some(wait) = self.next_debt().await? {
                sweeps += 1;
                ensure!(sweeps <= MAX_SWEEPS, "{MAX_SWEEPS} sweeps have not paid what is owed");
                self.sleep(wait);
                self.sweep().await?;
            } else {
                return Ok(settled);
            }
        }
    }

    /// Runs the pipeline for a while.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn run_for(&self, time: Duration) -> anyhow::Result<Settled> {
        let (mut settled, end) = (Settled::default(), self.clock.now() + time);
        loop {
            self.run_now(&mut settled).await?;
            let left = end - self.clock.now();
            if left <= Duration::zero() {
                return Ok(settled);
            }
            self.sleep(self.messages.next_delay().map_or(left, |delay| delay.min(left)));
        }
    }

    /// Runs what can run without waiting.
    async fn run_now(&self, settled: &mut Settled) -> anyhow::Result<()> {
        loop {
            if !self.messages.is_idle() {
                self.dispatch(&self.messages.receive(0, usize::MAX)).await?;
            } else if !self.executions.is_empty() {
                self.run_all(settled).await?;
            } else {
                return Ok(());
            }
        }
    }

    /// Runs the control function's sweep once.
    async fn sweep(&self) -> anyhow::Result<()> {
        let sweep = Sweep {
            models: &self.models().index(),
            contracts: &self.contracts,
            lake: &self.bucket,
            bucket: bucket::NAME,
            queue: self.messages.as_ref(),
            executions: self.executions.as_ref(),
            topic: self.topic.as_ref(),
            now: self.clock.now(),
        };
        sweep.run().await?;
        Ok(())
    }

    /// Returns the time until the first debt of a partition is due; `None` if nothing is owed.
    async fn next_debt(&self) -> anyhow::Result<Option<Duration>> {
        let now = self.clock.now();
        let mut next = None;
        for entry in self.bucket.list(keys::OWED).await? {
            let (model, partition) = keys::parse_owed(&entry.key).context("a marker")?;
            let every = self.models().get(model).map_or(0, |model| model.every_seconds);
            let stored = state::read(&self.bucket, model, partition).await?;
            let debts = stored.state.owes(Duration::seconds(every.into()), now);
            let due = debts.iter().map(|debt| (debt.due - now).max(Duration::zero())).min();
            next = match (next, due) {
                (Some(next), Some(due)) => Some(due.min(next)),
                (next, due) => next.or(due),
            };
        }
        Ok(next)
    }

    /// Dispatches a batch of messages. Those that dispatch does not return are deleted.
    async fn dispatch(&self, received: &[ReceivedMessage]) -> anyhow::Result<()> {
        if received.is_empty() {
            return Ok(());
        }
        let response = self.dispatch.handle(messages::batch(received)).await;
        let returned = response.batch_item_failures.iter();
        let returned: BTreeSet<usize> =
            returned.filter_map(|failure| failure.item_identifier.parse().ok()).collect();
        for (place, message) in received.iter().enumerate() {
            if !returned.contains(&place) {
                self.messages.delete(&message.receipt);
            } else if !self.messages.is_deferred(&message.receipt) {
                bail!("dispatch rejected {}", message.body);
            }
        }
        Ok(())
    }

    /// Runs all waiting executions: model by model, each after its inputs, so that the number of
    /// concurrent executions does not matter.
    async fn run_all(&self, settled: &mut Settled) -> anyhow::Result<()> {
        let order: BTreeMap<_, _> = self
            .models()
            .iter()
            .enumerate()
            .map(|(place, model)| (model.name.as_str(), place))
            .collect();
        let mut groups: BTreeMap<Option<usize>, Vec<Execution>> = BTreeMap::new();
        for execution in self.executions.take_all() {
            let group = match &execution {
                Execution::BronzeToSilver { .. } => None,
                Execution::SilverToGold { job }
                | Execution::SilverToGoldGlue(GlueRun { job, .. }) => {
                    job.split('/').nth(1).and_then(|model| order.get(model)).copied()
                }
                Execution::SilverToGoldWithResult { .. } => None,
            };
            groups.entry(group).or_default().push(execution);
        }
        for executions in groups.into_values() {
            // One execution per thread.
            for chunk in
                executions.chunks(std::thread::available_parallelism().map_or(1, usize::from))
            {
                for ran in try_join_all(chunk.iter().map(|execution| self.run(execution))).await? {
                    settled.count(ran);
                }
            }
        }
        Ok(())
    }

    /// Runs an execution.
    async fn run(&self, execution: &Execution) -> anyhow::Result<Option<JobOutcome>> {
        match execution {
            Execution::BronzeToSilver { bucket, key, .. } => {
                self.conform(&json!({"bucket": bucket, "key": key}).to_string()).await?;
                Ok(None)
            }
            // Glue is another engine that makes the same commit.
            Execution::SilverToGold { job } | Execution::SilverToGoldGlue(GlueRun { job, .. }) => {
                let (transform, request) = (self.transform.clone(), Request { job: job.clone() });
                // On its own thread, as each invocation of a function has.
                let runtime = Handle::current();
                let work = move || runtime.block_on(transform.handle(&request));
                let result = tokio::task::spawn_blocking(work).await?;
                let result = result.with_context(|| format!("the job {job} failed"))?;
                self.load_and_notify(job, &result).await?;
                let outcome = result.outcome;
                if outcome != JobOutcome::Conflict {
                    let partition = (result.model.clone(), result.partition);
                    let ended = Ended { job: job.clone(), result };
                    self.ended
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(partition, ended);
                }
                Ok(Some(outcome))
            }
            Execution::SilverToGoldWithResult { .. } => Ok(None),
        }
    }

    /// Runs the branches of the state `LoadAndNotify`, which follows a job.
    async fn load_and_notify(&self, job: &str, result: &JobResult) -> anyhow::Result<()> {
        self.load.handle(json!(result)).await?;
        if let Some(request) = &result.notify {
            self.notify.handle(json!(request), DateTime::<Utc>::MAX_UTC).await?;
        }
        if result.alert.is_some() {
            let topic = self.topic.as_ref();
            shoplake_operations::send_alert(&self.bucket, topic, job, result.version).await?;
        }
        Ok(())
    }

    fn sleep(&self, time: Duration) {
        self.clock.advance(time);
        self.bucket.objects.set_now(self.clock.now());
    }
}
