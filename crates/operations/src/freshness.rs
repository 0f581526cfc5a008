//! Detects datasets that have stopped arriving.
//!
//! A connector that does not start, or a shop that has lost its secret, causes no failure anywhere
//! in the pipeline. Only the missing data shows it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shoplake_aws::topic::{Message, Topic, subject};
use shoplake_contracts::{Contracts, Delivery, Partitioning};
use shoplake_jobs::rfc3339;
use shoplake_lake::{Condition, ETag, Metadata, PutError, Store, StoreError, keys};
use shoplake_platform::failure::Failure;
use shoplake_platform::metrics::{CHECKED_DATASETS, Metrics, NEWEST_OBJECT_AGE};
use shoplake_warehouse::{CheckFailure, CheckResult, CheckResults, Warehouse};

use crate::incomplete::IncompleteBatches;
use crate::response::{FreshnessReport, FreshnessResult};

/// How long a check may take to alert people and to record the state. After that another check
/// repeats what is missing.
const MAX_REPORTING: TimeDelta = TimeDelta::minutes(5);

/// Checks the datasets whose contracts set `fresh_within`.
pub struct Freshness {
    datasets: Vec<Dataset>,
    incomplete_batches: IncompleteBatches,
    topic: Arc<dyn Topic>,
    metrics: Metrics,
}

/// What freshness depends on.
struct Dataset {
    name: String,
    delivery: Delivery,
    partition: Partitioning,
    within: Duration,
}

/// The state of a dataset since it last turned fresh or stale:
/// `state/freshness/<dataset>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FreshnessState {
    is_fresh: bool,
    /// When the newest object arrived, as of that change.
    newest_object_at: DateTime<Utc>,
    /// When a check claimed this state, to alert people and to record it.
    at: DateTime<Utc>,
    /// Whether people were alerted; true for a fresh dataset, which needs no alert. Objects that
    /// were written before this field was renamed call it `told`.
    #[serde(alias = "told")]
    alerted: bool,
    /// Whether the state is recorded in the warehouse.
    recorded: bool,
}

impl Freshness {
    /// Checks the datasets of `contracts`, and sends alerts to `topic`.
    pub fn new(contracts: &Contracts, topic: Arc<dyn Topic>, metrics: Metrics) -> Self {
        let dataset = |contract: &shoplake_contracts::Contract| {
            Some(Dataset {
                name: contract.dataset.clone(),
                delivery: contract.delivery,
                partition: contract.partition.clone(),
                within: contract.fresh_within?,
            })
        };
        Self {
            datasets: contracts.iter().filter_map(dataset).collect(),
            incomplete_batches: IncompleteBatches::new(contracts, topic.clone()),
            topic,
            metrics,
        }
    }

    /// Checks each dataset and the batches with a control total. Alerts people once when a dataset
    /// turns stale or a batch stays incomplete.
    pub(crate) async fn check(
        &self,
        lake: &dyn Store,
        warehouse: &dyn Warehouse,
        now: DateTime<Utc>,
    ) -> Result<FreshnessReport, Failure> {
        let (mut results, mut failures) = (Vec::new(), Vec::new());
        for dataset in &self.datasets {
            // A dataset that cannot be checked must not hide the others.
            match self.check_one(dataset, lake, warehouse, now).await {
                Ok(result) => {
                    tracing::info!(
                        dataset = result.dataset,
                        newest_object_at = result.newest_object_at.map(rfc3339),
                        is_fresh = result.is_fresh,
                        alerted = result.alerted,
                        "freshness of a dataset"
                    );
                    results.push(result);
                }
                Err(failure) => failures.push(format!("{}: {failure}", dataset.name)),
            }
        }
        tracing::info!(
            datasets = results.len(),
            stale = results.iter().filter(|result| result.is_fresh == Some(false)).count(),
            failures = failures.len(),
            "freshness"
        );
        self.measure(&results, now);
        let incomplete_batches = match self.incomplete_batches.check(lake, now).await {
            Ok(batches) => batches,
            Err(failure) => {
                failures.push(format!("batches: {failure}"));
                Vec::new()
            }
        };
        if failures.is_empty() {
            Ok(FreshnessReport { datasets: results, incomplete_batches })
        } else {
            Err(Failure::retryable(failures.join("; ")))
        }
    }

    /// Emits the metrics. If the first one is missing, the check itself does not run.
    fn measure(&self, results: &[FreshnessResult], now: DateTime<Utc>) {
        self.metrics.emit(None, &[(CHECKED_DATASETS, results.len() as f64)]);
        for FreshnessResult { dataset, newest_object_at, .. } in results {
            if let Some(newest) = newest_object_at {
                let age = (now - *newest).as_seconds_f64().max(0.0);
                self.metrics.emit(Some(dataset), &[(NEWEST_OBJECT_AGE, age)]);
            }
        }
    }

    async fn check_one(
        &self,
        dataset: &Dataset,
        lake: &dyn Store,
        warehouse: &dyn Warehouse,
        now: DateTime<Utc>,
    ) -> Result<FreshnessResult, Failure> {
        let mut result = FreshnessResult {
            dataset: dataset.name.clone(),
            newest_object_at: None,
            is_fresh: None,
            alerted: false,
        };
        let Some(newest_object_at) = dataset.newest(lake, now).await.map_err(Failure::retryable)?
        else {
            return Ok(result);
        };
        let is_fresh = dataset.is_fresh(newest_object_at, now);
        result.newest_object_at = Some(newest_object_at);
        result.is_fresh = Some(is_fresh);

        let found = FreshnessState {
            is_fresh,
            newest_object_at,
            at: now,
            alerted: is_fresh,
            recorded: false,
        };
        let Some((mut state, etag)) = self.claim(dataset, lake, found).await? else {
            return Ok(result);
        };
        let mut failures = Vec::new();
        if !state.alerted {
            match self.topic.publish(&dataset.alert(&state)).await {
                Ok(()) => (state.alerted, result.alerted) = (true, true),
                // A later check tries again: a duplicate alert is better than none.
                Err(error) => failures.push(error.to_string()),
            }
        }
        if !state.recorded {
            match dataset.check_results(&state).record(warehouse).await {
                Ok(_) => state.recorded = true,
                Err(error) => failures.push(error.to_string()),
            }
        }
        match put(lake, dataset, &state, Condition::Matches(etag)).await {
            // Another check has claimed the state, because this one took too long.
            Ok(_) | Err(PutError::Conflict { .. }) => {}
            Err(PutError::Store(error)) => failures.push(error.to_string()),
        }
        if failures.is_empty() { Ok(result) } else { Err(Failure::retryable(failures.join("; "))) }
    }

    /// Claims the state that this check has to report: the dataset has changed, or an earlier check
    /// ended before it reported the change. Returns `None` if nothing is to be reported, or if
    /// another check reports it.
    async fn claim(
        &self,
        dataset: &Dataset,
        lake: &dyn Store,
        found: FreshnessState,
    ) -> Result<Option<(FreshnessState, ETag)>, Failure> {
        let key = dataset.state_key();
        let current = lake.get(&key).await.map_err(Failure::retryable)?;
        let (claim, condition) = match current {
            None => (found, Condition::Absent),
            Some(object) => {
                let current: FreshnessState =
                    serde_json::from_slice(&object.bytes).map_err(|error| {
                        Failure::permanent(format!(
                            "cannot read the freshness state {key:?}: {error}; delete it"
                        ))
                    })?;
                let is_abandoned =
                    !(current.alerted && current.recorded) && found.at - current.at > MAX_REPORTING;
                let claim = match (current.is_fresh == found.is_fresh, is_abandoned) {
                    (false, _) => found,
                    (true, true) => FreshnessState { at: found.at, ..current },
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
    state: &FreshnessState,
    condition: Condition,
) -> Result<ETag, PutError> {
    let bytes = json!(state).to_string().into();
    lake.put(&dataset.state_key(), bytes, Metadata::new(), condition).await
}

impl Dataset {
    fn state_key(&self) -> String {
        keys::freshness(&self.name)
    }

    fn is_fresh(&self, newest_object_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        (now - newest_object_at).to_std().is_ok_and(|age| age <= self.within)
            || newest_object_at > now
    }

    /// Returns when the newest object of silver arrived.
    ///
    /// It lists recent days first, because all but late rows are there. It lists the whole dataset
    /// only if that seems stale, because a backfill of last year is an arrival as well.
    async fn newest(
        &self,
        lake: &dyn Store,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let newest = |entries: Vec<shoplake_lake::Entry>| {
            entries.iter().map(|entry| entry.last_modified).max()
        };
        if !matches!(self.partition, Partitioning::Bucket { .. }) {
            let within = TimeDelta::from_std(self.within).unwrap_or(TimeDelta::MAX);
            let day =
                |time: DateTime<Utc>, more: u64| (time.date_naive() + Days::new(more)).to_string();
            let first =
                now.checked_sub_signed(within + TimeDelta::days(1)).unwrap_or(DateTime::UNIX_EPOCH);
            let days = lake
                .list_range(&keys::silver_days(&self.name), &day(first, 0), &day(now, 1))
                .await?;
            if let Some(newest) = newest(days).filter(|newest| self.is_fresh(*newest, now)) {
                return Ok(Some(newest));
            }
        }
        Ok(newest(lake.list(&keys::silver_dataset(&self.name)).await?))
    }

    fn alert(&self, state: &FreshnessState) -> Message {
        let from = match self.delivery {
            Delivery::Batch => "its connector runs: its schedule, its last task's log",
            Delivery::Stream | Delivery::Internal => {
                "events are accepted: the webhook's log, the senders' secrets"
            }
        };
        let body = json!({
            "what": format!("no new data of {} for {}", self.name, words(self.within)),
            "dataset": self.name,
            "newest_object_at": rfc3339(state.newest_object_at),
            "fresh_within_minutes": self.within.as_secs() / 60,
            "checked_at": rfc3339(state.at),
            "next": format!(
                "Follow the data to where it stops. Check whether {from}; then the age of the \
                 stream's iterator and the conform-failed queue; then bronze, and the executions \
                 of bronze-to-silver. There is one alert until data arrives again."
            ),
        });
        Message {
            subject: subject(&format!("Shoplake: no new data of {}", self.name)),
            body: body.to_string(),
            attributes: vec![("dataset", self.name.clone())],
        }
    }

    /// Returns the state as a check result for the warehouse. It is recorded when the dataset
    /// changes and not at each check, which would keep a warehouse running that is paid by the
    /// second.
    fn check_results(&self, state: &FreshnessState) -> CheckResults {
        let row = json!({"newest_object_at": rfc3339(state.newest_object_at)});
        let failure = (!state.is_fresh).then(|| CheckFailure {
            rows: 1,
            shops: vec![],
            sample: vec![row.to_string()],
        });
        CheckResults {
            model: self.name.clone(),
            partition: "-".to_owned(),
            job: "check_freshness".to_owned(),
            version: 0,
            planned_at: state.at,
            checks: vec![CheckResult {
                name: format!("{}_is_fresh", self.name),
                severity: "warn",
                description: format!("data has arrived within {}", words(self.within)),
                failure,
            }],
        }
    }
}

/// Returns the duration in the largest unit that divides it.
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

    use serde_json::Value;
    use shoplake_aws::Fault;
    use shoplake_aws::topic::MemoryTopic;
    use shoplake_lake::MemoryStore;
    use shoplake_platform::metrics::MemorySink;
    use shoplake_warehouse::{RecordingWarehouse, Rows, WarehouseError};

    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        "2026-11-21T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::hours(hour)
    }

    struct Fixture {
        lake: MemoryStore,
        topic: Arc<MemoryTopic>,
        metrics: Arc<MemorySink>,
        warehouse: RecordingWarehouse,
        /// How many of the next transactions fail.
        faults: Arc<AtomicUsize>,
        freshness: Freshness,
    }

    impl Fixture {
        /// One dataset that has to arrive every three hours, and one without a limit.
        fn new() -> Self {
            let schema = |within: &str| {
                format!(
                    r#"{{"title": "Levels", "description": "d", "type": "object",
                    "x-dataset": {{"source": "inventory", "delivery": "batch", "key": ["shop_id",
                    "id", "at"], "event_time": "at",
                                   "partition": "day(at)", "sort": ["shop_id"], "personal": [],
                                   "fresh_within": {within}}},
                    "required": ["id", "at"],
                    "properties": {{"id": {{"type": "string"}}, "at": {{"type": "string",
                    "format": "date-time"}}}}}}"#
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

        async fn arrive(&self, day: &str, hour: i64) {
            self.lake.set_now(at(hour));
            let key = keys::silver("levels", day.parse().unwrap(), &format!("hour-{hour}"));
            self.lake.put(&key, "rows".into(), Metadata::new(), Condition::Always).await.unwrap();
        }

        async fn check(&self, hour: i64) -> Result<FreshnessResult, Failure> {
            let report = self.freshness.check(&self.lake, &self.warehouse, at(hour)).await?;
            let [result] = report.datasets.try_into().expect("the dataset that has a limit");
            Ok(result)
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
    async fn a_stale_dataset_alerts_once_until_it_is_stale_again() {
        let fixture = Fixture::new();
        fixture.arrive("2026-11-21", 1).await;
        assert_eq!(
            fixture.check(4).await.unwrap().is_fresh,
            Some(true),
            "three hours are not more than three hours"
        );
        assert_eq!((fixture.alerts(), fixture.recorded()), (0, vec!["passed"]));

        assert!(fixture.check(5).await.unwrap().alerted);
        for hour in 6..30 {
            assert!(!fixture.check(hour).await.unwrap().alerted);
        }
        assert_eq!((fixture.alerts(), fixture.recorded()), (1, vec!["passed", "failed"]));

        fixture.arrive("2026-11-22", 30).await;
        assert_eq!(fixture.check(31).await.unwrap().is_fresh, Some(true));
        assert!(fixture.check(40).await.unwrap().alerted);
        assert_eq!(
            (fixture.alerts(), fixture.recorded()),
            (2, vec!["passed", "failed", "passed", "failed"])
        );
    }

    #[tokio::test]
    async fn an_alert_names_the_dataset_and_the_next_steps() {
        let fixture = Fixture::new();
        fixture.arrive("2026-11-21", 1).await;
        fixture.check(5).await.unwrap();
        let message = fixture.topic.messages().remove(0);
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
    async fn a_check_emits_its_metrics() {
        let fixture = Fixture::new();
        fixture.check(1).await.unwrap();
        assert_eq!(fixture.metrics.total(CHECKED_DATASETS), 1.0);
        assert_eq!(fixture.metrics.lines().len(), 1, "no data, no age");

        fixture.arrive("2026-11-21", 1).await;
        fixture.check(3).await.unwrap();
        assert_eq!(fixture.metrics.total(NEWEST_OBJECT_AGE), 7200.0);
    }

    #[test]
    fn a_state_written_before_the_rename_is_read() {
        let state: FreshnessState = serde_json::from_str(
            r#"{"is_fresh":true,"newest_object_at":"2026-11-21T01:00:00Z",
            "at":"2026-11-21T05:00:00Z","told":true,"recorded":true}"#,
        )
        .unwrap();
        let expected = FreshnessState {
            is_fresh: true,
            newest_object_at: at(1),
            at: at(5),
            alerted: true,
            recorded: true,
        };
        assert_eq!(state, expected);
        assert_eq!(json!(state)["alerted"], true);
    }

    #[test]
    fn a_duration_is_written_in_the_largest_unit() {
        let text = |minutes: u64| words(Duration::from_secs(minutes * 60));
        assert_eq!(
            [90, 60, 180, 2_880, 1_440 + 60].map(text),
            ["90 minutes", "1 hour", "3 hours", "2 days", "25 hours"]
        );
    }

    #[tokio::test]
    async fn old_rows_that_arrive_now_make_a_dataset_fresh() {
        let fixture = Fixture::new();
        fixture.arrive("2010-12-01", 1).await;
        assert_eq!(fixture.check(2).await.unwrap().is_fresh, Some(true));
    }

    #[tokio::test]
    async fn a_dataset_without_data_is_not_late() {
        let fixture = Fixture::new();
        let result = fixture.check(5).await.unwrap();
        assert_eq!((result.is_fresh, result.newest_object_at), (None, None));
        assert_eq!(
            (fixture.alerts(), fixture.recorded(), fixture.lake.keys().len()),
            (0, vec![], 0)
        );
    }

    #[tokio::test]
    async fn a_later_check_repeats_a_failed_alert() {
        for fault in [Fault::Refused, Fault::Lost] {
            let fixture = Fixture::new();
            fixture.arrive("2026-11-21", 1).await;
            fixture.topic.fail([Some(fault)]);
            assert!(!fixture.check(5).await.unwrap_err().is_permanent());
            assert_eq!(fixture.recorded(), ["failed"], "the warehouse records it all the same");
            assert!(fixture.check(6).await.unwrap().alerted);
            assert!(!fixture.check(7).await.unwrap().alerted);
            assert_eq!((fixture.alerts(), fixture.recorded().len()), (1, 1));
        }
    }

    #[tokio::test]
    async fn a_later_check_repeats_a_failed_record() {
        let fixture = Fixture::new();
        fixture.arrive("2026-11-21", 1).await;
        fixture.faults.store(1, Ordering::Relaxed);
        assert!(fixture.check(5).await.is_err());
        assert_eq!(fixture.alerts(), 1);
        let tried = fixture.recorded().len();
        fixture.check(6).await.unwrap();
        assert_eq!((fixture.alerts(), fixture.recorded().len()), (1, tried + 1));
        fixture.check(7).await.unwrap();
        assert_eq!(fixture.recorded().len(), tried + 1);
    }

    #[tokio::test]
    async fn only_one_of_two_checks_alerts() {
        let fixture = Fixture::new();
        fixture.arrive("2026-11-21", 1).await;
        let dataset = &fixture.freshness.datasets[0];
        let found = FreshnessState {
            is_fresh: false,
            newest_object_at: at(1),
            at: at(5),
            alerted: false,
            recorded: false,
        };
        let claim =
            async || fixture.freshness.claim(dataset, &fixture.lake, found.clone()).await.unwrap();
        assert!(claim().await.is_some());
        assert!(claim().await.is_none(), "another check reports it");
        assert!(!fixture.check(5).await.unwrap().alerted);
        assert!(fixture.check(6).await.unwrap().alerted, "the other check has ended");
    }
}
