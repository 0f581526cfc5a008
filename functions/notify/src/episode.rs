//! Which rows belong to one episode, and which messages about it were published.
//!
//! The start of a row moves when late or corrected input arrives: a stock-out that seemed to start
//! at 01:00 started at 23:00 of the day before, and its row moves to another partition. It is still
//! one episode, which is notified once. So a row is matched by its subject (its key without the
//! partition) and by its time:
//!
//! 1. It contains the start of a known episode: it is that episode.
//! 2. Its partition is where a known episode was last seen: it is that episode, whose start has
//!    moved within the day.
//! 3. A known episode that started at most a day earlier, and has no known end, has no row any
//!    more: it is that episode, whose start has moved to a later partition.
//! 4. The row of a known episode still covers the new row's start: one of the two rows is about to
//!    be computed again, so the decision waits for the next commit of either.
//! 5. Otherwise it is a new episode.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shoplake_jobs::Partition;

use crate::rows::Row;

/// How far a start may move to a later partition.
const MAX_MOVE: TimeDelta = TimeDelta::hours(24);

/// How long a model looks ahead for the end of a row. A row that started longer ago and has no end
/// yet tells nothing about the present.
pub(crate) const KNOWN_END: TimeDelta = TimeDelta::days(30);

/// How many episodes of a subject are kept. Older ones are not news, even if they change.
const MAX_EPISODES: usize = 50;

/// The state of the messages about an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It was too old to notify when it was first seen.
    Expired,
    /// A run is publishing the start, or ended while doing so.
    Sending,
    /// The topic refused that message: any run may try again.
    Refused,
    /// The start was published.
    Sent,
    /// A run is publishing the end, or ended while doing so.
    Ending,
    /// The end was published.
    Ended,
}

/// An episode of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Episode {
    /// Identifies the run that wrote `state`, which finds the episode by it.
    pub(crate) writer: String,
    pub(crate) state: State,
    /// When `state` was written.
    pub(crate) at: DateTime<Utc>,
    /// Its start when it was first seen.
    pub(crate) notified: DateTime<Utc>,
    /// Its start now, which may have moved to a later partition.
    pub(crate) started: DateTime<Utc>,
    /// Its end, if it has one.
    pub(crate) ended: Option<DateTime<Utc>>,
    /// The partition in which its row was last seen.
    pub(crate) partition: Partition,
}

/// The episodes of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) episodes: Vec<Episode>,
    /// Partitions whose row may be a known episode or a new one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) waiting: BTreeSet<Partition>,
    /// Starts up to this time are not news: their episodes are not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<DateTime<Utc>>,
}

/// The time span of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) started: DateTime<Utc>,
    pub(crate) ended: Option<DateTime<Utc>>,
}

impl Span {
    /// Returns the time span of the row; `None` if it has no start.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        Some(Self { started: row.started?, ended: row.ended })
    }

    fn contains(self, time: DateTime<Utc>) -> bool {
        self.started <= time && self.ended.is_none_or(|ended| time <= ended)
    }
}

/// Which episode a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The known episode at this place.
    Known(usize),
    /// A new episode.
    New,
    /// A known or a new one, which the next commit decides.
    Unclear,
    /// An episode that is not kept any more.
    Forgotten,
}

impl Subject {
    /// Returns the partitions whose row of this subject [`find`](Self::find) needs.
    pub(crate) fn open_before(&self, span: Span, partition: Partition) -> BTreeSet<Partition> {
        self.open(span, partition).map(|(_, episode)| episode.partition).collect()
    }

    fn open(&self, span: Span, partition: Partition) -> impl Iterator<Item = (usize, &Episode)> {
        self.episodes.iter().enumerate().filter(move |(_, episode)| {
            episode.ended.is_none()
                && episode.started < span.started
                && episode.partition != partition
        })
    }

    /// Returns the episode of the row of `partition`. `rows` are the subject's current rows in
    /// other partitions.
    pub(crate) fn find(
        &self,
        span: Span,
        partition: Partition,
        rows: &BTreeMap<Partition, Span>,
    ) -> Found {
        let is_within =
            |episode: &Episode| span.contains(episode.started) || span.contains(episode.notified);
        if let Some(place) = self.episodes.iter().position(is_within) {
            return Found::Known(place);
        }
        if let Some(place) =
            self.episodes.iter().rposition(|episode| episode.partition == partition)
        {
            return Found::Known(place);
        }
        if self.forgotten.is_some_and(|forgotten| span.started <= forgotten) {
            return Found::Forgotten;
        }
        for (place, episode) in self.open(span, partition) {
            match rows.get(&episode.partition) {
                Some(row)
                    if row.contains(span.started) && span.started - row.started < KNOWN_END =>
                {
                    return Found::Unclear;
                }
                Some(_) => {}
                None if span.started - episode.started <= MAX_MOVE => {
                    return Found::Known(place);
                }
                None => {}
            }
        }
        Found::New
    }

    /// Records that the row of `partition` is the episode at `place`. Returns the partition that
    /// its row has left.
    pub(crate) fn see(
        &mut self,
        place: usize,
        span: Span,
        partition: Partition,
    ) -> Option<Partition> {
        let episode = &mut self.episodes[place];
        if span.contains(episode.notified) {
            episode.started = episode.notified;
        } else if !span.contains(episode.started) && episode.partition != partition {
            episode.started = span.started;
        }
        episode.ended = span.ended;
        let left = std::mem::replace(&mut episode.partition, partition);
        (left != partition).then_some(left)
    }

    /// Adds an episode.
    pub(crate) fn add(&mut self, episode: Episode) {
        self.episodes.push(episode);
        self.episodes.sort_by_key(|episode| episode.started);
        while self.episodes.len() > MAX_EPISODES {
            self.forgotten = self.forgotten.max(Some(self.episodes.remove(0).started));
        }
    }
}
