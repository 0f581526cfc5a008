//! What goes wrong in a run. Each seed draws which faults it has, so that runs with few faults and
//! runs with many are frequent: too many faults of one kind hide others.

use std::num::NonZeroU16;
use std::time::Duration;

use shoplake_platform::faults::FaultRates;

use super::random::Random;

/// How long events arrive and faults happen.
pub(crate) const BUSY: Duration = Duration::from_secs(40 * 60);

/// How long a service is out.
const OUTAGE: Duration = Duration::from_secs(10 * 60);

/// A service that can be out as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// It accepts no events, delivers none and starts no schedule.
    EventBridge,
    /// It starts no execution.
    StepFunctions,
    /// It runs no function.
    Lambda,
    /// It rolls back every transaction.
    Warehouse,
}

impl Outage {
    pub(crate) const ALL: [Self; 4] =
        [Self::EventBridge, Self::StepFunctions, Self::Lambda, Self::Warehouse];
}

/// The faults of a run. Rates are in percent.
#[derive(Clone, Debug)]
pub(crate) struct Profile {
    /// Requests to S3.
    pub(crate) store: FaultRates,
    /// Calls of EventBridge and SQS, and deliveries of messages.
    pub(crate) messages: FaultRates,
    /// Starts of executions.
    pub(crate) executions: FaultRates,
    /// Messages to people.
    pub(crate) topic: FaultRates,
    /// Reads of secrets.
    pub(crate) secrets: FaultRates,
    /// Transactions.
    pub(crate) warehouse: FaultRates,
    /// Records that a stream does not accept at an attempt. A put makes five.
    pub(crate) unaccepted: u8,
    /// Puts to a stream whose answer is lost.
    pub(crate) put_answer_lost: u8,
    /// Messages about partitions that are lost.
    pub(crate) messages_lost: u8,
    /// Calls that take long.
    pub(crate) slow_calls: u8,
    /// Functions that are killed at a call.
    pub(crate) kills: u8,
    /// Functions whose caller gets no answer.
    pub(crate) answers_lost: u8,
    /// Executions that end without a word.
    pub(crate) executions_lost: u8,
    /// Requests of shops, and objects of Firehose, that come again.
    pub(crate) repetitions: u8,
    /// The most milliseconds by which the clock of a function is wrong. Functions assume that two
    /// clocks differ by 2 seconds at most.
    pub(crate) clock_difference: u64,
    /// When each service is out.
    pub(crate) outages: Vec<(Outage, Duration, Duration)>,
    /// The run slots.
    pub(crate) max_runs: u16,
    /// The turns that the old days of a shop take in an hour.
    pub(crate) old_days_per_hour: Option<NonZeroU16>,
    /// How many functions run at the same time.
    pub(crate) concurrency: usize,
    /// The time from one sweep to the next.
    pub(crate) sweep_every: Duration,
    /// The most messages that dispatch gets at once.
    pub(crate) batch: usize,
    /// Percent of runs with a backfill.
    pub(crate) backfills: u8,
}

impl Profile {
    /// Draws the faults of a seed.
    pub(crate) fn draw(seed: u64) -> Self {
        let random = Random::new("profile", seed);
        // Every fault is off in half of all runs.
        let rate = |most: u64| if random.percent(50) { 0 } else { random.between(1, most) as u8 };
        let calls = |most: u64| FaultRates {
            refused: rate(most),
            lost: rate(most),
            answer_lost: rate(most),
            ..FaultRates::default()
        };
        let deliveries = |rates: FaultRates| FaultRates {
            twice: rate(15),
            late: rate(15),
            out_of_order: rate(50),
            longest_seconds: random.between(1, 400) as u32,
            ..rates
        };
        let messages_lost = if random.percent(90) { 0 } else { random.between(1, 20) as u8 };
        let mut outages = Vec::new();
        for outage in Outage::ALL {
            if random.percent(20) {
                let from = random.seconds(0, BUSY.as_secs() - OUTAGE.as_secs());
                outages.push((outage, from, from + OUTAGE));
            }
        }
        // A comparison of all days takes a day, in which the sweeps cost most of the time.
        let minutes = if messages_lost > 0 { 30 } else { *random.pick(&[3, 5, 5, 10]) };
        let is_limited = random.percent(30);
        let limit = NonZeroU16::new(random.between(1, 2) as u16);
        let old_days_per_hour = limit.filter(|_| is_limited);
        Self {
            store: calls(8),
            messages: deliveries(calls(10)),
            executions: FaultRates { twice: rate(15), ..calls(15) },
            topic: calls(15),
            secrets: FaultRates { answer_lost: 0, ..calls(15) },
            warehouse: calls(15),
            unaccepted: rate(90),
            put_answer_lost: rate(15),
            messages_lost,
            slow_calls: rate(1),
            kills: rate(12),
            answers_lost: rate(8),
            executions_lost: rate(15),
            repetitions: rate(40),
            clock_difference: if random.percent(50) { 0 } else { 1_000 },
            outages,
            max_runs: random.between(1, 6) as u16,
            old_days_per_hour,
            concurrency: random.between(3, 20) as usize,
            sweep_every: Duration::from_secs(minutes * 60),
            batch: random.between(1, 20) as usize,
            backfills: rate(60),
        }
    }
}
