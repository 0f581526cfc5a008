//! The protocol of a commit: who may write a gold partition, and what is done so that nothing is lost if this process
//! ends at any point of it.

use std::sync::Arc;

use serde::Deserialize;
use shoplake_engine::{EngineError, Gold, Limits, gold};
use shoplake_lake::{Condition, ETag, Head, Metadata, Object, PutError, Store};
use shoplake_models::job::{JOB_VERSION, metadata};
use shoplake_models::{FailedCheck, JobDocument, JobResult, LoadRequest, Outcome, PartitionDirty};

use crate::error::TransformError;
use crate::ports::{Announcer, Queue};

/// What the state machine asks for.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Request {
    /// The key of a job document.
    pub(crate) job: String,
}

/// Runs jobs.
pub(crate) struct Transform {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) announcer: Arc<dyn Announcer>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) limits: Limits,
}

impl Transform {
    /// Runs the job, and commits its rows if they are new and right.
    pub(crate) async fn handle(&self, request: &Request) -> Result<JobResult, TransformError> {
        let job = self.job(&request.job).await?;
        let result = self.run(&job).await?;
        tracing::info!(
            job = job.id,
            model = result.model,
            partition = result.partition,
            outcome = ?result.outcome,
            rows = result.rows,
            failed_checks = ?result.failed_checks.iter().map(|check| &check.name).collect::<Vec<_>>(),
            "ran a job"
        );
        Ok(result)
    }

    async fn job(&self, key: &str) -> Result<JobDocument, TransformError> {
        let object = self.store.get(key).await?.ok_or_else(|| TransformError::NoJob(key.to_owned()))?;
        let job: JobDocument = serde_json::from_slice(&object.bytes)
            .map_err(|cause| TransformError::UnreadableJob { key: key.to_owned(), cause })?;
        if job.version != JOB_VERSION {
            return Err(TransformError::JobVersion { key: key.to_owned(), version: job.version });
        }
        Ok(job)
    }

    async fn run(&self, job: &JobDocument) -> Result<JobResult, TransformError> {
        let current = self.store.get(&job.output.key).await?;
        if let Some(object) = current.as_ref().filter(|object| is_of(job, &object.head)) {
            // An earlier attempt ended between its commit and now. What it still owed is in the commit.
            return self.finish(job, &decode(job, object)?, Vec::new()).await;
        }
        if current.as_ref().map(|object| object.head.etag.as_str()) != job.output.expected_etag.as_deref() {
            return self.conflict(job, "another job has committed since it was planned").await;
        }
        let before = current.as_ref().map(|object| decode(job, object)).transpose()?;

        let output = match shoplake_engine::run(self.store.as_ref(), job, before.as_ref(), self.limits).await
        {
            Ok(output) => output,
            Err(error @ EngineError::MissingObject { .. }) => {
                return self.conflict(job, &error.to_string()).await;
            }
            Err(error) => return Err(error.into()),
        };
        let stopped = output.is_stopped();
        let result = |outcome| result(job, outcome, output.rows.num_rows() as u64);
        if stopped {
            return Ok(JobResult { failed_checks: output.failed_checks, ..result(Outcome::ChecksFailed) });
        }
        if !output.changed {
            return Ok(JobResult { failed_checks: output.failed_checks, ..result(Outcome::Unchanged) });
        }

        let file = gold::encode(&output.rows, job, &output.dirtied)
            .map_err(|cause| TransformError::Encode { model: job.model.clone(), cause })?;
        let condition = match &job.output.expected_etag {
            Some(etag) => Condition::Matches(ETag::new(etag.as_str())),
            None => Condition::Absent,
        };
        let committed = Gold { rows: output.rows, dirtied: output.dirtied };
        let notes = notes(job, committed.rows.num_rows());
        match self.store.put(&job.output.key, file, notes, condition).await {
            Ok(_) => self.finish(job, &committed, output.failed_checks).await,
            Err(PutError::Store(error)) => Err(error.into()),
            Err(PutError::Conflict { key }) => {
                // A write whose answer was lost is sent again by the client, and then conflicts with itself.
                let head = self.store.head(&key).await?;
                if head.is_some_and(|head| is_of(job, &head)) {
                    return self.finish(job, &committed, output.failed_checks).await;
                }
                self.conflict(job, "another job committed while it ran").await
            }
        }
    }

    /// Announces what a commit of `job` dirtied, and says what is to be loaded.
    async fn finish(
        &self,
        job: &JobDocument,
        committed: &Gold,
        failed_checks: Vec<FailedCheck>,
    ) -> Result<JobResult, TransformError> {
        self.announcer.announce(&committed.dirtied).await?;
        let load = job.warehouse.as_ref().map(|warehouse| LoadRequest {
            model: job.model.clone(),
            warehouse: warehouse.clone(),
            partition: job.partition.clone(),
            key: job.output.key.clone(),
            version: job.output.version,
            columns: gold::columns(&committed.rows),
            sort: job.sort.clone(),
        });
        let rows = committed.rows.num_rows() as u64;
        Ok(JobResult { failed_checks, load, ..result(job, Outcome::Committed, rows) })
    }

    /// Has the partition planned again.
    ///
    /// An earlier attempt may have committed, ended before it could announce, and been replaced by another job since. So
    /// everything that reads this partition is announced as well; what is up to date costs a listing.
    async fn conflict(&self, job: &JobDocument, reason: &str) -> Result<JobResult, TransformError> {
        let partition = job.partition.value.to_string();
        let dirty = |model: &str, partition: String| PartitionDirty {
            model: model.to_owned(),
            partition,
            reason: format!("job {} of {} {}: {reason}", job.id, job.model, job.partition.value),
        };
        let downstream: Vec<_> = job
            .downstream
            .iter()
            .flat_map(|downstream| {
                let partitions = downstream.dirtied_by(job.partition.value);
                partitions.map(|partition| dirty(&downstream.model, partition.to_string()))
            })
            .collect();
        self.announcer.announce(&downstream).await?;
        self.queue.mark(&dirty(&job.model, partition)).await?;
        Ok(result(job, Outcome::Conflict, 0))
    }
}

/// Whether the object is the commit of `job` itself.
fn is_of(job: &JobDocument, head: &Head) -> bool {
    head.metadata.get(metadata::JOB) == Some(&job.id)
}

fn decode(job: &JobDocument, object: &Object) -> Result<Gold, TransformError> {
    Gold::decode(object.bytes.clone())
        .map_err(|cause| TransformError::UnreadableGold { key: job.output.key.clone(), cause })
}

/// What a commit notes beside its rows.
fn notes(job: &JobDocument, rows: usize) -> Metadata {
    [
        (metadata::VERSION, job.output.version.to_string()),
        (metadata::INPUTS, job.output.inputs_digest.clone()),
        (metadata::JOB, job.id.clone()),
        (metadata::ROWS, rows.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn result(job: &JobDocument, outcome: Outcome, rows: u64) -> JobResult {
    JobResult {
        outcome,
        model: job.model.clone(),
        partition: job.partition.value.to_string(),
        rows,
        failed_checks: Vec::new(),
        load: None,
    }
}
