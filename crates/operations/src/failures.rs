//! Records that a step of a job's execution failed.

use chrono::{DateTime, Utc};
use shoplake_aws::Topic;
use shoplake_jobs::Partition;
use shoplake_lake::state::{self, Step, runs};
use shoplake_lake::{Store, keys};
use shoplake_platform::failure::Failure;

use crate::alerts::{self, Alert};
use crate::response::RecordedFailure;

/// Records in the state of its partition that a step of a job failed after all its retries: its
/// lease ends, what it owed stays owed, and the sweep tries it again after a delay. Alerts the
/// operator once until the step succeeds. The state has the alert until it is sent, so the sweep
/// sends one that this call does not.
///
/// # Errors
/// If `job` is not the key of a job document, which is permanent, or if the lake fails.
pub async fn record(
    lake: &dyn Store,
    topic: &dyn Topic,
    job: &str,
    step: Step,
    error: &str,
    now: DateTime<Utc>,
) -> Result<RecordedFailure, Failure> {
    let (model, partition, id) = parse_job(job)?;
    let (is_unsent, failure, slot) = state::update(lake, model, partition, |state| {
        let slot = state.slot_of(id).filter(|_| step == Step::Compute);
        let is_unsent = state.fail(step, id, error, now);
        (is_unsent, state.failures.get(&step).cloned(), slot)
    })
    .await
    .map_err(Failure::retryable)?;
    runs::release(lake, slot, id).await;
    tracing::error!(job, ?step, error, "a step of a job failed");
    let mut alert = false;
    if let Some(failure) = failure.clone().filter(|_| is_unsent) {
        let failed = Alert::Failure(step, failure);
        match alerts::send_one(lake, topic, model, partition, &failed).await {
            Ok(()) => alert = true,
            Err(error) => tracing::warn!(job, %error, "the sweep sends the alert"),
        }
    }
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
    use serde_json::{Value, json};
    use shoplake_aws::Fault;
    use shoplake_aws::topic::MemoryTopic;
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

        let topic = MemoryTopic::default();
        let error = "Shoplake.Permanent: x";
        let first = record(&lake, &topic, JOB, Step::Compute, error, now()).await.unwrap();
        assert_eq!((first.alert, first.attempts), (true, 1));
        assert_eq!(first.retry_at, Some(now() + TimeDelta::seconds(60)));
        let state = state::read(&lake, "daily", partition).await.unwrap().state;
        assert_eq!((state.lease, state.dirty_since), (None, Some(now())));
        assert!(lake.list(keys::RUNS).await.unwrap().is_empty());
        assert_eq!(lake.list(keys::OWED).await.unwrap().len(), 1);

        state::update(&lake, "daily", partition, take).await.unwrap();
        let second = record(&lake, &topic, JOB, Step::Compute, "again", now()).await.unwrap();
        assert_eq!((second.alert, second.attempts), (false, 2));
        let [message] = topic.messages().try_into().unwrap();
        assert_eq!(message.subject, "Shoplake: a gold partition was not computed");
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!((&body["job"], &body["error"]), (&json!(JOB), &json!(error)));
        assert_eq!((&body["step"], &body["attempts"]), (&json!("compute"), &json!(1)));
    }

    #[tokio::test]
    async fn an_alert_that_was_not_sent_stays_owed() {
        let (lake, topic) = (MemoryStore::default(), MemoryTopic::default());
        let partition: Partition = "2010-12-01".parse().unwrap();
        topic.fail([Some(Fault::Refused)]);
        let refused = record(&lake, &topic, JOB, Step::Compute, "broken", now()).await.unwrap();
        assert!(!refused.alert && topic.messages().is_empty());
        // The step succeeds before the alert is sent, or does not.
        let state = state::read(&lake, "daily", partition).await.unwrap().state;
        let due = now() + state::DELIVERY;
        let dues = |at| alerts::due(state.clone(), at).count();
        assert_eq!((dues(due - TimeDelta::seconds(1)), dues(due)), (0, 1));
        let recovered = |state: &mut state::PartitionState| {
            state.up_to_date(now());
            state.is_settled()
        };
        assert!(recovered(&mut state.clone()));

        // The answer to this call is lost, or the process ends after its first write.
        let again = record(&lake, &topic, JOB, Step::Compute, "broken", now()).await.unwrap();
        assert!(again.alert && topic.messages().len() == 1);
        let state = state::read(&lake, "daily", partition).await.unwrap().state;
        assert_eq!(alerts::due(state, due).count(), 0);
    }

    #[tokio::test]
    async fn a_failed_load_keeps_the_lease_of_the_next_job() {
        let lake = MemoryStore::default();
        let partition: Partition = "2010-12-01".parse().unwrap();
        let commit = |state: &mut state::PartitionState| state.found_commit(3);
        state::update(&lake, "daily", partition, commit).await.unwrap();
        let topic = MemoryTopic::default();
        let failed = record(&lake, &topic, JOB, Step::Load, "away", now()).await.unwrap();
        assert!(failed.alert);
        let state = state::read(&lake, "daily", partition).await.unwrap().state;
        assert!(state.dirty_since.is_none() && state.loaded < state.committed);
    }

    #[tokio::test]
    async fn another_key_than_that_of_a_job_is_rejected() {
        let lake = MemoryStore::default();
        for key in ["jobs/daily/2010-12-01/0a.result.json", "gold/x", ""] {
            let topic = MemoryTopic::default();
            let failure = record(&lake, &topic, key, Step::Load, "away", now()).await.unwrap_err();
            assert!(failure.is_permanent() && failure.to_string().contains("jobs/<model>"));
        }
    }
}
