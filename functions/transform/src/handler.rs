//! The commit protocol of a gold partition. A retry completes it wherever the process ended.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use shoplake_aws::{DirtyQueue, EventPublisher};
use shoplake_engine::{Arrival, EngineError, Gold, Limits, gold};
use shoplake_jobs::{
    CheckAlert, CheckRun, FailedCheck, JOB_VERSION, JobDocument, JobOutcome, JobResult,
    LoadRequest, NotifyRequest, PartitionDirty, metadata,
};
use shoplake_lake::{Condition, ETag, Head, Metadata, Object, PutError, Store, keys, lease};

use crate::error::TransformError;

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
    /// The bus for partitions of other models that a commit dirtied.
    pub publisher: Arc<dyn EventPublisher>,
    /// The queue for partitions that have to be planned again.
    pub queue: Arc<dyn DirtyQueue>,
    /// The resources of a job.
    pub limits: Limits,
}

/// A job document and the time of its planning.
struct Planned {
    job: JobDocument,
    /// When the document was written, which is right after its inputs were listed.
    at: DateTime<Utc>,
}

impl Transform {
    /// Runs the job, and commits its rows if they have changed and pass the checks.
    ///
    /// # Errors
    /// When the job cannot be read or run, or the lake or a port fails.
    /// [`TransformError::is_retryable`] returns whether a retry may succeed.
    pub async fn handle(&self, request: &Request) -> Result<JobResult, TransformError> {
        let planned = self.job(&request.job).await?;
        let result = self.run(&planned).await;
        // After a retryable error the same job runs again, so it keeps its lease.
        if !result.as_ref().is_err_and(TransformError::is_retryable) {
            self.release(&planned.job).await;
        }
        let result = result?;
        let failed_checks = result.failed_checks.iter().map(|check| &check.name);
        tracing::info!(
            job = result.job,
            model = result.model,
            partition = %result.partition,
            outcome = ?result.outcome,
            rows = result.rows,
            failed_checks = ?failed_checks.collect::<Vec<_>>(),
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
        if let Some(object) = current.as_ref().filter(|object| committed_by(job, &object.head)) {
            // An earlier attempt ended between the commit and its result. The commit's metadata has
            // everything that the result needs.
            let (received_at, alert) =
                (parse_time(&object.head, metadata::RECEIVED_AT), new_failures(&object.head));
            return self.finish(planned, decode(job, object)?, received_at, &alert).await;
        }
        if current.as_ref().map(|object| object.head.etag.as_str())
            != job.output.expected_etag.as_deref()
        {
            return self.conflict(planned, "another job has committed since it was planned").await;
        }
        let before = current.as_ref().map(|object| decode(job, object)).transpose()?;

        let output = match shoplake_engine::run(
            self.store.as_ref(),
            job,
            before.as_ref(),
            self.limits,
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
        if output.is_rejected() {
            // Without a commit the next run cannot tell known failures from new ones, so every run
            // is an alert.
            let names: Vec<_> =
                output.failed_checks.iter().map(|failed| failed.name.clone()).collect();
            let alert = alert(job, &output.failed_checks, &names);
            let failed_checks = output.failed_checks;
            return Ok(JobResult {
                failed_checks,
                alert,
                ..result(planned, JobOutcome::ChecksFailed, rows)
            });
        }
        // A commit records which checks fail for which shops, and the next run is compared with it.
        // So a change of the failures is committed even if the rows are the same.
        if !output.changed && same_failures(failed_before, &output.failed_checks) {
            let failed_checks = output.failed_checks;
            return Ok(JobResult { failed_checks, ..result(planned, JobOutcome::Unchanged, rows) });
        }

        let is_new = output.failed_checks.iter().filter(|failed| failed.is_new(failed_before));
        let new_failures: Vec<_> = is_new.map(|failed| failed.name.clone()).collect();
        let received_at =
            oldest_unseen_event(&output.arrivals, current.as_ref().map(|object| &object.head));
        let committed = output.into_gold();
        let file = gold::encode(&committed, job)
            .map_err(|cause| TransformError::Encode { model: job.model.clone(), cause })?;
        let condition = match &job.output.expected_etag {
            Some(etag) => Condition::Matches(ETag::new(etag.as_str())),
            None => Condition::Absent,
        };
        let metadata = commit_metadata(planned, rows, received_at, &new_failures);
        match self.store.put(&job.output.key, file, metadata, condition).await {
            Ok(_) => self.finish(planned, committed, received_at, &new_failures).await,
            Err(PutError::Store(error)) => Err(error.into()),
            Err(PutError::Conflict { key }) => {
                // The client retries a write whose response was lost, which then conflicts with the
                // first one.
                let head = self.store.head(&key).await?;
                if head.is_some_and(|head| committed_by(job, &head)) {
                    return self.finish(planned, committed, received_at, &new_failures).await;
                }
                self.conflict(planned, "another job committed while it ran").await
            }
        }
    }

    /// Publishes the partitions that the commit dirtied, and returns the result with the requests
    /// to load and notify.
    async fn finish(
        &self,
        planned: &Planned,
        committed: Gold,
        received_at: Option<DateTime<Utc>>,
        new_failures: &[String],
    ) -> Result<JobResult, TransformError> {
        let job = &planned.job;
        self.publisher.publish(&committed.dirtied).await?;
        let load = job.warehouse.as_ref().map(|warehouse| LoadRequest {
            model: job.model.clone(),
            warehouse: warehouse.clone(),
            partition: job.partition.clone(),
            key: job.output.key.clone(),
            version: job.output.version,
            columns: gold::columns(&committed.rows.schema()),
            sort: job.sort.clone(),
        });
        let notify = job.notice.as_ref().map(|notice| NotifyRequest {
            model: job.model.clone(),
            partition: job.partition.value.to_string(),
            key: job.output.key.clone(),
            identity: job.key.clone(),
            notice: notice.clone(),
        });
        let result = result(planned, JobOutcome::Committed, committed.rows.num_rows());
        let alert = alert(job, &committed.failed_checks, new_failures);
        let failed_checks = committed.failed_checks;
        Ok(JobResult { received_at, failed_checks, alert, load, notify, ..result })
    }

    /// Releases the partition's lease, so that dispatch can start its next job. A lease that cannot
    /// be released expires.
    async fn release(&self, job: &JobDocument) {
        let key = keys::lease(&job.model, job.partition.value);
        if let Err(error) = lease::release(self.store.as_ref(), &key, &job.id).await {
            tracing::warn!(%error, job = job.id, "could not release a lease; it will expire");
        }
    }

    /// Sends the partition to the queue to be planned again.
    ///
    /// An earlier attempt may have committed and ended before it published, and another job may
    /// have replaced its commit since. So this also publishes all partitions that read this one.
    /// Those that are up to date cost a listing.
    async fn conflict(&self, planned: &Planned, reason: &str) -> Result<JobResult, TransformError> {
        let job = &planned.job;
        let partition = job.partition.value;
        let reason = format!("job {} of {} {partition}: {reason}", job.id, job.model);
        let downstream: Vec<_> = job
            .downstream
            .iter()
            .flat_map(|downstream| {
                let partitions = downstream.dirtied_by(partition).collect();
                PartitionDirty::ranges(&downstream.model, &partitions, &reason)
            })
            .collect();
        self.publisher.publish(&downstream).await?;
        self.queue.send(&[PartitionDirty::one(&job.model, partition, reason)]).await?;
        Ok(JobResult { checks: Vec::new(), ..result(planned, JobOutcome::Conflict, 0) })
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

/// Returns the time that the metadata has under `name`.
fn parse_time(head: &Head, name: &str) -> Option<DateTime<Utc>> {
    head.metadata.get(name)?.parse().ok()
}

/// Returns the checks whose failure was new with the commit.
fn new_failures(head: &Head) -> Vec<String> {
    let names = head.metadata.get(metadata::NEW_FAILURES);
    names.map(|names| names.split(',').map(str::to_owned).collect()).unwrap_or_default()
}

/// Returns whether the same checks fail for the same shops, whatever the number of rows.
fn same_failures(before: &[FailedCheck], now: &[FailedCheck]) -> bool {
    fn shops(failed: &[FailedCheck]) -> BTreeMap<&str, &[String]> {
        failed.iter().map(|failed| (failed.name.as_str(), &failed.shops[..])).collect()
    }
    shops(before) == shops(now)
}

/// Returns the alert about the failed checks that have these names; `None` without any.
fn alert(job: &JobDocument, failed: &[FailedCheck], names: &[String]) -> Option<Vec<CheckAlert>> {
    let alerts = failed.iter().filter(|failed| names.contains(&failed.name)).map(|failed| {
        let check = job.checks.iter().find(|check| check.name == failed.name);
        CheckAlert {
            check: failed.name.clone(),
            severity: failed.severity,
            description: check.map(|check| check.description.clone()).unwrap_or_default(),
            rows: failed.rows,
            shops: failed.shops.clone(),
        }
    });
    Some(alerts.collect::<Vec<_>>()).filter(|alerts| !alerts.is_empty())
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
fn commit_metadata(
    planned: &Planned,
    rows: usize,
    received_at: Option<DateTime<Utc>>,
    new_failures: &[String],
) -> Metadata {
    let job = &planned.job;
    let rfc3339 = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    [
        (metadata::VERSION, job.output.version.to_string()),
        (metadata::INPUTS, job.output.inputs_digest.clone()),
        (metadata::JOB, job.id.clone()),
        (metadata::ROWS, rows.to_string()),
        (metadata::PLANNED_AT, rfc3339(planned.at)),
    ]
    .into_iter()
    .chain(received_at.map(|time| (metadata::RECEIVED_AT, rfc3339(time))))
    .chain((!new_failures.is_empty()).then(|| (metadata::NEW_FAILURES, new_failures.join(","))))
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn result(planned: &Planned, outcome: JobOutcome, rows: usize) -> JobResult {
    let job = &planned.job;
    JobResult {
        outcome,
        model: job.model.clone(),
        partition: job.partition.value,
        job: job.id.clone(),
        version: job.output.version,
        planned_at: planned.at,
        received_at: None,
        rows: rows as u64,
        checks: job.checks.iter().map(CheckRun::from).collect(),
        failed_checks: Vec::new(),
        alert: None,
        load: None,
        notify: None,
    }
}
