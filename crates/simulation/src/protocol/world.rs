//! What all parts of a run share: the time, the faults, the trace and what was found.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use shoplake_platform::clock::Clock;
use shoplake_platform::faults::{Fault, FaultRates, Faults};

use super::decoded::Decoded;
use super::executor::{self, sleep};
use super::invocation;
use super::planted::Planted;
use super::profile::{Outage, Profile};
use super::random::Random;
use super::reached::{BadState, Counts};
use super::trace::Trace;

/// The most violations of a run that are kept. The first one usually causes the others.
const MAX_VIOLATIONS: usize = 20;

/// A call that takes longer counts as slow.
const SLOW: Duration = Duration::from_secs(10);

/// The longest call.
const SLOWEST_SECONDS: u64 = 150;

/// The shared part of a run.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) profile: Profile,
    planted: Option<Planted>,
    /// When the run begins.
    start: DateTime<Utc>,
    /// Whether faults have ended.
    is_faultless: AtomicBool,
    /// How many things are going on that the run has to wait for.
    active: Arc<AtomicUsize>,
    latency: Random,
    trace: Trace,
    counts: Counts,
    violations: Mutex<Vec<String>>,
    /// The objects of the lake that were decoded.
    pub(crate) decoded: Decoded,
}

impl World {
    /// The world of a seed. With `keeps_text`, the trace is kept as text.
    pub(crate) fn new(seed: u64, planted: Option<Planted>, keeps_text: bool) -> Arc<Self> {
        let random = Random::new("start", seed);
        // Any time of a day, so that some runs go on past midnight.
        let hours = TimeDelta::hours(random.between(0, 23) as i64);
        let seconds = TimeDelta::seconds(random.between(0, 3_599) as i64);
        let monday = DateTime::from_timestamp(1_772_409_600, 0).unwrap_or_default();
        Arc::new(Self {
            seed,
            profile: Profile::draw(seed),
            planted,
            start: monday + hours + seconds,
            is_faultless: AtomicBool::default(),
            active: Arc::default(),
            latency: Random::new("latency", seed),
            trace: Trace::new(keeps_text),
            counts: Counts::default(),
            violations: Mutex::default(),
            decoded: Decoded::default(),
        })
    }

    /// Returns the true time, which services have.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.start + TimeDelta::from_std(executor::now()).unwrap_or_default()
    }

    /// Returns when the run began.
    pub(crate) fn start(&self) -> DateTime<Utc> {
        self.start
    }

    /// Adds an event to the trace.
    pub(crate) fn trace(&self, event: fmt::Arguments<'_>) {
        let who = invocation::current(|invocation| invocation.id).unwrap_or_default();
        self.trace.add(executor::now(), who, event);
    }

    /// Counts a bad state.
    pub(crate) fn reach(&self, state: BadState) {
        self.trace(format_args!("{}", state.name()));
        self.counts.add(state);
    }

    /// Records that something is wrong.
    pub(crate) fn violate(&self, text: String) {
        self.trace(format_args!("VIOLATION {text}"));
        let mut violations = self.violations.lock().unwrap_or_else(PoisonError::into_inner);
        if violations.len() < MAX_VIOLATIONS {
            violations.push(format!("{} {text}", self.now().format("%m-%dT%H:%M:%S%.3f")));
        }
    }

    /// Records that something is wrong unless `holds`.
    pub(crate) fn check(&self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.violate(text());
        }
    }

    /// Returns whether a fault is planted.
    pub(crate) fn plants(&self, planted: Planted) -> bool {
        self.planted == Some(planted)
    }

    /// Ends all faults but the planted one.
    pub(crate) fn end_faults(&self) {
        self.is_faultless.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_faultless(&self) -> bool {
        self.is_faultless.load(Ordering::Relaxed)
    }

    /// Returns whether the service is out.
    pub(crate) fn is_out(&self, outage: Outage) -> bool {
        let now = executor::now();
        let mut outages = self.profile.outages.iter();
        outages.any(|(service, from, until)| *service == outage && (*from..*until).contains(&now))
    }

    /// Draws whether something goes wrong that does in so many percent of all cases.
    pub(crate) fn goes_wrong(&self, random: &Random, percent: u8) -> bool {
        // Drawn in any case, so that the end of all faults changes no other draw.
        random.percent(percent) && !self.is_faultless()
    }

    /// Takes the time of a call. A function that is to be killed at this call ends here.
    pub(crate) async fn call(&self) {
        if invocation::current(|invocation| invocation.is_last_call()).unwrap_or_default() {
            self.reach(BadState::FunctionKilled);
            return invocation::end().await;
        }
        let time = if self.goes_wrong(&self.latency, self.profile.slow_calls) {
            self.latency.seconds(1, SLOWEST_SECONDS)
        } else {
            self.latency.milliseconds(1, 40)
        };
        if time > SLOW {
            self.reach(BadState::CallSlow);
        }
        sleep(time).await;
    }

    /// Counts something that is going on until the returned value is dropped.
    pub(crate) fn activity(&self) -> Activity {
        self.active.fetch_add(1, Ordering::Relaxed);
        Activity(self.active.clone())
    }

    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed) > 0
    }

    /// Runs a task that the run has to wait for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let activity = self.activity();
        executor::spawn(async move {
            task.await;
            drop(activity);
        });
    }

    /// Returns how often each bad state was reached so far.
    pub(crate) fn reached(&self) -> BTreeMap<BadState, u64> {
        self.counts.reached()
    }

    /// Returns what the run came to so far: the digest and length of the trace, and what it found.
    pub(crate) fn report(&self) -> super::Report {
        let (digest, events) = self.trace.digest();
        super::Report {
            seed: self.seed,
            digest,
            events,
            simulated: executor::now(),
            reached: self.counts.reached(),
            violations: self.violations.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            trace: self.trace.take_lines(),
        }
    }
}

/// Something that is going on.
pub(crate) struct Activity(Arc<AtomicUsize>);

impl Drop for Activity {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The clock of services.
pub(crate) struct ServiceClock(pub(crate) Arc<World>);

impl Clock for ServiceClock {
    fn now(&self) -> DateTime<Utc> {
        self.0.now()
    }
}

/// The clock of functions, which may be wrong.
pub(crate) struct FunctionClock(pub(crate) Arc<World>);

impl Clock for FunctionClock {
    fn now(&self) -> DateTime<Utc> {
        let difference = invocation::current(|invocation| invocation.clock_difference);
        self.0.now() + difference.unwrap_or_default()
    }
}

/// The faults of one service, which end with all others.
pub(crate) struct ServiceFaults {
    world: Arc<World>,
    faults: Faults,
}

impl ServiceFaults {
    pub(crate) fn new(world: &Arc<World>, service: &str, rates: FaultRates) -> Self {
        let clock = Arc::new(ServiceClock(world.clone()));
        let faults = Faults::seeded(service, world.seed, rates, clock);
        Self { world: world.clone(), faults }
    }

    /// Returns the fault of a call that only reads.
    pub(crate) fn read(&self, operation: &'static str) -> Option<Fault> {
        self.faults.read(operation).filter(|_| !self.world.is_faultless())
    }

    /// Returns the fault of a call that changes something.
    pub(crate) fn write(&self, operation: &'static str) -> Option<Fault> {
        self.faults.write(operation).filter(|_| !self.world.is_faultless())
    }

    /// Returns whether a delivery comes twice.
    pub(crate) fn twice(&self, operation: &'static str) -> bool {
        self.faults.twice(operation) && !self.world.is_faultless()
    }

    /// Returns how much later a delivery comes.
    pub(crate) fn late(&self, operation: &'static str) -> Option<Duration> {
        let late = self.faults.late(operation).filter(|_| !self.world.is_faultless());
        late.and_then(|late| late.to_std().ok())
    }

    /// Returns which of `len` waiting deliveries comes next.
    pub(crate) fn next(&self, operation: &'static str, len: usize) -> usize {
        let next = self.faults.overtaking(operation, len).filter(|_| !self.world.is_faultless());
        next.unwrap_or_default()
    }
}
