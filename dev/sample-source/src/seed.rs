//! Random numbers that are the same in every run.

use chrono::{Datelike, NaiveDate};
use rand::{SeedableRng, rngs::StdRng};

/// Odd, and its bits look random: the golden ratio's.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Returns the random numbers of one day. Days are independent, so that one can be generated
/// without the days before it.
pub(crate) fn rng_of_day(seed: u64, day: NaiveDate) -> StdRng {
    // Multiplying by an odd constant keeps (1, day 2) and (2, day 1) apart.
    StdRng::seed_from_u64(seed.wrapping_mul(GOLDEN).wrapping_add(number_of(day)))
}

/// Returns the day's number, counted from 0001-01-01.
pub(crate) fn number_of(day: NaiveDate) -> u64 {
    u64::from(day.num_days_from_ce().unsigned_abs())
}

/// Returns a random number that depends on all of `parts` and on their order: SplitMix64, once per
/// part. It gives the state of one thing at one time without generating what came before.
pub(crate) fn mix(seed: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(finish(seed.wrapping_add(GOLDEN)), |state, part| {
        finish(state.wrapping_add(GOLDEN) ^ part.wrapping_mul(0xD6E8_FEB8_6659_FD93))
    })
}

fn finish(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn neighbouring_parts_give_unrelated_numbers() {
        let numbers: HashSet<u64> =
            (0..100).flat_map(|a| (0..100).map(move |b| mix(7, &[a, b]) % 1_000_000)).collect();

        // Of 10,000 draws from a million about 50 coincide.
        assert!(numbers.len() > 9_900, "{}", numbers.len());
        assert_ne!(mix(7, &[1, 2]), mix(7, &[2, 1]));
        assert_ne!(mix(7, &[1]), mix(8, &[1]));
    }
}
