//! The event bus and the dirty queue behind it. Messages come late, twice, out of order or never.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use futures::future::select;
use serde_json::json;
use shoplake_aws::{DirtyQueue, EventPublisher, MemoryDirtyQueue, PortError, ReceivedMessage};
use shoplake_jobs::PartitionDirty;
use shoplake_platform::faults::Fault;
use tokio::sync::Notify;

use crate::protocol::executor::sleep;
use crate::protocol::functions::BUCKET;
use crate::protocol::invariants::Invariants;
use crate::protocol::planted::Planted;
use crate::protocol::profile::Outage;
use crate::protocol::random::Random;
use crate::protocol::reached::BadState;
use crate::protocol::world::{ServiceClock, ServiceFaults, World};

/// The most entries of a call.
const MAX_ENTRIES: usize = 10;

/// After so many receives the queue moves a message to the dead-letter queue.
const MAX_RECEIVES: u32 = 25;

/// EventBridge and SQS.
pub(crate) struct Bus {
    world: Arc<World>,
    queue: Arc<MemoryDirtyQueue>,
    faults: ServiceFaults,
    random: Random,
    /// The number of events of commits.
    events: AtomicU64,
    arrived: Notify,
    invariants: Arc<Invariants>,
}

impl Bus {
    pub(crate) fn new(world: &Arc<World>, invariants: Arc<Invariants>) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            queue: Arc::new(MemoryDirtyQueue::new(Arc::new(ServiceClock(world.clone())))),
            faults: ServiceFaults::new(world, "messages", world.profile.messages),
            random: Random::new("bus", world.seed),
            events: AtomicU64::default(),
            arrived: Notify::new(),
            invariants,
        })
    }

    /// Delivers the event of a new object, as the deployed rule does.
    pub(crate) fn object_created(self: &Arc<Self>, key: &str) {
        let event = json!({
            "source": "aws.s3", "detail-type": "Object Created",
            "detail": {"bucket": {"name": BUCKET}, "object": {"key": key}},
        });
        self.deliver(event.to_string());
    }

    /// Delivers an event that EventBridge has accepted: maybe late, maybe twice, maybe never.
    fn deliver(self: &Arc<Self>, body: String) {
        if self.world.goes_wrong(&self.random, self.world.profile.messages_lost) {
            self.world.trace(format_args!("lost {body}"));
            return self.world.reach(BadState::MessageLost);
        }
        let copies = if self.faults.twice("deliver") { 2 } else { 1 };
        if copies > 1 {
            self.world.reach(BadState::MessageTwice);
        }
        for _ in 0..copies {
            let late = self.faults.late("deliver");
            if late.is_some() {
                self.world.reach(BadState::MessageLate);
            }
            let delay = self.random.milliseconds(50, 1_500) + late.unwrap_or_default();
            let (bus, body) = (self.clone(), body.clone());
            self.world.spawn(async move {
                sleep(delay).await;
                while bus.world.is_out(Outage::EventBridge) {
                    sleep(bus.random.seconds(1, 30)).await;
                }
                bus.add(body);
            });
        }
    }

    /// Adds a message to the queue.
    fn add(&self, body: String) {
        self.world.trace(format_args!("arrived {body}"));
        self.queue.deliver(body);
        self.arrived.notify_waiters();
    }

    /// Makes a call that sends `bodies`, the most that one call takes.
    async fn send(
        &self,
        action: &'static str,
        out: Option<Outage>,
        bodies: &[String],
        accept: impl Fn(&str) + Send + Sync,
    ) -> Result<(), PortError> {
        for batch in bodies.chunks(MAX_ENTRIES) {
            self.world.call().await;
            let is_out = out.is_some_and(|outage| self.world.is_out(outage));
            let drawn = self.faults.write(action);
            let fault = if is_out { Some(Fault::Refused) } else { drawn };
            self.world.trace(format_args!("{action} {batch:?} {fault:?}"));
            // A call has an answer for each entry: some may be accepted, and others not.
            let accepted = match fault {
                None | Some(Fault::AnswerLost) => batch.len(),
                Some(Fault::Refused) if !is_out => self.random.index(batch.len()),
                Some(_) => 0,
            };
            batch[..accepted].iter().for_each(|body| accept(body));
            if fault.is_some() {
                self.world.reach(BadState::PublishFailed);
                return Err(PortError::new(action, "a fault of the simulation"));
            }
        }
        Ok(())
    }

    /// Waits until a message can be received.
    pub(crate) async fn message(&self) {
        while self.queue.is_idle() {
            let arrived = pin!(self.arrived.notified());
            match self.queue.next_delay() {
                Some(delay) => {
                    let delay = delay.max(TimeDelta::milliseconds(1)).to_std().unwrap_or_default();
                    select(arrived, sleep(delay)).await;
                }
                None => arrived.await,
            }
        }
    }

    /// Receives messages. Those that came too often are moved to the dead-letter queue.
    pub(crate) fn receive(&self, most: usize) -> Vec<ReceivedMessage> {
        let place = self.faults.next("receive", most + 1);
        let mut received = self.queue.receive(place, most);
        for message in &mut received {
            self.world.trace(format_args!("receive {} {}", message.receives, message.body));
            if self.world.plants(Planted::MessagesBackdated) {
                message.sent_at -= TimeDelta::hours(1);
            }
        }
        received.retain(|message| {
            let is_alive = message.receives <= MAX_RECEIVES;
            if !is_alive {
                self.world.trace(format_args!("dead {}", message.body));
                self.queue.delete(&message.receipt);
            }
            is_alive
        });
        received
    }

    /// Deletes a message.
    pub(crate) fn delete(&self, message: &ReceivedMessage) {
        self.queue.delete(&message.receipt);
    }

    /// Returns whether a received message waits.
    pub(crate) fn is_deferred(&self, message: &ReceivedMessage) -> bool {
        self.queue.is_deferred(&message.receipt)
    }

    /// Returns whether the queue has no message.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_idle() && self.queue.next_delay().is_none()
    }
}

/// The ports that functions have of the bus and the queue.
#[derive(Clone)]
pub(crate) struct BusPort(pub(crate) Arc<Bus>);

#[async_trait]
impl EventPublisher for BusPort {
    async fn publish(&self, dirty: &[PartitionDirty]) -> Result<(), PortError> {
        let bus = &self.0;
        for partition in dirty {
            bus.invariants.published(partition);
        }
        let bodies: Vec<_> = dirty.iter().map(|dirty| dirty.event().to_string()).collect();
        let accept = |body: &str| {
            bus.invariants.accepted(body);
            let is_third = bus.events.fetch_add(1, Ordering::Relaxed) % 3 == 2;
            if !is_third || !bus.world.plants(Planted::EventsLost) {
                bus.deliver(body.to_owned());
            }
        };
        bus.send("publish events", Some(Outage::EventBridge), &bodies, accept).await
    }
}

#[async_trait]
impl DirtyQueue for BusPort {
    async fn send_bodies(&self, bodies: &[String]) -> Result<(), PortError> {
        let bus = &self.0;
        let accept = |body: &str| {
            let owed = body.split("it owes ").nth(1).and_then(|owed| owed.split('"').next());
            let owes = |what| owed.is_some_and(|owed| owed.split(", ").any(|one| one == what));
            let is_lost = (owes("load") && bus.world.plants(Planted::SweptLoadsLost))
                || (owes("compute") && bus.world.plants(Planted::SweptComputationsLost));
            if !is_lost {
                bus.add(body.to_owned());
            }
        };
        bus.send("send messages", None, bodies, accept).await
    }

    async fn defer(&self, receipt: &str, delay: Duration) -> Result<(), PortError> {
        let bus = &self.0;
        bus.world.call().await;
        let fault = bus.faults.write("hide a message");
        if fault.is_none_or(Fault::takes_effect) {
            bus.queue.defer(receipt, delay).await?;
            bus.world.reach(BadState::MessageDeferred);
        }
        match fault {
            None => Ok(()),
            Some(_) => Err(PortError::new("hide a message", "a fault of the simulation")),
        }
    }
}
