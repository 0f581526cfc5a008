//! The state of a partition and its transitions, without I/O.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shoplake_jobs::{CheckAlert, JobOutcome, Withheld};

/// How long the execution that made a commit may still load it and notify people: the limit of an
/// Express execution. Later another execution does what is owed.
pub const DELIVERY: TimeDelta = TimeDelta::seconds(310);

/// How long a message may take from its sending, or from the end of its delay, until dispatch has
/// handled it. Later the message counts as lost.
const MESSAGE: TimeDelta = TimeDelta::seconds(60);

/// The delay before the first retry of a failed step. It doubles with each failure.
const FIRST_RETRY: TimeDelta = TimeDelta::minutes(1);

/// The longest delay before a retry.
const LAST_RETRY: TimeDelta = TimeDelta::hours(6);

/// The most characters of an error that a state keeps for its alert.
const ERROR_LENGTH: usize = 2000;

/// What is known of a partition, and what is owed. The default is a partition of which nothing is
/// known: its commit in gold, if it has one, counts as neither published nor loaded.
///
/// All fields are optional in JSON, so that an older or newer release reads the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartitionState {
    /// The job that runs.
    pub lease: Option<Lease>,
    /// Since when changes wait for a job: those that arrived after the running job was planned, or
    /// all that arrived since the last one.
    pub dirty_since: Option<DateTime<Utc>>,
    /// Whether the next job computes the partition even if its inputs are the same: a backfill.
    pub recompute: bool,
    /// Until when a message about the partition waits on the queue. Further messages are dropped.
    pub waiting_until: Option<DateTime<Utc>>,
    /// When the inputs were listed that the partition was last computed from, or found up to date
    /// with. What was written before has been seen.
    pub planned_at: Option<DateTime<Utc>>,
    /// The last computation that ended.
    pub computed: Option<Computation>,
    /// The version in gold; 0 without gold.
    pub committed: u64,
    /// The highest version that was ever in gold. The next commit has a higher one, even if gold
    /// was deleted since: a late execution of a deleted commit cannot count as one of the next.
    pub highest: u64,
    /// The newest version whose dirtied partitions are published.
    pub published: u64,
    /// The newest version that the warehouse has: its rows, if the model has a table, and the
    /// results of its checks.
    pub loaded: u64,
    /// The newest version whose new rows people are notified of; the newest one in gold if the
    /// model has no alert.
    pub notified: u64,
    /// The job without a commit whose check results the warehouse lacks, by its id. Gold does not
    /// have them, so the next job computes them again.
    pub unrecorded: Option<String>,
    /// Until when the execution of the last commit, or of the job whose check results are
    /// unrecorded, may load it and notify people.
    pub delivery_until: Option<DateTime<Utc>>,
    /// The alerts about failed checks that were not sent yet, oldest first.
    pub unsent_alerts: Vec<UnsentAlert>,
    /// The failures of each step since it last succeeded.
    pub failures: BTreeMap<Step, Failure>,
    /// Whether the marker exists. Only [`write`](super::write) and [`settle`](super::settle)
    /// change it.
    pub marked: bool,
}

/// A job that runs. It ends its lease; the lease of a crashed job expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The job, by its id.
    pub job: String,
    /// When the lease expires: from then on another job may start.
    pub until: DateTime<Utc>,
    /// Since when the work of this job was owed.
    pub since: DateTime<Utc>,
    /// When its inputs were listed.
    pub planned_at: DateTime<Utc>,
    /// [`PartitionState::recompute`], to be restored if the job does not end.
    #[serde(default)]
    pub recompute: bool,
    /// Whether the job computes nothing: it publishes, loads and notifies the commit in gold.
    #[serde(default)]
    pub resumes: bool,
    /// The run slot of the job.
    #[serde(default)]
    pub slot: Option<u16>,
}

/// A computation that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Computation {
    /// The job, by its id.
    pub job: String,
    /// The digest of the inputs and definitions.
    pub inputs: String,
    /// The ETag of the gold object that the rows were compared with.
    pub gold: Option<String>,
    /// How it ended.
    pub outcome: JobOutcome,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// The shops that kept their previous rows, because a check of severity error fails for them.
    #[serde(default)]
    pub withheld: Withheld,
}

/// An alert about failed checks of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnsentAlert {
    /// The version of the commit.
    pub version: u64,
    /// The job that made it, by its id.
    pub job: String,
    /// The checks, and the shops for which they began to fail.
    pub checks: Vec<CheckAlert>,
    /// Until when the execution that made the commit may send it. Later the sweep does.
    pub due: DateTime<Utc>,
}

/// A step of the work on a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The job: to compute, to commit and to publish.
    Compute,
    /// To copy the commit to the warehouse, and to record the results of its checks.
    Load,
    /// To notify people of new rows.
    Notify,
}

/// The failures of a step in a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How many there were.
    pub attempts: u32,
    /// When the step may be tried again.
    pub retry_at: DateTime<Utc>,
    /// The last error.
    pub error: String,
    /// The job that failed last, by its id; empty if there was none to start.
    #[serde(default)]
    pub job: String,
    /// Whether an operator was alerted.
    pub alerted: bool,
    /// From when on the sweep sends the alert: the call of control that recorded the failure has
    /// ended without sending it. None if no alert is owed.
    #[serde(default)]
    pub alert_due: Option<DateTime<Utc>>,
}

/// The end of a job.
#[derive(Clone, Debug)]
pub struct Completion {
    /// The job, by its id.
    pub job: String,
    /// How it ended.
    pub outcome: JobOutcome,
    /// The digest of its inputs and definitions.
    pub inputs: String,
    /// The ETag of the gold object that it was planned on.
    pub gold: Option<String>,
    /// The version in gold after the job: its commit, or the commit that its rows were compared
    /// with; 0 if there is none or the job does not know. What it dirtied is published.
    pub version: u64,
    /// Whether the model has an alert.
    pub notifies: bool,
    /// The shops that kept their previous rows.
    pub withheld: Withheld,
    /// The failed checks of its commit to alert people to; empty if none is new.
    pub alert: Vec<CheckAlert>,
    /// When it ended.
    pub at: DateTime<Utc>,
}

/// Something that a partition owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debt {
    /// What.
    pub kind: DebtKind,
    /// From when on a message has to be sent. Before, a job, an execution or a message does it.
    pub due: DateTime<Utc>,
}

/// What a partition can owe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebtKind {
    /// Changes have not been computed.
    Compute,
    /// The partitions that the commit dirtied have not been published.
    Publish,
    /// The warehouse lacks the commit, or the results of its checks.
    Load,
    /// People have not been notified of the commit's new rows.
    Notify,
    /// An alert about failed checks or a failed step was not sent. The sweep sends it, and dispatch
    /// does not.
    Alert,
}

impl PartitionState {
    /// Returns the lease of a job that runs at `now`.
    pub fn running(&self, now: DateTime<Utc>) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.until > now)
    }

    /// Returns whether `job` holds the lease, expired or not.
    pub fn is_held_by(&self, job: &str) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.job == job)
    }

    /// Returns the run slot of `job`, if it holds the lease.
    pub fn slot_of(&self, job: &str) -> Option<u16> {
        self.lease.as_ref().filter(|lease| lease.job == job)?.slot
    }

    /// Returns whether nothing is owed, now or later.
    pub fn is_settled(&self) -> bool {
        self.lease.is_none()
            && self.dirty_since.is_none()
            && !self.recompute
            && self.unsent_alerts.is_empty()
            && self.failures.values().all(|failure| failure.alert_due.is_none())
            && self.unrecorded.is_none()
            && self.is_delivered()
    }

    /// Returns whether the commit in gold is published, loaded and notified.
    pub fn is_delivered(&self) -> bool {
        [self.published, self.loaded, self.notified].iter().min() >= Some(&self.committed)
    }

    /// Returns the earliest time of the next computation: `every` after the last one, and not
    /// before the retry of a failed one. A backfill waits for the latter only.
    pub fn ready_at(&self, every: TimeDelta) -> DateTime<Utc> {
        let computed = self.computed.as_ref().filter(|_| !self.recompute);
        let next = computed.map(|computed| computed.at + every);
        next.max(self.retry_at(Step::Compute)).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// Returns when a failed step may be tried again.
    pub fn retry_at(&self, step: Step) -> Option<DateTime<Utc>> {
        self.failures.get(&step).map(|failure| failure.retry_at)
    }

    /// Returns everything that the partition owes, for a model that is computed once per `every`.
    pub fn owes(&self, every: TimeDelta, now: DateTime<Utc>) -> Vec<Debt> {
        let delivered = |step| self.delivery_until.max(self.retry_at(step));
        let is_dirty = self.lease.is_some() || self.dirty_since.is_some() || self.recompute;
        let is_unloaded = self.loaded < self.committed || self.unrecorded.is_some();
        let lost = self.waiting_until.max(self.dirty_since).map(|sent_at| sent_at + MESSAGE);
        let debts = [
            (DebtKind::Compute, is_dirty, lost.max(Some(self.ready_at(every)))),
            (DebtKind::Publish, self.published < self.committed, self.retry_at(Step::Compute)),
            (DebtKind::Load, is_unloaded, delivered(Step::Load)),
            (DebtKind::Notify, self.notified < self.committed, delivered(Step::Notify)),
        ];
        let running = self.running(now).map(|lease| lease.until);
        let owed = debts.into_iter().filter(|(_, is_owed, _)| *is_owed);
        let owed = owed.map(|(kind, _, due)| {
            let due = due.max(running).unwrap_or(DateTime::<Utc>::MIN_UTC);
            Debt { kind, due }
        });
        let failed = self.failures.values().filter_map(|failure| failure.alert_due);
        let alert = self.unsent_alerts.iter().map(|alert| alert.due).chain(failed).min();
        owed.chain(alert.map(|due| Debt { kind: DebtKind::Alert, due })).collect()
    }

    /// Returns whether the last computation had these inputs, was compared with this gold object,
    /// and committed nothing. After a commit, gold itself has the digest of the inputs.
    pub fn has_computed(&self, inputs: &str, gold: Option<&str>) -> bool {
        self.computed.as_ref().is_some_and(|computed| {
            computed.inputs == inputs
                && computed.gold.as_deref() == gold
                && computed.outcome == JobOutcome::Unchanged
        })
    }

    /// Notes that changes have arrived; with `recompute`, that the next job computes the partition
    /// in any case.
    pub fn note_dirty(&mut self, now: DateTime<Utc>, recompute: bool) {
        self.dirty_since = self.dirty_since.or(Some(now));
        self.recompute |= recompute;
    }

    /// Notes that an operator asks for a computation in any case: it does not wait for the retry of
    /// one that failed before. If it fails as well, its own retry waits.
    pub fn ask(&mut self, now: DateTime<Utc>) {
        self.note_dirty(now, true);
        if let Some(failure) = self.failures.get_mut(&Step::Compute) {
            failure.retry_at = failure.retry_at.min(now);
        }
    }

    /// Notes that a message about the partition waits on the queue until `until`.
    pub fn wait(&mut self, now: DateTime<Utc>, until: DateTime<Utc>) {
        self.note_dirty(now, false);
        self.waiting_until = Some(until);
    }

    /// Notes the version that gold has; 0 without gold. A version that is new to the state is
    /// neither published nor loaded until a job says otherwise. What a deleted version owed is
    /// gone with it: the next commit is compared with nothing, so it dirties everything.
    pub fn found_commit(&mut self, version: u64) {
        self.committed = version;
        self.highest = self.highest.max(version);
        for done in [&mut self.published, &mut self.loaded, &mut self.notified] {
            *done = version.min(*done);
        }
    }

    /// Notes that the partition is up to date with the inputs that were listed at `planned_at`.
    pub fn up_to_date(&mut self, planned_at: DateTime<Utc>) {
        self.dirty_since = None;
        self.recompute = false;
        self.waiting_until = None;
        self.failures.remove(&Step::Compute);
        self.planned_at = self.planned_at.max(Some(planned_at));
    }

    /// Gives the lease to a job that computes the partition. Its `since` and `recompute` follow
    /// from the state.
    pub fn compute(&mut self, lease: Lease) {
        self.lease = Some(Lease {
            since: self.dirty_since.take().unwrap_or(lease.since),
            recompute: std::mem::take(&mut self.recompute),
            resumes: false,
            ..lease
        });
        self.waiting_until = None;
    }

    /// Gives the lease to a job that publishes, loads and notifies the commit in gold. Changes that
    /// wait for a computation still wait.
    pub fn resume(&mut self, lease: Lease) {
        self.lease = Some(Lease { recompute: false, resumes: true, ..lease });
    }

    /// Lets the lease of `job` expire at another time, and returns whether it holds one.
    pub fn extend(&mut self, job: &str, until: DateTime<Utc>) -> bool {
        let lease = self.lease.as_mut().filter(|lease| lease.job == job);
        lease.map(|lease| lease.until = until).is_some()
    }

    /// Gives the work of `job` back: the partition is dirty since it was owed. Does nothing if the
    /// job does not hold the lease.
    pub fn give_back(&mut self, job: &str) {
        let Some(lease) = self.lease.take_if(|lease| lease.job == job) else { return };
        let since = self.dirty_since.map_or(lease.since, |since| since.min(lease.since));
        self.dirty_since = Some(since);
        self.recompute |= lease.recompute;
    }

    /// Gives the work of a job back whose lease has expired, and counts it as a failure: its
    /// execution ended without a result.
    pub fn expire(&mut self, now: DateTime<Utc>) {
        let Some(lease) = self.lease.clone().filter(|lease| lease.until <= now) else { return };
        self.give_back(&lease.job);
        let error = format!("the execution of job {} ended without a result", lease.job);
        self.count_failure(Step::Compute, error, lease.until);
    }

    /// Records the end of a job, and returns whether the partition is dirty again.
    ///
    /// A job that has lost its lease records only its commit, and leaves the partition dirty: its
    /// inputs may be older than those of the job after it.
    pub fn complete(&mut self, completion: Completion) -> bool {
        let Completion {
            job,
            outcome,
            inputs,
            gold,
            version,
            notifies,
            withheld,
            alert: checks,
            at,
        } = completion;
        // Published and alerts are recorded together: a published commit has its alert in the
        // state, or the alert was sent.
        let is_published = self.published >= version;
        self.committed = self.committed.max(version);
        self.highest = self.highest.max(version);
        self.published = self.published.max(version);
        if !notifies {
            self.notified = self.notified.max(version);
        }
        // Jobs that commit nothing do not put off the load of an earlier commit.
        let is_loaded = self.loaded >= self.committed;
        if outcome == JobOutcome::Committed || (outcome == JobOutcome::Unchanged && is_loaded) {
            self.delivery_until = Some(at + DELIVERY);
        }
        if outcome == JobOutcome::Committed && !checks.is_empty() && !is_published {
            let alert = UnsentAlert { version, job: job.clone(), checks, due: at + DELIVERY };
            self.unsent_alerts.push(alert);
        }
        if outcome == JobOutcome::Conflict {
            self.give_back(&job);
            self.note_dirty(at, false);
        } else if let Some(lease) = self.lease.take_if(|lease| lease.job == job) {
            // The failure of a computation that a resumed commit did not wait for stays.
            if !lease.resumes || self.dirty_since.is_none() {
                self.failures.remove(&Step::Compute);
            }
            if !lease.resumes {
                self.unrecorded = (outcome == JobOutcome::Unchanged).then(|| job.clone());
                self.planned_at = self.planned_at.max(Some(lease.planned_at));
                self.computed = Some(Computation { job, inputs, gold, outcome, at, withheld });
            }
        } else if outcome == JobOutcome::Committed && !self.has_ended(&job) {
            // The job after it may have ended unchanged, compared with what this commit replaces.
            self.note_dirty(at, false);
        }
        self.dirty_since.is_some()
    }

    /// Returns whether the last computation that ended was this job.
    fn has_ended(&self, job: &str) -> bool {
        self.computed.as_ref().is_some_and(|computed| computed.job == job)
    }

    /// Records that the warehouse has the version and the results of its checks.
    pub fn load(&mut self, version: u64) {
        self.loaded = self.loaded.max(version);
        self.failures.remove(&Step::Load);
    }

    /// Records that the warehouse has the check results of a job without a commit.
    pub fn record_checks(&mut self, job: &str) {
        let recorded = self.unrecorded.take_if(|unrecorded| unrecorded == job);
        if recorded.is_some() && self.loaded >= self.committed {
            self.failures.remove(&Step::Load);
        }
    }

    /// Notes that an execution loads the version of gold again, which is owed until it is loaded.
    pub fn reload(&mut self, version: u64, now: DateTime<Utc>) {
        self.committed = self.committed.max(version);
        self.highest = self.highest.max(version);
        self.loaded = self.loaded.min(version.saturating_sub(1));
        self.delivery_until = Some(now + DELIVERY);
    }

    /// Records that people are notified of the version's new rows.
    pub fn notify(&mut self, version: u64) {
        self.notified = self.notified.max(version);
        self.failures.remove(&Step::Notify);
    }

    /// Records that the alert about failed checks of the version was sent.
    pub fn alert(&mut self, version: u64) {
        self.unsent_alerts.retain(|alert| alert.version != version);
    }

    /// Records that an operator was alerted to the failure of a step.
    pub fn alert_failure(&mut self, step: Step) {
        if let Some(failure) = self.failures.get_mut(&step) {
            (failure.alerted, failure.alert_due) = (true, None);
        }
    }

    /// Records that a step failed after all its retries. What it owed stays owed, and is due again
    /// after a delay. Returns whether an operator has to be alerted: once until the step succeeds.
    /// The alert is owed until [`alert_failure`](Self::alert_failure).
    ///
    /// Does nothing if another job has taken over, or if the step has succeeded in the meantime: a
    /// newer commit was loaded, or another execution has loaded this one.
    pub fn fail(&mut self, step: Step, job: &str, error: &str, at: DateTime<Utc>) -> bool {
        match step {
            Step::Compute if self.lease.is_some() && !self.is_held_by(job) => return false,
            Step::Compute => {
                self.give_back(job);
                self.note_dirty(at, false);
            }
            Step::Load if self.loaded >= self.committed && self.unrecorded.is_none() => {
                return false;
            }
            Step::Notify if self.notified >= self.committed => return false,
            // Each of the two branches of the execution reports its own failure.
            Step::Load | Step::Notify => {}
        }
        let failure = self.count_failure(step, error.to_owned(), at);
        job.clone_into(&mut failure.job);
        if !failure.alerted {
            failure.alert_due.get_or_insert(at + DELIVERY);
        }
        !failure.alerted
    }

    /// Records that the partition cannot be planned: it stays dirty, and the next plan waits.
    /// An alert is owed, which the sweep sends.
    pub fn fail_to_plan(&mut self, error: String, at: DateTime<Utc>) {
        self.note_dirty(at, false);
        let failure = self.count_failure(Step::Compute, error, at);
        failure.job.clear();
        if !failure.alerted {
            failure.alert_due.get_or_insert(at);
        }
    }

    fn count_failure(&mut self, step: Step, error: String, at: DateTime<Utc>) -> &mut Failure {
        let failure = self.failures.entry(step).or_insert_with(|| Failure {
            attempts: 0,
            retry_at: at,
            error: String::new(),
            job: String::new(),
            alerted: false,
            alert_due: None,
        });
        failure.attempts = failure.attempts.saturating_add(1);
        failure.error = error.chars().take(ERROR_LENGTH).collect();
        failure.retry_at = at + delay(failure.attempts);
        failure
    }
}

/// Returns the delay after so many failures in a row.
fn delay(attempts: u32) -> TimeDelta {
    let doubled = attempts.saturating_sub(1).min(16);
    (FIRST_RETRY * (1 << doubled)).min(LAST_RETRY)
}

#[cfg(test)]
mod tests;
