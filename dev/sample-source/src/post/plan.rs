//! Plans which events go into which request.

use std::collections::VecDeque;

use rand::{RngExt, rngs::StdRng};
use serde_json::value::{RawValue, to_raw_value};

use super::{EventSource, Summary};
use crate::{record::Recorder, seed::rng_of_day};

/// One event in this many is sent a second time.
const DUPLICATE_EVERY: u32 = 100;

/// The first request, and one in this many after it, is followed by one that must be refused.
const INVALID_EVERY: u32 = 20;

/// Keeps the random numbers of the plan apart from those of the events.
const PLAN_SEED: u64 = 0x504C_414E;

/// The requests of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan<S> {
    /// The source of the events.
    pub source: S,
    /// New events per request.
    pub batch: usize,
}

/// Why a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// New events.
    Fresh,
    /// Exact copies of events that an earlier request carried.
    Duplicates,
    /// Must be refused.
    Invalid,
}

/// One event of a request.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The event's JSON.
    pub json: Box<RawValue>,
    /// Whether it happened on the day before.
    pub late: bool,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its idempotency key, the same in every run.
    pub id: String,
    /// Why it is sent.
    pub purpose: Purpose,
    /// Its events, at least one.
    pub events: Vec<Planned>,
}

impl<S: EventSource> Plan<S> {
    /// Returns the requests, one after the other, without holding all of them in memory.
    pub fn requests(&self) -> impl Iterator<Item = anyhow::Result<Request>> {
        Requests {
            plan: self,
            events: self.source.events(),
            rng: rng_of_day(self.source.seed() ^ PLAN_SEED, self.source.day()),
            copies: Vec::new(),
            ready: VecDeque::new(),
            requests: 0,
        }
    }

    /// Returns the summary of a perfect API, without sending anything.
    ///
    /// # Errors
    /// When a record cannot be written.
    pub fn dry_run(&self, recorder: &mut Recorder) -> anyhow::Result<Summary> {
        let mut summary = Summary::default();
        for request in self.requests() {
            let request = request?;
            let events = request.events.len() as u64;
            summary.count(&request);
            summary.requests += 1;
            if request.purpose == Purpose::Invalid {
                summary.rejected += events;
                summary.requests_refused += 1;
            } else {
                summary.accepted += events;
                request.record(recorder)?;
            }
        }
        Ok(summary)
    }

    fn planned(&self, event: &S::Event) -> anyhow::Result<Planned> {
        let late = S::occurred_at(event).date_naive() < self.source.day();
        Ok(Planned { json: to_raw_value(event)?, late })
    }
}

impl Request {
    pub(super) fn record(&self, recorder: &mut Recorder) -> std::io::Result<()> {
        self.events.iter().try_for_each(|event| recorder.record(&event.json))
    }
}

struct Requests<'a, S: EventSource> {
    plan: &'a Plan<S>,
    events: Box<dyn Iterator<Item = S::Event> + Send>,
    rng: StdRng,
    copies: Vec<Planned>,
    ready: VecDeque<Request>,
    requests: u64,
}

impl<S: EventSource> Requests<'_, S> {
    fn request(&mut self, purpose: Purpose, events: Vec<Planned>) {
        let source = &self.plan.source;
        let id =
            format!("msg_{}_{}_{:08}", source.day().format("%Y%m%d"), source.seed(), self.requests);
        self.requests += 1;
        self.ready.push_back(Request { id, purpose, events });
    }

    fn plan_more(&mut self) -> anyhow::Result<()> {
        let batch = self.plan.batch.max(1);
        let mut fresh = Vec::with_capacity(batch);
        let mut copies = Vec::new();
        for event in self.events.by_ref().take(batch) {
            let event = self.plan.planned(&event)?;
            if self.rng.random_ratio(1, DUPLICATE_EVERY) {
                copies.push(event.clone());
            }
            fresh.push(event);
        }
        // Copies first: they are of earlier requests, never of the one that is about to be sent.
        if self.copies.len() >= batch || (fresh.is_empty() && !self.copies.is_empty()) {
            let rest = self.copies.split_off(batch.min(self.copies.len()));
            let earlier = std::mem::replace(&mut self.copies, rest);
            self.request(Purpose::Duplicates, earlier);
        }
        self.copies.append(&mut copies);
        if fresh.is_empty() {
            return Ok(());
        }
        let is_first = self.requests == 0;
        self.request(Purpose::Fresh, fresh);
        if self.rng.random_ratio(1, INVALID_EVERY) || is_first {
            let events = self.plan.source.invalid_events(self.requests)?;
            let events =
                events.iter().map(|event| Ok(Planned { json: to_raw_value(event)?, late: false }));
            let events = events.collect::<Result<_, serde_json::Error>>()?;
            self.request(Purpose::Invalid, events);
        }
        Ok(())
    }
}

impl<S: EventSource> Iterator for Requests<'_, S> {
    type Item = anyhow::Result<Request>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty()
            && let Err(error) = self.plan_more()
        {
            return Some(Err(error));
        }
        self.ready.pop_front().map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::{web::Traffic, world::World};

    fn plan(seed: u64, events: u64, batch: usize) -> Plan<Traffic> {
        let day = chrono::NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
        Plan { source: Traffic { world: World::new(seed), day, events }, batch }
    }

    fn requests(plan: Plan<Traffic>) -> Vec<Request> {
        plan.requests().map(Result::unwrap).collect()
    }

    fn texts(requests: &[Request]) -> Vec<(String, Vec<String>)> {
        let events = |request: &Request| {
            request.events.iter().map(|event| event.json.get().to_owned()).collect()
        };
        requests.iter().map(|request| (request.id.clone(), events(request))).collect()
    }

    #[test]
    fn requests_follow_from_the_seed_byte_for_byte() {
        assert_eq!(texts(&requests(plan(5, 3_000, 100))), texts(&requests(plan(5, 3_000, 100))));
    }

    #[test]
    fn a_long_plan_has_late_events_copies_and_invalid_events() {
        let requests = requests(plan(6, 20_000, 100));
        let count = |purpose| requests.iter().filter(|request| request.purpose == purpose).count();

        assert_eq!(count(Purpose::Fresh), 200);
        assert!(count(Purpose::Invalid) > 3);
        assert!(count(Purpose::Duplicates) >= 1);
        assert!(requests.iter().flat_map(|request| &request.events).any(|event| event.late));
    }

    #[test]
    fn a_short_plan_has_an_invalid_request_on_every_day() {
        for day in (0..60).map(|days| {
            chrono::NaiveDate::from_ymd_opt(2026, 11, 1).unwrap() + chrono::Days::new(days)
        }) {
            let plan =
                Plan { source: Traffic { world: World::new(3), day, events: 50 }, batch: 50 };
            assert!(
                requests(plan).iter().any(|request| request.purpose == Purpose::Invalid),
                "{day}"
            );
        }
    }

    #[test]
    fn an_invalid_event_is_in_one_request_only() {
        let requests = requests(plan(6, 20_000, 100));

        let mut valid = HashSet::new();
        let mut invalid = Vec::new();
        for request in &requests {
            for event in &request.events {
                match request.purpose {
                    Purpose::Invalid => invalid.push(event.json.get()),
                    Purpose::Fresh | Purpose::Duplicates => drop(valid.insert(event.json.get())),
                }
            }
        }
        assert!(invalid.iter().all(|event| !valid.contains(event)));
    }

    proptest! {
        #[test]
        fn every_new_event_is_planned_once_and_every_copy_after_it(
            seed: u64, events in 0_u64..800, batch in 1_usize..60,
        ) {
            let mut seen = HashSet::new();
            let mut ids = HashSet::new();
            for request in requests(plan(seed, events, batch)) {
                prop_assert!(!request.events.is_empty() && request.events.len() <= batch.max(2));
                prop_assert!(ids.insert(request.id));
                for event in request.events {
                    match request.purpose {
                        Purpose::Fresh => prop_assert!(seen.insert(event.json.get().to_owned())),
                        Purpose::Duplicates => prop_assert!(seen.contains(event.json.get())),
                        Purpose::Invalid => {}
                    }
                }
            }
            prop_assert_eq!(seen.len() as u64, events);
        }
    }
}
