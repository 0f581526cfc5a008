//! The web traffic of one day.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use super::{Event, Visitors};
use crate::{
    post::{Corruption, EventSource, corrupt},
    world::World,
};

/// Events of a request that must be refused.
const INVALID_EVENTS: u64 = 2;

/// Keeps the visitors of invalid events apart from those of the day.
const INVALID_SEED: u64 = 0x4449_5254;

const CORRUPTIONS: [Corruption; 5] = [
    |fields| drop(fields.remove("event_id")),
    |fields| drop(fields.insert("event_type".to_owned(), "teleport".into())),
    |fields| drop(fields.insert("occurred_at".to_owned(), "yesterday".into())),
    |fields| drop(fields.insert("session_id".to_owned(), Value::Null)),
    |fields| drop(fields.insert("page_url".to_owned(), 404.into())),
];

/// What the visitors of one day do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// The customers and products.
    pub world: World,
    /// The day of most of the events.
    pub day: NaiveDate,
    /// New events, without copies and invalid events.
    pub events: u64,
}

impl EventSource for Traffic {
    const DATASET: &'static str = "web_traffic";
    type Event = Event;

    fn seed(&self) -> u64 {
        self.world.seed
    }

    fn day(&self) -> NaiveDate {
        self.day
    }

    fn events(&self) -> Box<dyn Iterator<Item = Event> + Send> {
        let visitors = Visitors::new(self.world, self.day, self.events);
        Box::new(visitors.take(usize::try_from(self.events).unwrap_or(usize::MAX)))
    }

    fn occurred_at(event: &Event) -> DateTime<Utc> {
        event.occurred_at
    }

    fn invalid_events(&self, number: u64) -> anyhow::Result<Vec<Value>> {
        // Visitors of their own, so that none of their events is ever accepted under the same id.
        let world = World { seed: self.world.seed ^ number ^ INVALID_SEED, ..self.world };
        let strangers = Visitors::new(world, self.day, INVALID_EVENTS);
        (0..INVALID_EVENTS)
            .zip(strangers)
            .map(|(index, mut event)| {
                event.event_id = format!("invalid-{number}-{index}");
                match index {
                    0 => corrupt(&event, &CORRUPTIONS, number),
                    _ => Ok(serde_json::to_value(&event)?),
                }
            })
            .collect()
    }
}
