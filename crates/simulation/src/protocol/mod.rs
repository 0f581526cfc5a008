//! A simulation of the protocol: all functions, the state machines, and the services that they use,
//! on one thread and on a clock of its own. One seed decides everything: what shops send, how long
//! each call takes, and what fails. The same seed gives the same trace.
//!
//! A run has three parts. For 40 minutes, shops send events while services fail, messages come late
//! or twice, functions are killed and executions are lost. Then all faults end, and operators do
//! nothing: messages, retries and the sweep do the rest. At last the oracle compares gold,
//! warehouse, states and alerts with what follows from the accepted events alone. Invariants hold
//! at every step.

mod decoded;
mod definitions;
mod engine;
mod executor;
mod functions;
mod invariants;
mod invocation;
mod machines;
mod oracle;
mod planted;
mod pollers;
mod ports;
mod profile;
mod random;
mod reached;
mod senders;
mod summary;
mod trace;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use shoplake_aws::shops::KEY;
use shoplake_lake::{Condition, Metadata, Store, keys};

pub use planted::Planted;
pub use reached::BadState;
pub use summary::{Reached, Summary, Violating};

use engine::SimulatedEngine;
use executor::{sleep, spawn};
use functions::Cloud;
use pollers::Pollers;
use profile::{BUSY, Outage};
use random::Random;
use senders::Senders;
use workload::{SHOPS, Workload};
use world::World;

/// How long a run may take to settle after its faults.
const SETTLES_WITHIN: Duration = Duration::from_secs(2 * 3_600);

/// How much longer it may take if old days wait for their turns.
const TURNS_WITHIN: Duration = Duration::from_secs(6 * 3_600);

/// How long it may take if the daily comparison of the sweep has something to find.
const COMPARES_WITHIN: Duration = Duration::from_secs(27 * 3_600);

/// When all days have been compared again.
const COMPARED_AFTER: Duration = Duration::from_secs(25 * 3_600 + 900);

/// How to run a seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A fault that is planted.
    pub planted: Option<Planted>,
    /// Whether DataFusion computes the rows, and not the small engine.
    pub datafusion: bool,
    /// Whether the trace is kept as text.
    pub keeps_trace: bool,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The digest of the trace.
    pub digest: u64,
    /// The number of events of the trace.
    pub events: u64,
    /// How much time was simulated.
    pub simulated: Duration,
    /// How often each bad state was reached.
    pub reached: BTreeMap<BadState, u64>,
    /// What was wrong, with the time.
    pub violations: Vec<String>,
    /// The trace, if it was kept.
    pub trace: Vec<String>,
}

/// Runs a seed.
pub fn run(seed: u64, options: Options) -> Report {
    // Some libraries draw jitter from the numbers of the thread.
    fastrand::seed(seed);
    // Libraries set time limits with timers of tokio. Nothing drives these timers, so the limits
    // are never reached: the simulation has its own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without threads");
    let _context = runtime.enter();
    executor::run(simulate(seed, options))
}

async fn simulate(seed: u64, options: Options) -> Report {
    let world = World::new(seed, options.planted, options.keeps_trace);
    let workload = Workload::draw(seed, world.start());
    let cloud = Cloud::new(&world, SimulatedEngine::new(&world, options.datafusion));
    let shops: BTreeMap<_, _> = SHOPS.iter().map(|shop| (*shop, json!({}))).collect();
    let list = json!({"shops": shops}).to_string().into();
    let put = cloud.objects.put(KEY, list, Metadata::new(), Condition::Always);
    put.await.expect("a store in memory takes everything");

    spawn(machines::run(cloud.clone()));
    let pollers = Pollers::start(&cloud);
    let senders = Senders::start(&cloud, &workload);
    for (outage, from, _) in world.profile.outages.clone() {
        world.spawn(count_outage(world.clone(), outage, from));
    }
    world.spawn(backfill(cloud.clone(), pollers.clone(), workload.clone()));

    sleep(BUSY).await;
    world.end_faults();
    if settles(&cloud, &pollers).await {
        let accepted = senders.accepted().clone();
        world.check(accepted.visits.len() == workload.visits().count(), || {
            "not all visits were accepted".to_owned()
        });
        oracle::check(&cloud, &accepted).await;
    }
    world.report()
}

/// Counts an outage when it begins.
async fn count_outage(world: Arc<World>, outage: Outage, from: Duration) {
    sleep(from).await;
    world.reach(match outage {
        Outage::EventBridge => BadState::EventBridgeOut,
        Outage::StepFunctions => BadState::StepFunctionsOut,
        Outage::Lambda => BadState::LambdaOut,
        Outage::Warehouse => BadState::WarehouseOut,
    });
}

/// Runs a backfill of a day, as an operator may.
async fn backfill(cloud: Arc<Cloud>, pollers: Arc<Pollers>, workload: Workload) {
    let random = Random::new("backfill", cloud.world.seed);
    if !random.percent(cloud.world.profile.backfills) {
        return;
    }
    sleep(random.seconds(0, BUSY.as_secs())).await;
    let models = [definitions::VISITS_BY_DAY, definitions::LAST_DAYS];
    let (model, day) = (random.pick(&models), random.pick(&workload.days));
    let request = json!({"action": "backfill", "model": model, "from": day, "to": day});
    if pollers.control(request).await.is_some() {
        cloud.world.reach(BadState::BackfillRan);
    }
}

/// Waits until nothing is going on and nothing is owed, and returns whether that happens in time.
async fn settles(cloud: &Cloud, pollers: &Pollers) -> bool {
    let world = &cloud.world;
    let may_lose = world.profile.messages_lost > 0;
    loop {
        sleep(Duration::from_secs(60)).await;
        let now = executor::now();
        let list = async |prefix: &str| cloud.objects.list(prefix).await.unwrap_or_default().len();
        let markers = list(keys::OWED).await;
        let unconformed = list(keys::BRONZE).await - list(keys::CONFORMED).await;
        let is_idle = !world.is_active()
            && pollers.are_idle()
            && cloud.bus.is_empty()
            && cloud.executions.is_empty();
        let owing = cloud.invariants.owing();
        let is_compared = !may_lose || now > COMPARED_AFTER;
        if is_idle && is_compared && markers + unconformed == 0 && owing.is_empty() {
            return true;
        }
        let is_slow = may_lose || cloud.invariants.has_control_failed();
        let turns = world.profile.old_days_per_hour.map_or(Duration::ZERO, |_| TURNS_WITHIN);
        let limit = turns + if is_slow { COMPARES_WITHIN } else { BUSY + SETTLES_WITHIN };
        if now > limit {
            world.violate(format!(
                "it does not settle: active {}, {markers} markers, {unconformed} of bronze, owing \
                 {owing:?}",
                world.is_active()
            ));
            return false;
        }
    }
}
