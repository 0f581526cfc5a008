//! Which engine computes a job, and what follows from that for whoever waits for it.

use std::time::Duration;

use shoplake_models::Listing;

/// What computes a job's rows. Either takes the same job document and ends in the same commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// DataFusion in a function, by an Express execution: done in seconds.
    Lambda,
    /// Spark on Glue, by a Standard execution: minutes until it begins, and no limit that a
    /// partition of a lake reaches.
    Glue,
}

impl Engine {
    /// How long a job may hold its partition: a little longer than its execution lasts at most
    /// (`TimeoutSeconds` of the state machine). A job that ends earlier gives its lease back.
    pub(crate) const fn lease(self) -> chrono::Duration {
        match self {
            Self::Lambda => chrono::Duration::seconds(310),
            Self::Glue => chrono::Duration::seconds(21_660),
        }
    }

    /// How long a mark waits while a job of this size holds its partition: about as long as most of
    /// them take.
    pub(crate) const fn wait(self) -> Duration {
        match self {
            Self::Lambda => Duration::from_secs(3),
            Self::Glue => Duration::from_secs(60),
        }
    }
}

/// The engines there are, and up to which size of its inputs a job fits into the small one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engines {
    /// Bytes of input objects, as they are stored; a job that has more of them is for Glue.
    pub glue_above_bytes: u64,
    /// Whether there is a Glue at all. The local cloud has none.
    pub glue: bool,
}

impl Engines {
    /// The engine for a job that reads so much. Where there is no Glue, a job that is too big is
    /// tried all the same: the threshold is what is sure to fit, and not what is sure to fail.
    pub(crate) fn choose(self, bytes: u64) -> Engine {
        match (bytes > self.glue_above_bytes, self.glue) {
            (false, _) => Engine::Lambda,
            (true, true) => Engine::Glue,
            (true, false) => {
                tracing::warn!(
                    bytes,
                    limit = self.glue_above_bytes,
                    "a job is for Glue, but there is none"
                );
                Engine::Lambda
            }
        }
    }
}

/// How much a job reads that has this listing.
pub(crate) fn input_bytes(listing: &Listing) -> u64 {
    listing.values().flatten().map(|entry| entry.size).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeout_seconds(definition: &str) -> i64 {
        let definition: serde_json::Value = serde_json::from_str(definition).unwrap();
        definition["TimeoutSeconds"].as_i64().unwrap()
    }

    #[test]
    fn given_an_execution_that_runs_into_its_limit_then_its_lease_has_lasted_longer() {
        let machines = [
            (Engine::Lambda, include_str!("../../../statemachines/silver_to_gold.asl.json")),
            (Engine::Glue, include_str!("../../../statemachines/silver_to_gold_glue.asl.json")),
        ];
        for (engine, definition) in machines {
            let margin = engine.lease().num_seconds() - timeout_seconds(definition);
            assert!((10..=60).contains(&margin), "{engine:?}: {margin} s");
        }
    }

    #[test]
    fn given_the_threshold_then_only_a_byte_more_is_for_glue() {
        let engines = Engines { glue_above_bytes: 100, glue: true };
        assert_eq!([0, 99, 100].map(|bytes| engines.choose(bytes)), [Engine::Lambda; 3]);
        assert_eq!([101, u64::MAX].map(|bytes| engines.choose(bytes)), [Engine::Glue; 2]);
    }

    proptest! {
        /// A partition that grows changes its engine at most once, and only where there is another
        /// one.
        #[test]
        fn given_more_bytes_then_the_engine_is_never_a_smaller_one(
            glue_above_bytes: u64,
            glue: bool,
            fewer: u64,
            more: u64,
        ) {
            let engines = Engines { glue_above_bytes, glue };
            let (fewer, more) = (fewer.min(more), fewer.max(more));
            if engines.choose(fewer) == Engine::Glue {
                prop_assert!(glue);
                prop_assert_eq!(engines.choose(more), Engine::Glue);
            }
        }
    }
}
