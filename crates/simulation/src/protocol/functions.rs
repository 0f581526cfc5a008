//! The functions, over the ports of the simulation, and Lambda, which runs them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::{AbortHandle, Abortable};
use shoplake_aws::secrets::{CachedSecrets, MemorySecrets};
use shoplake_aws::shops::{CachedShopList, LakeShopList};
use shoplake_aws::{Executions, MemoryDeadLetterQueue};
use shoplake_conform::Conformer;
use shoplake_engine::Engine;
use shoplake_function_conform::{Conform, LAYOUT};
use shoplake_function_dispatch::{Dispatch, Engines};
use shoplake_function_load::Load;
use shoplake_function_notify::{Notify, NotifyPolicy};
use shoplake_function_transform::Transform;
use shoplake_function_webhook::Webhook;
use shoplake_ingest::Ingest;
use shoplake_lake::{MemoryStore, Store};
use shoplake_operations::{Freshness, Operations, Redrive};
use shoplake_platform::clock::Clock;
use shoplake_platform::failure::Failure;
use shoplake_platform::metrics::{DELAYED_DAYS, Metrics, Sink};
use shoplake_warehouse::{Literal, Loader, Warehouse};

use super::definitions::definitions;
use super::executor::{spawn_for, timeout};
use super::invariants::Invariants;
use super::invocation::Invocation;
use super::planted::Planted;
use super::ports::bus::{Bus, BusPort};
use super::ports::executions::SimulatedExecutions;
use super::ports::secrets::SimulatedSecrets;
use super::ports::store::SimulatedStore;
use super::ports::stream::SimulatedStream;
use super::ports::topic::SimulatedTopic;
use super::ports::warehouse::SimulatedWarehouse;
use super::profile::Outage;
use super::random::Random;
use super::reached::BadState;
use super::senders;
use super::world::{FunctionClock, World};

/// The lake's bucket.
pub(crate) const BUCKET: &str = "lake";

/// The names of streams before the source.
pub(crate) const STREAM_PREFIX: &str = "simulation";

/// People are notified of rows that began within so many hours.
pub(crate) const NOTIFY_WITHIN_HOURS: i64 = 48;

/// A killed function is killed at one of its first calls.
const MAX_CALLS: u64 = 30;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Webhook,
    Conform,
    Dispatch,
    Transform,
    Load,
    Notify,
    Control,
}

impl Function {
    /// Returns the time limit, as deployed.
    fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Webhook => 20,
            Self::Conform => 120,
            Self::Dispatch | Self::Load => 60,
            Self::Transform => 100,
            Self::Notify => 30,
            Self::Control => 300,
        })
    }
}

/// Why a function returned nothing.
#[derive(Debug)]
pub(crate) enum InvokeError {
    /// It was throttled.
    Throttled,
    /// It reached its time limit.
    TimedOut,
    /// It was killed, or its answer was lost.
    Crashed,
    /// It failed.
    Failed(Failure),
}

/// Metrics that are not read.
struct NoSink;

impl Sink for NoSink {
    fn write(&self, _: &str) {}
}

/// The metrics of dispatch, which name delayed days.
struct DispatchSink(Arc<World>);

impl Sink for DispatchSink {
    fn write(&self, line: &str) {
        if line.contains(&DELAYED_DAYS.name()) {
            self.0.reach(BadState::OldDayDelayed);
        }
    }
}

/// The type of dispatch over the ports of the simulation.
type SimulatedDispatch =
    Dispatch<SimulatedStore, Arc<dyn Executions>, BusPort, BusPort, Arc<dyn Clock>>;

/// The functions and the services that they use.
pub(crate) struct Cloud {
    pub(crate) world: Arc<World>,
    pub(crate) objects: Arc<MemoryStore>,
    pub(crate) store: SimulatedStore,
    pub(crate) bus: Arc<Bus>,
    pub(crate) executions: Arc<SimulatedExecutions>,
    pub(crate) stream: Arc<SimulatedStream>,
    pub(crate) topic: Arc<SimulatedTopic>,
    pub(crate) warehouse: Arc<SimulatedWarehouse>,
    pub(crate) invariants: Arc<Invariants>,
    pub(crate) webhook: Webhook,
    pub(crate) conform: Conform<SimulatedStore>,
    pub(crate) dispatch: SimulatedDispatch,
    pub(crate) transform: Transform,
    pub(crate) load: Load,
    pub(crate) notify: Notify,
    pub(crate) operations: Operations,
    random: Random,
    running: Arc<AtomicUsize>,
    invocations: AtomicU64,
}

impl Cloud {
    pub(crate) fn new(world: &Arc<World>, engine: Arc<dyn Engine>) -> Arc<Self> {
        let (contracts, models) = definitions();
        let clock: Arc<dyn Clock> = Arc::new(FunctionClock(world.clone()));
        let metrics = || Metrics::new("simulation", Arc::new(NoSink));
        let objects: Arc<MemoryStore> = Arc::default();
        let invariants = Invariants::new(world, objects.clone());
        let bus = Bus::new(world, invariants.clone());
        let port = || Arc::new(BusPort(bus.clone()));
        let store = SimulatedStore::new(world, objects.clone(), bus.clone(), invariants.clone());
        let lake: Arc<dyn Store> = Arc::new(store.clone());
        let executions = SimulatedExecutions::new(world);
        let stream = SimulatedStream::new(world);
        let topic = SimulatedTopic::new(world);
        let warehouse = SimulatedWarehouse::new(world, objects.clone(), invariants.clone());
        let secrets = SimulatedSecrets::new(world, senders::secrets());
        let shops = Arc::new(LakeShopList::new(lake.clone()));
        let shops = Arc::new(CachedShopList::new(shops, clock.clone()));
        let webhook = Webhook {
            ingest: Ingest::new(
                contracts.clone(),
                shops.clone(),
                stream.clone(),
                metrics(),
                STREAM_PREFIX,
            ),
            secrets: Arc::new(CachedSecrets::with_clock(secrets, shops, clock.clone())),
            clock: clock.clone(),
        };
        let conform = Conform {
            conformer: Conformer::new(contracts.clone(), LAYOUT),
            bucket: BUCKET.to_owned(),
            lake: store.clone(),
            metrics: metrics(),
        };
        let dispatch = Dispatch {
            models: models.clone(),
            lake: store.clone(),
            executions: executions.clone() as Arc<dyn Executions>,
            engines: Engines {
                lambda_runs: world.profile.max_runs,
                glue_runs: 0,
                glue_above_bytes: u64::MAX,
            },
            old_days_per_hour: world.profile.old_days_per_hour,
            queue: BusPort(bus.clone()),
            publisher: BusPort(bus.clone()),
            metrics: Metrics::new("dispatch", Arc::new(DispatchSink(world.clone()))),
            clock: clock.clone(),
        };
        let transform =
            Transform { store: lake.clone(), publisher: port(), clock: clock.clone(), engine };
        let load = Load {
            loader: Loader::new(warehouse.clone()),
            store: lake.clone(),
            models: models.index(),
            bucket: BUCKET.to_owned(),
            role: Literal::new("arn:aws:iam::000000000000:role/copy").expect("a literal"),
            clock: clock.clone(),
            metrics: metrics(),
        };
        let notify = Notify {
            store: lake.clone(),
            topic: topic.clone(),
            clock: clock.clone(),
            policy: NotifyPolicy { within: TimeDelta::hours(NOTIFY_WITHIN_HOURS), ended: false },
        };
        let operations = Operations {
            models: models.index(),
            migrations: Vec::new(),
            warehouse: warehouse.clone() as Arc<dyn Warehouse>,
            secrets: Arc::new(MemorySecrets::default()),
            queue: port(),
            lake,
            executions: executions.clone(),
            topic: topic.clone(),
            redrive: Redrive {
                contracts: contracts.clone(),
                dirty: Arc::new(MemoryDeadLetterQueue::default()),
                streams: Arc::new(MemoryDeadLetterQueue::default()),
                executions: executions.clone(),
                bucket: BUCKET.to_owned(),
                stream: stream.clone(),
                stream_prefix: STREAM_PREFIX.to_owned(),
                firehose_buffer: Duration::from_secs(60),
            },
            freshness: Freshness::new(contracts, topic.clone(), metrics()),
            clock,
        };
        Arc::new(Self {
            world: world.clone(),
            objects,
            store,
            bus,
            executions,
            stream,
            topic,
            warehouse,
            invariants,
            webhook,
            conform,
            dispatch,
            transform,
            load,
            notify,
            operations,
            random: Random::new("functions", world.seed),
            running: Arc::default(),
            invocations: AtomicU64::default(),
        })
    }

    /// Runs a function. It goes on if its caller ends.
    pub(crate) async fn invoke<T: 'static>(
        self: &Arc<Self>,
        function: Function,
        work: impl AsyncFnOnce(Arc<Self>) -> Result<T, Failure> + 'static,
    ) -> Result<T, InvokeError> {
        let world = self.world.clone();
        let is_full = self.running.load(Ordering::Relaxed) >= world.profile.concurrency;
        if world.is_out(Outage::Lambda) || (is_full && !world.is_faultless()) {
            world.reach(BadState::FunctionThrottled);
            return Err(InvokeError::Throttled);
        }
        let (abort, registration) = AbortHandle::new_pair();
        let invocation = self.invocation(function, abort);
        let id = invocation.id;
        let answer_is_lost = world.goes_wrong(&self.random, world.profile.answers_lost);
        world.trace(format_args!("invoke {function:?} #{id}"));
        let running = Running::new(&self.running);
        let activity = world.activity();
        let cloud = self.clone();
        let run = spawn_for(async move {
            let work = AssertUnwindSafe(Abortable::new(work(cloud), registration)).catch_unwind();
            let ended = timeout(function.limit(), invocation.scope(work)).await;
            drop((running, activity));
            ended
        });
        let outcome = match run.await.flatten() {
            None => {
                world.reach(BadState::FunctionTimedOut);
                Err(InvokeError::TimedOut)
            }
            Some(Err(panic)) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                world.violate(format!("{function:?} panicked: {}", text.unwrap_or_default()));
                Err(InvokeError::Crashed)
            }
            Some(Ok(Err(_))) => Err(InvokeError::Crashed),
            Some(Ok(Ok(Err(failure)))) => Err(InvokeError::Failed(failure)),
            Some(Ok(Ok(Ok(output)))) => Ok(output),
        };
        world.trace(format_args!("ended {function:?} #{id} {}", outcome.is_ok()));
        if function == Function::Control && (outcome.is_err() || answer_is_lost) {
            self.invariants.control_failed();
        }
        if outcome.is_ok() && answer_is_lost {
            world.reach(BadState::FunctionAnswerLost);
            return Err(InvokeError::Crashed);
        }
        outcome
    }

    /// Draws what is wrong with an invocation.
    fn invocation(&self, function: Function, abort: AbortHandle) -> Invocation {
        let world = &self.world;
        let id = self.invocations.fetch_add(1, Ordering::Relaxed) + 1;
        let is_killed = world.goes_wrong(&self.random, world.profile.kills);
        // Most functions make few calls.
        let last_call = self.random.between(0, self.random.between(0, MAX_CALLS - 1)) as u32;
        let most = if world.plants(Planted::ClocksDiffer) {
            120_000
        } else {
            world.profile.clock_difference
        };
        let milliseconds = self.random.between(0, 2 * most) as i64 - most as i64;
        // Clocks that differ by a planted fault differ also when all other faults have ended.
        let is_wrong = milliseconds.unsigned_abs() > most / 2;
        let is_right = world.is_faultless() && !world.plants(Planted::ClocksDiffer);
        if is_wrong && !is_right && most > 0 {
            world.reach(BadState::ClockWrong);
        }
        let difference = TimeDelta::milliseconds(if is_right { 0 } else { milliseconds });
        Invocation::new(id, function, difference, is_killed.then_some(last_call), abort)
    }
}

/// A function that runs.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(running.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
