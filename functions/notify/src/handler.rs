//! Notifies people of rows, of each at most once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use shoplake_aws::topic::{PublishError, Topic};
use shoplake_jobs::{NotifyRequest, Partition};
use shoplake_lake::{Store, StoreError, state};
use shoplake_platform::clock::Clock;
use shoplake_platform::failure::Failure;
use uuid::Uuid;

use crate::claim::{self, Ledger, Waiting};
use crate::episode::{Episode, Found, Span, State, Subject};
use crate::message::{Event, message};
use crate::partitions::Partitions;
use crate::progress::{Item, Progress, in_turns};
use crate::rows::Row;

/// How many rows are notified at once. A row takes three requests, one after the other, and most of
/// the time is waiting.
const AT_ONCE: usize = 16;

/// The longest time that publishing takes. A run that has been publishing for longer has ended.
const MAX_PUBLICATION: TimeDelta = TimeDelta::minutes(2);

/// The most different errors that a failure names.
const MAX_NAMED: usize = 20;

/// What people are notified of.
#[derive(Clone, Copy, Debug)]
pub struct NotifyPolicy {
    /// How long ago an episode may have started or ended: rows of a backfill are not news.
    pub within: TimeDelta,
    /// Whether people are notified of the end as well.
    pub ended: bool,
}

/// The function with its ports.
pub struct Notify {
    /// The lake.
    pub store: Arc<dyn Store>,
    /// The topic that people subscribe to.
    pub topic: Arc<dyn Topic>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What people are notified of.
    pub policy: NotifyPolicy,
}

/// The result of a run, in rows.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Response {
    /// The model.
    pub model: String,
    /// Its partition.
    pub partition: Partition,
    /// All rows of the partition.
    pub rows: usize,
    /// Rows whose start was notified.
    pub sent: usize,
    /// Rows whose end was notified.
    pub ended: usize,
    /// Rows that were too old when they were first seen.
    pub expired: usize,
    /// Rows whose message, of this run or an earlier one, may or may not have arrived.
    pub unknown: usize,
}

/// The result of a row.
#[derive(Clone, Copy, Debug, Default)]
struct Notified {
    sent: bool,
    ended: bool,
    expired: bool,
    unknown: bool,
    /// Another run is publishing a message about it: there may be more to publish afterwards.
    busy: bool,
}

impl Notified {
    fn add(&mut self, more: Self) {
        self.sent |= more.sent;
        self.ended |= more.ended;
        self.expired |= more.expired;
        self.unknown |= more.unknown;
        self.busy |= more.busy;
    }
}

/// Why a row was not notified. A later run may notify it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotifyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Topic(#[from] PublishError),
    #[error(transparent)]
    Rows(Failure),
    /// An object in `alerts/`, of one subject.
    #[error(
        "cannot read {key:?}: {cause}; if a newer release wrote it, deploy that one, otherwise \
         delete it, if people may be notified again"
    )]
    Unreadable { key: String, cause: serde_json::Error },
}

impl NotifyError {
    /// Returns whether another run would fail as well.
    fn is_permanent(&self) -> bool {
        match self {
            Self::Store(_) | Self::Topic(_) => false,
            Self::Rows(failure) => failure.is_permanent(),
            Self::Unreadable { .. } => true,
        }
    }
}

impl Notify {
    /// Notifies people of the rows of the committed partition that were not notified before. Starts
    /// no row after `until`; the next run continues with the rows that are left. If none is left,
    /// the state of the partition has the version of the commit.
    ///
    /// Any number of runs may overlap, and any may be repeated. A row that cannot be notified keeps
    /// no other row back: the next one may be of another shop.
    ///
    /// # Errors
    /// If rows are left. The failure names what is wrong with each of them. It is retryable unless
    /// another run would fail for all of them as well.
    pub async fn handle(&self, event: Value, until: DateTime<Utc>) -> Result<Response, Failure> {
        let request: NotifyRequest = serde_json::from_value(event).map_err(|error| {
            Failure::permanent(format!(
                "invalid request: expected the notify object of the transform function: {error}"
            ))
        })?;
        let partitions = Partitions::new(self.store.as_ref(), &request)?;
        // Listed before gold is read: then no row in the list waits for a newer commit than that.
        let (store, model) = (self.store.as_ref(), &request.model);
        let waiting = Waiting::list(store, model, request.partition).await;
        let gold = partitions.gold(request.partition).await?.ok_or_else(|| {
            Failure::permanent(format!(
                "the gold object {:?} does not exist any more; run a backfill of its partition, \
                 which notifies its rows",
                request.key
            ))
        })?;

        let progress = Progress::new(store, model, request.partition, &gold.etag);
        let recorded = progress.read().await.map_err(Failure::retryable)?;
        let mut left = recorded.clone().unwrap_or_else(|| (0..gold.rows.len()).collect());
        let mut items: Vec<_> =
            left.iter().map(|place| (shop(&gold.rows[*place]), Item::Row(*place))).collect();
        let mut results = Vec::new();
        match waiting {
            Ok(keys) => items.extend(keys.into_iter().filter_map(|key| {
                Waiting::due(&key, &gold.etag).map(|shop| (shop, Item::Waiting(key)))
            })),
            Err(error) => results.push(Some(Err(error.into()))),
        }

        // A row that was started is finished even if others fail: a row that is dropped between its
        // claim and its message would never be notified.
        let (partitions, rows) = (&partitions, &gold.rows);
        let handled: Vec<_> = futures::stream::iter(in_turns(items, self.clock.now()))
            .map(|item| async move {
                if self.clock.now() >= until {
                    return (item, None);
                }
                let result = match &item {
                    Item::Row(place) => self.row(partitions, &rows[*place]).await,
                    Item::Waiting(key) => self.waiting(partitions, key).await,
                };
                (item, Some(result))
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        for (item, result) in handled {
            if let (Item::Row(place), Some(Ok(Notified { busy: false, .. }))) = (&item, &result) {
                left.remove(place);
            }
            results.push(result);
        }
        let response = conclude(&request, rows.len(), results);
        let written = match (&response, recorded) {
            (Err(_), _) => progress.write(left).await,
            (Ok(_), Some(_)) => progress.delete().await,
            (Ok(_), None) => Ok(()),
        };
        if let Err(error) = written {
            tracing::warn!(%error, "the next run handles rows again that this run has handled");
        }
        let response = response?;
        let NotifyRequest { model, partition, version, .. } = &request;
        if *version > 0 {
            state::update(store, model, *partition, |state| state.notify(*version))
                .await
                .map_err(Failure::retryable)?;
        }
        Ok(response)
    }

    /// Notifies people of a row of another partition that was waiting for this commit, and deletes
    /// its object.
    async fn waiting(
        &self,
        partitions: &Partitions<'_>,
        key: &str,
    ) -> Result<Notified, NotifyError> {
        let store = self.store.as_ref();
        let mut notified = Notified::default();
        let Some(Waiting { partition, subject }) = Waiting::read(store, key).await? else {
            return Ok(notified);
        };
        // The row of this commit may end the episode that the waiting row contradicts.
        let own = partitions.request.partition;
        if let Some(row) = partitions.with_subject(own, &subject).await? {
            notified.add(self.row(partitions, &row).await?);
        }
        if let Some(row) = partitions.with_subject(partition, &subject).await? {
            notified.add(self.one(partitions, partition, &row, false).await?.0);
        }
        if !notified.busy {
            store.delete(key).await?;
        }
        Ok(notified)
    }

    /// Notifies people of the row, and then of rows of the same subject in other partitions that it
    /// may make news.
    async fn row(&self, partitions: &Partitions<'_>, row: &Row) -> Result<Notified, NotifyError> {
        let request = partitions.request;
        let (mut notified, again) = self.one(partitions, request.partition, row, true).await?;
        for partition in again {
            let rows = partitions.of_subject(partition, row).await?;
            if let Some(other) = rows {
                let (more, _) = self.one(partitions, partition, &other, false).await?;
                notified.add(more);
            }
        }
        Ok(notified)
    }

    /// Notifies people of one row. Returns the partitions whose row of the same subject has to be
    /// checked again: one that was waiting for this commit, and one that the episode has left.
    async fn one(
        &self,
        partitions: &Partitions<'_>,
        partition: Partition,
        row: &Row,
        may_move: bool,
    ) -> Result<(Notified, BTreeSet<Partition>), NotifyError> {
        let mut notified = Notified::default();
        let mut again = BTreeSet::new();
        let Some(span) = Span::of(row) else {
            tracing::warn!(
                model = partitions.request.model,
                %partition,
                "a row without a start time is not notified"
            );
            return Ok((notified, again));
        };
        let (model, name) = (&partitions.request.model, partitions.subject(row));
        let ledger = Ledger::new(self.store.as_ref(), model, &name);
        let waiting = Waiting { partition, subject: name };
        let mut is_recorded = false;
        loop {
            let (before, condition) = ledger.read().await?;
            (notified.expired, notified.busy) = (false, false);
            let mut others = BTreeMap::new();
            for other in before.open_before(span, partition) {
                if let Some(found) =
                    partitions.of_subject(other, row).await?.as_ref().and_then(Span::of)
                {
                    others.insert(other, found);
                }
            }
            let found = before.find(span, partition, &others);
            let may_wait = self.is_news(span.started) || before.waiting.contains(&partition);
            if found == Found::Unclear && !is_recorded && may_wait {
                // A later commit finds the waiting row, and an earlier one is read now.
                for &other in others.keys() {
                    let gold = partitions.gold(other).await.map_err(NotifyError::Rows)?;
                    if let Some(gold) = gold {
                        let store = self.store.as_ref();
                        waiting.record(store, model, &shop(row), other, &gold.etag).await?;
                    }
                    partitions.forget(other);
                }
                is_recorded = true;
                continue;
            }
            let mut subject = before.clone();
            if found != Found::Unclear {
                subject.waiting.remove(&partition);
            }
            again.extend(before.waiting.iter().filter(|waiting| **waiting != partition));
            let event = self.decide(
                &mut subject,
                found,
                span,
                partition,
                may_move,
                &mut notified,
                &mut again,
            );
            let written = subject == before || ledger.write(&subject, condition).await?;
            let Some((event, writer)) = event else {
                if written {
                    return Ok((notified, again));
                }
                continue;
            };
            // Otherwise another run has changed the ledger: decide again with its new content.
            if written {
                let request = NotifyRequest { partition, ..partitions.request.clone() };
                if !self.notify(&request, row, &ledger, &writer, event, &mut notified).await? {
                    return Ok((notified, again));
                }
            }
        }
    }

    fn is_news(&self, time: DateTime<Utc>) -> bool {
        self.clock.now() - time <= self.policy.within
    }

    /// Records in `subject` what the row is, and claims the message that has to be published, if
    /// any.
    #[expect(clippy::too_many_arguments, reason = "the state of a row, and what follows from it")]
    fn decide(
        &self,
        subject: &mut Subject,
        found: Found,
        span: Span,
        partition: Partition,
        may_move: bool,
        notified: &mut Notified,
        again: &mut BTreeSet<Partition>,
    ) -> Option<(Event, String)> {
        let now = self.clock.now();
        let is_news = |time| self.is_news(time);
        let is_over = self.policy.ended && span.ended.is_some_and(is_news);
        let writer = Uuid::new_v4().to_string();
        match found {
            Found::Forgotten => None,
            Found::Unclear => {
                if is_news(span.started) {
                    subject.waiting.insert(partition);
                }
                None
            }
            Found::New => {
                // The limit may be raised later; history is not news even then.
                let state = if is_news(span.started) { State::Sending } else { State::Expired };
                notified.expired = state == State::Expired;
                subject.add(Episode {
                    writer: writer.clone(),
                    state,
                    at: now,
                    notified: span.started,
                    started: span.started,
                    ended: span.ended,
                    partition,
                });
                (state == State::Sending).then_some((Event::Started, writer))
            }
            Found::Known(place) => {
                if may_move {
                    again.extend(subject.see(place, span, partition));
                }
                let episode = &mut subject.episodes[place];
                let (state, event) = match episode.state {
                    State::Refused if is_news(span.started) => (State::Sending, Event::Started),
                    State::Sent if is_over => (State::Ending, Event::Ended),
                    State::Sending | State::Ending => {
                        notified.unknown = is_abandoned(episode, now);
                        notified.busy = !notified.unknown;
                        return None;
                    }
                    _ => return None,
                };
                (episode.state, episode.at, episode.writer) = (state, now, writer.clone());
                Some((event, writer))
            }
        }
    }

    /// Publishes the message that `writer` has claimed, and records the result. Returns whether
    /// people were notified.
    async fn notify(
        &self,
        request: &NotifyRequest,
        row: &Row,
        ledger: &Ledger<'_>,
        writer: &str,
        event: Event,
        notified: &mut Notified,
    ) -> Result<bool, NotifyError> {
        let (done, not_done) = match event {
            Event::Started => (State::Sent, State::Refused),
            Event::Ended => (State::Ended, State::Sent),
        };
        match self.topic.publish(&message(request, row, event)).await {
            Ok(()) => {
                match event {
                    Event::Started => notified.sent = true,
                    Event::Ended => notified.ended = true,
                }
                // The message was published even if that cannot be recorded. Without the record
                // people are not notified of the end.
                match ledger.settle(writer, done, self.clock.now()).await {
                    Ok(()) => Ok(true),
                    Err(error) => {
                        tracing::error!(
                            %error, key = ledger.key,
                            "a message was published, and its claim could not be updated"
                        );
                        Ok(false)
                    }
                }
            }
            Err(error @ PublishError::Refused(_)) => {
                if let Err(put) = ledger.settle(writer, not_done, self.clock.now()).await {
                    tracing::error!(
                        error = %put, key = ledger.key,
                        "a message was refused, and its claim could not be released: people are \
                         not notified"
                    );
                }
                Err(NotifyError::Topic(error))
            }
            Err(error @ PublishError::Unknown(_)) => {
                notified.unknown = true;
                tracing::error!(
                    %error, key = ledger.key,
                    "a message may or may not have arrived; it is not published again"
                );
                Ok(false)
            }
        }
    }
}

/// Returns a text for keys that stands for the shop of the row.
fn shop(row: &Row) -> String {
    claim::digest(&serde_json::json!(row.columns.get("shop_id")).to_string())
}

/// Returns whether the run that wrote a claim has ended, and logs it.
fn is_abandoned(episode: &Episode, now: DateTime<Utc>) -> bool {
    let is_abandoned = now - episode.at > MAX_PUBLICATION;
    if is_abandoned {
        tracing::error!(
            partition = %episode.partition, at = %episode.at, state = ?episode.state,
            started = %episode.started,
            "a claim was never settled: its message may or may not have arrived"
        );
    }
    is_abandoned
}

/// Combines the results of the rows.
fn conclude(
    request: &NotifyRequest,
    rows: usize,
    results: Vec<Option<Result<Notified, NotifyError>>>,
) -> Result<Response, Failure> {
    let mut response = Response {
        model: request.model.clone(),
        partition: request.partition,
        rows,
        sent: 0,
        ended: 0,
        expired: 0,
        unknown: 0,
    };
    let (mut left, mut late, mut errors) = (0, 0, BTreeSet::new());
    let mut is_permanent = true;
    for result in results {
        match result {
            Some(Ok(notified)) => {
                response.sent += usize::from(notified.sent);
                response.ended += usize::from(notified.ended);
                response.expired += usize::from(notified.expired);
                response.unknown += usize::from(notified.unknown);
            }
            Some(Err(error)) => {
                left += 1;
                is_permanent &= error.is_permanent();
                errors.insert(error.to_string());
            }
            None => {
                (left, late) = (left + 1, late + 1);
                is_permanent = false;
            }
        }
    }
    tracing::info!(
        model = response.model,
        partition = %response.partition,
        rows,
        sent = response.sent,
        ended = response.ended,
        expired = response.expired,
        unknown = response.unknown,
        left,
        "notify"
    );
    if left == 0 {
        return Ok(response);
    }
    let unnamed = errors.len().saturating_sub(MAX_NAMED);
    let mut reasons: Vec<_> = errors.into_iter().take(MAX_NAMED).collect();
    if unnamed > 0 {
        reasons.push(format!("and {unnamed} other errors"));
    }
    if late > 0 {
        reasons.push(format!(
            "the time limit was reached with {late} of {rows} rows left; another run continues \
             with them"
        ));
    }
    let text = format!("{left} rows are left: {}", reasons.join("; "));
    Err(if is_permanent { Failure::permanent(text) } else { Failure::retryable(text) })
}
