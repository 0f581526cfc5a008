//! Which events go into which request.

use std::collections::VecDeque;

use chrono::NaiveDate;
use rand::{RngExt, rngs::StdRng};
use serde_json::value::RawValue;

use super::{Event, Visitors, dirt};
use crate::seed::rng_of_day;

/// One event in this many is sent a second time.
const DUPLICATE_EVERY: u32 = 100;

/// One request in this many is followed by one that must be refused.
const DIRTY_EVERY: u32 = 20;

/// Events of a request that must be refused; only the first is dirty, and takes the others with it.
const DIRTY_EVENTS: u64 = 2;

/// Keeps the random numbers of the plan apart from those of the visitors.
const PLAN_SEED: u64 = 0x504C_414E;

/// What is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The same seed gives the same requests.
    pub seed: u64,
    /// The day of most of the events.
    pub day: NaiveDate,
    /// New events, without second copies and dirt.
    pub events: u64,
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
    Dirt,
}

/// One event of a request.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The event, as it travels.
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
    /// What it carries, never nothing.
    pub events: Vec<Planned>,
}

impl Plan {
    /// The requests, one after the other: a long plan takes no more memory than a short one.
    pub fn requests(self) -> impl Iterator<Item = anyhow::Result<Request>> {
        Requests {
            plan: self,
            visitors: Visitors::new(self.seed, self.day, self.events),
            rng: rng_of_day(self.seed ^ PLAN_SEED, self.day),
            left: self.events,
            copies: Vec::new(),
            ready: VecDeque::new(),
            requests: 0,
        }
    }
}

struct Requests {
    plan: Plan,
    visitors: Visitors,
    rng: StdRng,
    left: u64,
    copies: Vec<Planned>,
    ready: VecDeque<Request>,
    requests: u64,
}

impl Requests {
    fn request(&mut self, purpose: Purpose, events: Vec<Planned>) {
        let Plan { seed, day, .. } = self.plan;
        let id = format!("msg_{}_{seed}_{:08}", day.format("%Y%m%d"), self.requests);
        self.requests += 1;
        self.ready.push_back(Request { id, purpose, events });
    }

    fn plan_more(&mut self) -> anyhow::Result<()> {
        let batch = self.plan.batch.max(1);
        // Copies first: they are of earlier requests, never of the one that is about to be planned.
        if self.copies.len() >= batch || (self.left == 0 && !self.copies.is_empty()) {
            let rest = self.copies.split_off(batch.min(self.copies.len()));
            let copies = std::mem::replace(&mut self.copies, rest);
            self.request(Purpose::Duplicates, copies);
        }
        let size = self.left.min(batch as u64);
        if size == 0 {
            return Ok(());
        }
        self.left -= size;
        let mut fresh = Vec::with_capacity(batch);
        for event in self.visitors.by_ref().take(size as usize) {
            let event = self.plan.planned(&event)?;
            if self.rng.random_ratio(1, DUPLICATE_EVERY) {
                self.copies.push(event.clone());
            }
            fresh.push(event);
        }
        self.request(Purpose::Fresh, fresh);
        if self.rng.random_ratio(1, DIRTY_EVERY) {
            let dirt = self.dirt()?;
            self.request(Purpose::Dirt, dirt);
        }
        Ok(())
    }

    /// Events of visitors of their own, so that none of them is ever accepted under the same id.
    fn dirt(&mut self) -> anyhow::Result<Vec<Planned>> {
        let number = self.requests;
        let strangers = Visitors::new(self.plan.seed ^ number ^ PLAN_SEED, self.plan.day, DIRTY_EVENTS);
        (0..DIRTY_EVENTS)
            .zip(strangers)
            .map(|(index, mut event)| {
                event.event_id = format!("dirty-{number}-{index}");
                let good = self.plan.planned(&event)?;
                if index > 0 {
                    return Ok(good);
                }
                let json = serde_json::value::to_raw_value(&dirt::spoil(&event, number)?)?;
                Ok(Planned { json, ..good })
            })
            .collect()
    }
}

impl Plan {
    fn planned(&self, event: &Event) -> anyhow::Result<Planned> {
        let late = event.occurred_at.date_naive() < self.day;
        Ok(Planned { json: serde_json::value::to_raw_value(event)?, late })
    }
}

impl Iterator for Requests {
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

    fn plan(seed: u64, events: u64, batch: usize) -> Plan {
        Plan { seed, day: NaiveDate::from_ymd_opt(2026, 11, 20).unwrap(), events, batch }
    }

    fn requests(plan: Plan) -> Vec<Request> {
        plan.requests().map(Result::unwrap).collect()
    }

    fn texts(requests: &[Request]) -> Vec<(String, Vec<String>)> {
        let events =
            |request: &Request| request.events.iter().map(|event| event.json.get().to_owned()).collect();
        requests.iter().map(|request| (request.id.clone(), events(request))).collect()
    }

    #[test]
    fn given_the_same_seed_then_the_same_requests_byte_for_byte() {
        assert_eq!(texts(&requests(plan(5, 3_000, 100))), texts(&requests(plan(5, 3_000, 100))));
    }

    #[test]
    fn given_a_long_plan_then_late_events_copies_and_dirt_are_part_of_it() {
        let requests = requests(plan(6, 20_000, 100));
        let count = |purpose| requests.iter().filter(|request| request.purpose == purpose).count();

        assert_eq!(count(Purpose::Fresh), 200);
        assert!(count(Purpose::Dirt) > 3);
        assert!(count(Purpose::Duplicates) >= 1);
        assert!(requests.iter().flat_map(|request| &request.events).any(|event| event.late));
    }

    #[test]
    fn given_dirt_then_no_event_of_it_is_sent_in_any_other_request() {
        let requests = requests(plan(6, 20_000, 100));

        let mut good = HashSet::new();
        let mut dirty = Vec::new();
        for request in &requests {
            for event in &request.events {
                match request.purpose {
                    Purpose::Dirt => dirty.push(event.json.get()),
                    Purpose::Fresh | Purpose::Duplicates => drop(good.insert(event.json.get())),
                }
            }
        }
        assert!(dirty.iter().all(|event| !good.contains(event)));
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
                        Purpose::Dirt => {}
                    }
                }
            }
            prop_assert_eq!(seen.len() as u64, events);
        }
    }
}
