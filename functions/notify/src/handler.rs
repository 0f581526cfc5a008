//! Which rows people are told of, and that none is told twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use shoplake_aws::topic::{PublishError, Topic};
use shoplake_lake::{Object, Store, StoreError};
use shoplake_models::NotifyRequest;
use shoplake_platform::clock::Clock;
use shoplake_platform::failure::Failure;
use uuid::Uuid;

use crate::claim::{Ledger, Waiting};
use crate::episode::{Episode, Found, Span, State, Subject};
use crate::message::{Event, message};
use crate::rows::{self, Row};

/// Rows that are told of at once. A row takes three requests after each other, and most of the time
/// is waiting.
const AT_ONCE: usize = 16;

/// How long a message may be under way. A run that has been publishing for longer than this has
/// ended.
const LONGEST_PUBLICATION: TimeDelta = TimeDelta::minutes(2);

/// What people want to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long ago something may have begun, or ended, that they are told of: a backfill is no
    /// news.
    pub(crate) within: TimeDelta,
    /// Whether they are told that something is over.
    pub(crate) ended: bool,
}

/// The handler and what it works with.
pub(crate) struct Notify {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) topic: Arc<dyn Topic>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Policy,
}

/// What was done, in rows.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Response {
    pub(crate) model: String,
    pub(crate) partition: String,
    /// All rows of the partition.
    pub(crate) rows: usize,
    /// People were told that it began.
    pub(crate) sent: usize,
    /// People were told that it is over.
    pub(crate) ended: usize,
    /// Too old to be told of, and seen for the first time.
    pub(crate) expired: usize,
    /// People may or may not have been told, by this run or one before.
    pub(crate) unknown: usize,
}

/// What was done about a row.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    sent: bool,
    ended: bool,
    expired: bool,
    unknown: bool,
}

impl Told {
    fn add(&mut self, more: Self) {
        self.sent |= more.sent;
        self.ended |= more.ended;
        self.expired |= more.expired;
        self.unknown |= more.unknown;
    }
}

/// Why a row was not told of now, and may be later.
enum Hindered {
    Store(StoreError),
    Topic(PublishError),
    Rows(Failure),
}

impl Notify {
    /// Tells people of the rows of the committed partition that they have not been told of, until
    /// it is `until`.
    ///
    /// Any number of these may run at once, and any may be repeated.
    pub(crate) async fn handle(
        &self,
        event: Value,
        until: DateTime<Utc>,
    ) -> Result<Response, Failure> {
        let request: NotifyRequest = serde_json::from_value(event).map_err(|error| {
            Failure::permanent(format!(
                "expected the notify object of the transform function: {error}"
            ))
        })?;
        let partitions = Partitions::new(self, &request)?;
        let rows = partitions.rows(&request.partition).await?.ok_or_else(|| {
            Failure::permanent(format!(
                "there is no gold object {:?} any more; mark its partition dirty, and its rows are notified then",
                request.key
            ))
        })?;

        // What has begun is finished, whatever happens to the others: a row that is dropped between
        // its claim and its message would never be told of.
        let stop = AtomicBool::new(false);
        let (stop, partitions, request) = (&stop, &partitions, &request);
        let mut results: Vec<Option<Result<Told, Hindered>>> = futures::stream::iter(rows.iter())
            .map(|row| async move {
                if stop.load(Ordering::Relaxed) || self.clock.now() >= until {
                    return None;
                }
                let told = self.row(partitions, row).await;
                if told.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                Some(told)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        if !stop.load(Ordering::Relaxed) {
            results.extend(self.waiting(partitions, until).await);
        }
        conclude(request, rows.len(), results)
    }

    /// Notifies people of rows of other partitions that have waited for this commit.
    async fn waiting(
        &self,
        partitions: &Partitions<'_>,
        until: DateTime<Utc>,
    ) -> Vec<Option<Result<Told, Hindered>>> {
        let NotifyRequest { model, partition, .. } = partitions.request;
        let waiting = match Waiting::list(self.store.as_ref(), model, partition).await {
            Ok(waiting) => waiting,
            Err(error) => return vec![Some(Err(Hindered::Store(error)))],
        };
        let mut results = Vec::new();
        for Waiting { partition, subject } in waiting {
            if self.clock.now() >= until {
                results.push(None);
                continue;
            }
            let told = async {
                match partitions.with_subject(&partition, &subject).await? {
                    Some(row) => Ok(self.one(partitions, &partition, &row, false).await?.0),
                    None => Ok(Told::default()),
                }
            };
            results.push(Some(told.await));
        }
        results
    }

    /// Notifies people of the row, and then of rows of the same subject in other partitions that
    /// may be news because of it.
    async fn row(&self, partitions: &Partitions<'_>, row: &Row) -> Result<Told, Hindered> {
        let request = partitions.request;
        let (mut told, again) = self.one(partitions, &request.partition, row, true).await?;
        for partition in again {
            let rows = partitions.of_subject(&partition, row).await?;
            if let Some(other) = rows {
                let (more, _) = self.one(partitions, &partition, &other, false).await?;
                told.add(more);
            }
        }
        Ok(told)
    }

    /// Notifies people of one row. Answers with the partitions whose row of the same subject has to
    /// be looked at again: one that waited for this commit, and one that the episode has left.
    async fn one(
        &self,
        partitions: &Partitions<'_>,
        partition: &str,
        row: &Row,
        may_move: bool,
    ) -> Result<(Told, BTreeSet<String>), Hindered> {
        let mut told = Told::default();
        let mut again = BTreeSet::new();
        let Some(span) = Span::of(row) else {
            tracing::warn!(
                model = partitions.request.model,
                partition,
                "a row without a beginning is not notified"
            );
            return Ok((told, again));
        };
        let (model, name) = (&partitions.request.model, partitions.subject(row));
        let ledger = Ledger::new(self.store.as_ref(), model, &name);
        let waiting = Waiting { partition: partition.to_owned(), subject: name };
        let mut is_noted = false;
        loop {
            let (before, condition) = ledger.read().await.map_err(Hindered::Store)?;
            told.expired = false;
            let mut others = BTreeMap::new();
            for other in before.open_before(span, partition) {
                if let Some(found) =
                    partitions.of_subject(&other, row).await?.as_ref().and_then(Span::of)
                {
                    others.insert(other, found);
                }
            }
            let found = before.find(span, partition, &others);
            if found == Found::Unclear && !is_noted && self.is_news(span.started) {
                // A commit after the note finds it, and one before it is read now.
                for other in others.keys() {
                    let noted = waiting.note(self.store.as_ref(), model, other).await;
                    noted.map_err(Hindered::Store)?;
                    partitions.forget(other);
                }
                is_noted = true;
                continue;
            }
            let mut subject = before.clone();
            if found != Found::Unclear {
                subject.waiting.remove(partition);
            }
            again.extend(before.waiting.iter().filter(|waiting| *waiting != partition).cloned());
            let event =
                self.decide(&mut subject, found, span, partition, may_move, &mut told, &mut again);
            let written = subject == before
                || ledger.write(&subject, condition).await.map_err(Hindered::Store)?;
            let Some((event, writer)) = event else {
                if written {
                    return Ok((told, again));
                }
                continue;
            };
            // Another run has changed what is known: what there is to do depends on that.
            if written {
                let request =
                    NotifyRequest { partition: partition.to_owned(), ..partitions.request.clone() };
                if !self.tell(&request, row, &ledger, &writer, event, &mut told).await? {
                    return Ok((told, again));
                }
            }
        }
    }

    fn is_news(&self, time: DateTime<Utc>) -> bool {
        self.clock.now() - time <= self.policy.within
    }

    /// Notes in `subject` what the row is, and claims the message that people have to get, if any.
    #[expect(
        clippy::too_many_arguments,
        reason = "what is known of a row, and what follows from it"
    )]
    fn decide(
        &self,
        subject: &mut Subject,
        found: Found,
        span: Span,
        partition: &str,
        may_move: bool,
        told: &mut Told,
        again: &mut BTreeSet<String>,
    ) -> Option<(Event, String)> {
        let now = self.clock.now();
        let is_news = |time| self.is_news(time);
        let is_over = self.policy.ended && span.ended.is_some_and(is_news);
        let writer = Uuid::new_v4().to_string();
        match found {
            Found::Forgotten => None,
            Found::Unclear => {
                if is_news(span.started) {
                    subject.waiting.insert(partition.to_owned());
                }
                None
            }
            Found::New => {
                // The limit may be raised one day; history is no news even then.
                let state = if is_news(span.started) { State::Sending } else { State::Expired };
                told.expired = state == State::Expired;
                subject.add(Episode {
                    writer: writer.clone(),
                    state,
                    at: now,
                    notified: span.started,
                    started: span.started,
                    ended: span.ended,
                    partition: partition.to_owned(),
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
                        told.unknown = is_abandoned(episode, now);
                        return None;
                    }
                    _ => return None,
                };
                (episode.state, episode.at, episode.writer) = (state, now, writer.clone());
                Some((event, writer))
            }
        }
    }

    /// Publishes what `writer` has claimed, and notes what became of it. True if people know now.
    async fn tell(
        &self,
        request: &NotifyRequest,
        row: &Row,
        ledger: &Ledger<'_>,
        writer: &str,
        event: Event,
        told: &mut Told,
    ) -> Result<bool, Hindered> {
        let (done, not_done) = match event {
            Event::Started => (State::Sent, State::Refused),
            Event::Ended => (State::Ended, State::Sent),
        };
        match self.topic.publish(&message(request, row, event)).await {
            Ok(()) => {
                match event {
                    Event::Started => told.sent = true,
                    Event::Ended => told.ended = true,
                }
                // People know, whether that is noted or not; without the note they are only never
                // told of the end.
                match ledger.settle(writer, done, self.clock.now()).await {
                    Ok(()) => Ok(true),
                    Err(error) => {
                        tracing::error!(%error, key = ledger.key, "a message was published, which its claim does not say");
                        Ok(false)
                    }
                }
            }
            Err(error @ PublishError::Refused(_)) => {
                if let Err(put) = ledger.settle(writer, not_done, self.clock.now()).await {
                    tracing::error!(
                        error = %put, key = ledger.key,
                        "a message was refused, and its claim could not be given back: people are not notified"
                    );
                }
                Err(Hindered::Topic(error))
            }
            Err(error @ PublishError::Unknown(_)) => {
                told.unknown = true;
                tracing::error!(
                    %error, key = ledger.key,
                    "a message may or may not have arrived; it is not published again"
                );
                Ok(false)
            }
        }
    }
}

/// Whether a claim is that of a publisher that has ended. Logs it, as no other run does.
fn is_abandoned(episode: &Episode, now: DateTime<Utc>) -> bool {
    let is_abandoned = now - episode.at > LONGEST_PUBLICATION;
    if is_abandoned {
        tracing::error!(
            partition = episode.partition, at = %episode.at, state = ?episode.state, started = %episode.started,
            "a message was begun and never finished: it may or may not have arrived"
        );
    }
    is_abandoned
}

/// The partitions of a model, as they are in gold now.
struct Partitions<'a> {
    store: &'a dyn Store,
    request: &'a NotifyRequest,
    /// The column that names the partition.
    column: String,
    read: Mutex<HashMap<String, Option<Arc<Vec<Row>>>>>,
}

impl<'a> Partitions<'a> {
    fn new(notify: &'a Notify, request: &'a NotifyRequest) -> Result<Self, Failure> {
        let folder = format!("={}/", request.partition);
        let column =
            request.key.split_once(&folder).and_then(|(before, _)| before.rsplit('/').next());
        let column = column.ok_or_else(|| {
            Failure::permanent(format!(
                "expected a key such as gold/<model>/<column>={}/data.parquet, got {:?}",
                request.partition, request.key
            ))
        })?;
        Ok(Self {
            store: notify.store.as_ref(),
            request,
            column: column.to_owned(),
            read: Mutex::default(),
        })
    }

    /// The rows of a partition; none if there is not such an object in gold.
    async fn rows(&self, partition: &str) -> Result<Option<Arc<Vec<Row>>>, Failure> {
        if let Some(known) = self.known().get(partition) {
            return Ok(known.clone());
        }
        let folder = |partition: &str| format!("/{}={partition}/", self.column);
        let key = self.request.key.replace(&folder(&self.request.partition), &folder(partition));
        let object = self.store.get(&key).await.map_err(Failure::retryable)?;
        let read = |object: Object| {
            rows::read(object.bytes, &self.request.notice, &self.request.identity)
                .map(Arc::new)
                .map_err(|error| Failure::permanent(format!("the gold object {key:?}: {error}")))
        };
        let rows = object.map(read).transpose()?;
        self.known().insert(partition.to_owned(), rows.clone());
        Ok(rows)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<Vec<Row>>>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the partition read again, as it may have changed.
    fn forget(&self, partition: &str) {
        self.known().remove(partition);
    }

    /// The row that a partition has of the subject of `row`.
    async fn of_subject(&self, partition: &str, row: &Row) -> Result<Option<Row>, Hindered> {
        self.with_subject(partition, &self.subject(row)).await
    }

    async fn with_subject(&self, partition: &str, subject: &str) -> Result<Option<Row>, Hindered> {
        let rows = self.rows(partition).await.map_err(Hindered::Rows)?;
        Ok(rows.and_then(|rows| rows.iter().find(|other| self.subject(other) == subject).cloned()))
    }

    /// What the row is about: its key without the partition. As JSON, so that no two subjects can
    /// be spelt alike.
    fn subject(&self, row: &Row) -> String {
        let columns = self.request.identity.iter().filter(|column| **column != self.column);
        let values: Vec<_> = columns.map(|column| row.columns.get(column)).collect();
        serde_json::json!(values).to_string()
    }
}

/// The rows' results as one.
fn conclude(
    request: &NotifyRequest,
    rows: usize,
    results: Vec<Option<Result<Told, Hindered>>>,
) -> Result<Response, Failure> {
    let mut response = Response {
        model: request.model.clone(),
        partition: request.partition.clone(),
        rows,
        ..Response::default()
    };
    let (mut left, mut hindered) = (0, None);
    for result in results {
        match result {
            Some(Ok(told)) => {
                response.sent += usize::from(told.sent);
                response.ended += usize::from(told.ended);
                response.expired += usize::from(told.expired);
                response.unknown += usize::from(told.unknown);
            }
            Some(Err(error)) => {
                left += 1;
                hindered = Some(error);
            }
            None => left += 1,
        }
    }
    tracing::info!(
        model = response.model,
        partition = response.partition,
        rows,
        sent = response.sent,
        ended = response.ended,
        expired = response.expired,
        unknown = response.unknown,
        left,
        "notify"
    );
    match hindered {
        Some(Hindered::Store(error)) => {
            Err(Failure::retryable(format!("{left} rows are left: {error}")))
        }
        Some(Hindered::Rows(failure)) => Err(failure),
        Some(Hindered::Topic(error)) => {
            Err(Failure::retryable(format!("{left} rows are left: {error}")))
        }
        None if left > 0 => Err(Failure::retryable(format!(
            "{left} of {rows} rows are left, as the time was up; another run goes on from there"
        ))),
        None => Ok(response),
    }
}
