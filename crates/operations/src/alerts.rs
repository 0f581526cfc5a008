//! Sends alerts about failed checks and failed steps.
//!
//! The state of a partition has an alert from its commit, or from the failure of its step, until it
//! is sent. The execution asks for it; if it ends before, the sweep sends it.

use chrono::{DateTime, Utc};
use serde_json::json;
use shoplake_aws::topic::{Message, Topic, subject};
use shoplake_jobs::{CheckAlert, Partition, Severity};
use shoplake_lake::state::{self, PartitionState, Step, UnsentAlert};
use shoplake_lake::{Store, keys};
use shoplake_platform::failure::Failure;

use crate::failures::parse_job;
use crate::response::SentAlerts;

/// The most shops that a message names. SNS passes on 256 KB, and a shop has at most 63 characters.
const MESSAGE_SHOPS: usize = 1000;

/// An alert that a partition owes.
pub(crate) enum Alert {
    /// About failed checks of a commit.
    Checks(UnsentAlert),
    /// About a failed step.
    Failure(Step, state::Failure),
}

/// Returns the alerts that the sweep has to send.
pub(crate) fn due(state: PartitionState, now: DateTime<Utc>) -> impl Iterator<Item = Alert> {
    let checks = state.unsent_alerts.into_iter().filter(move |alert| alert.due <= now);
    let failures = state.failures.into_iter();
    let failures =
        failures.filter(move |(_, failure)| failure.alert_due.is_some_and(|at| at <= now));
    checks.map(Alert::Checks).chain(failures.map(|(step, failure)| Alert::Failure(step, failure)))
}

/// Sends the alert about failed checks of a job's commit, unless it was sent.
///
/// # Errors
/// If `job` is not the key of a job document, which is permanent, or if the topic or the lake
/// fails.
pub async fn send(
    lake: &dyn Store,
    topic: &dyn Topic,
    job: &str,
    version: u64,
) -> Result<SentAlerts, Failure> {
    let (model, partition, _) = parse_job(job)?;
    let stored = state::read(lake, model, partition).await.map_err(Failure::retryable)?;
    let unsent = stored.state.unsent_alerts.into_iter().filter(|alert| alert.version == version);
    let mut sent = 0;
    for alert in unsent {
        send_one(lake, topic, model, partition, &Alert::Checks(alert)).await?;
        sent += 1;
    }
    Ok(SentAlerts { model: model.to_owned(), partition, sent })
}

/// Sends an alert, in several messages if it names very many shops, and records in the state of its
/// partition that it was sent. If the process ends in between, it is sent again: a duplicate alert
/// is better than none.
pub(crate) async fn send_one(
    lake: &dyn Store,
    topic: &dyn Topic,
    model: &str,
    partition: Partition,
    alert: &Alert,
) -> Result<(), Failure> {
    let messages: Vec<_> = match alert {
        Alert::Checks(alert) => divide(&alert.checks)
            .iter()
            .map(|checks| check_message(model, partition, alert, checks))
            .collect(),
        Alert::Failure(step, failure) => {
            vec![failure_message(model, partition, *step, failure)]
        }
    };
    for message in &messages {
        topic.publish(message).await.map_err(Failure::retryable)?;
    }
    state::update(lake, model, partition, |state| match alert {
        Alert::Checks(alert) => state.alert(alert.version),
        Alert::Failure(step, _) => state.alert_failure(*step),
    })
    .await
    .map_err(Failure::retryable)?;
    let subject = messages.first().map(|message| &message.subject);
    tracing::info!(model, %partition, subject, messages = messages.len(), "sent an alert");
    Ok(())
}

/// Returns the message about a failed step.
fn failure_message(
    model: &str,
    partition: Partition,
    step: Step,
    failure: &state::Failure,
) -> Message {
    let (title, what, next) = match step {
        Step::Compute => (
            "Shoplake: a gold partition was not computed",
            "a job failed, or could not be planned: this gold partition still has its previous \
             version",
            "Find the error in the log of the function, or of the Glue run, and fix it. If the job \
             exceeds the function's memory or timeout, lower the variable glue_above_mb; if it \
             exceeds those of Glue, raise the number of workers or the timeout (variable glue). To \
             compute many partitions at once after a correction, use the control function: \
             {\"action\":\"backfill\",\"model\":...,\"from\":...,\"to\":...}.",
        ),
        Step::Load => (
            "Shoplake: a gold partition was not loaded",
            "load failed: the warehouse has the previous version of this partition or of its check \
             results",
            "Read error. Shoplake.Permanent: a value does not fit its table, or the table does not \
             fit the model; follow the error. Otherwise find it in the function's log and fix it.",
        ),
        Step::Notify => (
            "Shoplake: notifications were not published",
            "notify failed: notifications of some new rows of this gold partition were not \
             published",
            "Find the error in the function's log and fix it. No notification is published twice.",
        ),
    };
    let body = json!({
        "what": what,
        "job": (!failure.job.is_empty()).then(|| keys::job(model, partition, &failure.job)),
        "model": model,
        "partition": partition,
        "step": step,
        "error": failure.error,
        "attempts": failure.attempts,
        "retry_at": failure.retry_at,
        "next": format!(
            "{next} The sweep tries the step again: after a minute, then after twice as long each \
             time, up to six hours. Until it succeeds, further failures send no message."
        ),
    });
    Message { subject: subject(title), body: body.to_string(), attributes: Vec::new() }
}

/// Returns the checks of each message, which name all shops.
fn divide(checks: &[CheckAlert]) -> Vec<Vec<CheckAlert>> {
    let mut messages = Vec::<Vec<CheckAlert>>::new();
    let mut room = 0;
    for check in checks {
        for shops in check.shops.chunks(MESSAGE_SHOPS) {
            let part = CheckAlert { shops: shops.to_vec(), ..check.clone() };
            match messages.last_mut() {
                Some(message) if shops.len() <= room => message.push(part),
                _ => {
                    messages.push(vec![part]);
                    room = MESSAGE_SHOPS;
                }
            }
            room -= shops.len();
        }
    }
    messages
}

/// Returns a message with these checks. It has no rows, which may hold personal data.
fn check_message(
    model: &str,
    partition: Partition,
    alert: &UnsentAlert,
    checks: &[CheckAlert],
) -> Message {
    let is_error = |check: &CheckAlert| check.severity == Severity::Error;
    let (what, title, next) = if checks.iter().any(is_error) {
        (
            "checks of severity error failed: the shops that they name are withheld, so they keep \
             their previous rows in this gold partition; the rows of all other shops are committed",
            "Shoplake: a data check failed with an error",
            "Correct the data of these shops at its source, the model or the check; corrected data \
             recomputes the partition automatically. After correcting a model or a check, \
             recompute the partition with the control function: {\"action\":\"backfill\",\
             \"model\":...,\"from\":...,\"to\":...}. Running it twice is safe.",
        )
    } else {
        (
            "checks of severity warn failed: the partition is committed with the invalid rows",
            "Shoplake: a data check failed with a warning",
            "Correct the data of these shops at its source; corrected data recomputes the \
             partition automatically.",
        )
    };
    let body = json!({
        "what": what,
        "job": keys::job(model, partition, &alert.job),
        "model": model,
        "partition": partition,
        "version": alert.version,
        "checks": checks,
        "next": format!(
            "Read the sample in shoplake.check_results in the warehouse (its key: model, \
             partition, check). {next} The next alert for the same shops follows only after the \
             check has passed."
        ),
    });
    Message { subject: subject(title), body: body.to_string(), attributes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::Value;
    use shoplake_aws::Fault;
    use shoplake_aws::topic::MemoryTopic;
    use shoplake_lake::MemoryStore;

    use super::*;

    const JOB: &str = "jobs/daily/2010-12-01/0a.json";

    fn unsent(version: u64, severity: Severity) -> UnsentAlert {
        let check = CheckAlert {
            check: "reconciles".to_owned(),
            severity,
            description: String::new(),
            rows: 1,
            shops: vec!["acme".to_owned()],
        };
        let due = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(310);
        UnsentAlert { version, job: "0a".to_owned(), checks: vec![check], due }
    }

    async fn lake(alerts: Vec<UnsentAlert>) -> MemoryStore {
        let lake = MemoryStore::default();
        let owe = |state: &mut PartitionState| state.unsent_alerts.clone_from(&alerts);
        state::update(&lake, "daily", "2010-12-01".parse().unwrap(), owe).await.unwrap();
        lake
    }

    #[tokio::test]
    async fn an_alert_is_sent_once() {
        let (topic, lake) = (
            MemoryTopic::default(),
            lake(vec![unsent(1, Severity::Warn), unsent(2, Severity::Error)]).await,
        );
        for sent in [1, 0] {
            assert_eq!(send(&lake, &topic, JOB, 2).await.unwrap().sent, sent);
        }
        let [message] = topic.messages().try_into().unwrap();
        assert_eq!(message.subject, "Shoplake: a data check failed with an error");
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!((&body["job"], &body["checks"][0]["shops"][0]), (&json!(JOB), &json!("acme")));
        assert!(body["next"].as_str().unwrap().contains("check_results"));

        assert_eq!(send(&lake, &topic, JOB, 1).await.unwrap().sent, 1);
        let subject = topic.messages().pop().unwrap().subject;
        assert_eq!(subject, "Shoplake: a data check failed with a warning");
    }

    #[tokio::test]
    async fn messages_name_all_shops_of_an_alert() {
        let names = |count| (0..count).map(|number| format!("{number:063}")).collect::<Vec<_>>();
        let mut alert = unsent(1, Severity::Error);
        alert.checks[0].shops = names(2_500);
        alert.checks.push(CheckAlert { shops: names(500), ..alert.checks[0].clone() });
        alert.checks.push(CheckAlert { shops: names(1), ..alert.checks[0].clone() });
        let (topic, lake) = (MemoryTopic::default(), lake(vec![alert.clone()]).await);
        assert_eq!(send(&lake, &topic, JOB, 1).await.unwrap().sent, 1);

        let (mut sent, mut shops) = (Vec::new(), Vec::new());
        for message in topic.messages() {
            assert!(message.body.len() < 100_000, "{}", message.body.len());
            let body: Value = serde_json::from_str(&message.body).unwrap();
            let checks: Vec<CheckAlert> = serde_json::from_value(body["checks"].clone()).unwrap();
            sent.push(checks.iter().map(|check| check.shops.len()).collect::<Vec<_>>());
            shops.extend(checks.into_iter().flat_map(|check| check.shops));
        }
        assert_eq!(sent, [vec![1000], vec![1000], vec![500, 500], vec![1]]);
        assert!(shops.into_iter().eq(alert.checks.into_iter().flat_map(|check| check.shops)));
    }

    #[tokio::test]
    async fn a_refused_alert_stays_owed() {
        let (topic, lake) = (MemoryTopic::default(), lake(vec![unsent(2, Severity::Error)]).await);
        topic.fail([Some(Fault::Refused)]);
        assert!(!send(&lake, &topic, JOB, 2).await.unwrap_err().is_permanent());
        assert_eq!(send(&lake, &topic, JOB, 2).await.unwrap().sent, 1);
    }
}
