//! What shops and a connector send in a run.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::profile::BUSY;
use super::random::Random;

/// The shops. Only the last one sends what fails checks and queries.
pub(crate) const SHOPS: [&str; 3] = ["acme", "globex", "hostile"];

/// The days of events, before the day on which the run begins. A sweep compares the newest days
/// each time and the others once a day.
const DAYS_AGO: [u64; 5] = [0, 1, 3, 9, 12];

/// How long all requests take in a burst.
const BURST_SECONDS: u64 = 20;

/// The most visits of a shop and day, whose amounts are different powers of two.
const MAX_VISITS: u32 = 60;

/// The amount of a visit that a stranger sends. No visit of a shop has it.
pub(crate) const FORGED_AMOUNT: i64 = 1 << 61;

/// What a visit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    View,
    Outage,
    /// It fails a check, so its shop is withheld.
    Hostile,
    /// It makes the query of its model fail, so its shop is withheld.
    Failing,
}

/// A visit.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) shop: &'static str,
    pub(crate) id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) kind: Kind,
    pub(crate) amount: i64,
    /// The length of a text that makes it large.
    pub(crate) note: usize,
}

impl Visit {
    /// Returns the day of the visit.
    pub(crate) fn day(&self) -> NaiveDate {
        self.at.date_naive()
    }

    /// Returns whether its shop is withheld because of it.
    pub(crate) fn is_bad(&self) -> bool {
        matches!(self.kind, Kind::Hostile | Kind::Failing)
    }

    /// Returns the event as a shop sends it.
    pub(crate) fn event(&self) -> Value {
        let kind = match self.kind {
            Kind::View | Kind::Failing => "view",
            Kind::Outage => "outage",
            Kind::Hostile => "hostile",
        };
        json!({
            "event_id": self.id, "occurred_at": self.at, "kind": kind, "amount": self.amount,
            "code": if self.kind == Kind::Failing { "x" } else { "1" },
            "note": (self.note > 0).then(|| "n".repeat(self.note)),
        })
    }
}

/// A version of a sale.
#[derive(Clone, Debug)]
pub(crate) struct Sale {
    pub(crate) shop: &'static str,
    pub(crate) id: String,
    pub(crate) day: NaiveDate,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) quantity: i64,
}

/// A request of a shop with visits.
#[derive(Clone, Debug)]
pub(crate) struct VisitsRequest {
    /// When it is sent first.
    pub(crate) after: Duration,
    pub(crate) shop: &'static str,
    pub(crate) id: String,
    pub(crate) visits: Vec<Visit>,
}

/// A batch of sales.
#[derive(Clone, Debug)]
pub(crate) struct SalesBatch {
    /// When it is sent first.
    pub(crate) after: Duration,
    pub(crate) sales: Vec<Sale>,
}

/// Everything that is sent in a run.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) requests: Vec<VisitsRequest>,
    pub(crate) batches: Vec<SalesBatch>,
    /// The days of events.
    pub(crate) days: Vec<NaiveDate>,
}

impl Workload {
    /// Draws what is sent in the run of a seed that begins at `start`.
    pub(crate) fn draw(seed: u64, start: DateTime<Utc>) -> Self {
        let random = Random::new("workload", seed);
        let today = start.date_naive();
        let days = DAYS_AGO[..=random.index(DAYS_AGO.len())].iter();
        let days: Vec<NaiveDate> = days.map(|ago| today - Days::new(*ago)).collect();
        // In a burst, functions race for the same partitions.
        let is_burst = random.percent(25);
        let last = if is_burst { BURST_SECONDS } else { BUSY.as_secs() * 3 / 4 };
        let after = || random.seconds(0, last);

        let has_bad = random.percent(40);
        let is_large = random.percent(20);
        let mut amounts: BTreeMap<(&str, NaiveDate), u32> = BTreeMap::new();
        let mut requests = Vec::new();
        for number in 0..random.between(2, 12) {
            let shop = *random.pick(&SHOPS);
            let mut visits = Vec::new();
            for _ in 0..random.between(1, 4) {
                let day = *random.pick(&days);
                let second = random.between(0, 86_399) as i64;
                let used = amounts.entry((shop, day)).or_default();
                let amount = 1 << (*used).min(MAX_VISITS);
                *used += 1;
                let kind = match random.between(1, 100) {
                    1..=20 => Kind::Outage,
                    21..=25 if has_bad && shop == SHOPS[2] => Kind::Failing,
                    26..=35 if has_bad && shop == SHOPS[2] => Kind::Hostile,
                    _ => Kind::View,
                };
                visits.push(Visit {
                    shop,
                    id: format!("{number}-{}", visits.len()),
                    at: day.and_time(NaiveTime::MIN).and_utc() + TimeDelta::seconds(second),
                    kind,
                    amount,
                    note: if is_large { random.between(0, 15_000) as usize } else { 0 },
                });
            }
            requests.push(VisitsRequest { after: after(), shop, id: format!("r{number}"), visits });
        }

        let mut batches = Vec::new();
        let mut versions = 0;
        for _ in 0..random.between(0, 4) {
            let mut sales = Vec::new();
            for _ in 0..random.between(1, 4) {
                let id = random.index(5);
                // A version that is sent later may be older. No two are of the same time.
                let ago = TimeDelta::seconds(random.between(1, 7_200) as i64);
                versions += 1;
                sales.push(Sale {
                    shop: SHOPS[random.index(SHOPS.len())],
                    id: format!("s{id}"),
                    day: days[id % days.len()],
                    updated_at: start - ago + TimeDelta::microseconds(versions),
                    quantity: random.between(0, 9) as i64,
                });
            }
            batches.push(SalesBatch { after: after(), sales });
        }
        Self { requests, batches, days }
    }

    /// Returns all visits.
    pub(crate) fn visits(&self) -> impl Iterator<Item = &Visit> {
        self.requests.iter().flat_map(|request| &request.visits)
    }
}
