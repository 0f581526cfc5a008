//! Old days wait for their turn. Live data and other shops do not.

use std::sync::Arc;

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::*;
use shoplake_lake::state::{self, PartitionState};
use shoplake_platform::metrics::{MemorySink, Metrics};

use super::*;
use crate::handler::MAX_DELAY;
use crate::testing::{
    TestDispatch, created, deferred, dirty, dispatch, event, failures, silver_of, started,
};

const LIVE: &str = "2010-12-31";

/// Dispatch on the live day with this limit of old days, and its metrics.
fn limited(limit: u16) -> (TestDispatch, Arc<MemorySink>) {
    let sink = Arc::new(MemorySink::default());
    let dispatch = TestDispatch {
        old_days_per_hour: NonZeroU16::new(limit),
        metrics: Metrics::new("dispatch", sink.clone()),
        ..dispatch()
    };
    let noon: DateTime<Utc> = format!("{LIVE}T12:00:00Z").parse().unwrap();
    dispatch.clock.advance(noon - DateTime::UNIX_EPOCH);
    (dispatch, sink)
}

/// Writes an object of the day with rows of these shops, and returns its message.
async fn sent(dispatch: &TestDispatch, day: &str, shops: &[&str]) -> String {
    let key = format!("silver/visits/dt={day}/of-{}.parquet", shops.join("-"));
    silver_of(dispatch, &key, shops).await;
    created(&key)
}

/// Takes the jobs that were started, and returns their days in order.
async fn started_days(dispatch: &TestDispatch) -> Vec<String> {
    let jobs = started(dispatch).await;
    let mut days: Vec<_> = jobs.iter().map(|job| job.partition.value.to_string()).collect();
    days.sort();
    days
}

async fn state_of(dispatch: &TestDispatch, day: &str) -> PartitionState {
    state::read(&dispatch.lake, "visits_per_day", day.parse().unwrap()).await.unwrap().state
}

#[tokio::test]
async fn old_days_beyond_the_limit_wait_for_their_turn() {
    let (dispatch, sink) = limited(1);
    let mut messages = Vec::new();
    for day in ["2010-11-01", "2010-11-10", "2010-11-20", LIVE] {
        messages.push(sent(&dispatch, day, &["acme"]).await);
    }
    for _ in 0..2 {
        let response = dispatch.handle(event(&messages[..3])).await;
        assert!(failures(&response).is_empty(), "the sweep sends them after their turn");
    }
    assert_eq!(started_days(&dispatch).await, ["2010-11-20"]);
    for (day, hours) in [("2010-11-10", 1), ("2010-11-01", 2)] {
        let turn = dispatch.clock.now() + TimeDelta::hours(hours);
        assert_eq!(state_of(&dispatch, day).await.waiting_until, Some(turn), "{day}");
    }
    assert_eq!(sink.total(DELAYED_DAYS), 2.0, "each turn is reported once");

    dispatch.handle(event(&messages[3..])).await;
    assert_eq!(started_days(&dispatch).await, [LIVE]);

    dispatch.clock.advance(TimeDelta::hours(1));
    dispatch.handle(event(&[dirty("visits_per_day", "2010-11-10")])).await;
    assert_eq!(started_days(&dispatch).await, ["2010-11-10"]);
}

#[tokio::test]
async fn live_data_is_planned_before_old_days() {
    let (dispatch, _) = limited(1);
    let mut messages = Vec::new();
    for day in ["2010-11-01", LIVE] {
        messages.push(sent(&dispatch, day, &["acme"]).await);
    }
    dispatch.handle(event(&messages)).await;
    let jobs = started(&dispatch).await;
    let days: Vec<_> = jobs.iter().map(|job| job.partition.value.to_string()).collect();
    assert_eq!(days, [LIVE, "2010-11-01"]);
}

#[tokio::test]
async fn rows_of_another_shop_do_not_wait() {
    let (dispatch, _) = limited(1);
    for day in ["2010-11-20", "2010-11-10"] {
        let message = sent(&dispatch, day, &["acme"]).await;
        dispatch.handle(event(&[message])).await;
    }
    assert_eq!(started_days(&dispatch).await, ["2010-11-20"]);

    let message = sent(&dispatch, "2010-11-10", &["other"]).await;
    dispatch.handle(event(&[message])).await;
    let [job] = started(&dispatch).await.try_into().unwrap();
    assert_eq!(job.inputs[0].objects.len(), 2, "the day has the rows of both shops");
    let together = sent(&dispatch, "2010-11-01", &["acme", "third"]).await;
    dispatch.handle(event(&[together])).await;
    assert_eq!(started_days(&dispatch).await, ["2010-11-01"], "the third shop may send it");
}

#[tokio::test]
async fn a_day_with_a_later_turn_waits_only_for_a_slot() {
    let (mut dispatch, _) = limited(1);
    dispatch.engines.lambda_runs = 2;
    for day in ["2010-11-20", "2010-11-10"] {
        let message = sent(&dispatch, day, &["acme"]).await;
        dispatch.handle(event(&[message])).await;
    }
    let message = sent(&dispatch, "2010-11-10", &["other"]).await;
    let response = dispatch.handle(event(&[message])).await;
    assert_eq!(failures(&response), ["message-0"]);
    assert_eq!(deferred(&dispatch), [("message-0".to_owned(), 6)]);
}

#[tokio::test]
async fn recent_days_and_objects_without_shops_are_not_limited() {
    let (dispatch, sink) = limited(1);
    let objects: [(&str, &[&str]); 5] = [
        ("2010-11-01", &[]),
        ("2010-11-10", &[]),
        ("2010-11-20", &["Invalid"]),
        ("2010-12-28", &["acme"]),
        ("2010-12-30", &["acme"]),
    ];
    let mut messages = Vec::new();
    for (day, shops) in objects {
        messages.push(sent(&dispatch, day, shops).await);
    }
    dispatch.handle(event(&messages)).await;
    assert_eq!(started_days(&dispatch).await.len(), 5);
    assert_eq!(sink.total(DELAYED_DAYS), 0.0);
    assert!(!dispatch.lake.keys().iter().any(|key| key.starts_with("state/old-days/")));
}

#[tokio::test]
async fn a_message_whose_turn_is_not_known_returns_to_the_queue() {
    let (dispatch, _) = limited(1);
    let message = sent(&dispatch, "2010-11-01", &["acme"]).await;
    let message = event(&[message]);
    // First the shops of the object cannot be read, then the turns of the shop.
    for faults in [vec![true], vec![false, true]] {
        dispatch.lake.fail(faults);
        assert_eq!(failures(&dispatch.handle(message.clone()).await), ["message-0"]);
        assert!(dispatch.executions.is_empty());
    }
    assert!(failures(&dispatch.handle(message).await).is_empty());
    assert_eq!(started_days(&dispatch).await, ["2010-11-01"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However many old days a hostile shop sends, the live day of another shop starts at once,
    /// and each old day is computed or still owed.
    #[test]
    fn live_data_never_waits_behind_old_days(
        old in 1..40_usize,
        place in any::<prop::sample::Index>(),
        size in 1..20_usize,
        limit in 1..10_u16,
        runs in 2..8_u16,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut dispatch, _) = limited(limit);
            dispatch.engines.lambda_runs = runs;
            let first: NaiveDate = "2010-08-01".parse().unwrap();
            let days: Vec<_> =
                first.iter_days().step_by(3).take(old).map(|day| day.to_string()).collect();
            let mut messages = Vec::new();
            for day in &days {
                messages.push(sent(&dispatch, day, &["hostile"]).await);
            }
            let place = place.index(old + 1);
            messages.insert(place, sent(&dispatch, LIVE, &["good"]).await);

            for (number, batch) in messages.chunks(size).enumerate() {
                dispatch.handle(event(batch)).await;
                let has_started = started_days(&dispatch).await.iter().any(|day| day == LIVE);
                prop_assert_eq!(has_started, number == place / size);
            }

            let (mut running, mut delayed) = (0, 0);
            for day in &days {
                let state = state_of(&dispatch, day).await;
                prop_assert!(!state.is_settled(), "{} is forgotten", day);
                running += usize::from(state.lease.is_some());
                let wait = state.waiting_until.map(|until| until - dispatch.clock.now());
                delayed += usize::from(wait.is_some_and(|wait| wait > MAX_DELAY));
            }
            prop_assert!(running <= usize::from((runs / 2).max(1)));
            prop_assert_eq!(delayed, old.saturating_sub(limit.into()));
            Ok(())
        })?;
    }
}
