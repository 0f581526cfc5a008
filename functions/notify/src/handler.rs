//! Which rows people are told of, and that none is told twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use serde::Serialize;
use serde_json::Value;
use shoplake_lake::{Store, StoreError};
use shoplake_models::NotifyRequest;
use shoplake_platform::clock::Clock;
use shoplake_platform::failure::Failure;
use shoplake_platform::topic::{PublishError, Topic};

use crate::claim::{Held, Slot, State};
use crate::message::{Event, message};
use crate::rows::{self, Row};

/// Rows that are told of at once. A row takes three requests after each other, and most of the time is waiting.
const AT_ONCE: usize = 16;

/// How long a message may be under way. Whoever has been publishing for longer than this has ended.
const LONGEST_PUBLICATION: TimeDelta = TimeDelta::minutes(2);

/// What people want to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    /// How long ago something may have begun, or ended, that they are told of: a backfill is no news.
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

/// Why a row was not told of now, and may be later.
enum Hindered {
    Store(StoreError),
    Topic(PublishError),
}

impl Notify {
    /// Tells people of the rows of the committed partition that they have not been told of, until it is `until`.
    ///
    /// Any number of these may run at once, and any may be repeated.
    pub(crate) async fn handle(&self, event: Value, until: DateTime<Utc>) -> Result<Response, Failure> {
        let request: NotifyRequest = serde_json::from_value(event).map_err(|error| {
            Failure::permanent(format!("expected the notify object of the transform function: {error}"))
        })?;
        let rows = self.rows(&request).await?;
        let prefix = shoplake_lake::keys::notice(&request.model, &request.partition, "");
        let prefix = prefix.trim_end_matches(".json");
        let claimed = self.store.list(prefix).await.map_err(Failure::retryable)?;
        let claimed: HashSet<String> = claimed.into_iter().map(|entry| entry.key).collect();

        // What has begun is finished, whatever happens to the others: a row that is dropped between its claim and its
        // message would never be told of.
        let stop = AtomicBool::new(false);
        let (stop, claimed, request) = (&stop, &claimed, &request);
        let results: Vec<Option<Result<Told, Hindered>>> = futures::stream::iter(&rows)
            .map(|row| async move {
                if stop.load(Ordering::Relaxed) || self.clock.now() >= until {
                    return None;
                }
                let told = self.row(request, row, claimed).await;
                if told.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                Some(told)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        conclude(request, rows.len(), results)
    }

    async fn rows(&self, request: &NotifyRequest) -> Result<Vec<Row>, Failure> {
        let object = self.store.get(&request.key).await.map_err(Failure::retryable)?.ok_or_else(|| {
            Failure::permanent(format!(
                "there is no gold object {:?} any more; mark its partition dirty, and its rows are told of again",
                request.key
            ))
        })?;
        rows::read(object.bytes, &request.notice, &request.identity)
            .map_err(|error| Failure::permanent(format!("the gold object {:?}: {error}", request.key)))
    }

    async fn row(
        &self,
        request: &NotifyRequest,
        row: &Row,
        claimed: &HashSet<String>,
    ) -> Result<Told, Hindered> {
        let Some(started) = row.started else {
            tracing::warn!(model = request.model, row = ?row.columns, "a row without a beginning is nothing to tell of");
            return Ok(Told::default());
        };
        let slot = Slot::new(self.store.as_ref(), request, row);
        let is_news = |moment: DateTime<Utc>| self.clock.now() - moment <= self.policy.within;
        let is_over = self.policy.ended && row.ended.is_some_and(is_news);
        let mut told = Told::default();

        let held = match (claimed.contains(&slot.key), is_news(started) || is_over) {
            (true, false) => return Ok(told),
            (true, true) => slot.get().await.map_err(Hindered::Store)?,
            (false, _) => None,
        };
        let known = match held {
            None if !is_news(started) => {
                // Somebody raises the limit one day; history is no news even then.
                let claim = slot.put(State::Expired, None, self.clock.now()).await;
                told.expired = claim.map_err(Hindered::Store)?.is_some();
                return Ok(told);
            }
            None => self.tell(request, row, &slot, None, Event::Started, &mut told).await?,
            Some(held) => match held.claim.state {
                State::Refused if is_news(started) => {
                    self.tell(request, row, &slot, Some(&held), Event::Started, &mut told).await?
                }
                State::Sent => Some(held),
                State::Sending | State::Ending => {
                    told.unknown = self.is_abandoned(&slot, &held);
                    None
                }
                State::Refused | State::Expired | State::Ended => None,
            },
        };
        if let Some(held) = known.filter(|_| is_over) {
            self.tell(request, row, &slot, Some(&held), Event::Ended, &mut told).await?;
        }
        Ok(told)
    }

    /// Claims, publishes, and notes what became of it. Answers with the claim if people know now.
    async fn tell(
        &self,
        request: &NotifyRequest,
        row: &Row,
        slot: &Slot<'_>,
        from: Option<&Held>,
        event: Event,
        told: &mut Told,
    ) -> Result<Option<Held>, Hindered> {
        let (under_way, done, not_done) = match event {
            Event::Started => (State::Sending, State::Sent, State::Refused),
            Event::Ended => (State::Ending, State::Ended, State::Sent),
        };
        let claim = slot.put(under_way, from, self.clock.now()).await.map_err(Hindered::Store)?;
        let Some(claim) = claim else { return Ok(None) };
        match self.topic.publish(&message(request, row, event)).await {
            Ok(()) => {
                match event {
                    Event::Started => told.sent = true,
                    Event::Ended => told.ended = true,
                }
                // People know, whether that is noted or not; without the note they are only never told of the end.
                match slot.put(done, Some(&claim), self.clock.now()).await {
                    Ok(held) => Ok(held),
                    Err(error) => {
                        tracing::error!(%error, key = slot.key, "a message was published, which its claim does not say");
                        Ok(None)
                    }
                }
            }
            Err(error @ PublishError::Refused(_)) => {
                if let Err(put) = slot.put(not_done, Some(&claim), self.clock.now()).await {
                    tracing::error!(
                        error = %put, key = slot.key, row = ?row.columns,
                        "a message was refused, and its claim could not be given back: people are not told of this row"
                    );
                }
                Err(Hindered::Topic(error))
            }
            Err(error @ PublishError::Unknown(_)) => {
                told.unknown = true;
                tracing::error!(
                    %error, key = slot.key, row = ?row.columns,
                    "people may or may not have been told of this row; it is not told again"
                );
                Ok(None)
            }
        }
    }

    /// Whether a claim is that of a publisher who has ended. Says so, as nobody else will.
    fn is_abandoned(&self, slot: &Slot<'_>, held: &Held) -> bool {
        let is_abandoned = self.clock.now() - held.claim.at > LONGEST_PUBLICATION;
        if is_abandoned {
            tracing::error!(
                key = slot.key, at = %held.claim.at, state = ?held.claim.state,
                "a message was begun and never finished: people may or may not have been told of this row"
            );
        }
        is_abandoned
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
        Some(Hindered::Store(error)) => Err(Failure::retryable(format!("{left} rows are left: {error}"))),
        Some(Hindered::Topic(error)) => Err(Failure::retryable(format!("{left} rows are left: {error}"))),
        None if left > 0 => Err(Failure::retryable(format!(
            "{left} of {rows} rows are left, as the time was up; another run goes on from there"
        ))),
        None => Ok(response),
    }
}
