//! Dirty partitions become jobs, one at a time.

use chrono::Days;
use proptest::prelude::*;
use shoplake_aws::Fault;
use shoplake_jobs::JobOutcome;
use shoplake_lake::state::Step;
use shoplake_models::Plan;

use super::*;
use crate::engine::Engines;
use crate::testing::{
    TestDispatch, commit, created, deferred, dirty, dispatch, end, event, failures, job, put_gold,
    redelivered, silver, started, take_glue_runs, take_jobs,
};

const DAY: &str = "2010-12-01";

fn message() -> String {
    dirty("visits_per_day", DAY)
}

/// Delivers the message about the partition, and returns the failures.
async fn deliver(dispatch: &TestDispatch) -> usize {
    failures(&dispatch.handle(event(&[message()])).await).len()
}

async fn state_of(dispatch: &TestDispatch) -> PartitionState {
    let partition = DAY.parse().unwrap();
    state::read(&dispatch.lake, "visits_per_day", partition).await.unwrap().state
}

async fn start(dispatch: &TestDispatch) -> JobDocument {
    assert_eq!(deliver(dispatch).await, 0);
    let [job] = started(dispatch).await.try_into().unwrap();
    job
}

#[tokio::test]
async fn a_partition_that_is_up_to_date_is_dropped() {
    let dispatch = dispatch();
    let key = "silver/visits/dt=2010-12-01/a.parquet";
    silver(&dispatch, key).await;
    dispatch.handle(event(&[created(key)])).await;
    for key in take_jobs(&dispatch) {
        let job = job(&dispatch, &key).await;
        commit(&dispatch, &job).await;
    }
    dispatch.clock.advance(TimeDelta::seconds(20));

    // A replay writes the object again: its ETag is another one, its content is not.
    silver(&dispatch, key).await;
    let response = dispatch.handle(event(&[created(key)])).await;

    assert!(failures(&response).is_empty());
    assert!(dispatch.executions.is_empty());
    assert!(dispatch.publisher.take_bodies().is_empty());
}

#[tokio::test]
async fn a_recent_partition_waits_for_the_rest_of_every_seconds() {
    for outcome in [JobOutcome::Committed, JobOutcome::Unchanged] {
        let dispatch = dispatch();
        silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
        let first = start(&dispatch).await;
        end(&dispatch, &first, outcome).await;
        silver(&dispatch, "silver/visits/dt=2010-12-01/b.parquet").await;

        dispatch.clock.advance(TimeDelta::seconds(5));
        let response = dispatch.handle(event(&[message(), message()])).await;
        assert_eq!(failures(&response), ["message-0"], "one message waits, the other does not");
        assert_eq!(deferred(&dispatch), [("message-0".to_owned(), 16)]);
        assert_eq!(deliver(&dispatch).await, 0, "the state says that it waits");
        let early = dispatch.handle(redelivered(&[message()], 2)).await;
        assert_eq!(failures(&early), ["message-0"], "the message that waits was early");
        assert_eq!(deferred(&dispatch), [("message-0".to_owned(), 16)]);
        assert!(dispatch.executions.is_empty());

        dispatch.clock.advance(TimeDelta::seconds(15));
        let second = start(&dispatch).await;
        assert_ne!(second.id, first.id, "{outcome:?}");
    }
}

#[tokio::test]
async fn an_empty_day_is_computed_once_it_has_inputs() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let tomorrow = dirty("visits_per_day", "2010-12-02");
    let response = dispatch.handle(event(std::slice::from_ref(&tomorrow))).await;
    assert!(failures(&response).is_empty() && started(&dispatch).await.is_empty());
    let states = dispatch.lake.list("state/").await.unwrap();
    assert!(states.is_empty(), "an empty day leaves nothing: {states:?}");

    silver(&dispatch, "silver/visits/dt=2010-12-02/a.parquet").await;
    dispatch.handle(event(&[tomorrow])).await;
    assert_eq!(started(&dispatch).await[0].inputs[0].objects.len(), 2, "its whole window counts");
}

#[tokio::test]
async fn a_message_during_a_job_is_noted_in_the_state() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let first = start(&dispatch).await;

    dispatch.clock.advance(TimeDelta::seconds(1));
    silver(&dispatch, "silver/visits/dt=2010-12-01/b.parquet").await;
    assert_eq!(deliver(&dispatch).await, 0);
    assert!(started(&dispatch).await.is_empty() && deferred(&dispatch).is_empty());
    assert_eq!(state_of(&dispatch).await.dirty_since, Some(dispatch.clock.now()));

    assert!(commit(&dispatch, &first).await, "the job sends a message");
    dispatch.clock.advance(TimeDelta::seconds(20));
    let second = start(&dispatch).await;
    assert_eq!(second.output.version, 2);
    assert!(second.output.expected_etag.is_some());
}

#[tokio::test]
async fn a_message_that_the_last_plan_has_seen_is_dropped() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    dispatch.clock.advance(TimeDelta::seconds(2));
    let first = start(&dispatch).await;
    let sent_at = DateTime::<Utc>::UNIX_EPOCH;
    let mut late = event(&[message()]);
    late.records[0]
        .attributes
        .insert("SentTimestamp".to_owned(), sent_at.timestamp_millis().to_string());
    dispatch.handle(late).await;
    assert!(!commit(&dispatch, &first).await, "the partition is not dirty again");
}

#[tokio::test]
async fn a_crashed_job_starts_again_after_its_lease_expired() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let crashed = start(&dispatch).await;

    dispatch.clock.advance(Engine::Lambda.lease());
    assert_eq!(deliver(&dispatch).await, 1, "it waits a minute after the failure");
    dispatch.clock.advance(TimeDelta::seconds(60));
    let again = start(&dispatch).await;
    assert_eq!(again, crashed, "the same job from the same state of the lake");
}

#[tokio::test]
async fn an_unpublished_commit_is_resumed_by_its_own_job() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let crashed = start(&dispatch).await;
    put_gold(&dispatch, &crashed).await;
    silver(&dispatch, "silver/visits/dt=2010-12-01/b.parquet").await;
    dispatch.clock.advance(Engine::Lambda.lease() + TimeDelta::seconds(60));

    let resumed = start(&dispatch).await;
    assert_eq!(resumed.id, crashed.id);
    assert_eq!(
        (resumed.output.version, &resumed.output.inputs_digest),
        (1, &crashed.output.inputs_digest)
    );
    assert!(end(&dispatch, &resumed, JobOutcome::Committed).await, "the change still waits");
    assert_eq!(start(&dispatch).await.output.version, 2);
}

#[tokio::test]
async fn a_commit_that_was_not_loaded_is_resumed() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let first = start(&dispatch).await;
    put_gold(&dispatch, &first).await;
    end(&dispatch, &first, JobOutcome::Committed).await;
    dispatch.clock.advance(TimeDelta::seconds(309));
    deliver(&dispatch).await;
    assert!(started(&dispatch).await.is_empty(), "its execution may still load it");
    dispatch.clock.advance(TimeDelta::seconds(1));
    assert_eq!(start(&dispatch).await.id, first.id);
}

#[tokio::test]
async fn a_backfill_computes_the_same_inputs_again() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let first = start(&dispatch).await;
    commit(&dispatch, &first).await;
    let backfill = shoplake_jobs::PartitionDirty {
        recompute: true,
        ..shoplake_jobs::PartitionDirty::one("visits_per_day", DAY.parse().unwrap(), "test".into())
    };
    let response = dispatch.handle(event(&[backfill.event().to_string()])).await;
    assert!(failures(&response).is_empty(), "it does not wait for the interval");
    let [second] = started(&dispatch).await.try_into().unwrap();
    assert_eq!(second.output.inputs_digest, first.output.inputs_digest);
    assert!(state_of(&dispatch).await.lease.unwrap().recompute);
    assert!(!end(&dispatch, &second, JobOutcome::Unchanged).await);
}

#[tokio::test]
async fn a_deleted_partition_keeps_counting_its_versions() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let first = start(&dispatch).await;
    commit(&dispatch, &first).await;
    dispatch.lake.delete(&first.output.key).await.unwrap();
    dispatch.clock.advance(TimeDelta::seconds(20));
    let again = start(&dispatch).await;
    assert_eq!((again.output.version, again.output.expected_etag), (2, None));
}

#[tokio::test]
async fn at_most_so_many_jobs_run_at_the_same_time() {
    let mut dispatch = dispatch();
    dispatch.engines.lambda_runs = 2;
    for day in ["2010-12-01", "2010-12-10", "2010-12-20"] {
        silver(&dispatch, &format!("silver/visits/dt={day}/a.parquet")).await;
    }
    let messages =
        ["2010-12-01", "2010-12-10", "2010-12-20"].map(|day| dirty("visits_per_day", day));
    let response = dispatch.handle(event(&messages)).await;
    assert_eq!(started(&dispatch).await.len(), 2);
    let [waiting] = failures(&response).try_into().unwrap();
    assert_eq!(deferred(&dispatch), [(waiting.to_owned(), 6)]);

    let response = dispatch.handle(redelivered(&messages, 20)).await;
    assert!(failures(&response).is_empty(), "the sweep sends it again");
    assert_eq!(dispatch.lake.list(keys::OWED).await.unwrap().len(), 3);
}

#[tokio::test]
async fn old_partitions_leave_half_of_the_slots_to_live_data() {
    let mut dispatch = dispatch();
    dispatch.engines.lambda_runs = 2;
    dispatch
        .clock
        .advance("2010-12-20T00:00:00Z".parse::<DateTime<Utc>>().unwrap() - DateTime::UNIX_EPOCH);
    let days = ["2010-12-01", "2010-12-10", "2010-12-20"];
    for day in days {
        silver(&dispatch, &format!("silver/visits/dt={day}/a.parquet")).await;
        dispatch.handle(event(&[dirty("visits_per_day", day)])).await;
    }
    let jobs = started(&dispatch).await;
    let days: Vec<_> = jobs.iter().map(|job| job.partition.value.to_string()).collect();
    assert_eq!(days, ["2010-12-01", "2010-12-20"]);
}

#[tokio::test]
async fn a_big_job_runs_on_glue_with_a_longer_lease() {
    let mut dispatch = dispatch();
    let objects =
        ["silver/visits/dt=2010-12-01/a.parquet", "silver/visits/dt=2010-11-30/b.parquet"];
    dispatch.engines.glue_above_bytes = objects.map(str::len).into_iter().sum::<usize>() as u64;
    for key in objects {
        silver(&dispatch, key).await;
    }
    let small = start(&dispatch).await;
    commit(&dispatch, &small).await;
    assert!(dispatch.executions.is_empty(), "the limit itself fits");

    silver(&dispatch, "silver/visits/dt=2010-12-01/c.parquet").await;
    dispatch.clock.advance(TimeDelta::seconds(20));
    assert_eq!(deliver(&dispatch).await, 0);
    assert!(started(&dispatch).await.is_empty());
    let [run] = take_glue_runs(&dispatch).try_into().unwrap();
    let big = job(&dispatch, &run.job).await;
    assert_eq!(big.inputs[0].objects.len(), 3);
    assert!(run.name.starts_with(&big.id) && run.name.len() <= 80, "{}", run.name);
    assert_eq!(
        [run.job, run.result],
        [format!("{}.json", big.id), format!("{}.result.json", big.id)]
            .map(|name| format!("jobs/visits_per_day/2010-12-01/{name}"))
    );

    dispatch.clock.advance(Engine::Lambda.lease());
    assert_eq!(deliver(&dispatch).await, 0);
    assert!(dispatch.executions.is_empty(), "its lease lasts for hours");

    let slots = dispatch.lake.list(keys::RUNS).await.unwrap();
    assert_eq!(slots.len(), 1, "{slots:?}");
    dispatch.clock.advance(Engine::Glue.lease() + TimeDelta::seconds(60));
    deliver(&dispatch).await;
    let again = take_glue_runs(&dispatch).pop().unwrap();
    assert_eq!(again.job, keys::job("visits_per_day", DAY.parse().unwrap(), &big.id));
    assert_ne!(
        again.name, run.name,
        "the name of an execution that failed stays taken for 90 days"
    );
}

#[tokio::test]
async fn big_jobs_leave_all_slots_of_functions_to_others() {
    let mut dispatch = dispatch();
    dispatch.engines = Engines { lambda_runs: 1, glue_runs: 2, glue_above_bytes: 50 };
    dispatch
        .clock
        .advance("2010-12-04T00:00:00Z".parse::<DateTime<Utc>>().unwrap() - DateTime::UNIX_EPOCH);
    for (day, names) in [("2010-12-02", "ab"), ("2010-12-03", "ab"), ("2010-12-04", "ab")] {
        for name in names.chars() {
            silver(&dispatch, &format!("silver/visits/dt={day}/{name}.parquet")).await;
        }
    }
    // Each has the objects of two days, and is bigger than the limit.
    let big = ["2010-12-03", "2010-12-04", "2010-12-05"];
    let messages = big.map(|day| dirty("visits_per_day", day));
    dispatch.handle(event(&messages)).await;
    assert_eq!(take_glue_runs(&dispatch).len(), 2, "the third waits");

    silver(&dispatch, "silver/visits/dt=2010-11-20/a.parquet").await;
    dispatch.handle(event(&[dirty("visits_per_day", "2010-11-20")])).await;
    assert_eq!(started(&dispatch).await.len(), 1);
}

#[tokio::test]
async fn a_lease_whose_answer_was_lost_does_not_stop_its_own_job() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let job = start(&dispatch).await;
    let mut tried = state_of(&dispatch).await.lease;
    runs::free(&dispatch.lake, tried.as_ref().unwrap().slot.unwrap(), &job.id).await.unwrap();
    let note = |state: &mut PartitionState| state.note_dirty(dispatch.clock.now(), false);
    state::update(&dispatch.lake, "visits_per_day", DAY.parse().unwrap(), note).await.unwrap();

    let model = dispatch.models.get("visits_per_day").unwrap();
    let (partition, delay) = (DAY.parse().unwrap(), TimeDelta::seconds(5));
    let ended = dispatch.attempt(model, partition, Request::default(), delay, &mut tried).await;

    assert_eq!(ended.unwrap(), Some(Ended::Done));
    let [again] = started(&dispatch).await.try_into().unwrap();
    assert_eq!(again.id, job.id);
}

#[tokio::test]
async fn a_partition_that_cannot_be_planned_waits_longer_each_time() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    silver(&dispatch, "gold/visits_per_day/day=2010-12-01/data.parquet").await;
    for attempts in 1..=3 {
        assert_eq!(deliver(&dispatch).await, 0);
        let state = state_of(&dispatch).await;
        let failure = &state.failures[&Step::Compute];
        assert_eq!(failure.attempts, attempts);
        assert!(failure.error.contains("version"), "{}", failure.error);
        assert!(state.dirty_since.is_some());
        dispatch.clock.advance(failure.retry_at - dispatch.clock.now());
    }
    let sweep = TimeDelta::zero();
    assert_eq!(state_of(&dispatch).await.ready_at(sweep), dispatch.clock.now());
}

#[tokio::test]
async fn without_glue_a_big_job_runs_in_lambda() {
    let mut dispatch = dispatch();
    (dispatch.engines.glue_runs, dispatch.engines.glue_above_bytes) = (0, 0);
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    start(&dispatch).await;
    assert!(dispatch.executions.is_empty());
}

#[tokio::test]
async fn a_failed_start_gives_the_work_back() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    dispatch.executions.fail([Some(Fault::Refused)]);
    assert_eq!(deliver(&dispatch).await, 1);
    let state = state_of(&dispatch).await;
    assert!(state.lease.is_none() && state.dirty_since.is_some());
    assert!(dispatch.lake.list(keys::RUNS).await.unwrap().is_empty());
    start(&dispatch).await;
}

#[tokio::test]
async fn a_failed_partition_waits_for_its_retry_and_not_for_a_backfill() {
    let dispatch = dispatch();
    silver(&dispatch, "silver/visits/dt=2010-12-01/a.parquet").await;
    let job = start(&dispatch).await;
    let fail = |state: &mut PartitionState| {
        state.fail(Step::Compute, &job.id, "broken", dispatch.clock.now())
    };
    state::update(&dispatch.lake, "visits_per_day", DAY.parse().unwrap(), fail).await.unwrap();
    assert_eq!(deliver(&dispatch).await, 1);
    assert_eq!(deferred(&dispatch), [("message-0".to_owned(), 61)]);
    for _ in 0..10 {
        state::update(&dispatch.lake, "visits_per_day", DAY.parse().unwrap(), fail).await.unwrap();
    }
    dispatch.clock.advance(TimeDelta::seconds(61));
    assert_eq!(deliver(&dispatch).await, 0, "the sweep sends a message in hours");
    assert!(started(&dispatch).await.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The ranged listings equal the listings of the window's days.
    #[test]
    fn a_window_lists_what_its_days_list(
        keys in prop::collection::btree_set(
            "(silver/visits/dt=2010-(11-2[5-9]|12-0[1-9])/(hour=0[0-9]/|)|gold/visits_per_day/day=2010-(11-2[5-9]|12-0[1-9])/|silver/other/dt=2010-12-01/|gold/visits_per_day_2/day=2010-12-01/)[a-c].parquet",
            0..40,
        ),
        day in 1_u32..9,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let partition = Partition::Day(chrono::NaiveDate::from_ymd_opt(2010, 12, day).unwrap());
        runtime.block_on(async {
            let dispatch = dispatch();
            for key in &keys {
                silver(&dispatch, key).await;
            }
            for model in dispatch.models.iter() {
                let day = partition.day().unwrap();
                let lookback = if model.name == "visits_per_day" { 1 } else { 6 };
                let window: Vec<_> = (0..=lookback).rev().map(|ago| day - Days::new(ago)).collect();
                let mut expected = Listing::new();
                for own in dispatch.models.own_partition_ranges(model, partition) {
                    let entries = expected.entry(own.input).or_default();
                    for day in &window {
                        let prefix = format!("{}{day}/", own.folders.prefix);
                        entries.extend(dispatch.lake.list(&prefix).await.unwrap());
                    }
                }
                let ranges = dispatch.models.input_ranges(model, partition);
                let listed = dispatch.list(ranges).await.unwrap();
                prop_assert_eq!(&listed, &expected);

                let has_input = !dispatch.is_empty_partition(model, partition).await.unwrap();
                let plan = dispatch.models.plan(model, partition, &listed, None);
                prop_assert_eq!(has_input, matches!(plan, Plan::Job(_)), "both apply one rule");

                let days: Vec<_> =
                    (0..=3).map(|ahead| Partition::Day(day + Days::new(ahead))).collect();
                let mut with_objects = BTreeSet::new();
                for day in &days {
                    let gold = keys::gold_values(&model.name, &model.partition);
                    let own = dispatch.models.own_partition_ranges(model, *day).into_iter();
                    let prefixes = own.map(|range| range.folders.prefix).chain([gold]);
                    let folders: Vec<_> =
                        prefixes.map(|prefix| format!("{prefix}{day}/")).collect();
                    if keys.iter().any(|key| folders.iter().any(|one| key.starts_with(one))) {
                        with_objects.insert(*day);
                    }
                }
                prop_assert_eq!(dispatch.non_empty(model, &days).await.unwrap(), with_objects);
            }
            Ok(())
        })?;
    }
}
