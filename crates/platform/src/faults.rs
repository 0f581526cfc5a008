//! Faults of services in memory: everything that a caller of AWS must survive.
//!
//! A service in memory asks its [`Faults`] at each call and at each delivery. By default nothing
//! goes wrong. A test schedules faults ([`Faults::set`]), interrupts the service
//! ([`Faults::interrupt`]), or has them drawn from a seed ([`Faults::seeded`]).

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::{Clock, ManualClock};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The service rejects the call: it is throttled, or the caller may not make it.
    Refused,
    /// The call is lost on its way, and the caller gets no answer.
    Lost,
    /// The call succeeds, and its answer is lost.
    AnswerLost,
}

impl Fault {
    /// Returns whether the call takes effect.
    pub fn takes_effect(self) -> bool {
        self == Self::AnswerLost
    }

    fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::AnswerLost => "answer lost",
        }
    }
}

/// How often each fault is drawn, in percent, and how long faults last. The default has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultRates {
    /// Calls that are [refused](Fault::Refused).
    pub refused: u8,
    /// Calls that are [lost](Fault::Lost).
    pub lost: u8,
    /// Writes whose [answer is lost](Fault::AnswerLost).
    pub answer_lost: u8,
    /// Deliveries that come twice.
    pub twice: u8,
    /// Deliveries that come later.
    pub late: u8,
    /// Deliveries that come out of order.
    pub out_of_order: u8,
    /// Calls that begin an interruption: until its end, the service refuses or loses every call.
    pub interruption: u8,
    /// The most seconds that an interruption or a late delivery takes, at least 1 of them if one
    /// is drawn.
    pub longest_seconds: u32,
}

/// How often a service reached each outcome of an operation: `None` is one without a fault.
pub type FaultCounts = BTreeMap<(&'static str, Option<&'static str>), u64>;

/// The faults of one service.
pub struct Faults {
    /// Its times are those of a test. It stands still unless a test gives one that moves.
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    schedule: VecDeque<Option<Fault>>,
    interruption: Option<(Fault, DateTime<Utc>)>,
    random: Option<Random>,
    counts: FaultCounts,
}

#[derive(Debug)]
struct Random {
    generator: fastrand::Rng,
    rates: FaultRates,
}

impl Default for Faults {
    fn default() -> Self {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        Self { clock, state: Mutex::default() }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&*self.state()).finish()
    }
}

impl Faults {
    /// Returns faults of `service` that are drawn from `seed`.
    ///
    /// The same calls of a service, in the same order, have the same faults. Two services with one
    /// seed draw independently, so a call more to one of them changes no fault of the other.
    pub fn seeded(service: &str, seed: u64, rates: FaultRates, clock: Arc<dyn Clock>) -> Self {
        // FNV-1a of the name.
        let seed = service.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        let random = Random { generator: fastrand::Rng::with_seed(seed), rates };
        Self { clock, state: Mutex::new(State { random: Some(random), ..State::default() }) }
    }

    /// Sets what goes wrong with each of the next calls. Later calls succeed, or have drawn faults.
    pub fn set(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.state().schedule = schedule.into_iter().collect();
    }

    /// Gives every call this fault until a time of the clock: [`Fault::Refused`] is a service that
    /// throttles, [`Fault::Lost`] one that does not answer.
    pub fn interrupt(&self, fault: Fault, until: DateTime<Utc>) {
        self.state().interruption = Some((fault, until));
    }

    /// Returns how often each outcome was reached so far.
    pub fn counts(&self) -> FaultCounts {
        self.state().counts.clone()
    }

    /// Returns the fault of a call that only reads: it has no effect that its answer could miss.
    pub fn read(&self, operation: &'static str) -> Option<Fault> {
        self.call(operation, false)
    }

    /// Returns the fault of a call that changes something.
    pub fn write(&self, operation: &'static str) -> Option<Fault> {
        self.call(operation, true)
    }

    fn call(&self, operation: &'static str, is_write: bool) -> Option<Fault> {
        let now = self.clock.now();
        let mut state = self.state();
        let fault = state.fault(now, is_write);
        state.count(operation, fault.map(Fault::name));
        fault
    }

    /// Returns whether this delivery comes twice.
    pub fn twice(&self, operation: &'static str) -> bool {
        self.state().draw(operation, "twice", |rates| rates.twice)
    }

    /// Returns how much later this delivery comes; `None` if it comes now.
    pub fn late(&self, operation: &'static str) -> Option<TimeDelta> {
        let mut state = self.state();
        let is_late = state.draw(operation, "late", |rates| rates.late);
        is_late.then(|| state.random.as_mut().map(Random::span)).flatten()
    }

    /// Returns the index of one of `len` waiting deliveries that overtakes the first; `None` if
    /// none does.
    pub fn overtaking(&self, operation: &'static str, len: usize) -> Option<usize> {
        let mut state = self.state();
        if len < 2 || !state.draw(operation, "out of order", |rates| rates.out_of_order) {
            return None;
        }
        state.random.as_mut().map(|random| random.generator.usize(1..len))
    }

    /// A poisoned lock is safe to use: no call leaves a change half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fault(&mut self, now: DateTime<Utc>, is_write: bool) -> Option<Fault> {
        if let Some(scheduled) = self.schedule.pop_front() {
            return scheduled;
        }
        match self.interruption {
            Some((fault, until)) if now < until => return Some(fault),
            _ => self.interruption = None,
        }
        let random = self.random.as_mut()?;
        if random.happens(random.rates.interruption) {
            let fault = if random.generator.bool() { Fault::Refused } else { Fault::Lost };
            self.interruption = Some((fault, now + random.span()));
            return Some(fault);
        }
        let FaultRates { refused, lost, answer_lost, .. } = random.rates;
        // One after the other, so that each rate holds for calls that the faults before it spare.
        if random.happens(refused) {
            Some(Fault::Refused)
        } else if random.happens(lost) {
            Some(Fault::Lost)
        } else if is_write && random.happens(answer_lost) {
            Some(Fault::AnswerLost)
        } else {
            None
        }
    }

    /// Draws whether a delivery has a fault. Only drawn faults concern deliveries.
    fn draw(
        &mut self,
        operation: &'static str,
        fault: &'static str,
        rate: impl FnOnce(&FaultRates) -> u8,
    ) -> bool {
        let Some(random) = &mut self.random else { return false };
        let rate = rate(&random.rates);
        let happens = random.happens(rate);
        self.count(operation, happens.then_some(fault));
        happens
    }

    fn count(&mut self, operation: &'static str, fault: Option<&'static str>) {
        *self.counts.entry((operation, fault)).or_default() += 1;
    }
}

impl Random {
    fn happens(&mut self, percent: u8) -> bool {
        self.generator.u8(0..100) < percent
    }

    fn span(&mut self) -> TimeDelta {
        TimeDelta::seconds(self.generator.u32(1..=self.rates.longest_seconds.max(1)).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: FaultRates = FaultRates {
        refused: 10,
        lost: 10,
        answer_lost: 10,
        twice: 20,
        late: 20,
        out_of_order: 50,
        interruption: 1,
        longest_seconds: 60,
    };

    /// What happens to a thousand calls and deliveries, one a second.
    fn trace(service: &str, seed: u64) -> Vec<String> {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let faults = Faults::seeded(service, seed, RATES, clock.clone());
        let step = |_| {
            clock.advance(TimeDelta::seconds(1));
            let calls = (faults.read("get"), faults.write("put"));
            let late = faults.late("receive").map(|late| late.num_seconds());
            let places = (faults.twice("receive"), faults.overtaking("receive", 5));
            format!("{calls:?} {late:?} {places:?}")
        };
        (0..1_000).map(step).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        assert_eq!(trace("queue", 7), trace("queue", 7));
        assert_ne!(trace("queue", 7), trace("queue", 8));
        assert_ne!(trace("queue", 7), trace("topic", 7), "services draw independently");
    }

    #[test]
    fn every_fault_with_a_rate_is_reached_and_counted() {
        let faults = Faults::seeded("queue", 1, RATES, Faults::default().clock);
        for _ in 0..1_000 {
            faults.interrupt(Fault::Lost, DateTime::UNIX_EPOCH);
            faults.write("send");
            faults.twice("receive");
            faults.late("receive");
            faults.overtaking("receive", 2);
        }
        let counts = faults.counts();
        for (operation, fault) in [
            ("send", "refused"),
            ("send", "lost"),
            ("send", "answer lost"),
            ("receive", "twice"),
            ("receive", "late"),
            ("receive", "out of order"),
        ] {
            assert!(counts[&(operation, Some(fault))] > 20, "{operation} {fault}: {counts:?}");
        }
        assert_eq!(counts.values().sum::<u64>(), 4_000);
    }

    #[test]
    fn a_fault_without_a_rate_is_never_drawn() {
        let faults = Faults::seeded("queue", 1, FaultRates::default(), Faults::default().clock);
        for _ in 0..1_000 {
            assert_eq!((faults.read("get"), faults.write("put")), (None, None));
            assert_eq!((faults.twice("get"), faults.late("get")), (false, None));
            assert_eq!(faults.overtaking("get", 9), None);
        }
    }

    #[test]
    fn the_answer_of_a_read_is_not_lost_after_an_effect() {
        let rates = FaultRates { answer_lost: 100, ..FaultRates::default() };
        let faults = Faults::seeded("store", 1, rates, Faults::default().clock);
        assert_eq!((faults.read("get"), faults.write("put")), (None, Some(Fault::AnswerLost)));
    }

    #[test]
    fn an_interruption_ends_by_the_clock() {
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let faults = Faults::seeded("store", 1, FaultRates::default(), clock.clone());
        faults.interrupt(Fault::Lost, clock.now() + TimeDelta::seconds(30));
        clock.advance(TimeDelta::seconds(29));
        assert_eq!(
            (faults.read("get"), faults.write("put")),
            (Some(Fault::Lost), Some(Fault::Lost))
        );
        clock.advance(TimeDelta::seconds(1));
        assert_eq!((faults.read("get"), faults.write("put")), (None, None));
    }

    #[test]
    fn a_drawn_interruption_lasts_for_a_span_of_time() {
        let rates = FaultRates { interruption: 100, longest_seconds: 5, ..FaultRates::default() };
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let faults = Faults::seeded("store", 1, rates, clock);
        let first = faults.read("get");
        assert!(matches!(first, Some(Fault::Refused | Fault::Lost)), "{first:?}");
        assert!((0..100).all(|_| faults.write("put") == first), "the clock stands still");
    }

    #[test]
    fn a_schedule_comes_before_drawn_faults() {
        let rates = FaultRates { refused: 100, ..FaultRates::default() };
        let faults = Faults::seeded("store", 1, rates, Faults::default().clock);
        faults.set([None, Some(Fault::Lost)]);
        let drawn = [faults.write("put"), faults.write("put"), faults.write("put")];
        assert_eq!(drawn, [None, Some(Fault::Lost), Some(Fault::Refused)]);
    }
}
