//! Which rows stand for one episode, and what people know of it.
//!
//! A row's beginning moves when late or corrected input arrives: a stock-out that was known from
//! 01:00 on began at 23:00 of the day before, and its row is now one of another partition. It is
//! still one episode, of which people are told once. So a row is recognised by its subject (its key
//! without the partition) and by its time:
//!
//! 1. It contains the beginning of a known episode: it is that episode.
//! 2. Its partition is where a known episode was last seen: it is that episode, whose beginning has
//!    moved within the day.
//! 3. A known episode that began earlier, and has not ended as far as is known, has no row any
//!    more, and did not begin long before: it is that episode, whose beginning has moved to a later
//!    partition.
//! 4. Otherwise it is a new episode; unless the row of the known episode still covers the new row's
//!    beginning. One of the two rows is then about to be computed again: the decision waits for the
//!    next commit of either.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::rows::Row;

/// By how much a beginning may move to a later partition.
const LONGEST_MOVE: TimeDelta = TimeDelta::hours(24);

/// How long a model looks ahead for the end of a row. A row that began longer ago than this and has
/// no end yet says nothing about now.
pub(crate) const KNOWN_END: TimeDelta = TimeDelta::days(30);

/// Episodes that are kept of a subject. Older ones are no news, whatever becomes of them.
const MOST_EPISODES: usize = 50;

/// What is known of the message about an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It was too old to notify when it was first seen.
    Expired,
    /// A run is publishing that it began, or ended while doing so.
    Sending,
    /// The topic did not take that message: any run may try again.
    Refused,
    /// People know that it began.
    Sent,
    /// A run is publishing that it is over, or ended while doing so.
    Ending,
    /// People know that it is over.
    Ended,
}

/// An episode of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Episode {
    /// Names the run that wrote `state`. That run finds the episode by it.
    pub(crate) writer: String,
    pub(crate) state: State,
    /// When `state` was written.
    pub(crate) at: DateTime<Utc>,
    /// Its beginning when it was first seen.
    pub(crate) notified: DateTime<Utc>,
    /// Its beginning as of now, if that has moved to a later partition.
    pub(crate) started: DateTime<Utc>,
    /// Its end, if it has one.
    pub(crate) ended: Option<DateTime<Utc>>,
    /// Where its row was last seen.
    pub(crate) partition: String,
}

/// All that is known of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subject {
    pub(crate) episodes: Vec<Episode>,
    /// Partitions whose row cannot be told from a known episode yet.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) waiting: BTreeSet<String>,
    /// Beginnings up to this one are no news: their episodes are not kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgotten: Option<DateTime<Utc>>,
}

/// The time of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) started: DateTime<Utc>,
    pub(crate) ended: Option<DateTime<Utc>>,
}

impl Span {
    /// The time of the row; none if it has no beginning.
    pub(crate) fn of(row: &Row) -> Option<Self> {
        Some(Self { started: row.started?, ended: row.ended })
    }

    fn contains(self, time: DateTime<Utc>) -> bool {
        self.started <= time && self.ended.is_none_or(|ended| time <= ended)
    }
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A known episode, by its place.
    Known(usize),
    /// An episode that is not known.
    New,
    /// Either, which the next commit decides.
    Unclear,
    /// One that is not kept any more.
    Forgotten,
}

impl Subject {
    /// The partitions whose row of this subject [`find`](Self::find) has to know.
    pub(crate) fn open_before(&self, span: Span, partition: &str) -> BTreeSet<String> {
        self.open(span, partition).map(|(_, episode)| episode.partition.clone()).collect()
    }

    fn open(&self, span: Span, partition: &str) -> impl Iterator<Item = (usize, &Episode)> {
        self.episodes.iter().enumerate().filter(move |(_, episode)| {
            episode.ended.is_none()
                && episode.started < span.started
                && episode.partition != partition
        })
    }

    /// What the row of `partition` is. `rows` are the rows that the subject has now in other
    /// partitions.
    pub(crate) fn find(&self, span: Span, partition: &str, rows: &BTreeMap<String, Span>) -> Found {
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
                None if span.started - episode.started <= LONGEST_MOVE => {
                    return Found::Known(place);
                }
                None => {}
            }
        }
        Found::New
    }

    /// Notes that the row of `partition` is the episode at `place`. Answers with the partition that
    /// its row has left.
    pub(crate) fn see(&mut self, place: usize, span: Span, partition: &str) -> Option<String> {
        let episode = &mut self.episodes[place];
        if span.contains(episode.notified) {
            episode.started = episode.notified;
        } else if !span.contains(episode.started) && episode.partition != partition {
            episode.started = span.started;
        }
        episode.ended = span.ended;
        (episode.partition != partition)
            .then(|| std::mem::replace(&mut episode.partition, partition.to_owned()))
    }

    /// Adds an episode.
    pub(crate) fn add(&mut self, episode: Episode) {
        self.episodes.push(episode);
        self.episodes.sort_by_key(|episode| episode.started);
        while self.episodes.len() > MOST_EPISODES {
            self.forgotten = self.forgotten.max(Some(self.episodes.remove(0).started));
        }
    }
}
