//! The transitions, alone and in any order.

use proptest::prelude::*;
use shoplake_jobs::Severity;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_000_000 + second, 0).unwrap()
}

const EVERY: TimeDelta = TimeDelta::seconds(20);

fn lease(job: &str, second: i64) -> Lease {
    Lease {
        job: job.to_owned(),
        until: at(second + 310),
        since: at(second),
        planned_at: at(second),
        recompute: false,
        resumes: false,
        slot: None,
    }
}

fn completion(job: &str, outcome: JobOutcome, version: u64, second: i64) -> Completion {
    Completion {
        job: job.to_owned(),
        outcome,
        inputs: "inputs".to_owned(),
        gold: None,
        version,
        notifies: false,
        withheld: Withheld::default(),
        alert: vec![],
        at: at(second),
    }
}

fn check(shop: &str) -> CheckAlert {
    CheckAlert {
        check: "reconciles".to_owned(),
        severity: Severity::Error,
        description: String::new(),
        rows: 1,
        shops: vec![shop.to_owned()],
    }
}

fn kinds(state: &PartitionState, second: i64) -> Vec<DebtKind> {
    let due = state.owes(EVERY, at(second)).into_iter().filter(|debt| debt.due <= at(second));
    due.map(|debt| debt.kind).collect()
}

#[test]
fn a_change_during_a_job_makes_the_partition_dirty_again() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    state.note_dirty(at(5), false);
    assert!(state.complete(completion("a", JobOutcome::Committed, 1, 10)));
    assert_eq!(
        (state.lease, state.dirty_since, state.planned_at),
        (None, Some(at(5)), Some(at(0)))
    );
}

#[test]
fn a_lost_job_gives_its_work_back_and_counts_as_a_failure() {
    let mut state = PartitionState::default();
    state.note_dirty(at(-100), true);
    state.compute(lease("a", 0));
    state.note_dirty(at(50), false);
    state.expire(at(309));
    assert!(state.running(at(309)).is_some());

    state.expire(at(310));
    assert_eq!((&state.lease, state.dirty_since), (&None, Some(at(-100))));
    assert!(state.recompute, "a backfill survives a lost job");
    let failure = &state.failures[&Step::Compute];
    assert_eq!((failure.attempts, failure.retry_at), (1, at(370)));
    assert!(!failure.alerted, "a lost job alerts by the alarm of its state machine");
}

#[test]
fn only_the_holder_ends_a_lease() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    state.expire(at(400));
    state.compute(lease("b", 400));
    assert!(state.complete(completion("a", JobOutcome::Committed, 1, 401)));
    assert!(state.is_held_by("b") && state.computed.is_none());
    assert_eq!((state.committed, state.published), (1, 1), "its commit counts");
    assert_eq!(state.dirty_since, Some(at(401)), "its inputs may be older than those of b");
    state.give_back("a");
    assert!(!state.fail(Step::Compute, "a", "late", at(402)) && state.is_held_by("b"));
}

#[test]
fn only_a_late_commit_makes_a_partition_dirty() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    assert!(!state.complete(completion("a", JobOutcome::Committed, 1, 10)));
    assert!(!state.complete(completion("a", JobOutcome::Committed, 1, 11)), "a retry");
    assert!(!state.complete(completion("b", JobOutcome::Unchanged, 1, 12)));
    state.compute(lease("c", 20));
    state.complete(completion("c", JobOutcome::Unchanged, 1, 30));
    assert!(state.complete(completion("b", JobOutcome::Committed, 2, 31)), "after c");
}

#[test]
fn a_resumed_commit_keeps_the_failure_of_the_computation_that_waits() {
    let mut state = PartitionState::default();
    state.found_commit(1);
    assert!(state.fail(Step::Compute, "a", "broken", at(0)));
    state.alert_failure(Step::Compute);
    state.resume(lease("a", 10));
    state.complete(completion("a", JobOutcome::Committed, 1, 20));
    assert_eq!(state.retry_at(Step::Compute), Some(at(60)));
    assert!(!state.fail(Step::Compute, "b", "broken", at(70)), "one alert");
    state.up_to_date(at(200));
    assert_eq!(state.retry_at(Step::Compute), None);
}

#[test]
fn a_conflict_gives_the_work_back() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    assert!(state.complete(completion("a", JobOutcome::Conflict, 0, 9)));
    assert_eq!((state.lease, state.dirty_since, state.computed), (None, Some(at(0)), None));
}

#[test]
fn every_computation_counts_for_the_interval() {
    for outcome in [JobOutcome::Committed, JobOutcome::Unchanged] {
        let mut state = PartitionState::default();
        state.compute(lease("a", 0));
        state.complete(completion("a", outcome, 0, 10));
        assert_eq!(state.ready_at(EVERY), at(30), "{outcome:?}");
        state.ask(at(11));
        assert!(state.ready_at(EVERY) < at(0), "a backfill does not wait");
        state.fail(Step::Compute, "b", "broken", at(20));
        assert_eq!(state.ready_at(EVERY), at(80), "but for its own retry");
        state.ask(at(30));
        assert!(state.ready_at(EVERY) <= at(30), "it is asked for again");
    }
}

#[test]
fn same_inputs_are_computed_once_on_the_same_gold() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    state.complete(completion("a", JobOutcome::Unchanged, 0, 10));
    assert!(state.has_computed("inputs", None));
    assert!(!state.has_computed("other", None) && !state.has_computed("inputs", Some("gold")));
    state.compute(lease("b", 20));
    state.complete(completion("b", JobOutcome::Committed, 1, 30));
    assert!(!state.has_computed("inputs", None), "gold was deleted since");
}

#[test]
fn a_commit_owes_what_its_model_has() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    state.complete(completion("a", JobOutcome::Committed, 3, 10));
    assert_eq!(kinds(&state, 319), [], "the execution of the job loads it");
    assert_eq!(kinds(&state, 320), [DebtKind::Load]);
    state.load(3);
    assert!(state.is_settled());

    state.found_commit(4);
    assert_eq!(kinds(&state, 320), [DebtKind::Publish, DebtKind::Load, DebtKind::Notify]);
    state.resume(lease("of 4", 330));
    state.note_dirty(at(331), false);
    assert!(state.complete(completion("of 4", JobOutcome::Committed, 4, 340)));
    assert_eq!(state.computed.as_ref().unwrap().job, "a", "a resumed commit is no computation");
    assert_eq!((state.published, state.notified, state.loaded), (4, 4, 3));
}

#[test]
fn an_alert_is_owed_until_it_is_sent_whatever_is_committed_since() {
    let mut state = PartitionState::default();
    for (version, second) in [(1, 10), (2, 30), (3, 50)] {
        state.compute(lease("a", second));
        let alert = if version == 3 { vec![] } else { vec![check("acme")] };
        let completion = completion("a", JobOutcome::Committed, version, second);
        // The response to the first call is lost.
        for _ in 0..2 {
            state.complete(Completion { alert: alert.clone(), ..completion.clone() });
        }
        state.load(version);
    }
    let versions = |state: &PartitionState| -> Vec<u64> {
        state.unsent_alerts.iter().map(|alert| alert.version).collect()
    };
    assert_eq!((versions(&state), kinds(&state, 319)), (vec![1, 2], vec![]));
    assert_eq!(kinds(&state, 320), [DebtKind::Alert], "its execution has ended");
    state.alert(1);
    assert_eq!((versions(&state), kinds(&state, 339)), (vec![2], vec![]));
    state.alert(2);
    assert!(state.is_settled());
    state.complete(Completion {
        alert: vec![check("acme")],
        ..completion("a", JobOutcome::Conflict, 0, 60)
    });
    assert!(state.unsent_alerts.is_empty(), "only a commit alerts");
}

#[test]
fn a_deleted_commit_owes_nothing_and_keeps_its_number() {
    let mut state = PartitionState::default();
    state.found_commit(7);
    assert!(!state.is_settled());
    state.found_commit(0);
    assert!(state.is_settled());
    assert_eq!((state.committed, state.highest), (0, 7));
    state.load(7);
    state.found_commit(8);
    assert_eq!(kinds(&state, 0), [DebtKind::Publish, DebtKind::Load, DebtKind::Notify]);
}

#[test]
fn a_failed_step_alerts_once_until_it_succeeds() {
    let mut state = PartitionState::default();
    for (attempt, delay) in [(1, 60), (2, 120), (3, 240)] {
        state.compute(lease("a", 0));
        let alert = state.fail(Step::Compute, "a", "broken", at(10));
        assert_eq!(alert, attempt == 1);
        state.alert_failure(Step::Compute);
        assert_eq!(state.ready_at(EVERY), at(10 + delay));
    }
    for _ in 0..40 {
        state.fail(Step::Compute, "a", "broken", at(10));
    }
    assert_eq!(state.ready_at(EVERY), at(10) + LAST_RETRY);

    state.compute(lease("b", 20));
    state.complete(completion("b", JobOutcome::Committed, 1, 30));
    assert_eq!(state.failures, BTreeMap::new());
    assert!(state.fail(Step::Load, "b", "away", at(40)));
    state.alert_failure(Step::Load);
    assert!(!state.fail(Step::Load, "b", "away", at(400)));
    assert_eq!(kinds(&state, 519), []);
    assert_eq!(kinds(&state, 520), [DebtKind::Load]);
    state.load(1);
    assert!(!state.fail(Step::Load, "b", "away", at(600)), "another execution has loaded it");
    assert_eq!(state.failures, BTreeMap::new());
    state.found_commit(2);
    assert!(state.fail(Step::Load, "c", "away", at(700)), "after a success it is news");
}

#[test]
fn the_alert_of_a_failed_step_is_owed_until_it_is_sent() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    assert!(state.fail(Step::Compute, "a", "broken", at(10)));
    assert!(state.fail(Step::Compute, "a", "broken", at(15)), "the answer was lost");
    assert!(!kinds(&state, 319).contains(&DebtKind::Alert), "control may send it");
    assert!(kinds(&state, 320).contains(&DebtKind::Alert));
    assert_eq!(state.failures[&Step::Compute].job, "a");
    state.alert_failure(Step::Compute);
    assert!(!kinds(&state, 320).contains(&DebtKind::Alert));
    // What failed is gone with the commit, and its alert is still owed.
    state.found_commit(1);
    assert!(state.fail(Step::Load, "a", "away", at(20)));
    state.found_commit(0);
    state.up_to_date(at(30));
    assert!(!state.is_settled() && kinds(&state, 330) == [DebtKind::Alert]);
    state.alert_failure(Step::Load);
    assert!(state.is_settled());
}

#[test]
fn check_results_without_a_commit_are_owed_until_they_are_recorded() {
    let mut state = PartitionState::default();
    state.compute(lease("a", 0));
    state.complete(completion("a", JobOutcome::Unchanged, 0, 10));
    assert_eq!(kinds(&state, 319), [], "the execution of the job records them");
    assert_eq!(kinds(&state, 320), [DebtKind::Load]);
    assert!(state.fail(Step::Load, "a", "away", at(300)), "a failure is news");
    assert_eq!(kinds(&state, 359), []);
    assert_eq!(kinds(&state, 360), [DebtKind::Load]);

    state.compute(lease("b", 360));
    state.complete(completion("b", JobOutcome::Unchanged, 0, 370));
    state.record_checks("a");
    assert!(!state.is_settled(), "the results of b are newer");
    state.record_checks("b");
    assert!(state.is_settled() && state.failures.is_empty());

    state.compute(lease("c", 400));
    state.complete(completion("c", JobOutcome::Unchanged, 0, 410));
    state.compute(lease("d", 500));
    state.complete(completion("d", JobOutcome::Committed, 1, 510));
    assert_eq!(state.unrecorded, None, "the results of a commit replace them");
    state.compute(lease("e", 520));
    state.complete(completion("e", JobOutcome::Unchanged, 1, 800));
    assert_eq!(kinds(&state, 820), [DebtKind::Load], "the load of the commit is not put off");
    state.record_checks("e");
    state.load(1);
    assert!(state.is_settled());
}

#[test]
fn a_published_commit_has_its_alert_once() {
    let mut state = PartitionState::default();
    let commit =
        Completion { alert: vec![check("acme")], ..completion("a", JobOutcome::Committed, 1, 10) };
    state.compute(lease("a", 0));
    state.complete(commit.clone());
    state.alert(1);
    // dispatch resumes the job after its load has failed, and the first answer is lost.
    state.resume(lease("a", 400));
    state.complete(commit.clone());
    state.complete(commit);
    assert!(state.unsent_alerts.is_empty());
}

#[test]
fn the_state_names_the_shops_that_the_last_computation_withheld() {
    let mut state = PartitionState::default();
    let withheld = Withheld { count: 1, shops: vec!["acme".to_owned()] };
    let completion = |job: &str, withheld: &Withheld| Completion {
        withheld: withheld.clone(),
        ..completion(job, JobOutcome::Committed, 1, 10)
    };
    state.compute(lease("a", 0));
    state.complete(completion("a", &withheld));
    state.resume(lease("a", 20));
    state.complete(completion("a", &Withheld::default()));
    assert_eq!(state.computed.as_ref().unwrap().withheld, withheld);

    state.compute(lease("b", 40));
    state.complete(completion("b", &Withheld::default()));
    assert_eq!(state.computed.unwrap().withheld, Withheld::default());
}

#[test]
fn a_state_of_another_release_is_read() {
    let json = r#"{"committed": 3, "added_later": {}}"#;
    let state: PartitionState = serde_json::from_str(json).unwrap();
    assert_eq!(state, PartitionState { committed: 3, ..PartitionState::default() });

    let json = r#"{"failures": {"load": {"attempts": 1, "retry_at": "2026-11-30T00:00:00Z",
        "error": "away", "alerted": true}}}"#;
    let state: PartitionState = serde_json::from_str(json).unwrap();
    assert!(state.is_settled() && state.failures[&Step::Load].alerted);
}

/// What happens to a partition.
#[derive(Clone, Debug)]
enum Event {
    /// A change arrives, and dispatch handles its message.
    Change { recompute: bool },
    /// Dispatch handles a message whose change was seen before.
    Message,
    /// The message of a change is delayed.
    Wait,
    /// A job ends.
    End { job: usize, outcome: JobOutcome },
    /// A job fails after all its retries.
    Fail { job: usize },
    /// The start of a job failed.
    GiveBack { job: usize },
    /// The newest commit is loaded, or its load fails.
    Load { fails: bool },
    /// The oldest alert is sent.
    Alert,
    /// Time passes.
    Sleep { seconds: i64 },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let outcome = prop::sample::select(vec![
        JobOutcome::Committed,
        JobOutcome::Unchanged,
        JobOutcome::Conflict,
    ]);
    let event = prop_oneof![
        4 => prop::bool::weighted(0.2).prop_map(|recompute| Event::Change { recompute }),
        2 => Just(Event::Message),
        1 => Just(Event::Wait),
        4 => (0..8_usize, outcome).prop_map(|(job, outcome)| Event::End { job, outcome }),
        1 => (0..8_usize).prop_map(|job| Event::Fail { job }),
        1 => (0..8_usize).prop_map(|job| Event::GiveBack { job }),
        2 => any::<bool>().prop_map(|fails| Event::Load { fails }),
        1 => Just(Event::Alert),
        3 => (0..700_i64).prop_map(|seconds| Event::Sleep { seconds }),
    ];
    prop::collection::vec(event, 1..80)
}

/// The partition, and what really happened to it.
#[derive(Default)]
struct World {
    state: PartitionState,
    now: i64,
    /// The times of all changes.
    changes: Vec<i64>,
    /// How many of them the jobs that ended have seen.
    seen: usize,
    /// How many jobs there were when the last backfill was asked for that no job has done.
    recompute: Option<usize>,
    /// The jobs that were started: how many changes each has seen.
    jobs: Vec<usize>,
    version: u64,
    loaded: u64,
    /// The commits whose alert was not sent: every second one has an alert.
    alerts: Vec<u64>,
}

impl World {
    /// Dispatch plans the partition, unless a job runs.
    fn plan(&mut self) {
        if self.state.running(at(self.now)).is_some() {
            self.state.note_dirty(at(self.now), false);
        } else if self.seen == self.changes.len() && self.recompute.is_none() {
            self.state.up_to_date(at(self.now));
        } else {
            self.state.compute(lease(&self.jobs.len().to_string(), self.now));
            self.jobs.push(self.changes.len());
        }
    }

    fn apply(&mut self, event: &Event) {
        self.state.expire(at(self.now));
        match *event {
            Event::Change { recompute } => {
                self.changes.push(self.now);
                if recompute {
                    self.recompute = Some(self.jobs.len());
                    self.state.note_dirty(at(self.now), true);
                }
                self.plan();
            }
            Event::Message => self.plan(),
            Event::Wait => {
                self.changes.push(self.now);
                self.state.wait(at(self.now), at(self.now + 20));
            }
            Event::End { job, outcome } => {
                let Some(seen) = self.jobs.get(job).copied() else { return };
                if outcome == JobOutcome::Committed {
                    self.version += 1;
                }
                let version = if outcome == JobOutcome::Conflict { 0 } else { self.version };
                let mut completion = completion(&job.to_string(), outcome, version, self.now);
                if outcome == JobOutcome::Committed && version.is_multiple_of(2) {
                    completion.alert = vec![check("acme")];
                    self.alerts.push(version);
                }
                self.state.complete(completion);
                if outcome != JobOutcome::Conflict {
                    self.seen = self.seen.max(seen);
                    self.recompute = self.recompute.filter(|asked| job < *asked);
                }
            }
            Event::Fail { job } => {
                self.state.fail(Step::Compute, &job.to_string(), "broken", at(self.now));
            }
            Event::GiveBack { job } => self.state.give_back(&job.to_string()),
            Event::Load { fails: true } => {
                self.state.fail(Step::Load, "any", "away", at(self.now));
            }
            Event::Load { fails: false } => {
                self.state.load(self.version);
                self.loaded = self.version;
                if let Some(job) = self.state.unrecorded.clone() {
                    self.state.record_checks(&job);
                }
            }
            Event::Alert => {
                for step in [Step::Compute, Step::Load] {
                    self.state.alert_failure(step);
                }
                if !self.alerts.is_empty() {
                    self.state.alert(self.alerts.remove(0));
                }
            }
            Event::Sleep { seconds } => self.now += seconds,
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let state = &self.state;
        if let Some(unseen) = self.changes.get(self.seen) {
            let since = state.dirty_since.into_iter().chain(state.lease.iter().map(|l| l.since));
            let since = since.min();
            prop_assert!(since.is_some_and(|since| since <= at(*unseen)), "{unseen}: {state:?}");
        }
        if self.recompute.is_some() {
            let leased = state.lease.as_ref().is_some_and(|lease| lease.recompute);
            prop_assert!(state.recompute || leased, "the backfill is forgotten: {state:?}");
        }
        let debts = state.owes(EVERY, at(self.now));
        prop_assert_eq!(debts.is_empty(), state.is_settled());
        if self.loaded < self.version {
            prop_assert!(debts.iter().any(|debt| debt.kind == DebtKind::Load), "{state:?}");
        }
        let unsent: Vec<_> = state.unsent_alerts.iter().map(|alert| alert.version).collect();
        prop_assert_eq!(&unsent, &self.alerts);
        for debt in debts {
            let wait = debt.due - at(self.now);
            prop_assert!(wait <= LAST_RETRY, "{debt:?} waits for {wait}");
        }
        Ok(())
    }
}

proptest! {
    /// Whatever happens in whatever order: a change that no ended job has seen, a backfill that no
    /// job has done, a commit that is not loaded and an alert that was not sent are owed, and due
    /// within the longest delay.
    #[test]
    fn nothing_owed_is_ever_forgotten(events in events()) {
        let mut world = World::default();
        for event in &events {
            world.apply(event);
            world.check()?;
        }
    }
}
