//! Sessions against those of a whole history: no day depends on what lies outside of its window.
//!
//! `PROPTEST_CASES=200 cargo test --workspace --test sessions` tries more than
//! a few cases.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, NaiveDate, TimeZone, Utc};
use proptest::prelude::*;
use serde_json::json;
use shoplake_simulation::{Event, Lake, texts};

const COLUMNS: &str =
    "session_date sessions average_duration_seconds median_duration_seconds bounces bounce_rate";

const DAY_US: i64 = 86_400_000_000;

/// The sessions of one `session_id`, event by event as a tracker sees them, as start and last
/// event.
fn sessions(times: &[DateTime<Utc>]) -> Vec<Vec<DateTime<Utc>>> {
    let day = |time: DateTime<Utc>| time.timestamp_micros().div_euclid(DAY_US);
    let mut sessions: Vec<Vec<DateTime<Utc>>> = Vec::new();
    let mut activity_start = DateTime::UNIX_EPOCH;
    let mut previous: Option<DateTime<Utc>> = None;
    for time in times.iter().copied() {
        let goes_on = previous.filter(|previous| time - *previous <= Duration::minutes(30));
        let is_cut = goes_on.is_none_or(|previous| {
            let is_past_a_whole_day =
                day(time) != day(previous) && day(activity_start) < day(time) - 1;
            let end = activity_start + Duration::hours(24);
            let is_past_24_hours = previous < end && time >= end;
            is_past_a_whole_day || is_past_24_hours
        });
        if goes_on.is_none() {
            activity_start = time;
        }
        match sessions.last_mut() {
            Some(session) if !is_cut => session.push(time),
            _ => sessions.push(vec![time]),
        }
        previous = Some(time);
    }
    sessions
}

/// The rows that the model should have of events that are all page views.
fn expected(sessions: impl Iterator<Item = Vec<DateTime<Utc>>>) -> Vec<String> {
    let mut days: BTreeMap<NaiveDate, Vec<(i64, bool)>> = BTreeMap::new();
    for session in sessions {
        let (first, last) = (session[0], session[session.len() - 1]);
        let duration = (last - first).num_microseconds().unwrap();
        days.entry(first.date_naive()).or_default().push((duration, session.len() == 1));
    }
    days.into_iter()
        .map(|(day, mut sessions)| {
            sessions.sort_unstable();
            let count = sessions.len();
            let total: i64 = sessions.iter().map(|(duration, _)| duration).sum();
            let middle = [sessions[(count - 1) / 2].0, sessions[count / 2].0];
            let bounces = sessions.iter().filter(|(_, is_bounce)| *is_bounce).count();
            let seconds = |micros: i64, many: usize| micros as f64 / (many as f64 * 1e6);
            let (average, median) = (seconds(total, count), seconds(middle[0] + middle[1], 2));
            format!(
                "{day} {count} {average:?} {median:?} {bounces} {:?}",
                bounces as f64 / count as f64
            )
        })
        .collect()
}

async fn computed(histories: &[Vec<DateTime<Utc>>]) -> Vec<String> {
    let events: Vec<_> = histories
        .iter()
        .enumerate()
        .flat_map(|(session, times)| times.iter().map(move |time| (session, *time)))
        .map(|(session, time)| {
            let at = time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
            let data = json!({
                "event_id": format!("{session} {at}"), "session_id": format!("s{session}"),
                "visitor_id": "v",
                "event_type": "page_view", "occurred_at": at, "page_url": "https://shop.example/",
            });
            Event::new("web_traffic", "acme", data)
        })
        .collect();
    let lake = Lake::of_repository().unwrap();
    lake.deliver(&events, "all").await.unwrap();
    lake.settle().await.unwrap();
    assert!(lake.failed_checks().is_empty(), "{:?}", lake.failed_checks());
    texts(&lake.rows("session_duration_bounce_rate").await.unwrap(), COLUMNS)
}

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 1, 0, 0, 0).unwrap()
}

/// Events at pauses that mostly keep a session going, over up to six days.
fn history() -> impl Strategy<Value = Vec<DateTime<Utc>>> {
    const MINUTE: i64 = 60_000_000;
    let pause = prop_oneof![
        60 => Just(30 * MINUTE),
        60 => 20 * MINUTE..30 * MINUTE,
        1 => Just(30 * MINUTE + 1),
        1 => 31 * MINUTE..600 * MINUTE,
    ];
    let first = prop_oneof![Just(0), Just(DAY_US - 1), 0..DAY_US];
    (first, prop::collection::vec(pause, 0..300)).prop_map(|(first, pauses)| {
        let mut time = start() + Duration::microseconds(first);
        let mut times = vec![time];
        for pause in pauses {
            time += Duration::microseconds(pause);
            times.push(time);
        }
        times
    })
}

fn config() -> ProptestConfig {
    let cases =
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(8);
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_time: 300_000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn sessions_are_those_of_the_whole_history(
        histories in prop::collection::vec(history(), 1..3),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let computed = runtime.block_on(computed(&histories));
        let expected = expected(histories.iter().flat_map(|times| sessions(times)));
        prop_assert_eq!(computed, expected);
    }
}

/// An event every 25 minutes from 22:00, 120 of them: 49.6 hours.
#[tokio::test(flavor = "multi_thread")]
async fn session_ends_after_24_hours() {
    let first = start() + Duration::hours(22);
    let times: Vec<_> = (0..120).map(|number| first + Duration::minutes(25 * number)).collect();
    assert_eq!(
        computed(&[times]).await,
        [
            // numbers 0 to 57, the last before 22:00 of the next day: 57 * 25 minutes
            "2026-03-01 1 85500.0 85500.0 0 0.0",
            // 58 at 22:10 to 62 at 23:50: 4 * 25 minutes, as the activity has gone on all day by
            // midnight
            "2026-03-02 1 6000.0 6000.0 0 0.0",
            // 63 at 00:15 to 119 at 23:35: 56 * 25 minutes
            "2026-03-03 1 84000.0 84000.0 0 0.0",
        ]
    );
}

/// A robot that asks every half hour for six days has a session a day.
#[tokio::test(flavor = "multi_thread")]
async fn session_of_a_robot_is_one_a_day() {
    let times: Vec<_> =
        (0..6 * 48).map(|number| start() + Duration::minutes(30 * number)).collect();
    let days: Vec<_> =
        (1..=6).map(|day| format!("2026-03-0{day} 1 84600.0 84600.0 0 0.0")).collect();
    assert_eq!(computed(&[times]).await, days);
}

/// 23 hours and 55 minutes across a midnight are not cut.
#[tokio::test(flavor = "multi_thread")]
async fn session_of_less_than_24_hours_is_whole() {
    let first = start() + Duration::hours(12);
    let times: Vec<_> = (0..288).map(|number| first + Duration::minutes(5 * number)).collect();
    // 287 * 5 minutes
    assert_eq!(computed(&[times]).await, ["2026-03-01 1 86100.0 86100.0 0 0.0"]);
}
