//! Visits of a shop's site.

use std::collections::VecDeque;

use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use rand::{Rng, RngExt, rngs::StdRng, seq::IndexedRandom};

use super::event::{Device, Event, EventType, Utm};
use crate::{
    seed::rng_of_day,
    world::{Product, World},
};

/// Visitors who are on the site at the same time: their events arrive interleaved.
const ON_SITE: usize = 32;

/// Events of an average visit, measured; only spreads the visits over the day.
const EVENTS_PER_VISIT: f64 = 4.3;

/// A longer pause than this begins a new session in the KPIs, under the same session id.
const LONG_BREAK_MINUTES: i64 = 31;

const SEARCHES: [&str; 6] =
    ["teapot", "gift for mum", "lantern weiß", "blue mug", "50% off", "christmas"];
const COUNTRIES: [&str; 8] = ["GB", "GB", "GB", "DE", "FR", "IE", "NL", "US"];
const REFERRERS: [&str; 3] = [
    "https://www.google.com/",
    "https://www.instagram.com/",
    "https://news.example.org/best-teapots",
];
const CAMPAIGNS: [(&str, &str, &str); 3] = [
    ("google", "cpc", "autumn"),
    ("newsletter", "email", "weekly"),
    ("instagram", "social", "teapots"),
];
const DEVICES: [(&str, &str, &str, &str); 4] = [
    (
        "mobile",
        "iOS",
        "Safari",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Safari/604.1",
    ),
    (
        "mobile",
        "Android",
        "Chrome",
        "Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/131.0 Mobile Safari/537.36",
    ),
    (
        "desktop",
        "Windows",
        "Edge",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/131.0 Edg/131.0",
    ),
    ("tablet", "iPadOS", "Safari", "Mozilla/5.0 (iPad; CPU OS 18_1 like Mac OS X) Safari/604.1"),
];

/// An endless sequence of events of one day's visitors. The n-th event depends on the arguments
/// alone.
pub struct Visitors {
    rng: StdRng,
    world: World,
    day: NaiveDate,
    expected_visits: f64,
    visits: u64,
    on_site: Vec<VecDeque<Event>>,
}

impl Visitors {
    /// Returns the visitors of `day`, spread over it so that about `events` events cover the day.
    #[must_use]
    pub fn new(world: World, day: NaiveDate, events: u64) -> Self {
        let expected_visits = (events as f64 / EVENTS_PER_VISIT).max(1.0);
        Self {
            rng: rng_of_day(world.seed, day),
            world,
            day,
            expected_visits,
            visits: 0,
            on_site: Vec::new(),
        }
    }

    fn visit(&mut self) -> VecDeque<Event> {
        let number = self.visits;
        self.visits += 1;
        let rng = &mut self.rng;
        let midnight = self.day.and_time(NaiveTime::MIN).and_utc();
        let start = match rng.random_range(0..100) {
            // The phone was offline: yesterday's visit arrives today.
            0..2 => midnight - Duration::seconds(rng.random_range(7_200..80_000)),
            // Late in the evening; most of these go on past midnight.
            2..5 => midnight + Duration::seconds(86_400 - rng.random_range(1..300)),
            _ => midnight + through_the_day(number as f64 / self.expected_visits, rng),
        };
        // The day on which it is sent, also for a late visit: on the day before there is a visit of
        // that number already.
        let id = format!("{}-{}-{number}", self.day.format("%Y%m%d"), self.world.seed);
        let mut visit = Visit::of_anyone(self.world, rng, id, start);
        match rng.random_range(0..100) {
            0..35 => visit.bounce(rng),
            35..70 => visit.browse(rng),
            70..88 => visit.fill_cart(rng),
            _ => visit.buy(rng),
        }
        visit.events
    }
}

impl Iterator for Visitors {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        while self.on_site.len() < ON_SITE {
            let visit = self.visit();
            self.on_site.push(visit);
        }
        let who = self.rng.random_range(0..self.on_site.len());
        let event = self.on_site[who].pop_front();
        if self.on_site[who].is_empty() {
            self.on_site.swap_remove(who);
        }
        event
    }
}

/// Returns the time of a visit when `share` of the day's visits have begun, give or take a minute.
fn through_the_day(share: f64, rng: &mut impl Rng) -> Duration {
    let second = (share.fract() * 86_400.0) as i64 + rng.random_range(-60..60);
    Duration::seconds(second.clamp(0, 86_399))
        + Duration::microseconds(rng.random_range(0..1_000_000))
}

/// One visit, step by step. A visit has at least one event.
struct Visit {
    world: World,
    template: Event,
    id: String,
    events: VecDeque<Event>,
    now: DateTime<Utc>,
}

impl Visit {
    fn of_anyone(world: World, rng: &mut impl Rng, id: String, start: DateTime<Utc>) -> Self {
        let visitor = rng.random_range(0..200_000);
        let (kind, os, browser, user_agent) = DEVICES[rng.random_range(0..DEVICES.len())];
        let utm = rng
            .random_bool(0.3)
            .then(|| CAMPAIGNS[rng.random_range(0..CAMPAIGNS.len())])
            .map(|(source, medium, campaign)| Utm { source, medium, campaign });
        let template = Event {
            event_id: String::new(),
            session_id: format!("s-{id}"),
            visitor_id: format!("v{visitor:06}"),
            // A known visitor is known at every visit.
            customer_id: (visitor % 3 == 0).then(|| world.online_customer(visitor / 3)),
            event_type: EventType::PageView,
            occurred_at: start,
            page_url: String::new(),
            referrer: REFERRERS.choose(rng).copied().filter(|_| rng.random_bool(0.6)),
            product_id: None,
            search_term: None,
            order_id: None,
            user_agent,
            device: Device { kind, os, browser },
            country: COUNTRIES[rng.random_range(0..COUNTRIES.len())],
            utm,
            duration_ms: None,
        };
        Self { world, template, id, events: VecDeque::new(), now: start }
    }

    fn bounce(&mut self, rng: &mut impl Rng) {
        if rng.random_bool(0.5) {
            self.page(rng, "/");
        } else {
            self.product(rng, EventType::ProductView);
        }
    }

    fn browse(&mut self, rng: &mut impl Rng) {
        self.page(rng, "/");
        for _ in 0..rng.random_range(1..8) {
            match rng.random_range(0..10) {
                0..2 => self.search(rng),
                2..5 => self.page(rng, "/collections/new"),
                _ => self.product(rng, EventType::ProductView),
            }
            if rng.random_bool(0.03) {
                self.now += Duration::minutes(rng.random_range(LONG_BREAK_MINUTES..120));
            }
        }
    }

    fn fill_cart(&mut self, rng: &mut impl Rng) {
        self.browse(rng);
        self.product(rng, EventType::AddToCart);
        if rng.random_bool(0.3) {
            self.product(rng, EventType::RemoveFromCart);
        }
    }

    fn buy(&mut self, rng: &mut impl Rng) {
        self.fill_cart(rng);
        self.product(rng, EventType::AddToCart);
        self.step(rng, EventType::Checkout, "/checkout".to_owned(), |_| {});
        let order_id = format!("o-{}", self.id);
        self.step(rng, EventType::Purchase, "/thank-you".to_owned(), |event| {
            event.order_id = Some(order_id)
        });
    }

    fn page(&mut self, rng: &mut impl Rng, path: &str) {
        let seconds = rng.random_range(2_000..90_000);
        self.step(rng, EventType::PageView, path.to_owned(), |event| {
            event.duration_ms = Some(seconds)
        });
    }

    fn search(&mut self, rng: &mut impl Rng) {
        let term = SEARCHES[rng.random_range(0..SEARCHES.len())];
        self.step(rng, EventType::Search, "/search".to_owned(), |event| {
            event.search_term = Some(term)
        });
    }

    fn product(&mut self, rng: &mut impl Rng, event_type: EventType) {
        let product = Product::id(self.world.any_product(rng));
        let path = format!("/products/{product}");
        self.step(rng, event_type, path, |event| event.product_id = Some(product));
    }

    fn step(
        &mut self,
        rng: &mut impl Rng,
        event_type: EventType,
        path: String,
        detail: impl FnOnce(&mut Event),
    ) {
        let mut event = self.template.clone();
        event.event_id = format!("e-{}-{}", self.id, self.events.len());
        event.event_type = event_type;
        event.occurred_at = self.now;
        event.page_url = format!("https://shop.example.com{path}");
        detail(&mut event);
        self.events.push_back(event);
        // Only the first page of a visit has a page before it that is not the shop's.
        self.template.referrer = None;
        self.now += Duration::milliseconds(rng.random_range(1_000..180_000));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 20).unwrap()
    }

    fn visits(seed: u64, events: usize) -> BTreeMap<String, Vec<Event>> {
        let mut visits: BTreeMap<String, Vec<Event>> = BTreeMap::new();
        for event in Visitors::new(World::new(seed), day(), events as u64).take(events) {
            visits.entry(event.session_id.clone()).or_default().push(event);
        }
        visits
    }

    fn share(visits: &BTreeMap<String, Vec<Event>>, is: impl Fn(&[Event]) -> bool) -> f64 {
        visits.values().filter(|events| is(events)).count() as f64 / visits.len() as f64
    }

    #[test]
    fn events_follow_from_seed_and_day() {
        let events =
            |seed, day| Visitors::new(World::new(seed), day, 1_000).take(1_000).collect::<Vec<_>>();

        assert_eq!(events(1, day()), events(1, day()));
        assert_ne!(events(1, day()), events(2, day()));
        assert_ne!(events(1, day()), events(1, day().succ_opt().unwrap()));
    }

    #[test]
    fn consecutive_days_share_no_event_id() {
        let ids = |day| {
            let events = Visitors::new(World::new(1), day, 4_000).take(4_000);
            events.map(|event| event.event_id).collect::<HashSet<_>>()
        };
        assert!(ids(day()).is_disjoint(&ids(day().succ_opt().unwrap())));
    }

    #[test]
    fn a_day_has_every_kind_of_session() {
        let visits = visits(3, 50_000);
        let midnight = (day() + Duration::days(1)).and_time(NaiveTime::MIN).and_utc();
        let has_break = |events: &[Event]| {
            let limit = Duration::minutes(30);
            events.windows(2).any(|pair| pair[1].occurred_at - pair[0].occurred_at > limit)
        };
        let is_late = |events: &[Event]| events[0].occurred_at.date_naive() < day();
        let crosses = |events: &[Event]| {
            events[0].occurred_at < midnight && events[events.len() - 1].occurred_at >= midnight
        };

        assert!((0.3..0.4).contains(&share(&visits, |events| events.len() == 1)), "bounces");
        assert!((0.05..0.2).contains(&share(&visits, has_break)), "breaks");
        assert!((0.01..0.04).contains(&share(&visits, is_late)), "of the day before");
        assert!((0.01..0.05).contains(&share(&visits, crosses)), "across midnight");
        let purchases = |events: &[Event]| events.iter().any(|event| event.order_id.is_some());
        assert!((0.08..0.16).contains(&share(&visits, purchases)), "purchases");
    }

    #[test]
    fn the_estimate_of_events_per_visit_is_about_right() {
        let measured = 50_000.0 / visits(4, 50_000).len() as f64;

        assert!((measured - EVENTS_PER_VISIT).abs() < 0.5, "{measured}");
    }

    proptest! {
        #[test]
        fn events_are_unique_and_a_session_has_one_visitor(seed: u64, events in 1_usize..600) {
            let visits = visits(seed, events);

            let ids: HashSet<_> = visits.values().flatten().map(|event| &event.event_id).collect();
            prop_assert_eq!(ids.len(), events);
            for visit in visits.values() {
                prop_assert!(visit.iter().all(|event| event.visitor_id == visit[0].visitor_id));
                let is_ordered = |pair: &[Event]| pair[0].occurred_at < pair[1].occurred_at;
                prop_assert!(visit.windows(2).all(is_ordered));
            }
        }
    }
}
