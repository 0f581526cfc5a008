//! The sweep: sends what partitions owe, and finds what their states do not know.
//!
//! A message may be lost, an execution may be killed, the warehouse may be away. What is owed then
//! is in the states of the partitions, and the next sweep sends it.

mod bronze;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use shoplake_aws::{DirtyQueue, Executions, Topic};
use shoplake_contracts::Contracts;
use shoplake_index::{IndexedInput, IndexedModel, ModelIndex};
use shoplake_jobs::{Hour, Partition, PartitionDirty, PartitionKind};
use shoplake_lake::keys::{self, FolderRange};
use shoplake_lake::state::{self, DebtKind, PartitionState, Stored};
use shoplake_lake::{Condition, Metadata, PutError, Store, StoreError};
use shoplake_platform::failure::Failure;

use self::bronze::{Attempts, Conformed};
use crate::alerts::{self, Alert};
use crate::failure::Failures;
use crate::response::Swept;

/// The most messages and alerts of a sweep. The rest is sent by the next ones: a message that waits
/// on the queue says nothing that the state does not say. Half of the messages are about the newest
/// partitions, the others about those that are due for longest: a failure that repeats for many
/// partitions keeps nothing else back.
const MAX_SENT: usize = 200;

/// The days that every sweep compares: tomorrow, as events may be a day ahead of the clock here,
/// today and yesterday.
const NEWEST_DAYS: u64 = 3;

/// The most other days of a sweep.
const OTHER_DAYS: usize = 10;

/// The time from one comparison of all days to the next.
const FULL_COMPARISON: TimeDelta = TimeDelta::hours(24);

/// The age of an object from which its message counts as lost.
const LOST: TimeDelta = TimeDelta::minutes(2);

/// How far the clocks of S3 and of the functions may differ.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::seconds(2);

/// S3 has times in whole seconds, without the fraction.
const PRECISION: TimeDelta = TimeDelta::seconds(1);

/// How long a partition owes nothing before its marker is deleted. A busy partition keeps it.
const QUIET: TimeDelta = TimeDelta::minutes(10);

/// The number of requests to the lake at the same time.
const CONCURRENCY: usize = 16;

/// The definitions and services of a sweep.
pub struct Sweep<'a> {
    /// The models.
    pub models: &'a ModelIndex,
    /// The contracts, which name the batch sources.
    pub contracts: &'a Contracts,
    /// The lake.
    pub lake: &'a dyn Store,
    /// The bucket of the lake.
    pub bucket: &'a str,
    /// The queue of dirty partitions.
    pub queue: &'a dyn DirtyQueue,
    /// The state machines.
    pub executions: &'a dyn Executions,
    /// The topic of alerts.
    pub topic: &'a dyn Topic,
    /// The time.
    pub now: DateTime<Utc>,
}

/// What the markers show.
#[derive(Default)]
struct Owed {
    /// The messages that are due, newest partitions first, each with the time since when it is.
    messages: Vec<(DateTime<Utc>, PartitionDirty)>,
    /// The alerts that are due.
    alerts: Vec<(String, Partition, Alert)>,
    owed: usize,
    settled: usize,
}

/// The partitions that are compared together: those of a day, or all buckets (none).
type Slice = Option<NaiveDate>;

/// What a sweep leaves to the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// When the comparison of all days began.
    began_at: DateTime<Utc>,
    /// The last day that was compared; none after the last day of all.
    day: Option<NaiveDate>,
    /// What could not be compared. The next sweep compares it again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    failed: BTreeSet<Slice>,
    /// The bronze objects that were not conformed, by key.
    #[serde(default)]
    unconformed: BTreeMap<String, Attempts>,
}

/// What the comparisons of a sweep found: see [`Swept`].
#[derive(Default)]
struct Compared {
    compared_days: usize,
    found: usize,
    conformed: Conformed,
}

/// When objects of a partition were written.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// The newest object of its inputs, reference tables included.
    inputs: Option<DateTime<Utc>>,
    /// Whether the partition has an object of its own in its inputs: otherwise it is empty.
    has_own: bool,
    /// Its gold object.
    gold: Option<DateTime<Utc>>,
}

/// A model's name and a partition.
type Key<'a> = (&'a str, Partition);

impl<'a> Sweep<'a> {
    /// Compares the states of partitions with silver, gold and reference tables, sends a message
    /// for each partition that owes something that is due, and deletes the markers of those that
    /// owe nothing. Sends alerts that are due, conforms bronze objects that were not conformed, and
    /// alerts the operator to those for which several attempts have failed.
    ///
    /// What fails keeps nothing else back.
    ///
    /// # Errors
    /// At the end, if something failed. The failure names each partition, day and object, and
    /// another sweep does the rest.
    pub async fn run(&self) -> Result<Swept, Failure> {
        let mut failures = Failures::default();
        let Compared { compared_days, found, conformed } = self.compare_all(&mut failures).await;
        let Owed { messages, alerts, owed, settled } = self.owed(&mut failures).await;
        let messages = chosen(messages);
        let mut sent = messages.len();
        if let Err(error) = self.queue.send(&messages).await {
            failures.add("the dirty queue", Failure::retryable(error));
            sent = 0;
        }
        let alerts = self.send_alerts(&alerts).await;
        let Conformed { unconformed, conforming, reported } = conformed;
        let swept = Swept {
            compared_days,
            found,
            owed,
            sent,
            settled,
            alerts,
            unconformed,
            conforming,
            reported,
        };
        tracing::info!(?swept, "sweep");
        failures.or(swept)
    }

    /// Compares states with silver and gold, and bronze objects with receipts.
    async fn compare_all(&self, failures: &mut Failures) -> Compared {
        let mut progress = match self.progress().await {
            Ok(progress) => progress,
            Err(error) => {
                failures.add(keys::SWEEP, Failure::retryable(error));
                return Compared::default();
            }
        };
        let (compared_days, found) = self.compare(&mut progress, failures).await;
        let conformed = self.conform(&mut progress.unconformed, failures).await;
        if let Err(error) = self.save(&progress).await {
            failures.add(keys::SWEEP, Failure::retryable(error));
        }
        Compared { compared_days, found, conformed }
    }

    /// Makes partitions dirty whose state does not know what silver and gold have. Returns the
    /// number of days that it compared, and of partitions that it found.
    async fn compare(&self, progress: &mut Progress, failures: &mut Failures) -> (usize, usize) {
        let tomorrow = self.now.date_naive() + Days::new(1);
        let newest = tomorrow.iter_days().rev().take(NEWEST_DAYS as usize);
        let mut slices = std::mem::take(&mut progress.failed);
        slices.extend(newest.map(Some));
        if let Err(error) = self.next_slices(&mut slices, progress).await {
            failures.add("the next days of all", Failure::retryable(error));
        }

        let mut found = Failures::default();
        let (slices, count) = (&slices, slices.iter().flatten().count());
        let written = self.written(slices, &mut progress.failed, &mut found).await;
        let mut known: BTreeMap<&str, BTreeSet<Partition>> = BTreeMap::new();
        for model in &self.models.models {
            match self.states(&model.name).await {
                Ok(states) => drop(known.insert(&model.name, states)),
                Err(error) => {
                    found.add(keys::partition_states(&model.name), Failure::retryable(error));
                    progress.failed.extend(slices);
                }
            }
        }
        // Without the markers none is written again, and the next comparison finds those missing.
        let markers = match self.markers().await {
            Ok(markers) => Some(markers),
            Err(error) => {
                found.add(keys::OWED, Failure::retryable(error));
                progress.failed.extend(slices);
                None
            }
        };
        let (known, markers) = (&known, &markers);
        let mut checks = stream::iter(written)
            .map(|((model, partition), written)| async move {
                let may_have_rows = written.has_own || written.gold.is_some();
                let is_found = match known.get(model) {
                    Some(known) if known.contains(&partition) || may_have_rows => {
                        let place = (model.to_owned(), partition);
                        let is_marked = markers.as_ref().is_none_or(|all| all.contains(&place));
                        self.check((model, partition), written, is_marked).await
                    }
                    // Without a list of the model's states its days are compared again.
                    _ => Ok(false),
                };
                (model, partition, is_found)
            })
            .buffer_unordered(CONCURRENCY);
        let mut unknown = 0;
        while let Some((model, partition, is_found)) = checks.next().await {
            match is_found {
                Ok(is_found) => {
                    unknown += usize::from(is_found);
                    found.succeeded();
                }
                Err(error) => {
                    found.add(format!("{model} {partition}"), Failure::retryable(error));
                    progress.failed.extend(self.read_by(model, partition, slices));
                }
            }
            if found.show_an_outage() {
                progress.failed.extend(slices);
                break;
            }
        }
        failures.append(found);
        (count, unknown)
    }

    /// Returns those of the slices whose objects a partition is compared with.
    fn read_by<'d>(
        &self,
        model: &str,
        partition: Partition,
        slices: &'d BTreeSet<Slice>,
    ) -> impl Iterator<Item = &'d Slice> {
        let model = self.models.get(model);
        slices.iter().filter(move |slice| {
            let is_read = |model: &IndexedModel, input: &IndexedInput| {
                let changed = partitions(input.kind, **slice).into_iter();
                changed
                    .flat_map(|changed| model.dirtied_by(input, changed))
                    .any(|dirtied| dirtied == partition)
            };
            **slice == partition.day()
                || model.is_some_and(|model| model.inputs.iter().any(|input| is_read(model, input)))
        })
    }

    /// Returns what the last sweep left.
    async fn progress(&self) -> Result<Progress, StoreError> {
        let object = self.lake.get(keys::SWEEP).await?;
        let progress = object.and_then(|object| serde_json::from_slice(&object.bytes).ok());
        Ok(progress.unwrap_or_else(|| Progress {
            began_at: self.now,
            day: Some(NaiveDate::MIN),
            failed: BTreeSet::new(),
            unconformed: BTreeMap::new(),
        }))
    }

    /// Adds the next slices of the comparison of all.
    async fn next_slices(
        &self,
        slices: &mut BTreeSet<Slice>,
        progress: &mut Progress,
    ) -> Result<(), StoreError> {
        if progress.day.is_none() {
            if self.now - progress.began_at < FULL_COMPARISON {
                return Ok(());
            }
            (progress.began_at, progress.day) = (self.now, Some(NaiveDate::MIN));
        }
        if progress.day == Some(NaiveDate::MIN) {
            slices.insert(None);
        }
        for _ in 0..OTHER_DAYS {
            let Some(day) = progress.day else { break };
            progress.day = self.day_after(day).await?;
            slices.extend(progress.day.map(Some));
        }
        Ok(())
    }

    async fn save(&self, progress: &Progress) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(progress).expect("times and counts are always JSON");
        let put = self.lake.put(keys::SWEEP, bytes.into(), Metadata::new(), Condition::Always);
        match put.await {
            Ok(_) | Err(PutError::Conflict { .. }) => Ok(()),
            Err(PutError::Store(error)) => Err(error),
        }
    }

    /// Returns the first day after `day` that has objects in silver or gold.
    async fn day_after(&self, day: NaiveDate) -> Result<Option<NaiveDate>, StoreError> {
        let by_time = self.tables().into_iter().filter_map(|(table, kind)| {
            let of_day = partitions(kind, Some(day));
            Some(self.folders(&table, *of_day.first()?, *of_day.last()?).prefix)
        });
        let days = by_time.map(|prefix| async move {
            // A tilde follows the slash that ends the folder of a day, and the T of its hours.
            let after =
                if day == NaiveDate::MIN { prefix.clone() } else { format!("{prefix}{day}~") };
            let entry = self.lake.next(&prefix, &after).await?;
            Ok::<_, StoreError>(entry.and_then(|entry| day_of(&prefix, &entry.key)))
        });
        let found: Vec<_> = stream::iter(days).buffer_unordered(CONCURRENCY).try_collect().await?;
        Ok(found.into_iter().flatten().min())
    }

    /// Returns the kind of each dataset and model, by its name in models.
    fn tables(&self) -> BTreeMap<String, PartitionKind> {
        let models = self.models.models.iter();
        let gold = models.clone().map(|model| (format!("gold.{}", model.name), model.kind));
        let inputs = models.flat_map(|model| &model.inputs);
        gold.chain(inputs.map(|input| (input.name.clone(), input.kind))).collect()
    }

    /// Returns the folders of a dataset or a model from one partition to another.
    fn folders(&self, table: &str, first: Partition, last: Partition) -> FolderRange {
        let (layer, name) = table.split_once('.').unwrap_or_default();
        match self.models.get(name).filter(|_| layer == "gold") {
            Some(model) => keys::gold_folders(name, &model.partition, first, last),
            None => keys::silver_folders(name, first, last),
        }
    }

    /// Returns when the objects of these slices, and the reference tables, were written that
    /// partitions are computed from, by partition. Adds the slices of which a request fails to
    /// `failed`.
    async fn written(
        &self,
        slices: &BTreeSet<Slice>,
        failed: &mut BTreeSet<Slice>,
        failures: &mut Failures,
    ) -> BTreeMap<Key<'a>, Written> {
        let listings = self.tables().into_iter().flat_map(|(table, kind)| {
            let of_slices = slices.iter().flat_map(move |slice| partitions(kind, *slice));
            of_slices.map(move |partition| (table.clone(), partition))
        });
        let mut edited: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for table in self.models.references.keys() {
            match self.lake.head(&keys::reference(table)).await {
                Ok(head) => edited.extend(head.map(|head| (table.as_str(), head.last_modified))),
                Err(error) => {
                    failures.add(keys::reference(table), Failure::retryable(error));
                    failed.extend(slices);
                }
            }
        }
        let mut listed = stream::iter(listings)
            .map(|(table, partition)| async move {
                let FolderRange { prefix, first, last } =
                    self.folders(&table, partition, partition);
                let newest = self.lake.newest(&prefix, &first, &last).await;
                (table, partition, newest)
            })
            .buffer_unordered(CONCURRENCY);
        let mut newest: BTreeMap<String, Vec<(Partition, DateTime<Utc>)>> = BTreeMap::new();
        while let Some((table, partition, found)) = listed.next().await {
            match found {
                Ok(found) => {
                    let found = found.map(|found| (partition, found));
                    newest.entry(table).or_default().extend(found);
                    failures.succeeded();
                }
                Err(error) => {
                    failures.add(format!("{table} {partition}"), Failure::retryable(error));
                    failed.insert(partition.day());
                }
            }
            if failures.show_an_outage() {
                failed.extend(slices);
                return BTreeMap::new();
            }
        }

        let newest = |table: &str| newest.get(table).into_iter().flatten().copied();
        let mut written: BTreeMap<Key<'a>, Written> = BTreeMap::new();
        for model in &self.models.models {
            for input in &model.inputs {
                let is_first = model.first.contains(&input.name);
                let own = input.correspondence.own();
                for (changed, at) in newest(&input.name) {
                    let own = own.dirtied_by(changed, input.kind, model.kind);
                    for partition in model.dirtied_by(input, changed) {
                        let written = written.entry((model.name.as_str(), partition)).or_default();
                        written.inputs = written.inputs.max(Some(at));
                        written.has_own |= is_first && own.contains(&partition);
                    }
                }
            }
            for (partition, at) in newest(&format!("gold.{}", model.name)) {
                written.entry((model.name.as_str(), partition)).or_default().gold = Some(at);
            }
        }
        // Every partition reads all rows of a reference table.
        for ((model, _), written) in &mut written {
            let references = self.models.get(model).map_or(&[][..], |model| &model.references);
            let edits = references.iter().filter_map(|table| edited.get(table.as_str()).copied());
            written.inputs = edits.max().max(written.inputs);
        }
        written
    }

    /// Returns the partitions of a model that have a state.
    async fn states(&self, model: &str) -> Result<BTreeSet<Partition>, StoreError> {
        let folder = keys::partition_states(model);
        let partition =
            |key: &str| key.strip_prefix(&folder)?.strip_suffix(".json")?.parse::<Partition>().ok();
        let entries = self.lake.list(&folder).await?;
        Ok(entries.iter().filter_map(|entry| partition(&entry.key)).collect())
    }

    async fn markers(&self) -> Result<BTreeSet<(String, Partition)>, StoreError> {
        let entries = self.lake.list(keys::OWED).await?;
        let marker = |key: &str| {
            keys::parse_owed(key).map(|(model, partition)| (model.to_owned(), partition))
        };
        Ok(entries.iter().filter_map(|entry| marker(&entry.key)).collect())
    }

    /// Makes a partition dirty if its state does not know what was written, and writes its marker
    /// if that is missing. Returns whether one of them was needed.
    async fn check(
        &self,
        (model, partition): Key<'a>,
        written: Written,
        is_marked: bool,
    ) -> Result<bool, StoreError> {
        let stored = state::read(self.lake, model, partition).await?;
        if self.is_unknown(&stored, written) {
            tracing::warn!(model, %partition, ?written, "its state does not know its objects");
            // The message was sent when the object was written, so this sweep sends another one.
            let written_at = written.inputs.max(written.gold).unwrap_or(self.now);
            let note = |state: &mut PartitionState| state.note_dirty(written_at, false);
            state::update(self.lake, model, partition, note).await?;
            return Ok(true);
        }
        if stored.state.is_settled() || is_marked {
            return Ok(false);
        }
        tracing::warn!(model, %partition, "its marker was missing");
        state::mark(self.lake, model, partition).await?;
        Ok(true)
    }

    /// Returns whether inputs were written after the last plan, or gold after the last change of
    /// the state, and no message about them is on its way.
    fn is_unknown(&self, stored: &Stored, written: Written) -> bool {
        let state = &stored.state;
        if state.dirty_since.is_some() {
            return false;
        }
        let running = state.running(self.now).filter(|lease| !lease.resumes);
        let planned_at = state.planned_at.max(running.map(|lease| lease.planned_at));
        // The plan has the time of the function that made it. An object with a slightly earlier
        // time may have been written after the plan.
        let is_unseen = written.inputs.is_some_and(|at| {
            let is_lost = self.now - at >= LOST;
            let written_by = at + PRECISION + CLOCK_DIFFERENCE;
            is_lost && planned_at.is_none_or(|planned| written_by > planned)
        });
        let is_new = written.gold.is_some_and(|at| {
            let is_lost = self.now - at >= LOST;
            is_lost && running.is_none() && stored.written_at.is_none_or(|written| at > written)
        });
        is_unseen || is_new
    }

    /// Reads the states of all markers.
    async fn owed(&self, failures: &mut Failures) -> Owed {
        let mut owed = Owed::default();
        let mut markers: Vec<_> = match self.markers().await {
            Ok(markers) => markers.into_iter().collect(),
            Err(error) => {
                failures.add(keys::OWED, Failure::retryable(error));
                return owed;
            }
        };
        markers.sort_by(|(one_model, one), (model, other)| {
            other.cmp(one).then_with(|| one_model.cmp(model))
        });
        let mut found = Failures::default();
        let mut states = stream::iter(markers)
            .map(|(model, partition)| async move {
                let stored = state::read(self.lake, &model, partition).await;
                (model, partition, stored)
            })
            .buffered(CONCURRENCY);
        while let Some((name, partition, stored)) = states.next().await {
            let added = match stored {
                Ok(stored) => self.add(&mut owed, &name, partition, stored).await,
                Err(error) => Err(error),
            };
            match added {
                Ok(()) => found.succeeded(),
                Err(error) => {
                    found.add(format!("{name} {partition}"), Failure::retryable(error));
                }
            }
            if found.show_an_outage() {
                break;
            }
        }
        failures.append(found);
        owed
    }

    /// Adds what a partition owes, or deletes its marker if it owes nothing.
    async fn add(
        &self,
        owed: &mut Owed,
        name: &str,
        partition: Partition,
        stored: Stored,
    ) -> Result<(), StoreError> {
        let Some(model) = self.models.get(name) else {
            // The model was removed, so nothing computes its partitions.
            self.lake.delete(&keys::owed(name, partition)).await?;
            owed.settled += 1;
            return Ok(());
        };
        if !stored.state.is_settled() {
            owed.owed += 1;
            owed.messages.extend(self.message(model, partition, &stored.state));
            if owed.alerts.len() < MAX_SENT {
                let due = alerts::due(stored.state, self.now);
                owed.alerts.extend(due.map(|alert| (name.to_owned(), partition, alert)));
            }
        } else if stored.written_at.is_none_or(|written| self.now - written >= QUIET)
            && state::settle(self.lake, name, partition, &stored).await?
        {
            owed.settled += 1;
        }
        Ok(())
    }

    /// Returns the message about what the partition owes and is due, and since when it is.
    fn message(
        &self,
        model: &IndexedModel,
        partition: Partition,
        state: &PartitionState,
    ) -> Option<(DateTime<Utc>, PartitionDirty)> {
        let every = TimeDelta::seconds(model.every_seconds.into());
        let debts = state.owes(every, self.now).into_iter();
        let debts = debts.filter(|debt| debt.kind != DebtKind::Alert && debt.due <= self.now);
        let debts: Vec<_> = debts.collect();
        let since = debts.iter().map(|debt| debt.due).min()?;
        let kinds: Vec<_> =
            debts.iter().map(|debt| format!("{:?}", debt.kind).to_lowercase()).collect();
        let reason = format!("the sweep: it owes {}", kinds.join(", "));
        Some((since, PartitionDirty::one(&model.name, partition, reason)))
    }

    /// Sends the alerts, and returns how many were sent. The topic of alerts may be away: the
    /// partitions have had their messages before.
    async fn send_alerts(&self, alerts: &[(String, Partition, Alert)]) -> usize {
        let mut sent = 0;
        for (model, partition, alert) in alerts {
            match alerts::send_one(self.lake, self.topic, model, *partition, alert).await {
                Ok(()) => sent += 1,
                Err(error) => {
                    tracing::warn!(model, %partition, %error, "the next sweep sends the alert");
                }
            }
        }
        sent
    }
}

/// Returns the messages to send, at most [`MAX_SENT`].
fn chosen(messages: Vec<(DateTime<Utc>, PartitionDirty)>) -> Vec<PartitionDirty> {
    let mut newest = messages;
    let mut longest = newest.split_off(newest.len().min(MAX_SENT / 2));
    longest.sort_by_key(|(due, _)| *due);
    longest.truncate(MAX_SENT - newest.len());
    newest.into_iter().chain(longest).map(|(_, message)| message).collect()
}

/// Returns the partitions of a table that are in a slice.
fn partitions(kind: PartitionKind, slice: Slice) -> Vec<Partition> {
    match (kind, slice) {
        (PartitionKind::Hour, Some(day)) => {
            (0..24).filter_map(|hour| Hour::new(day, hour).map(Partition::Hour)).collect()
        }
        (PartitionKind::Day, Some(day)) => vec![Partition::Day(day)],
        (PartitionKind::Bucket(buckets), None) => {
            (0..buckets.count).map(Partition::Bucket).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the day in a key with this prefix.
fn day_of(prefix: &str, key: &str) -> Option<NaiveDate> {
    key.strip_prefix(prefix)?.split('/').next()?.parse::<Partition>().ok()?.day()
}
