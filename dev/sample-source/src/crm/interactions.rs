//! The interactions that are sent on one day.

use chrono::{DateTime, Duration, NaiveDate, Utc};
use rand::seq::SliceRandom;
use serde_json::Value;

use super::{day::happened, interaction::Interaction};
use crate::{
    post::{Corruption, EventSource, corrupt},
    seed::{mix, number_of, rng_of_day},
    world::World,
};

/// One interaction in this many is sent on the day after it happened.
const LATE_EVERY: u64 = 50;

/// Keep kinds of random numbers apart.
const LATE: u64 = 0x4C41_5445;
const ORDER_SEED: u64 = 0x4F52_4445;

/// Interactions that are sent out of order are at most this many apart.
const DISORDER: usize = 64;

const CORRUPTIONS: [Corruption; 6] = [
    |fields| drop(fields.remove("interaction_id")),
    |fields| drop(fields.insert("interaction_type".to_owned(), "telepathy".into())),
    |fields| drop(fields.insert("rating".to_owned(), 11.into())),
    |fields| drop(fields.insert("occurred_at".to_owned(), "yesterday".into())),
    |fields| drop(fields.insert("channel".to_owned(), Value::Null)),
    |fields| drop(fields.insert("ticket_status".to_owned(), "forgotten".into())),
];

/// The interactions that a CRM sends on one day: those of the day except some late ones, and the
/// late ones of the day before. Days can be sent in any order; a ticket's resolution is sent on its
/// own day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interactions {
    /// The customers.
    pub world: World,
    /// The day.
    pub day: NaiveDate,
    /// Interactions a day, about. Tickets of earlier days are part of them, so it should be the
    /// same for all days.
    pub events: u64,
}

impl Interactions {
    fn on_time_or_late(&self, day: NaiveDate, late: bool) -> impl Iterator<Item = Interaction> {
        let (seed, day_number) = (self.world.seed, number_of(day));
        let is_late = move |index| mix(seed, &[LATE, day_number, index]).is_multiple_of(LATE_EVERY);
        (0..)
            .zip(happened(self, day))
            .filter(move |(index, _)| is_late(*index) == late)
            .map(|(_, sent)| sent)
    }
}

impl EventSource for Interactions {
    const DATASET: &'static str = "crm_interactions";
    type Event = Interaction;

    fn seed(&self) -> u64 {
        self.world.seed
    }

    fn day(&self) -> NaiveDate {
        self.day
    }

    fn events(&self) -> Box<dyn Iterator<Item = Interaction> + Send> {
        let mut sent: Vec<_> = self.on_time_or_late(self.day, false).collect();
        sent.sort_by_key(|interaction| interaction.occurred_at);
        let mut rng = rng_of_day(self.world.seed ^ ORDER_SEED, self.day);
        // Late interactions are spread over the day, then neighbours are shuffled.
        let late: Vec<_> = self.on_time_or_late(self.day - Duration::days(1), true).collect();
        let step = sent.len() / (late.len() + 1) + 1;
        for (number, interaction) in late.into_iter().enumerate() {
            sent.insert((number * step).min(sent.len()), interaction);
        }
        sent.chunks_mut(DISORDER).for_each(|chunk| chunk.shuffle(&mut rng));
        Box::new(sent.into_iter())
    }

    fn occurred_at(event: &Interaction) -> DateTime<Utc> {
        event.occurred_at
    }

    fn invalid_events(&self, number: u64) -> anyhow::Result<Vec<Value>> {
        let template = happened(&Self { events: 1, ..*self }, self.day).pop();
        let Some(mut valid) = template else { return Ok(Vec::new()) };
        valid.interaction_id = format!("invalid-{}-{number}-0", self.day.format("%Y%m%d"));
        let invalid = corrupt(&valid, &CORRUPTIONS, number)?;
        valid.interaction_id = format!("invalid-{}-{number}-1", self.day.format("%Y%m%d"));
        Ok(vec![invalid, serde_json::to_value(&valid)?])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use super::*;
    use crate::{
        crm::{InteractionType, TicketStatus},
        post::Plan,
    };

    fn crm(day: u32, events: u64) -> Interactions {
        let day = NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        Interactions { world: World::new(3), day, events }
    }

    #[test]
    fn interactions_follow_from_seed_and_day() {
        let events = |crm: Interactions| crm.events().collect::<Vec<_>>();

        assert_eq!(events(crm(20, 500)), events(crm(20, 500)));
        assert_ne!(events(crm(20, 500)), events(crm(21, 500)));
        assert_ne!(
            events(crm(20, 500)),
            events(Interactions { world: World::new(4), ..crm(20, 500) })
        );
    }

    #[test]
    fn consecutive_days_send_every_event_once() {
        let sent: Vec<_> = (10..=20).flat_map(|day| crm(day, 600).events()).collect();
        let key = |event: &Interaction| (event.interaction_id.clone(), event.occurred_at);
        let unique: HashSet<_> = sent.iter().map(key).collect();
        assert_eq!(unique.len(), sent.len());

        // Of all days but the last, of which some is still to come.
        for day in 10..20 {
            for event in happened(&crm(day, 600), crm(day, 600).day) {
                assert!(unique.contains(&key(&event)), "{event:?}");
            }
        }
    }

    #[test]
    fn a_day_has_about_the_requested_number_and_some_late_events() {
        let crm = crm(20, 2_000);
        let events: Vec<_> = crm.events().collect();

        assert!((1_950..2_100).contains(&events.len()), "{}", events.len());
        let late = events.iter().filter(|event| event.occurred_at.date_naive() < crm.day).count();
        assert!((20..60).contains(&late), "{late}");
        assert!(events.iter().all(|event| event.occurred_at.date_naive() <= crm.day));
    }

    #[test]
    fn a_day_has_all_types_late_and_corrected_interactions() {
        let events: Vec<_> = crm(20, 5_000).events().collect();

        assert!(events.windows(2).any(|pair| pair[0].occurred_at > pair[1].occurred_at));
        let types: HashSet<_> = events.iter().map(|event| event.interaction_type).collect();
        assert_eq!(types.len(), 7);
        let mut versions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for event in &events {
            versions.entry(&event.interaction_id).or_default().push(event.occurred_at);
        }
        assert!(
            versions
                .values()
                .all(|times| times.iter().collect::<HashSet<_>>().len() == times.len())
        );
        let corrected = versions.values().filter(|times| times.len() > 1).count();
        assert!((5..60).contains(&corrected), "{corrected}");
        let unanswered = |event: &Interaction| event.rating == Some(None);
        assert!(events.iter().any(unanswered));
        assert!(
            events.iter().any(|event| event.interaction_type == InteractionType::SupportTicket
                && event.ticket_status == Some(TicketStatus::Pending))
        );
    }

    #[test]
    fn tickets_are_resolved_on_later_days() {
        let mut opened_on = BTreeMap::new();
        let mut days_later = HashSet::new();
        for day in 1..=30 {
            for event in happened(&crm(day, 300), crm(day, 300).day) {
                match event.ticket_status {
                    Some(TicketStatus::Opened) => drop(opened_on.insert(event.ticket_id, day)),
                    Some(TicketStatus::Resolved) => {
                        days_later
                            .extend(opened_on.get(&event.ticket_id).map(|opened| day - opened));
                    }
                    _ => {}
                }
            }
        }
        assert!([0, 1, 2, 5].iter().all(|days| days_later.contains(days)), "{days_later:?}");
    }

    #[test]
    fn every_long_plan_has_invalid_requests() {
        let plan = Plan { source: crm(20, 10_000), batch: 50 };
        let invalid = plan
            .requests()
            .map(Result::unwrap)
            .filter(|request| request.purpose == crate::post::Purpose::Invalid);
        assert!(invalid.count() >= CORRUPTIONS.len());
    }
}
