//! Random numbers that are the same in every run.

use chrono::{Datelike, NaiveDate};
use rand::{SeedableRng, rngs::StdRng};

/// The random numbers of one day. Days are independent, so that one can be generated without those before it.
pub(crate) fn rng_of_day(seed: u64, day: NaiveDate) -> StdRng {
    let day = u64::from(day.num_days_from_ce().unsigned_abs());
    // Multiplying by an odd constant keeps (1, day 2) and (2, day 1) apart.
    StdRng::seed_from_u64(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(day))
}
