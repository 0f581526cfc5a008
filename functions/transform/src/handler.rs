//! The commit protocol of a gold partition. A retry completes it wherever the process ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use shoplake_aws::EventPublisher;
use shoplake_engine::gold::Footer;
use shoplake_engine::{Arrival, Engine, EngineError, Gold, gold};
use shoplake_jobs::{
    CheckAlert, Correspondence, FailedCheck, JOB_VERSION, JobDocument, JobOutcome, JobResult,
    LoadColumn, LoadRequest, NotifyRequest, Partition, PartitionDirty, Severity, Withheld,
    metadata, rfc3339,
};
use shoplake_lake::state::{self, Completion, PartitionState, runs};
use shoplake_lake::{Condition, ETag, Head, Metadata, Object, PutError, Store, StoreError};
use shoplake_platform::clock::Clock;

use crate::error::TransformError;

/// The number of states that are changed at the same time.
const CONCURRENT_NOTES: usize = 32;

/// The input of the function: a job to run.
#[derive(Clone, Debug, Deserialize)]
pub struct Request {
    /// The key of a job document.
    pub job: String,
}

/// Runs jobs.
pub struct Transform {
    /// The lake.
    pub store: Arc<dyn Store>,
    /// The bus for dirty partitions.
    pub publisher: Arc<dyn EventPublisher>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Computes the rows.
    pub engine: Arc<dyn Engine>,
}

/// A job document and the time of its planning.
struct Planned {
    job: JobDocument,
    /// When the document was written, which is right after its inputs were listed.
    at: DateTime<Utc>,
}

/// What a result says of a commit.
struct Commit {
    planned_at: DateTime<Utc>,
    received_at: Option<DateTime<Utc>>,
    rows: u64,
    columns: Vec<LoadColumn>,
    failed_checks: Vec<FailedCheck>,
    /// The failures to alert people to, unless they were alerted.
    alert: Vec<CheckAlert>,
}

impl Planned {
    /// Returns when a commit was planned that an earlier attempt of the job made: the document may
    /// have been written again since, and every load of a commit needs the same place in the order
    /// of loads.
    fn commit_planned_at(&self, commit: &Head) -> DateTime<Utc> {
        parse_time(commit, metadata::PLANNED_AT).unwrap_or(self.at)
    }
}

impl Transform {
    /// Runs the job, commits its rows if they or the failed checks have changed, and records its
    /// end in the state of the partition.
    ///
    /// # Errors
    /// When the job cannot be read or run, or the lake or a port fails.
    /// [`TransformError::is_retryable`] returns whether a retry may succeed. The job keeps its
    /// lease: the state machine retries the job, or records its failure.
    pub async fn handle(&self, request: &Request) -> Result<JobResult, TransformError> {
        let planned = self.job(&request.job).await?;
        let result = self.run(&planned).await?.capped();
        let failed_checks = result.failed_checks.iter().map(|check| &check.name);
        tracing::info!(
            job = result.job,
            model = result.model,
            partition = %result.partition,
            outcome = ?result.outcome,
            rows = result.rows,
            failed_checks = ?failed_checks.collect::<Vec<_>>(),
            withheld = ?result.withheld.shops,
            "ran a job"
        );
        Ok(result)
    }

    async fn job(&self, key: &str) -> Result<Planned, TransformError> {
        let object =
            self.store.get(key).await?.ok_or_else(|| TransformError::NoJob(key.to_owned()))?;
        let job: JobDocument = serde_json::from_slice(&object.bytes)
            .map_err(|cause| TransformError::UnreadableJob { key: key.to_owned(), cause })?;
        if job.version != JOB_VERSION {
            return Err(TransformError::JobVersion { key: key.to_owned(), version: job.version });
        }
        Ok(Planned { job, at: object.head.last_modified })
    }

    async fn run(&self, planned: &Planned) -> Result<JobResult, TransformError> {
        let job = &planned.job;
        let current = self.store.get(&job.output.key).await?;
        // What the state says of the commit in gold: which version's dirtied partitions are
        // published. An older job has made that commit; if it ended before it published, this job
        // publishes in its place.
        let published = match &current {
            Some(_) => {
                let stored = state::read(self.store.as_ref(), &job.model, job.partition.value);
                stored.await?.state.published
            }
            None => 0,
        };
        if let Some(object) = current.as_ref().filter(|object| committed_by(job, &object.head)) {
            // An earlier attempt ended between the commit and its result, or its load failed. The
            // commit's metadata has everything that the result needs.
            let footer = Footer::decode(object.bytes.clone()).map_err(|cause| {
                TransformError::UnreadableGold { key: job.output.key.clone(), cause }
            })?;
            if published < job.output.version {
                self.publish(job, &footer.dirtied).await?;
            }
            let commit = Commit {
                planned_at: planned.commit_planned_at(&object.head),
                received_at: parse_time(&object.head, metadata::RECEIVED_AT),
                rows: footer.rows,
                columns: footer.columns,
                failed_checks: footer.failed_checks,
                // control sends it only if the state still has it.
                alert: footer.alert,
            };
            return self.committed(planned, commit).await;
        }
        if current.as_ref().map(|object| object.head.etag.as_str())
            != job.output.expected_etag.as_deref()
        {
            return self.conflict(planned, "another job has committed since it was planned").await;
        }
        let before = current.as_ref().map(|object| decode(job, object)).transpose()?;
        let version_before = current.as_ref().map_or(0, |object| version(&object.head));
        if let Some(before) = before.as_ref().filter(|_| published < version_before) {
            self.publish(job, &before.dirtied).await?;
        }

        let output = match shoplake_engine::run(
            self.store.as_ref(),
            job,
            before.as_ref(),
            self.engine.as_ref(),
        )
        .await
        {
            Ok(output) => output,
            Err(error @ EngineError::MissingObject { .. }) => {
                return self.conflict(planned, &error.to_string()).await;
            }
            Err(error) => return Err(error.into()),
        };
        let failed_before = before.as_ref().map_or(&[][..], |gold| &gold.failed_checks);
        let rows = output.rows.num_rows();
        // A commit records which checks fail for which shops, and the next run is compared with it.
        // So a change of the failures is committed even if the rows are the same.
        if !output.changed && same_failures(failed_before, &output.failed_checks) {
            let unchanged = result(planned, JobOutcome::Unchanged, rows as u64)
                .with_failed_checks(output.failed_checks);
            return self.complete(job, unchanged, version_before, "a change arrived").await;
        }

        let received_at =
            oldest_unseen_event(&output.arrivals, current.as_ref().map(|object| &object.head));
        let gold = output.into_gold();
        let file = gold::encode(&gold, job)
            .map_err(|cause| TransformError::Encode { model: job.model.clone(), cause })?;
        let condition = match &job.output.expected_etag {
            Some(etag) => Condition::Matches(ETag::new(etag.as_str())),
            None => Condition::Absent,
        };
        let metadata = commit_metadata(planned, rows, received_at);
        let mut planned_at = planned.at;
        match self.store.put(&job.output.key, file, metadata, condition).await {
            Ok(_) => {}
            Err(PutError::Store(error)) => return Err(error.into()),
            Err(PutError::Conflict { key }) => {
                // The client retries a write whose response was lost, which then conflicts with the
                // first one.
                let head = self.store.head(&key).await?;
                let Some(head) = head.filter(|head| committed_by(job, head)) else {
                    return self.conflict(planned, "another job committed while it ran").await;
                };
                planned_at = planned.commit_planned_at(&head);
            }
        }
        self.publish(job, &gold.dirtied).await?;
        let commit = Commit {
            planned_at,
            received_at,
            rows: rows as u64,
            columns: gold::columns(&gold.rows.schema()),
            failed_checks: gold.failed_checks,
            alert: gold.alert,
        };
        self.committed(planned, commit).await
    }

    /// Publishes the partitions that a commit dirtied.
    ///
    /// Days that are read by column are noted in their states first. The sweep finds a lost message
    /// about any other partition by the times of its inputs, but a bucket has rows of all days.
    async fn publish(
        &self,
        job: &JobDocument,
        dirtied: &[PartitionDirty],
    ) -> Result<(), TransformError> {
        let by_column = job.downstream.iter().filter(|downstream| {
            matches!(downstream.correspondence, Correspondence::ByColumn { .. })
        });
        let by_column: BTreeSet<_> =
            by_column.map(|downstream| downstream.model.as_str()).collect();
        let mut notes = Vec::new();
        for dirty in dirtied.iter().filter(|dirty| by_column.contains(dirty.model.as_str())) {
            for day in dirty.partitions().into_iter().flatten() {
                notes.push(self.note_dirty(&dirty.model, day));
            }
        }
        stream::iter(notes).buffer_unordered(CONCURRENT_NOTES).try_collect::<Vec<()>>().await?;
        self.publisher.publish(dirtied).await?;
        Ok(())
    }

    async fn note_dirty(&self, model: &str, partition: Partition) -> Result<(), StoreError> {
        let now = self.clock.now();
        let note = |state: &mut PartitionState| state.note_dirty(now, false);
        state::update(self.store.as_ref(), model, partition, note).await
    }

    /// Records the end of a job whose commit is published, and returns the result with the requests
    /// to load and notify.
    async fn committed(
        &self,
        planned: &Planned,
        commit: Commit,
    ) -> Result<JobResult, TransformError> {
        let job = &planned.job;
        let Commit { planned_at, received_at, rows, columns, failed_checks, alert } = commit;
        let load = job.warehouse.as_ref().map(|warehouse| LoadRequest {
            model: job.model.clone(),
            warehouse: warehouse.clone(),
            partition: job.partition.clone(),
            key: job.output.key.clone(),
            version: job.output.version,
            columns,
            sort: job.sort.clone(),
        });
        let notify = job.alert.as_ref().map(|alert| NotifyRequest {
            model: job.model.clone(),
            partition: job.partition.value,
            key: job.output.key.clone(),
            version: job.output.version,
            identity: job.key.clone(),
            alert: alert.clone(),
        });
        let result = JobResult {
            planned_at,
            received_at,
            alert: Some(alert).filter(|alert| !alert.is_empty()),
            load,
            notify,
            ..result(planned, JobOutcome::Committed, rows).with_failed_checks(failed_checks)
        };
        self.complete(job, result, job.output.version, "a change arrived").await
    }

    /// Gives the work of the job back, so that its partition is planned again.
    async fn conflict(&self, planned: &Planned, reason: &str) -> Result<JobResult, TransformError> {
        let result = JobResult { checks: Vec::new(), ..result(planned, JobOutcome::Conflict, 0) };
        self.complete(&planned.job, result, 0, reason).await
    }

    /// Records the end of the job in the state of its partition, and publishes the partition if it
    /// is dirty again: because of `reason`. `version` is the version in gold.
    async fn complete(
        &self,
        job: &JobDocument,
        result: JobResult,
        version: u64,
        reason: &str,
    ) -> Result<JobResult, TransformError> {
        let partition = job.partition.value;
        let completion = Completion {
            job: job.id.clone(),
            outcome: result.outcome,
            inputs: job.output.inputs_digest.clone(),
            gold: job.output.expected_etag.clone(),
            version,
            notifies: job.alert.is_some(),
            withheld: result.withheld.clone(),
            alert: result.alert.clone().unwrap_or_default(),
            at: self.clock.now(),
        };
        let (is_dirty, slot) = state::update(self.store.as_ref(), &job.model, partition, |state| {
            let slot = state.slot_of(&job.id);
            (state.complete(completion.clone()), slot)
        })
        .await?;
        runs::release(self.store.as_ref(), slot, &job.id).await;
        if is_dirty {
            let reason = format!("job {} of {} {partition}: {reason}", job.id, job.model);
            let again = PartitionDirty::one(&job.model, partition, reason);
            if let Err(error) = self.publisher.publish(&[again]).await {
                tracing::warn!(job = job.id, %error, "the sweep sends the partition again");
            }
        }
        Ok(result)
    }
}

/// Returns whether `job` itself committed the object.
fn committed_by(job: &JobDocument, head: &Head) -> bool {
    head.metadata.get(metadata::JOB) == Some(&job.id)
}

fn decode(job: &JobDocument, object: &Object) -> Result<Gold, TransformError> {
    Gold::decode(object.bytes.clone())
        .map_err(|cause| TransformError::UnreadableGold { key: job.output.key.clone(), cause })
}

/// Returns the number of the commit; 0 for an object that no job wrote.
fn version(head: &Head) -> u64 {
    head.metadata.get(metadata::VERSION).and_then(|version| version.parse().ok()).unwrap_or(0)
}

/// Returns the time that the metadata has under `name`.
fn parse_time(head: &Head, name: &str) -> Option<DateTime<Utc>> {
    head.metadata.get(name)?.parse().ok()
}

/// Returns whether the same checks fail for the same shops, whatever the number of rows.
fn same_failures(before: &[FailedCheck], now: &[FailedCheck]) -> bool {
    fn shops(failed: &[FailedCheck]) -> BTreeMap<&str, (bool, &[String])> {
        failed
            .iter()
            .map(|failed| {
                let is_error = failed.severity == Severity::Error;
                (failed.name.as_str(), (is_error, &failed.shops[..]))
            })
            .collect()
    }
    shops(before) == shops(now)
}

/// Returns when the oldest event was received that `before`, the partition's last commit, lacks.
///
/// S3 has times in whole seconds. An object from the second in which that commit was planned counts
/// as unseen, so that the measured delay is never too short.
fn oldest_unseen_event(arrivals: &[Arrival], before: Option<&Head>) -> Option<DateTime<Utc>> {
    let planned_at =
        before.map(|head| parse_time(head, metadata::PLANNED_AT).unwrap_or(head.last_modified));
    arrivals
        .iter()
        .filter(|arrival| planned_at.is_none_or(|planned_at| arrival.written_at >= planned_at))
        .map(|arrival| arrival.received_at)
        .min()
}

/// Returns the S3 metadata of a commit.
fn commit_metadata(planned: &Planned, rows: usize, received_at: Option<DateTime<Utc>>) -> Metadata {
    let job = &planned.job;
    [
        (metadata::VERSION, job.output.version.to_string()),
        (metadata::INPUTS, job.output.inputs_digest.clone()),
        (metadata::JOB, job.id.clone()),
        (metadata::ROWS, rows.to_string()),
        (metadata::PLANNED_AT, rfc3339(planned.at)),
    ]
    .into_iter()
    .chain(received_at.map(|time| (metadata::RECEIVED_AT, rfc3339(time))))
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn result(planned: &Planned, outcome: JobOutcome, rows: u64) -> JobResult {
    let job = &planned.job;
    JobResult {
        outcome,
        model: job.model.clone(),
        partition: job.partition.value,
        job: job.id.clone(),
        version: job.output.version,
        planned_at: planned.at,
        received_at: None,
        rows,
        checks: job.check_runs(),
        failed_checks: Vec::new(),
        withheld: Withheld::default(),
        alert: None,
        load: None,
        notify: None,
    }
}
