//! Starts the job of a dirty partition, at most one at a time.

use std::collections::BTreeSet;
use std::ops::Bound;

use anyhow::{Context, bail};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future;
use shoplake_aws::{DirtyQueue, EventPublisher, Executions, GlueRun};
use shoplake_jobs::{JobDocument, JobOutput, Partition};
use shoplake_lake::keys::{self, FolderRange};
use shoplake_lake::state::runs::{self, Run};
use shoplake_lake::state::{self, Lease, PartitionState, Stored};
use shoplake_lake::{Condition, Metadata, Store, StoreError};
use shoplake_models::{GoldHead, InputRange, Listing, Model};
use shoplake_platform::clock::Clock;

use crate::engine::{Engine, input_bytes};
use crate::handler::{Dispatch, MAX_DELAY};
use crate::old_days::is_old;
use crate::turn::{Early, Request, Turn, after_plan, before_plan};

/// The first lease of a job, extended once an execution of its engine has started: if dispatch ends
/// before, the partition waits no longer than this.
const START: TimeDelta = Engine::Lambda.lease();

/// How often planning starts over because the state has changed since it was read.
const ATTEMPTS: usize = 5;

/// How the work on a partition ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing is left to do for its messages.
    Done,
    /// The partition waits, and its state says so.
    Waits {
        /// Until when.
        until: DateTime<Utc>,
        /// Whether a message waits for it already.
        is_known: bool,
    },
}

impl<L, E, Q, P, C> Dispatch<L, E, Q, P, C>
where
    L: Store,
    E: Executions,
    Q: DirtyQueue,
    P: EventPublisher,
    C: Clock,
{
    /// Starts a job for the partition if it owes something, no job runs, and it was not computed
    /// recently. While too many jobs run, its messages wait for `slot_delay`.
    pub(crate) async fn compute(
        &self,
        model: &Model,
        partition: Partition,
        request: Request,
        slot_delay: TimeDelta,
    ) -> anyhow::Result<Ended> {
        let mut tried = None;
        for _ in 0..ATTEMPTS {
            let attempt = self.attempt(model, partition, request, slot_delay, &mut tried);
            if let Some(ended) = attempt.await? {
                return Ok(ended);
            }
        }
        bail!("other jobs and messages changed the state at each of {ATTEMPTS} attempts")
    }

    /// Plans the partition; `None` if its state has changed since it was read. `tried` is the lease
    /// of the attempt before.
    ///
    /// The order matters. First the state: the write that takes the lease fails if a job has begun
    /// or ended since, so that no older plan follows a newer one. Then the version that the commit
    /// will replace, then the inputs: so a commit has at least the inputs of the version that it
    /// replaces.
    async fn attempt(
        &self,
        model: &Model,
        partition: Partition,
        request: Request,
        slot_delay: TimeDelta,
        tried: &mut Option<Lease>,
    ) -> anyhow::Result<Option<Ended>> {
        let now = self.clock.now();
        let every = TimeDelta::seconds(model.every_seconds.into());
        let stored = state::read(&self.lake, &model.name, partition).await?;
        let mut state = stored.state.clone();
        if let Some(lease) = tried.take().filter(|tried| state.lease.as_ref() == Some(tried)) {
            // The write of the lease took effect, its answer was lost, and others have noted
            // changes since. Its job has not started.
            state.give_back(&lease.job);
        }
        state.expire(now);
        if request.recompute {
            state.ask(now);
        }
        match before_plan(&state, request, every, now) {
            Early::Plan => {}
            Early::Seen => {
                tracing::info!(model = model.name, %partition, "the last plan has seen it");
                return Ok(Some(Ended::Done));
            }
            Early::Running => {
                tracing::info!(model = model.name, %partition, "dirty again while a job runs");
                state.note_dirty(now, false);
                let is_written = self.write(model, partition, &stored, &state).await?;
                return Ok(is_written.then_some(Ended::Done));
            }
            Early::Wait(until) => return self.wait(model, partition, &stored, state, until).await,
        }

        let head = self.lake.head(&model.output_key(partition)).await?;
        let gold = match head.as_ref().map(GoldHead::try_from).transpose() {
            Ok(gold) => gold,
            Err(error) => return self.fail(model, partition, &stored, state, &error.into()).await,
        };
        state.found_commit(gold.as_ref().map_or(0, |gold| gold.version));
        if gold.is_none() && self.is_empty_partition(model, partition).await? {
            tracing::info!(model = model.name, %partition, "empty partition");
            // No job can compute the check results of its last rows again.
            state.unrecorded = None;
            return self.end(model, partition, &stored, state, now).await;
        }
        if let Some(turn) = request.turn
            && turn > now
            && is_old(partition, now)
            && !state.recompute
        {
            tracing::info!(model = model.name, %partition, "an old day waits for its turn");
            return self.wait(model, partition, &stored, state, turn).await;
        }
        let ranges = self.models.input_ranges(model, partition);
        let listed = future::try_join(self.list(ranges), self.references(model)).await;
        let (listing, references) = match listed {
            Ok(listed) => listed,
            Err(error) if error.is::<StoreError>() => return Err(error),
            Err(error) => return self.fail(model, partition, &stored, state, &error).await,
        };
        let job = self.models.job(model, partition, &listing, gold.as_ref(), &references);
        let Some(mut job) = job else {
            // Its only input was deleted between the two listings.
            return self.end(model, partition, &stored, state, now).await;
        };
        let turn = after_plan(&state, gold.as_ref(), &job.output.inputs_digest, every, now);
        let (job, engine) = match turn {
            Turn::UpToDate => {
                tracing::info!(model = model.name, %partition, "up to date");
                return self.end(model, partition, &stored, state, now).await;
            }
            Turn::Wait(until) => return self.wait(model, partition, &stored, state, until).await,
            Turn::Resume => {
                let gold = gold.context("only a commit can be resumed")?;
                (resumed(job, gold), Engine::Lambda)
            }
            Turn::Compute => {
                job.output.version = job.output.version.max(state.highest + 1);
                let bytes = input_bytes(&job, &listing);
                (job, self.engines.choose(bytes))
            }
        };

        let until = now + START;
        let is_urgent = !state.recompute && !is_old(partition, now);
        let slots = self.engines.slots(engine);
        let run = Run { model: model.name.clone(), partition, job: job.id.clone(), until };
        let Some(slot) = runs::take(&self.lake, &run, slots, is_urgent, now).await? else {
            tracing::info!(model = model.name, %partition, ?engine, "too many jobs run");
            return self.wait(model, partition, &stored, state, now + slot_delay).await;
        };
        let lease = Lease {
            job: job.id.clone(),
            until,
            since: now,
            planned_at: now,
            recompute: false,
            resumes: false,
            slot: Some(slot),
        };
        match turn {
            Turn::Resume => state.resume(lease),
            _ => state.compute(lease),
        }
        tried.clone_from(&state.lease);
        let written = self.write(model, partition, &stored, &state).await;
        if !written.as_ref().is_ok_and(|is_written| *is_written) {
            runs::release(&self.lake, Some(slot), &job.id).await;
            return Ok(written.map(|_| None)?);
        }
        tracing::info!(model = model.name, %partition, job = job.id, ?turn, ?engine, "started");
        match self.run(&job, engine, now).await {
            Ok(()) if engine.lease() > START => {
                self.extend(slot, Run { until: now + engine.lease(), ..run }).await;
            }
            Ok(()) => {}
            Err(error) => {
                self.give_back(&run).await;
                runs::release(&self.lake, Some(slot), &job.id).await;
                return Err(error);
            }
        }
        Ok(Some(Ended::Done))
    }

    /// Gives a job that has started the time of its engine. If that fails, the lease expires while
    /// the job runs: another one may start, and one of the two commits.
    async fn extend(&self, slot: u16, run: Run) {
        let extend = |state: &mut PartitionState| state.extend(&run.job, run.until);
        let extended = state::update(&self.lake, &run.model, run.partition, extend).await;
        let extended = match extended {
            Ok(true) => runs::extend(&self.lake, slot, &run).await,
            // The job has ended already.
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = extended {
            tracing::warn!(run.job, %error, "could not extend a lease; it expires before its job");
        }
    }

    async fn give_back(&self, run: &Run) {
        let give_back = |state: &mut PartitionState| state.give_back(&run.job);
        let given = state::update(&self.lake, &run.model, run.partition, give_back).await;
        if let Err(error) = given {
            tracing::warn!(run.job, %error, "could not end a lease; it will expire");
        }
    }

    async fn run(
        &self,
        job: &JobDocument,
        engine: Engine,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let partition = job.partition.value;
        let key = keys::job(&job.model, partition, &job.id);
        let document = serde_json::to_vec(job)?;
        self.lake.put(&key, document.into(), Metadata::new(), Condition::Always).await?;
        match engine {
            Engine::Lambda => self.executions.start_silver_to_gold(&key).await?,
            Engine::Glue => {
                let run = GlueRun {
                    // One name per lease: a job that failed can be started again under another
                    // name.
                    name: format!("{}-{}", job.id, now.timestamp()),
                    job: key,
                    result: keys::job_result(&job.model, partition, &job.id),
                };
                self.executions.start_silver_to_gold_glue(&run).await?;
            }
        }
        Ok(())
    }

    /// Ends the work on a partition that is up to date or empty. Most messages find a state that
    /// says so already, and write nothing.
    async fn end(
        &self,
        model: &Model,
        partition: Partition,
        stored: &Stored,
        mut state: PartitionState,
        planned_at: DateTime<Utc>,
    ) -> anyhow::Result<Option<Ended>> {
        if state.dirty_since.is_some() || state.recompute || state.waiting_until.is_some() {
            state.up_to_date(planned_at);
        }
        let is_written = self.write(model, partition, stored, &state).await?;
        Ok(is_written.then_some(Ended::Done))
    }

    /// Notes that the partition cannot be planned. The sweep sends it again when its retry is due.
    async fn fail(
        &self,
        model: &Model,
        partition: Partition,
        stored: &Stored,
        mut state: PartitionState,
        error: &anyhow::Error,
    ) -> anyhow::Result<Option<Ended>> {
        let error = format!("{error:#}");
        tracing::error!(model = model.name, %partition, error, "could not plan a partition");
        state.fail_to_plan(error, self.clock.now());
        let is_written = self.write(model, partition, stored, &state).await?;
        Ok(is_written.then_some(Ended::Done))
    }

    /// Notes that the partition waits until `until`, or for the message that waits already.
    async fn wait(
        &self,
        model: &Model,
        partition: Partition,
        stored: &Stored,
        mut state: PartitionState,
        until: DateTime<Utc>,
    ) -> anyhow::Result<Option<Ended>> {
        let now = self.clock.now();
        // No message waits for a turn in hours, so one that may be computed earlier waits itself.
        let known = state
            .waiting_until
            .filter(|known| *known > now && (*known <= until || *known - now <= MAX_DELAY));
        let until = known.unwrap_or(until);
        state.wait(now, until);
        tracing::info!(model = model.name, %partition, %until, "waits");
        let is_written = self.write(model, partition, stored, &state).await?;
        Ok(is_written.then_some(Ended::Waits { until, is_known: known.is_some() }))
    }

    async fn write(
        &self,
        model: &Model,
        partition: Partition,
        stored: &Stored,
        state: &PartitionState,
    ) -> Result<bool, StoreError> {
        state::write(&self.lake, &model.name, partition, stored, state).await
    }

    /// Returns the days that have an object of their own in an input, are in gold, or have a state.
    ///
    /// A change dirties every day whose window holds it, and most of those days are in the future.
    /// For many days, one pass over each input is cheaper than the requests of every day.
    pub(crate) async fn non_empty(
        &self,
        model: &Model,
        days: &[Partition],
    ) -> anyhow::Result<BTreeSet<Partition>> {
        let wanted: BTreeSet<Partition> = days.iter().copied().collect();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else {
            return Ok(BTreeSet::new());
        };
        // Of the own folders of the first and the last day, the folders of all days between them.
        let ends = [*first, *last].map(|day| self.models.own_partition_ranges(model, day));
        let [first_folders, last_folders] =
            ends.map(|ranges| ranges.into_iter().map(|range| range.folders));
        let folders = first_folders.zip(last_folders);
        let folders = folders.map(|(first, last)| FolderRange { last: last.last, ..first });
        let gold = keys::gold_folders(&model.name, &model.partition, *first, *last);
        let wanted = &wanted;
        let listings =
            folders.chain([gold]).map(async |range| self.days_with_objects(range, wanted).await);
        let states = async {
            let folder = keys::partition_states(&model.name);
            let entries = self.lake.list(&folder).await?;
            let day = |key: &str| {
                key.strip_prefix(&folder)?.strip_suffix(".json")?.parse::<Partition>().ok()
            };
            anyhow::Ok(entries.iter().filter_map(|entry| day(&entry.key)).collect::<BTreeSet<_>>())
        };
        let (found, states) = future::try_join(future::try_join_all(listings), states).await?;
        let found: BTreeSet<Partition> = found.into_iter().flatten().chain(states).collect();
        Ok(days.iter().copied().filter(|day| found.contains(day)).collect())
    }

    /// Returns days that have an object in the folders, the wanted ones among them.
    ///
    /// A day of silver may have thousands of objects, so this asks for one object at a time, and
    /// each request skips to the next wanted day. A partition of a model has one object, so that a
    /// listing needs fewer requests.
    async fn days_with_objects(
        &self,
        folders: FolderRange,
        wanted: &BTreeSet<Partition>,
    ) -> anyhow::Result<BTreeSet<Partition>> {
        let FolderRange { prefix, first, last } = &folders;
        let day = |key: &str| -> Option<Partition> {
            let folder = key.strip_prefix(prefix)?.split('/').next()?;
            Some(Partition::Day(folder.parse::<Partition>().ok()?.day()?))
        };
        let mut days = BTreeSet::new();
        if prefix.starts_with(keys::SILVER) {
            let mut next = wanted.first().copied();
            while let Some(after) = next {
                let entry = self.lake.next(prefix, &format!("{prefix}{after}")).await?;
                let Some(entry) = entry.filter(|entry| folders.contains(&entry.key)) else { break };
                let Some(found) = day(&entry.key) else { break };
                days.insert(found);
                let reached = found.max(after);
                next = wanted.range((Bound::Excluded(reached), Bound::Unbounded)).next().copied();
            }
        } else {
            let entries = self.lake.list_range(prefix, first, last).await?;
            days.extend(entries.iter().filter_map(|entry| day(&entry.key)));
        }
        Ok(days)
    }

    /// Returns whether no input has an object of the partition itself. It asks for one object, so
    /// it comes before the listing of all inputs.
    async fn is_empty_partition(
        &self,
        model: &Model,
        partition: Partition,
    ) -> anyhow::Result<bool> {
        let ranges = self.models.own_partition_ranges(model, partition).into_iter();
        let found = ranges.map(async |range| {
            let entry = self.lake.next(&range.folders.prefix, &range.folders.start_after()).await?;
            Ok::<_, StoreError>(entry.is_some_and(|entry| range.folders.contains(&entry.key)))
        });
        Ok(future::try_join_all(found).await?.into_iter().all(|is_found| !is_found))
    }

    /// Returns all objects of the ranges. The listings run concurrently.
    async fn list(&self, ranges: Vec<InputRange>) -> anyhow::Result<Listing> {
        let listings = ranges.into_iter().map(async |InputRange { input, folders }| {
            let FolderRange { prefix, first, last } = &folders;
            let entries = self.lake.list_range(prefix, first, last).await?;
            anyhow::Ok((input, entries))
        });
        let mut listing = Listing::new();
        for (input, entries) in future::try_join_all(listings).await? {
            listing.entry(input).or_default().extend(entries);
        }
        Ok(listing)
    }
}

/// Returns the job that publishes, loads and notifies the commit in gold: it has the id of the job
/// that made the commit, so that it recognizes the commit as its own.
fn resumed(job: JobDocument, gold: GoldHead) -> JobDocument {
    let GoldHead { etag, version, inputs, job: id } = gold;
    let output = JobOutput {
        key: job.output.key,
        expected_etag: Some(etag.to_string()),
        version,
        inputs_digest: inputs,
    };
    JobDocument { id, output, ..job }
}

#[cfg(test)]
mod tests;
