//! What holds at every step of a run, whatever has failed before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures::FutureExt;
use serde_json::Value;
use shoplake_jobs::{FailedCheck, Partition, PartitionDirty, metadata};
use shoplake_lake::keys::{self, LakeKey};
use shoplake_lake::state::{PartitionState, Step};
use shoplake_lake::{ETag, MemoryStore, Metadata, Store};

use super::definitions::{VISITS_BY_DAY, definitions};
use super::reached::BadState;
use super::workload::Workload;
use super::world::World;
use crate::rows::Row;
use crate::warehouse::{Commit, Key, Tables};

/// The hour of a limit of turns, for clocks that differ by 2 seconds.
const TURNS_WITHIN: TimeDelta = TimeDelta::seconds(3_598);

/// What a run knows of its steps so far.
pub(crate) struct Invariants {
    world: Arc<World>,
    objects: Arc<MemoryStore>,
    /// The amounts of the visits that may be in gold, by shop and day.
    amounts: BTreeMap<(String, NaiveDate), i64>,
    known: Mutex<Known>,
    /// Whether an invocation of control has failed: what it began may be finished a day later.
    has_control_failed: AtomicBool,
}

/// A model and a partition.
pub(crate) type Place = (String, Partition);

#[derive(Default)]
struct Known {
    /// The number of the next event.
    events: u64,
    gold: BTreeMap<String, Committed>,
    states: BTreeMap<Place, PartitionState>,
    loaded: BTreeMap<Key, Commit>,
    /// When the bus accepted a message last.
    accepted: BTreeMap<String, u64>,
    /// The jobs that run, and how many invocations run each.
    running: BTreeMap<String, usize>,
    /// The turns of the old days of each shop.
    turns: BTreeMap<String, BTreeSet<(DateTime<Utc>, String)>>,
    /// How often people had to be alerted to each step, and were.
    steps: BTreeMap<(Place, Step), StepCounts>,
}

/// The commits of a partition.
#[derive(Default)]
struct Committed {
    version: u64,
    rows: Vec<Row>,
    failed: Vec<FailedCheck>,
    object: Option<(ETag, Bytes)>,
    /// The object before.
    previous: Option<(ETag, Bytes)>,
    /// When each version was committed, and the messages about what it dirtied.
    versions: BTreeMap<u64, (u64, BTreeSet<String>)>,
}

/// An object that was written.
pub(crate) struct Written<'a> {
    pub(crate) key: &'a str,
    pub(crate) etag: &'a ETag,
    pub(crate) bytes: &'a Bytes,
    pub(crate) metadata: &'a Metadata,
}

/// What became of the failures of a step.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StepCounts {
    /// How often the state began to owe an alert.
    pub(crate) owed: usize,
    /// How often the state began to say that people were alerted.
    pub(crate) alerted: usize,
}

impl Invariants {
    pub(crate) fn new(world: &Arc<World>, objects: Arc<MemoryStore>) -> Arc<Self> {
        let mut amounts: BTreeMap<_, i64> = BTreeMap::new();
        let workload = Workload::draw(world.seed, world.start());
        for visit in workload.visits().filter(|visit| !visit.is_bad()) {
            *amounts.entry((visit.shop.to_owned(), visit.day())).or_default() |= visit.amount;
        }
        Arc::new(Self {
            world: world.clone(),
            objects,
            amounts,
            known: Mutex::default(),
            has_control_failed: AtomicBool::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks an object that was written, maybe in place of another one.
    pub(crate) fn written(&self, written: &Written<'_>, has_replaced: bool) {
        let Written { key, bytes, .. } = *written;
        let known = &mut *self.known();
        known.events += 1;
        if let Some(LakeKey::Gold { model, partition }) = keys::parse(key) {
            self.committed(known, written, model, partition);
        } else if let Some((model, partition)) = parse_state(key) {
            match serde_json::from_slice(bytes) {
                Ok(state) => self.changed(known, (model.to_owned(), partition), state),
                Err(error) => self.world.violate(format!("{key}: {error}")),
            }
        } else if let Some(number) = keys::run_number(key) {
            let slots = self.world.profile.max_runs;
            self.world.check(number < slots, || format!("{key}: there are {slots} run slots"));
            if has_replaced {
                self.world.reach(BadState::SlotTakenOver);
            }
        } else if let Some(shop) = key.strip_prefix(keys::OLD_DAYS) {
            match serde_json::from_slice(bytes) {
                Ok(turns) => self.took(known, shop, turns),
                Err(error) => self.world.violate(format!("{key}: {error}")),
            }
        } else if let Some((model, partition)) = keys::parse_owed(key) {
            let state = known.states.get(&(model.to_owned(), partition));
            if !has_replaced && state.is_some_and(|state| state.marked) {
                self.world.reach(BadState::MarkerRaced);
            }
        }
    }

    /// Checks a commit: it is new, it loses nothing, and all of its rows follow from visits.
    fn committed(
        &self,
        known: &mut Known,
        written: &Written<'_>,
        model: &str,
        partition: Partition,
    ) {
        let world = &self.world;
        let Written { key, etag, bytes, metadata } = *written;
        let version = metadata.get(metadata::VERSION).and_then(|version| version.parse().ok());
        let version: u64 = version.unwrap_or_default();
        let gold = match world.decoded.gold(etag, bytes) {
            Ok(gold) => gold,
            Err(error) => return world.violate(format!("{key}: {error}")),
        };
        let (mut rows, failed_checks) = (gold.rows.clone(), gold.failed_checks.clone());
        // Another order of rows is no change.
        rows.sort_by_cached_key(|row| row["shop_id"].to_string());
        let before = known.gold.entry(key.to_owned()).or_default();
        world.check(version > before.version, || {
            format!("{key}: version {version} follows version {}", before.version)
        });
        let is_same = rows == before.rows && failures(&failed_checks) == failures(&before.failed);
        world.check(before.version == 0 || !is_same, || {
            format!("{key}: version {version} changes nothing")
        });
        for row in &before.rows {
            let shop = &row["shop_id"];
            let now = rows.iter().find(|now| now["shop_id"] == *shop);
            let count = |row: &Row| ["visits", "sales"].map(|column| integer(row, column));
            world.check(now.is_some_and(|now| count(now) >= count(row)), || {
                format!("{key}: version {version} loses rows of {shop}")
            });
        }
        for row in rows.iter().filter(|_| model == VISITS_BY_DAY) {
            let shop = row["shop_id"].as_str().unwrap_or_default().to_owned();
            let day = partition.day().unwrap_or_default();
            let possible = self.amounts.get(&(shop, day)).copied().unwrap_or_default();
            let amounts = integer(row, "amounts");
            let visits = i64::from(amounts.count_ones());
            let is_right = amounts & !possible == 0
                && ["visits", "codes"].iter().all(|column| integer(row, column) == visits)
                && integer(row, "hostile") == 0;
            world.check(is_right, || format!("{key}: {row:?} does not follow from visits"));
        }
        let messages = gold.messages.iter().cloned().collect();
        before.versions.insert(version, (known.events, messages));
        before.previous = before.object.replace((etag.clone(), bytes.clone()));
        (before.version, before.rows, before.failed) = (version, rows, failed_checks);
    }

    /// Checks the turns of a shop: an hour has at most its limit.
    fn took(&self, known: &mut Known, shop: &str, turns: BTreeMap<String, DateTime<Utc>>) {
        let limit = self.world.profile.old_days_per_hour.map_or(0, |limit| limit.get().into());
        let all = known.turns.entry(shop.to_owned()).or_default();
        all.extend(turns.into_iter().map(|(day, at)| (at, day)));
        let later = all.iter().skip(limit);
        let is_right = all.iter().zip(later).all(|(one, later)| later.0 - one.0 >= TURNS_WITHIN);
        self.world
            .check(is_right, || format!("{shop}: more than {limit} turns in an hour: {all:?}"));
    }

    /// Checks a state: no version goes back, and none counts as published or loaded that is not.
    fn changed(&self, known: &mut Known, place: Place, state: PartitionState) {
        let world = &self.world;
        let old = known.states.get(&place).cloned().unwrap_or_default();
        let versions = |state: &PartitionState| {
            let PartitionState { committed, highest, published, loaded, notified, .. } = state;
            [*committed, *highest, *published, *loaded, *notified]
        };
        let pairs = versions(&old).into_iter().zip(versions(&state));
        world.check(pairs.into_iter().all(|(old, new)| old <= new), || {
            format!(
                "{place:?}: versions went back from {:?} to {:?}",
                versions(&old),
                versions(&state)
            )
        });
        world.check(versions(&state)[2..].iter().all(|done| *done <= state.committed), || {
            format!("{place:?}: more is done than committed: {:?}", versions(&state))
        });
        let model = definitions().1.get(&place.0);
        if state.loaded > old.loaded && model.is_some_and(|model| model.warehouse.is_some()) {
            let loaded = known.loaded.get(&(place.0.clone(), place.1.to_string()));
            let version = loaded.map_or(0, |(_, version)| *version);
            world.check(state.loaded <= version, || {
                format!("{place:?}: loaded is {}, the warehouse has {version}", state.loaded)
            });
        }
        let gold = model.and_then(|model| known.gold.get(&model.output_key(place.1)));
        let gold = gold.filter(|_| state.published > old.published);
        let new = gold.map(|gold| gold.versions.range(old.published + 1..=state.published));
        for (version, (committed, messages)) in new.into_iter().flatten() {
            let is_sent = |message: &String| known.accepted.get(message) > Some(committed);
            world.check(messages.iter().all(is_sent), || {
                format!("{place:?}: version {version} counts as published and is not")
            });
        }
        self.reach(&place, &old, &state);
        for (step, failure) in &state.failures {
            let before = old.failures.get(step);
            let was_owed = before.is_some_and(|failure| failure.alert_due.is_some());
            let was_alerted = before.is_some_and(|failure| failure.alerted);
            let is_owed = failure.alert_due.is_some();
            world.check(!was_owed || is_owed || failure.alerted, || {
                format!("{place:?}: the alert about {step:?} is forgotten")
            });
            let counts = known.steps.entry((place.clone(), *step)).or_default();
            counts.owed += usize::from(is_owed && !was_owed);
            counts.alerted += usize::from(failure.alerted && !was_alerted);
        }
        known.states.insert(place, state);
    }

    /// Counts the bad states that a change of a state shows.
    fn reach(&self, place: &Place, old: &PartitionState, new: &PartitionState) {
        let world = &self.world;
        let has_lease = new.lease.is_some() && new.lease != old.lease;
        let has_expired = old.lease.as_ref().is_some_and(|lease| lease.until <= world.now());
        if has_lease && has_expired {
            world.reach(BadState::LeaseTakenOver);
        }
        if has_lease && new.lease.as_ref().is_some_and(|lease| lease.resumes) {
            world.reach(BadState::CommitResumed);
            if new.published < new.committed {
                world.reach(BadState::LostAfterCommit);
            } else if new.loaded < new.committed && !new.failures.contains_key(&Step::Load) {
                world.reach(BadState::LostBeforeLoad);
            }
        }
        if new.committed > old.committed && new.published == new.committed && new.lease == old.lease
        {
            world.trace(format_args!("{place:?} has a commit without a lease"));
            world.reach(BadState::LeaseLost);
        }
        if old.failures.keys().any(|step| !new.failures.contains_key(step)) {
            world.reach(BadState::StepRecovered);
        }
    }

    /// Checks a message about what a commit dirtied, before it is published: it has committed.
    pub(crate) fn published(&self, dirty: &PartitionDirty) {
        let Some((model, partition)) = dirty.reason.split_once(" changed ") else { return };
        let model = definitions().1.get(model);
        let key = model.zip(partition.parse().ok()).map(|(model, day)| model.output_key(day));
        let message = dirty.event().to_string();
        let known = self.known();
        let gold = key.and_then(|key| known.gold.get(&key));
        let is_committed = gold.is_some_and(|gold| {
            gold.versions.values().any(|(_, messages)| messages.contains(&message))
        });
        drop(known);
        self.world.check(is_committed, || format!("published before it was committed: {message}"));
    }

    /// Notes a message that the bus has accepted.
    pub(crate) fn accepted(&self, message: &str) {
        let known = &mut *self.known();
        known.events += 1;
        known.accepted.insert(message.to_owned(), known.events);
    }

    /// Notes that a job runs until the returned value is dropped, and checks that no more jobs run
    /// than there are run slots. A job that has lost its lease has no slot either.
    pub(crate) fn job_runs(self: &Arc<Self>, key: &str) -> RunningJob {
        let known = &mut *self.known();
        *known.running.entry(key.to_owned()).or_default() += 1;
        let now = self.world.now();
        let holds = |key: &&String| {
            let Some((model, partition, job)) = keys::parse_job(key) else { return false };
            let state = known.states.get(&(model.to_owned(), partition));
            let lease = state.and_then(|state| state.running(now));
            lease.is_some_and(|lease| lease.job == job)
        };
        let running = known.running.keys().filter(holds).count();
        let slots = usize::from(self.world.profile.max_runs);
        self.world.check(running <= slots, || format!("{running} jobs run in {slots} slots"));
        RunningJob { invariants: self.clone(), key: key.to_owned() }
    }

    /// Checks a transaction of the warehouse: no commit replaces a newer one.
    pub(crate) fn transaction(&self, before: &BTreeMap<Key, Commit>, tables: &Tables) {
        let commits = tables.commits();
        for (place, old) in before {
            let new = commits.get(place);
            self.world.check(new >= Some(old), || {
                format!("{place:?}: the warehouse went back from {old:?} to {new:?}")
            });
        }
        self.known().loaded = commits;
    }

    /// Returns the object of gold that was there before the current one.
    pub(crate) fn previous(&self, key: &str) -> Option<(ETag, Bytes)> {
        self.known().gold.get(key)?.previous.clone()
    }

    /// Returns the version that a partition owes to a load or a notification.
    pub(crate) fn owed(&self, job: &str, step: Step) -> Option<u64> {
        let (model, partition, _) = keys::parse_job(job)?;
        let known = self.known();
        let state = known.states.get(&(model.to_owned(), partition))?;
        let done = match step {
            Step::Compute => return None,
            Step::Load => state.loaded,
            Step::Notify => state.notified,
        };
        (done < state.committed).then_some(state.committed)
    }

    /// Checks that the state knows of a failure, which a state machine has recorded. `owed` is what
    /// the partition owed when the step had failed.
    pub(crate) fn step_failed(&self, job: &str, step: Step, owed: Option<u64>) {
        let is_owed = owed.is_some() && self.owed(job, step) == owed;
        let place = keys::parse_job(job).map(|(model, day, _)| (model.to_owned(), day));
        let counts = place.and_then(|place| self.known().steps.get(&(place, step)).copied());
        let is_recorded = counts.is_some_and(|counts| counts.owed > 0);
        self.world.check(is_recorded || !is_owed, || {
            format!("{job}: the failure of {step:?} was not recorded")
        });
    }

    /// Returns how often people had to be alerted to each step, and were.
    pub(crate) fn steps(&self) -> BTreeMap<(Place, Step), StepCounts> {
        self.known().steps.clone()
    }

    /// Notes that an invocation of control failed.
    pub(crate) fn control_failed(&self) {
        self.has_control_failed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_control_failed(&self) -> bool {
        self.has_control_failed.load(Ordering::Relaxed)
    }

    /// Returns what each partition owes, and whether it has a marker.
    pub(crate) fn owing(&self) -> Vec<String> {
        let owes = |(place, state): (&Place, &PartitionState)| {
            let has_marker = || self.has_object(&keys::owed(&place.0, place.1));
            (!state.is_settled())
                .then(|| format!("{place:?} (marker: {}): {state:?}", has_marker()))
        };
        self.known().states.iter().filter_map(owes).collect()
    }

    fn has_object(&self, key: &str) -> bool {
        let object = self.objects.head(key).now_or_never();
        matches!(object, Some(Ok(Some(_))))
    }

    /// Returns the last state of every partition.
    pub(crate) fn states(&self) -> BTreeMap<Place, PartitionState> {
        self.known().states.clone()
    }
}

/// A job that runs.
pub(crate) struct RunningJob {
    invariants: Arc<Invariants>,
    key: String,
}

impl Drop for RunningJob {
    fn drop(&mut self) {
        let known = &mut *self.invariants.known();
        if let Some(invocations) = known.running.get_mut(&self.key) {
            *invocations -= 1;
            if *invocations == 0 {
                known.running.remove(&self.key);
            }
        }
    }
}

fn parse_state(key: &str) -> Option<(&str, Partition)> {
    let (model, partition) = key.strip_prefix(keys::PARTITION_STATES)?.split_once('/')?;
    Some((model, partition.strip_suffix(".json")?.parse().ok()?))
}

/// Returns the shops that fail each check.
fn failures(failed: &[FailedCheck]) -> BTreeMap<&str, &[String]> {
    failed.iter().map(|failed| (failed.name.as_str(), &failed.shops[..])).collect()
}

fn integer(row: &Row, column: &str) -> i64 {
    row.get(column).and_then(Value::as_i64).unwrap_or_default()
}
