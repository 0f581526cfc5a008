//! The choice between Lambda and Glue for a job.

use std::ops::Range;

use shoplake_jobs::JobDocument;
use shoplake_models::Listing;

/// An engine. Both take the same job document and make the same commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// DataFusion in a function, started by an Express execution. It takes seconds.
    Lambda,
    /// Spark on Glue, started by a Standard execution. It takes minutes to start, and has no limit
    /// that a partition reaches.
    Glue,
}

impl Engine {
    /// Returns the duration of a lease: a little longer than the longest execution
    /// (`TimeoutSeconds` of the state machine). A job that ends earlier ends its lease.
    pub(crate) const fn lease(self) -> chrono::Duration {
        match self {
            Self::Lambda => chrono::Duration::seconds(310),
            Self::Glue => chrono::Duration::seconds(21_660),
        }
    }
}

/// The available engines, and their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engines {
    /// The most jobs that run in Lambda at the same time.
    pub lambda_runs: u16,
    /// The most jobs that run on Glue at the same time; 0 without Glue, as in the local cloud.
    pub glue_runs: u16,
    /// The stored bytes of input objects above which a job runs on Glue.
    pub glue_above_bytes: u64,
}

impl Engines {
    /// Returns the run slots of an engine. Each has its own: jobs on Glue take long, and none in
    /// Lambda waits for them.
    pub(crate) fn slots(self, engine: Engine) -> Range<u16> {
        match engine {
            Engine::Lambda => 0..self.lambda_runs,
            Engine::Glue => self.lambda_runs..self.lambda_runs + self.glue_runs,
        }
    }

    /// Returns the engine for a job with so many input bytes. Without Glue, a big job runs in
    /// Lambda, where it may still fit: the limit is a size that fits for certain.
    pub(crate) fn choose(self, bytes: u64) -> Engine {
        match (bytes > self.glue_above_bytes, self.glue_runs > 0) {
            (false, _) => Engine::Lambda,
            (true, true) => Engine::Glue,
            (true, false) => {
                tracing::warn!(
                    bytes,
                    limit = self.glue_above_bytes,
                    "the job is big, and Glue is not available; it runs in Lambda"
                );
                Engine::Lambda
            }
        }
    }
}

/// Returns the bytes of the objects that the job reads. Inputs that are read by column do not
/// count: an engine reads only the row groups of a few days.
pub(crate) fn input_bytes(job: &JobDocument, listing: &Listing) -> u64 {
    let whole = job.inputs.iter().filter(|input| input.days.is_none());
    let entries = whole.filter_map(|input| listing.get(&input.name)).flatten();
    entries.map(|entry| entry.size).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeout_seconds(path: &str) -> i64 {
        let definition: serde_json::Value =
            serde_json::from_str(&shoplake_testing::read(path)).unwrap();
        definition["TimeoutSeconds"].as_i64().unwrap()
    }

    #[test]
    fn a_lease_is_longer_than_the_longest_execution() {
        let definitions = [
            (Engine::Lambda, "statemachines/silver_to_gold.asl.json"),
            (Engine::Glue, "statemachines/silver_to_gold_glue.asl.json"),
        ];
        for (engine, path) in definitions {
            let margin = engine.lease().num_seconds() - timeout_seconds(path);
            assert!((10..=60).contains(&margin), "{engine:?}: {margin} s");
        }
    }

    #[test]
    fn only_jobs_above_the_limit_run_on_glue() {
        let engines = Engines { lambda_runs: 1, glue_runs: 1, glue_above_bytes: 100 };
        assert_eq!([0, 99, 100].map(|bytes| engines.choose(bytes)), [Engine::Lambda; 3]);
        assert_eq!([101, u64::MAX].map(|bytes| engines.choose(bytes)), [Engine::Glue; 2]);
    }

    proptest! {
        /// A growing partition changes its engine at most once, and only if Glue is available.
        #[test]
        fn more_bytes_never_choose_a_smaller_engine(
            glue_above_bytes: u64,
            glue_runs in 0..2_u16,
            fewer: u64,
            more: u64,
        ) {
            let engines = Engines { lambda_runs: 1, glue_runs, glue_above_bytes };
            let (fewer, more) = (fewer.min(more), fewer.max(more));
            if engines.choose(fewer) == Engine::Glue {
                prop_assert_eq!(glue_runs, 1);
                prop_assert_eq!(engines.choose(more), Engine::Glue);
            }
        }
    }
}
