//! Records that a step of a job's execution failed.

use chrono::{DateTime, Utc};
use shoplake_jobs::Partition;
use shoplake_lake::state::{self, Step, runs};
use shoplake_lake::{Store, keys};
use shoplake_platform::failure::Failure;

use crate::response::RecordedFailure;

/// Records in the state of its partition that a step of a job failed after all its retries: its
/// lease ends, what it owed stays owed, and the sweep tries it again after a delay.
///
/// # Errors
/// If `job` is not the key of a job document, which is permanent, or if the lake fails.
pub async fn record(
    lake: &dyn Store,
    job: &str,
    step: Step,
    error: &str,
    now: DateTime<Utc>,
) -> Result<RecordedFailure, Failure> {
    let (model, partition, id) = parse_job(job)?;
    let (alert, failure, slot) = state::update(lake, model, partition, |state| {
        let slot = state.slot_of(id).filter(|_| step == Step::Compute);
        let alert = state.fail(step, id, error, now);
        (alert, state.failures.get(&step).cloned(), slot)
    })
    .await
    .map_err(Failure::retryable)?;
    runs::release(lake, slot, id).await;
    tracing::error!(job, ?step, error, alert, "a step of a job failed");
    Ok(RecordedFailure {
        model: model.to_owned(),
        partition,
        alert,
        attempts: failure.as_ref().map_or(0, |failure| failure.attempts),
        retry_at: failure.map(|failure| failure.retry_at),
    })
}

/// Returns the model, the partition and the job of the key of a job document.
pub(crate) fn parse_job(key: &str) -> Result<(&str, Partition, &str), Failure> {
    keys::parse_job(key).ok_or_else(|| {
        Failure::permanent(format!(
            "invalid job {key:?}: expected the key of a job document, \
             jobs/<model>/<partition>/<id>.json"
        ))
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use shoplake_lake::MemoryStore;
    use shoplake_lake::state::Lease;

    use super::*;

    const JOB: &str = "jobs/daily/2010-12-01/0a.json";

    fn now() -> DateTime<Utc> {
        "2010-12-02T03:04:05Z".parse().unwrap()
    }

    #[tokio::test]
    async fn a_failed_job_ends_its_lease_and_alerts_once() {
        let lake = MemoryStore::default();
        let partition: Partition = "2010-12-01".parse().unwrap();
        let until = now() + TimeDelta::seconds(310);
        let run = runs::Run { model: "daily".into(), partition, job: "0a".into(), until };
        let slot = runs::take(&lake, &run, 0..1, true, now()).await.unwrap();
        let lease = Lease {
            job: "0a".to_owned(),
            until,
            since: now(),
            planned_at: now(),
            recompute: false,
            resumes: false,
            slot,
        };
        let take = |state: &mut state::PartitionState| state.compute(lease.clone());
        state::update(&lake, "daily", partition, take).await.unwrap();

        let first = record(&lake, JOB, Step::Compute, "Shoplake.Permanent: x", now()).await;
        let first = first.unwrap();
        assert_eq!((first.alert, first.attempts), (true, 1));
        assert_eq!(first.retry_at, Some(now() + TimeDelta::seconds(60)));
        let state = state::read(&lake, "daily", partition).await.unwrap().state;
        assert_eq!((state.lease, state.dirty_since), (None, Some(now())));
        assert!(lake.list(keys::RUNS).await.unwrap().is_empty());
        assert_eq!(lake.list(keys::OWED).await.unwrap().len(), 1);

        state::update(&lake, "daily", partition, take).await.unwrap();
        let second = record(&lake, JOB, Step::Compute, "again", now()).await.unwrap();
        assert_eq!((second.alert, second.attempts), (false, 2));
    }

    #[tokio::test]
    async fn a_failed_load_keeps_the_lease_of_the_next_job() {
        let lake = MemoryStore::default();
        let partition: Partition = "2010-12-01".parse().unwrap();
        let commit = |state: &mut state::PartitionState| state.found_commit(3);
        state::update(&lake, "daily", partition, commit).await.unwrap();
        let failed = record(&lake, JOB, Step::Load, "away", now()).await.unwrap();
        assert!(failed.alert);
        let state = state::read(&lake, "daily", partition).await.unwrap().state;
        assert!(state.dirty_since.is_none() && state.loaded < state.committed);
    }

    #[tokio::test]
    async fn another_key_than_that_of_a_job_is_rejected() {
        let lake = MemoryStore::default();
        for key in ["jobs/daily/2010-12-01/0a.result.json", "gold/x", ""] {
            let failure = record(&lake, key, Step::Load, "away", now()).await.unwrap_err();
            assert!(failure.is_permanent() && failure.to_string().contains("jobs/<model>"));
        }
    }
}
