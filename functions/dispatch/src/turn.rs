//! What dispatch does with a dirty partition: a pure function of its state and its plan.

use chrono::{DateTime, TimeDelta, Utc};
use shoplake_lake::state::{DebtKind, PartitionState, Step};
use shoplake_models::GoldHead;

/// How far the clocks of SQS and of the functions may differ.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(2);

/// What messages ask of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Request {
    /// Whether to compute it even if its inputs are the same.
    pub(crate) recompute: bool,
    /// When the last of the messages was sent, so that what it reports was written before; none if
    /// that is not known.
    pub(crate) sent_at: Option<DateTime<Utc>>,
    /// The turn of the old days that the messages report, if all of them have to wait for it.
    pub(crate) turn: Option<DateTime<Utc>>,
}

/// What follows from the state alone, without a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    /// The partition was planned after the message was sent, so it has seen what the message
    /// reports.
    Seen,
    /// A job runs. It sends a message when it ends if the partition is dirty again.
    Running,
    /// The partition may be computed at this time.
    Wait(DateTime<Utc>),
    /// The inputs have to be listed.
    Plan,
}

/// What to do with a partition that was planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    UpToDate,
    /// Publish, load and notify the commit in gold.
    Resume,
    /// Compute it at this time.
    Wait(DateTime<Utc>),
    /// Compute it.
    Compute,
}

/// Returns what follows from the state of a partition.
pub(crate) fn before_plan(
    state: &PartitionState,
    request: Request,
    every: TimeDelta,
    now: DateTime<Utc>,
) -> Early {
    let running = state.running(now);
    if !request.recompute && state.dirty_since.is_none() {
        let computes = running.filter(|lease| !lease.resumes).map(|lease| lease.planned_at);
        let planned_at = state.planned_at.max(computes);
        let needed = request.sent_at.map(|sent_at| sent_at + CLOCK_DIFFERENCE);
        if needed.is_some() && needed <= planned_at {
            return Early::Seen;
        }
    }
    if running.is_some() {
        return Early::Running;
    }
    let ready_at = state.ready_at(every);
    let delivers = owes(state, &DELIVERIES, every, now);
    if ready_at > now && !delivers { Early::Wait(ready_at) } else { Early::Plan }
}

/// Returns what to do with a partition whose inputs have the digest `inputs`. `state` has the
/// version of `gold`.
pub(crate) fn after_plan(
    state: &PartitionState,
    gold: Option<&GoldHead>,
    inputs: &str,
    every: TimeDelta,
    now: DateTime<Utc>,
) -> Turn {
    // First what the last commit owes: the commit that replaces it may take long, or fail.
    if gold.is_some() && state.published < state.committed {
        let retry_at = state.retry_at(Step::Compute).filter(|retry_at| *retry_at > now);
        return retry_at.map_or(Turn::Resume, Turn::Wait);
    }
    let delivers = gold.is_some() && !state.is_delivered() && owes(state, &DELIVERIES, every, now);
    let etag = gold.map(|gold| gold.etag.as_str());
    let is_computed =
        gold.is_some_and(|gold| gold.inputs == inputs) || state.has_computed(inputs, etag);
    // Gold does not have the check results of a job without a commit: only another job has.
    let is_unrecorded =
        state.unrecorded.is_some() && !delivers && owes(state, &[DebtKind::Load], every, now);
    if state.recompute || !is_computed || is_unrecorded {
        let ready_at = state.ready_at(every);
        // What the last commit owes waits neither for a later computation nor for one that may fail
        // again.
        return match (ready_at > now, state.retry_at(Step::Compute)) {
            (true, _) | (false, Some(_)) if delivers => Turn::Resume,
            (true, _) => Turn::Wait(ready_at),
            (false, _) => Turn::Compute,
        };
    }
    if delivers { Turn::Resume } else { Turn::UpToDate }
}

/// What a commit owes.
const DELIVERIES: [DebtKind; 3] = [DebtKind::Publish, DebtKind::Load, DebtKind::Notify];

/// Returns whether one of these debts is due.
fn owes(state: &PartitionState, kinds: &[DebtKind], every: TimeDelta, now: DateTime<Utc>) -> bool {
    state.owes(every, now).iter().any(|debt| debt.due <= now && kinds.contains(&debt.kind))
}

#[cfg(test)]
mod tests {
    use shoplake_jobs::{JobOutcome, Withheld};
    use shoplake_lake::ETag;
    use shoplake_lake::state::{Completion, Lease};

    use super::*;

    const EVERY: TimeDelta = TimeDelta::seconds(20);

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
    }

    fn sent(second: i64) -> Request {
        Request { sent_at: Some(at(second)), ..Request::default() }
    }

    /// The state after a job was started at second 0.
    fn running() -> PartitionState {
        let mut state = PartitionState::default();
        state.compute(Lease {
            job: "a".into(),
            until: at(310),
            since: at(0),
            planned_at: at(0),
            recompute: false,
            resumes: false,
            slot: None,
        });
        state
    }

    /// The state after that job has ended at second 10.
    fn ended(outcome: JobOutcome, version: u64) -> PartitionState {
        let mut state = running();
        state.complete(Completion {
            job: "a".into(),
            outcome,
            inputs: "inputs".into(),
            gold: None,
            version,
            notifies: false,
            withheld: Withheld::default(),
            alert: vec![],
            at: at(10),
        });
        state
    }

    fn gold(version: u64, inputs: &str) -> GoldHead {
        let etag = ETag::new(version.to_string());
        GoldHead { etag, version, inputs: inputs.into(), job: "a".into() }
    }

    fn after(state: &PartitionState, gold: Option<&GoldHead>, second: i64) -> Turn {
        after_plan(state, gold, "inputs", EVERY, at(second))
    }

    #[test]
    fn a_message_from_before_the_plan_is_done() {
        let mut state = running();
        let early = |state: &PartitionState, request| before_plan(state, request, EVERY, at(9));
        assert_eq!(early(&state, sent(-2)), Early::Seen);
        assert_eq!(early(&state, sent(-1)), Early::Running, "clocks differ");
        assert_eq!(early(&state, Request::default()), Early::Running);
        assert_eq!(early(&state, Request { recompute: true, ..sent(-2) }), Early::Running);

        state.note_dirty(at(5), false);
        assert_eq!(early(&state, sent(-2)), Early::Running);
        let ended = ended(JobOutcome::Unchanged, 0);
        assert_eq!(early(&ended, sent(-2)), Early::Seen);
    }

    #[test]
    fn a_partition_waits_for_its_interval_whatever_the_outcome() {
        for outcome in [JobOutcome::Committed, JobOutcome::Unchanged] {
            let state = ended(outcome, 0);
            let early = |second| before_plan(&state, sent(second), EVERY, at(second));
            assert_eq!((early(11), early(30)), (Early::Wait(at(30)), Early::Plan), "{outcome:?}");
            let recompute = Request { recompute: true, ..Request::default() };
            let mut state = state.clone();
            state.note_dirty(at(11), true);
            assert_eq!(before_plan(&state, recompute, EVERY, at(11)), Early::Plan);
        }
    }

    #[test]
    fn an_unpublished_commit_is_resumed_before_anything_else() {
        let mut state = PartitionState::default();
        let found = gold(3, "other inputs");
        state.found_commit(3);
        assert_eq!(after(&state, Some(&found), 0), Turn::Resume);
        state.fail(Step::Compute, "a", "broken", at(0));
        assert_eq!(after(&state, Some(&found), 59), Turn::Wait(at(60)));
        assert_eq!(after(&state, Some(&found), 60), Turn::Resume);
        state.found_commit(0);
        assert_eq!(after(&state, None, 60), Turn::Compute, "there is nothing to resume");
    }

    #[test]
    fn a_commit_that_was_not_loaded_is_resumed_when_it_is_due() {
        let mut state = ended(JobOutcome::Committed, 1);
        let found = gold(1, "inputs");
        assert_eq!(after(&state, Some(&found), 319), Turn::UpToDate);
        assert_eq!(after(&state, Some(&found), 320), Turn::Resume);
        let changed = gold(1, "other inputs");
        assert_eq!(after(&state, Some(&changed), 320), Turn::Compute, "the next commit is loaded");
        state.load(1);
        assert_eq!(after(&state, Some(&found), 320), Turn::UpToDate);
    }

    #[test]
    fn a_commit_is_loaded_while_the_next_computation_waits_or_fails() {
        let state = ended(JobOutcome::Committed, 1);
        let changed = gold(1, "other inputs");
        let half_a_day = TimeDelta::hours(12);
        let turn = |state: &PartitionState, every, second| {
            after_plan(state, Some(&changed), "inputs", every, at(second))
        };
        assert_eq!(turn(&state, half_a_day, 319), Turn::Wait(at(10) + half_a_day));
        assert_eq!(turn(&state, half_a_day, 320), Turn::Resume);

        let mut state = state;
        state.fail(Step::Compute, "b", "broken", at(300));
        for second in [320, 360] {
            assert_eq!(turn(&state, EVERY, second), Turn::Resume, "{second}");
        }
        state.load(1);
        assert_eq!(turn(&state, EVERY, 359), Turn::Wait(at(360)));
        assert_eq!(turn(&state, EVERY, 360), Turn::Compute);
    }

    #[test]
    fn a_backfill_that_failed_waits_like_any_other_computation() {
        let mut state = ended(JobOutcome::Unchanged, 0);
        state.ask(at(20));
        assert_eq!(after(&state, None, 20), Turn::Compute, "a backfill");
        state.fail(Step::Compute, "b", "broken", at(30));
        assert_eq!(after(&state, None, 89), Turn::Wait(at(90)));
        assert_eq!(after(&state, None, 90), Turn::Compute);
        state.ask(at(40));
        assert_eq!(after(&state, None, 40), Turn::Compute, "asked for again");
    }

    #[test]
    fn check_results_that_were_not_recorded_are_computed_again_when_due() {
        let mut state = ended(JobOutcome::Unchanged, 0);
        assert_eq!(after(&state, None, 319), Turn::UpToDate);
        assert_eq!(after(&state, None, 320), Turn::Compute);
        state.fail(Step::Load, "a", "away", at(310));
        assert_eq!(after(&state, None, 369), Turn::UpToDate);
        assert_eq!(after(&state, None, 370), Turn::Compute);
        let mut unloaded = state.clone();
        unloaded.found_commit(1);
        unloaded.published = 1;
        let found = gold(1, "inputs");
        assert_eq!(after(&unloaded, Some(&found), 370), Turn::Resume, "first what gold has");
        state.record_checks("a");
        assert_eq!(after(&state, None, 370), Turn::UpToDate);
    }

    #[test]
    fn same_inputs_are_not_computed_again_unless_asked_for() {
        let mut state = ended(JobOutcome::Unchanged, 0);
        assert_eq!(after(&state, None, 30), Turn::UpToDate);
        assert_eq!(after_plan(&state, None, "new", EVERY, at(29)), Turn::Wait(at(30)));
        assert_eq!(after_plan(&state, None, "new", EVERY, at(30)), Turn::Compute);
        state.note_dirty(at(20), true);
        assert_eq!(after(&state, None, 20), Turn::Compute, "a backfill");
    }
}
