//! Notices when a dataset has stopped arriving.
//!
//! A connector that is not started and a shop that has lost its secret fail nowhere in the
//! pipeline: nothing happens, which no other alert is about.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shoplake_aws::topic::{Message, Topic, subject};
use shoplake_contracts::{Contracts, Delivery, Partition};
use shoplake_lake::{Condition, ETag, Metadata, PutError, Store, StoreError, keys};
use shoplake_platform::failure::Failure;
use shoplake_platform::metrics::{Metrics, NEWEST_OBJECT_AGE, WATCHED_DATASETS};
use shoplake_warehouse::{CheckFailure, CheckResult, CheckResults, Warehouse};

/// How long a check may be at telling people. What it has not told them by then, another check
/// does.
const LONGEST_TELLING: TimeDelta = TimeDelta::minutes(5);

/// Watches the datasets whose contracts say how often they arrive.
pub(crate) struct Freshness {
    datasets: Vec<Dataset>,
    topic: Arc<dyn Topic>,
    metrics: Metrics,
}

/// A dataset, as far as its freshness goes.
struct Dataset {
    name: String,
    delivery: Delivery,
    partition: Partition,
    within: Duration,
}

/// What is known of a dataset since it last turned fresh or stale:
/// `state/freshness/<dataset>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    is_fresh: bool,
    /// When the newest object arrived, as of that turn.
    newest_object_at: DateTime<Utc>,
    /// When somebody set out to tell people and the warehouse.
    at: DateTime<Utc>,
    /// Whether people have been alerted, if they have to be.
    told: bool,
    /// Whether the warehouse shows it.
    recorded: bool,
}

/// What a check found.
#[derive(Debug, Serialize)]
struct Finding<'a> {
    dataset: &'a str,
    /// None if nothing of it has ever arrived: what was never connected is not late.
    newest_object_at: Option<DateTime<Utc>>,
    is_fresh: Option<bool>,
    /// Whether this check has alerted people.
    alerted: bool,
}

impl Freshness {
    /// Watches over the datasets of `contracts`, and complains to `topic`.
    pub(crate) fn new(contracts: &Contracts, topic: Arc<dyn Topic>, metrics: Metrics) -> Self {
        let dataset = |contract: &shoplake_contracts::Contract| {
            Some(Dataset {
                name: contract.dataset.clone(),
                delivery: contract.delivery,
                partition: contract.partition.clone(),
                within: contract.fresh_within?,
            })
        };
        Self { datasets: contracts.iter().filter_map(dataset).collect(), topic, metrics }
    }

    /// Looks at each dataset, and alerts people once when one turns stale.
    pub(crate) async fn check(
        &self,
        lake: &dyn Store,
        warehouse: &dyn Warehouse,
        now: DateTime<Utc>,
    ) -> Result<Value, Failure> {
        let (mut findings, mut failures) = (Vec::new(), Vec::new());
        for dataset in &self.datasets {
            // One that cannot be looked at must not hide the others.
            match self.check_one(dataset, lake, warehouse, now).await {
                Ok(finding) => findings.push(finding),
                Err(failure) => failures.push(format!("{}: {failure}", dataset.name)),
            }
        }
        tracing::info!(findings = %json!(findings), failures = failures.len(), "freshness");
        self.measure(&findings, now);
        if failures.is_empty() {
            Ok(json!({"datasets": findings}))
        } else {
            Err(Failure::retryable(failures.join("; ")))
        }
    }

    /// The first metric also says that somebody looks at all: if it stays away, nobody does.
    fn measure(&self, findings: &[Finding<'_>], now: DateTime<Utc>) {
        self.metrics.emit(None, &[(WATCHED_DATASETS, findings.len() as f64)]);
        for Finding { dataset, newest_object_at, .. } in findings {
            if let Some(newest) = newest_object_at {
                let age = (now - *newest).as_seconds_f64().max(0.0);
                self.metrics.emit(Some(dataset), &[(NEWEST_OBJECT_AGE, age)]);
            }
        }
    }

    async fn check_one<'d>(
        &self,
        dataset: &'d Dataset,
        lake: &dyn Store,
        warehouse: &dyn Warehouse,
        now: DateTime<Utc>,
    ) -> Result<Finding<'d>, Failure> {
        let mut finding = Finding {
            dataset: &dataset.name,
            newest_object_at: None,
            is_fresh: None,
            alerted: false,
        };
        let Some(newest_object_at) = dataset.newest(lake, now).await.map_err(Failure::retryable)?
        else {
            return Ok(finding);
        };
        let is_fresh = dataset.is_fresh(newest_object_at, now);
        finding.newest_object_at = Some(newest_object_at);
        finding.is_fresh = Some(is_fresh);

        let turn =
            Standing { is_fresh, newest_object_at, at: now, told: is_fresh, recorded: false };
        let Some((mut standing, etag)) = self.claim(dataset, lake, turn).await? else {
            return Ok(finding);
        };
        let mut failures = Vec::new();
        if !standing.told {
            match self.topic.publish(&dataset.alert(&standing)).await {
                Ok(()) => (standing.told, finding.alerted) = (true, true),
                // A later check tries again: an alert that is heard twice is better than one that
                // is not heard.
                Err(error) => failures.push(error.to_string()),
            }
        }
        if !standing.recorded {
            match dataset.result(&standing).record(warehouse).await {
                Ok(_) => standing.recorded = true,
                Err(error) => failures.push(error.to_string()),
            }
        }
        match put(lake, dataset, &standing, Condition::Matches(etag)).await {
            // Somebody who thought that this check had ended goes on.
            Ok(_) | Err(PutError::Conflict { .. }) => {}
            Err(PutError::Store(error)) => failures.push(error.to_string()),
        }
        if failures.is_empty() { Ok(finding) } else { Err(Failure::retryable(failures.join("; "))) }
    }

    /// What this check has to tell, if the dataset has turned, or if nobody has told of its turn;
    /// none if there is nothing to tell, or somebody else is at it.
    async fn claim(
        &self,
        dataset: &Dataset,
        lake: &dyn Store,
        turn: Standing,
    ) -> Result<Option<(Standing, ETag)>, Failure> {
        let key = dataset.standing_key();
        let current = lake.get(&key).await.map_err(Failure::retryable)?;
        let (claim, condition) = match current {
            None => (turn, Condition::Absent),
            Some(object) => {
                let current: Standing = serde_json::from_slice(&object.bytes).map_err(|error| {
                    Failure::permanent(format!(
                        "expected {key:?} to say how the dataset stands: {error}; delete it"
                    ))
                })?;
                let is_abandoned =
                    !(current.told && current.recorded) && turn.at - current.at > LONGEST_TELLING;
                let claim = match (current.is_fresh == turn.is_fresh, is_abandoned) {
                    (false, _) => turn,
                    (true, true) => Standing { at: turn.at, ..current },
                    (true, false) => return Ok(None),
                };
                (claim, Condition::Matches(object.head.etag))
            }
        };
        match put(lake, dataset, &claim, condition).await {
            Ok(etag) => Ok(Some((claim, etag))),
            Err(PutError::Conflict { .. }) => Ok(None),
            Err(PutError::Store(error)) => Err(Failure::retryable(error)),
        }
    }
}

async fn put(
    lake: &dyn Store,
    dataset: &Dataset,
    standing: &Standing,
    condition: Condition,
) -> Result<ETag, PutError> {
    let bytes = json!(standing).to_string().into();
    lake.put(&dataset.standing_key(), bytes, Metadata::new(), condition).await
}

impl Dataset {
    fn standing_key(&self) -> String {
        format!("state/freshness/{}.json", self.name)
    }

    fn is_fresh(&self, newest_object_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        (now - newest_object_at).to_std().is_ok_and(|age| age <= self.within)
            || newest_object_at > now
    }

    /// When the newest object of silver arrived.
    ///
    /// It is looked for among the recent days first, where all but late rows are. Only a dataset
    /// that seems stale is listed as a whole, because a backfill of last year is an arrival as
    /// well.
    async fn newest(
        &self,
        lake: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let newest = |entries: Vec<shoplake_lake::Entry>| {
            entries.iter().map(|entry| entry.last_modified).max()
        };
        if !matches!(self.partition, Partition::Bucket { .. }) {
            let within = TimeDelta::from_std(self.within).unwrap_or(TimeDelta::MAX);
            let day = |moment: DateTime<Utc>, more: u64| {
                (moment.date_naive() + Days::new(more)).to_string()
            };
            let first =
                now.checked_sub_signed(within + TimeDelta::days(1)).unwrap_or(DateTime::UNIX_EPOCH);
            let days = lake
                .list_range(&keys::silver_days(&self.name), &day(first, 0), &day(now, 1))
                .await?;
            if let Some(newest) = newest(days).filter(|newest| self.is_fresh(*newest, now)) {
                return Ok(Some(newest));
            }
        }
        Ok(newest(lake.list(&format!("silver/{}/", self.name)).await?))
    }

    fn alert(&self, standing: &Standing) -> Message {
        let from = match self.delivery {
            Delivery::Batch => "its connector runs: its schedule, its last task's log",
            Delivery::Stream | Delivery::Internal => {
                "events are accepted: the webhook's log, the senders' secrets"
            }
        };
        let body = json!({
            "what": format!("no new data of {} for {}", self.name, words(self.within)),
            "dataset": self.name,
            "newest_object_at": rfc3339(standing.newest_object_at),
            "fresh_within_minutes": self.within.as_secs() / 60,
            "checked_at": rfc3339(standing.at),
            "next": format!(
                "Follow the data to where it stops. Look whether {from}; then the age of the stream's iterator and the conform-failed queue; then bronze, and \
                 the executions of bronze-to-silver. There is one alert per turn: once something arrives, the dataset counts as fresh again."
            ),
        });
        Message {
            subject: subject(&format!("Shoplake: no new data of {}", self.name)),
            body: body.to_string(),
            attributes: vec![("dataset", self.name.clone())],
        }
    }

    /// The same for the warehouse. It is recorded when the dataset turns, not at each look, which
    /// would keep a warehouse awake that is paid for by the second.
    fn result(&self, standing: &Standing) -> CheckResults {
        let row = json!({"newest_object_at": rfc3339(standing.newest_object_at)});
        let failure =
            (!standing.is_fresh).then(|| CheckFailure { rows: 1, sample: vec![row.to_string()] });
        CheckResults {
            model: self.name.clone(),
            partition: "-".to_owned(),
            job: "check_freshness".to_owned(),
            version: 0,
            planned_at: standing.at,
            checks: vec![CheckResult {
                name: format!("{}_is_fresh", self.name),
                severity: "warn",
                description: format!("something has arrived within {}", words(self.within)),
                failure,
            }],
        }
    }
}

fn rfc3339(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The duration in the largest unit that it is a whole number of.
fn words(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    let units = [(24 * 60, "day"), (60, "hour"), (1, "minute")];
    let (of_minutes, unit) = units
        .into_iter()
        .find(|(of_minutes, _)| minutes.is_multiple_of(*of_minutes))
        .unwrap_or(units[2]);
    let number = minutes / of_minutes;
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use shoplake_aws::Fault;
    use shoplake_aws::topic::MemoryTopic;
    use shoplake_lake::MemoryStore;
    use shoplake_platform::metrics::MemorySink;
    use shoplake_warehouse::{RecordingWarehouse, Rows, WarehouseError};

    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        "2026-11-21T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hour)
    }

    struct World {
        lake: MemoryStore,
        topic: Arc<MemoryTopic>,
        metrics: Arc<MemorySink>,
        warehouse: RecordingWarehouse,
        /// How many of the next transactions fail.
        faults: Arc<AtomicUsize>,
        freshness: Freshness,
    }

    impl World {
        /// One dataset that has to arrive every three hours, and one that need not.
        fn new() -> Self {
            let schema = |within: &str| {
                format!(
                    r#"{{"title": "Levels", "description": "d", "type": "object",
                    "x-dataset": {{"source": "inventory", "delivery": "batch", "key": ["shop_id", "id"], "event_time": "at",
                                   "partition": "day(at)", "sort": ["shop_id"], "personal": [], "fresh_within": {within}}},
                    "required": ["id", "at"],
                    "properties": {{"id": {{"type": "string"}}, "at": {{"type": "string", "format": "date-time"}}}}}}"#
                )
            };
            let contracts = Contracts::from_sources([
                ("levels", schema(r#""PT3H""#)),
                ("others", schema("null")),
            ]);
            let faults = Arc::new(AtomicUsize::new(0));
            let (topic, failing) = (Arc::new(MemoryTopic::default()), faults.clone());
            let metrics = Arc::new(MemorySink::default());
            Self {
                lake: MemoryStore::default(),
                topic: topic.clone(),
                metrics: metrics.clone(),
                warehouse: RecordingWarehouse::answering(move |statements| {
                    if failing
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                            left.checked_sub(1)
                        })
                        .is_ok()
                    {
                        return Err(WarehouseError::RolledBack {
                            id: "e".into(),
                            total: 1,
                            message: "down".into(),
                        });
                    }
                    let mut answers = vec![None; statements.len()];
                    let row = json!({"is_this_run": 1}).as_object().cloned().unwrap();
                    *answers.last_mut().unwrap() = Some(Rows::new(vec![row]));
                    Ok(answers)
                }),
                faults,
                freshness: Freshness::new(
                    &contracts.unwrap(),
                    topic,
                    Metrics::new("control", metrics),
                ),
            }
        }

        async fn arrive(&self, folder: &str, hour: i64) {
            self.lake.set_now(at(hour));
            let key = keys::silver("levels", folder, &format!("hour-{hour}"));
            self.lake.put(&key, "rows".into(), Metadata::new(), Condition::Always).await.unwrap();
        }

        async fn check(&self, hour: i64) -> Result<Value, Failure> {
            let answer = self.freshness.check(&self.lake, &self.warehouse, at(hour)).await?;
            assert_eq!(
                answer["datasets"].as_array().unwrap().len(),
                1,
                "the other one need not arrive"
            );
            Ok(answer["datasets"][0].clone())
        }

        fn alerts(&self) -> usize {
            self.topic.messages().len()
        }

        /// The statuses recorded so far, in order.
        fn recorded(&self) -> Vec<&'static str> {
            let statements = self.warehouse.transactions().into_iter().flatten();
            let inserts = statements
                .filter(|statement| statement.sql().contains("insert into shoplake.check_results"));
            inserts
                .map(|insert| if insert.sql().contains("'failed'") { "failed" } else { "passed" })
                .collect()
        }
    }

    #[tokio::test]
    async fn given_a_dataset_that_stops_then_people_are_alerted_once_until_it_stops_again() {
        let world = World::new();
        world.arrive("dt=2026-11-21", 1).await;
        assert_eq!(
            world.check(4).await.unwrap()["is_fresh"],
            true,
            "three hours are not more than three hours"
        );
        assert_eq!((world.alerts(), world.recorded()), (0, vec!["passed"]));

        assert_eq!(world.check(5).await.unwrap()["alerted"], true);
        for hour in 6..30 {
            assert_eq!(world.check(hour).await.unwrap()["alerted"], false);
        }
        assert_eq!((world.alerts(), world.recorded()), (1, vec!["passed", "failed"]));

        world.arrive("dt=2026-11-22", 30).await;
        assert_eq!(world.check(31).await.unwrap()["is_fresh"], true);
        assert_eq!(world.check(40).await.unwrap()["alerted"], true);
        assert_eq!(
            (world.alerts(), world.recorded()),
            (2, vec!["passed", "failed", "passed", "failed"])
        );
    }

    #[tokio::test]
    async fn given_an_alert_then_it_says_what_is_late_since_when_and_what_to_do() {
        let world = World::new();
        world.arrive("dt=2026-11-21", 1).await;
        world.check(5).await.unwrap();
        let message = world.topic.messages().remove(0);
        assert_eq!(message.subject, "Shoplake: no new data of levels");
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["what"], "no new data of levels for 3 hours");
        assert_eq!(
            (&body["newest_object_at"], &body["fresh_within_minutes"]),
            (&json!("2026-11-21T01:00:00Z"), &json!(180))
        );
        assert!(body["next"].as_str().unwrap().contains("its connector runs"));
    }

    #[tokio::test]
    async fn given_a_check_then_it_says_that_it_looked_and_how_old_the_newest_object_is() {
        let world = World::new();
        world.check(1).await.unwrap();
        assert_eq!(world.metrics.total(WATCHED_DATASETS), 1.0);
        assert_eq!(world.metrics.lines().len(), 1, "nothing has arrived that could have an age");

        world.arrive("dt=2026-11-21", 1).await;
        world.check(3).await.unwrap();
        assert_eq!(world.metrics.total(NEWEST_OBJECT_AGE), 7200.0);
    }

    #[test]
    fn given_a_duration_then_it_is_said_in_the_largest_unit_that_fits() {
        let said = |minutes: u64| words(Duration::from_secs(minutes * 60));
        assert_eq!(
            [90, 60, 180, 2_880, 1_440 + 60].map(said),
            ["90 minutes", "1 hour", "3 hours", "2 days", "25 hours"]
        );
    }

    #[tokio::test]
    async fn given_rows_of_long_ago_that_arrive_now_then_the_dataset_is_fresh() {
        let world = World::new();
        world.arrive("dt=2010-12-01", 1).await;
        assert_eq!(world.check(2).await.unwrap()["is_fresh"], true);
    }

    #[tokio::test]
    async fn given_nothing_at_all_then_nothing_is_late() {
        let world = World::new();
        let finding = world.check(5).await.unwrap();
        assert_eq!(
            (&finding["is_fresh"], &finding["newest_object_at"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!((world.alerts(), world.recorded(), world.lake.keys().len()), (0, vec![], 0));
    }

    #[tokio::test]
    async fn given_a_topic_that_does_not_answer_then_a_later_check_alerts() {
        for fault in [Fault::Refused, Fault::Lost] {
            let world = World::new();
            world.arrive("dt=2026-11-21", 1).await;
            world.topic.fail([Some(fault)]);
            assert!(!world.check(5).await.unwrap_err().is_permanent());
            assert_eq!(world.recorded(), ["failed"], "the warehouse hears of it all the same");
            assert_eq!(world.check(6).await.unwrap()["alerted"], true);
            assert_eq!(world.check(7).await.unwrap()["alerted"], false);
            assert_eq!((world.alerts(), world.recorded().len()), (1, 1));
        }
    }

    #[tokio::test]
    async fn given_a_warehouse_that_fails_then_people_are_alerted_and_a_later_check_records() {
        let world = World::new();
        world.arrive("dt=2026-11-21", 1).await;
        world.faults.store(1, Ordering::Relaxed);
        assert!(world.check(5).await.is_err());
        assert_eq!(world.alerts(), 1);
        let tried = world.recorded().len();
        world.check(6).await.unwrap();
        assert_eq!((world.alerts(), world.recorded().len()), (1, tried + 1));
        world.check(7).await.unwrap();
        assert_eq!(world.recorded().len(), tried + 1);
    }

    #[tokio::test]
    async fn given_two_checks_at_once_then_one_of_them_alerts() {
        let world = World::new();
        world.arrive("dt=2026-11-21", 1).await;
        let dataset = &world.freshness.datasets[0];
        let turn = Standing {
            is_fresh: false,
            newest_object_at: at(1),
            at: at(5),
            told: false,
            recorded: false,
        };
        let claim =
            async || world.freshness.claim(dataset, &world.lake, turn.clone()).await.unwrap();
        assert!(claim().await.is_some());
        assert!(claim().await.is_none(), "somebody is at it");
        assert_eq!(world.check(5).await.unwrap()["alerted"], false);
        assert_eq!(world.check(6).await.unwrap()["alerted"], true, "whoever was at it has ended");
    }
}
