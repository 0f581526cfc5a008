//! The dirty queue in memory: SQS as far as dispatch and transform can tell.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_lambda_events::event::sqs::{SqsEvent, SqsMessage};
use chrono::{DateTime, Utc};
use shoplake_function_dispatch::Delay;
use shoplake_function_transform::{Announcer, PortError, Queue};
use shoplake_jobs::PartitionDirty;
use shoplake_platform::clock::{Clock, ManualClock};

/// Messages that wait, each delivered at least once.
#[derive(Clone)]
pub(crate) struct Messages {
    clock: Arc<ManualClock>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    ready: VecDeque<String>,
    /// Bodies with the moment from which they are ready.
    delayed: Vec<(DateTime<Utc>, String)>,
    /// How many announcements fail from now on.
    broken: u32,
}

impl Messages {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        Self { clock, state: Arc::default() }
    }

    pub(crate) fn send(&self, body: String) {
        self.state().ready.push_back(body);
    }

    /// Takes what is ready: all of it, or `most` messages of which the first is the one at `place`.
    pub(crate) fn take(&self, place: usize, most: usize) -> Vec<String> {
        let mut state = self.state();
        let now = self.clock.now();
        let (due, later): (Vec<_>, Vec<_>) =
            state.delayed.drain(..).partition(|(from, _)| *from <= now);
        state.delayed = later;
        state.ready.extend(due.into_iter().map(|(_, body)| body));
        if !state.ready.is_empty() {
            let middle = place % state.ready.len();
            state.ready.rotate_left(middle);
        }
        let count = most.min(state.ready.len());
        state.ready.drain(..count).collect()
    }

    /// Whether nothing is ready now.
    pub(crate) fn is_quiet(&self) -> bool {
        let state = self.state();
        let now = self.clock.now();
        state.ready.is_empty() && state.delayed.iter().all(|(from, _)| *from > now)
    }

    /// The time until the next message is ready; `None` if there is none at all.
    pub(crate) fn next(&self) -> Option<chrono::Duration> {
        let state = self.state();
        state.delayed.iter().map(|(from, _)| *from - self.clock.now()).min()
    }

    /// Has the next announcement or mark fail, as if the process had ended right before it.
    pub(crate) fn break_next(&self) {
        self.state().broken = 1;
    }

    /// Nothing fails any more.
    pub(crate) fn mend(&self) {
        self.state().broken = 0;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change is left half done by a panic: each is one call on a collection.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_send(&self, dirtied: &[PartitionDirty]) -> Result<(), PortError> {
        let mut state = self.state();
        if state.broken > 0 {
            state.broken -= 1;
            return Err(PortError {
                action: "send a dirty partition",
                cause: "the simulated process ended here".to_owned(),
            });
        }
        state.ready.extend(dirtied.iter().map(|dirty| dirty.event().to_string()));
        Ok(())
    }
}

#[async_trait]
impl Announcer for Messages {
    async fn announce(&self, dirtied: &[PartitionDirty]) -> Result<(), PortError> {
        self.try_send(dirtied)
    }
}

#[async_trait]
impl Queue for Messages {
    async fn mark(&self, dirty: &PartitionDirty) -> Result<(), PortError> {
        self.try_send(std::slice::from_ref(dirty))
    }
}

#[async_trait]
impl Delay for Messages {
    async fn postpone(&self, dirty: &PartitionDirty, delay: Duration) -> anyhow::Result<()> {
        let from = self.clock.now() + chrono::Duration::from_std(delay)?;
        self.state().delayed.push((from, dirty.event().to_string()));
        Ok(())
    }
}

/// The event that dispatch gets for some messages. The id of each is its place.
pub(crate) fn batch(bodies: &[String]) -> SqsEvent {
    let mut event = SqsEvent::default();
    event.records = bodies
        .iter()
        .enumerate()
        .map(|(place, body)| {
            let mut message = SqsMessage::default();
            message.message_id = Some(place.to_string());
            message.body = Some(body.clone());
            message
        })
        .collect();
    event
}
