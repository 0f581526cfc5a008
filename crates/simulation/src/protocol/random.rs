//! Random numbers from the seed of a run.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The random numbers of one part of a run.
pub(crate) struct Random(Mutex<fastrand::Rng>);

impl Random {
    /// Returns the numbers of the part `name`. Each part has its own, so that one draw more in one
    /// part changes no draw of the others.
    pub(crate) fn new(name: &str, seed: u64) -> Self {
        // FNV-1a of the name.
        let seed = name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }

    /// Returns a number from `first` to `last`, both included.
    pub(crate) fn between(&self, first: u64, last: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u64(first..=last)
    }

    /// Returns true in so many percent of all draws.
    pub(crate) fn percent(&self, percent: u8) -> bool {
        self.between(1, 100) <= u64::from(percent)
    }

    /// Returns one of the items.
    ///
    /// # Panics
    /// Without items.
    pub(crate) fn pick<'a, T>(&self, items: &'a [T]) -> &'a T {
        &items[self.index(items.len())]
    }

    /// Returns an index of a list of this length, which is above 0.
    pub(crate) fn index(&self, length: usize) -> usize {
        self.between(0, length as u64 - 1) as usize
    }

    /// Returns a time from `first` to `last` milliseconds.
    pub(crate) fn milliseconds(&self, first: u64, last: u64) -> Duration {
        // Microseconds, so that few things happen at the same time.
        Duration::from_micros(self.between(first * 1_000, last * 1_000))
    }

    /// Returns a time from `first` to `last` seconds.
    pub(crate) fn seconds(&self, first: u64, last: u64) -> Duration {
        self.milliseconds(first * 1_000, last * 1_000)
    }
}
