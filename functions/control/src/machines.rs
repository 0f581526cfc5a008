//! The state machines that do what control asks for.

use anyhow::Context;
use async_trait::async_trait;
use serde_json::{Value, json};
use shoplake_jobs::JobResult;
use shoplake_lake::keys;

/// Starts executions. Starting one twice is harmless: whatever it writes has a deterministic name,
/// or a version.
#[async_trait]
pub(crate) trait Machines: Send + Sync {
    /// Has the bronze object of this key conformed into silver.
    async fn conform(&self, key: &str) -> anyhow::Result<()>;

    /// Has done with a job's result what is done with one that a job has just come to.
    async fn show(&self, result: &JobResult) -> anyhow::Result<()>;
}

/// AWS Step Functions.
pub(crate) struct StepFunctions {
    /// The service.
    pub(crate) client: aws_sdk_sfn::Client,
    /// The state machine that conforms bronze objects.
    pub(crate) bronze_to_silver_arn: String,
    /// The state machine that runs jobs.
    pub(crate) silver_to_gold_arn: String,
    /// The bucket that holds the lake.
    pub(crate) bucket: String,
}

impl StepFunctions {
    async fn start(&self, arn: &str, input: Value) -> anyhow::Result<()> {
        let request = self.client.start_execution().state_machine_arn(arn).input(input.to_string());
        request.send().await.with_context(|| format!("could not start an execution of {arn}"))?;
        Ok(())
    }
}

#[async_trait]
impl Machines for StepFunctions {
    async fn conform(&self, key: &str) -> anyhow::Result<()> {
        self.start(&self.bronze_to_silver_arn, json!({"bucket": self.bucket, "key": key})).await
    }

    async fn show(&self, result: &JobResult) -> anyhow::Result<()> {
        self.start(&self.silver_to_gold_arn, computed(result)).await
    }
}

/// The input of silver-to-gold for a job that has been computed elsewhere, as silver-to-gold-glue
/// hands it over.
fn computed(result: &JobResult) -> Value {
    let job = keys::job(&result.model, &result.partition, &result.job);
    json!({"job": job, "transform": {"result": result}})
}

#[cfg(test)]
pub(crate) mod memory {
    //! The same in memory: what was started, and it can be told to fail from some execution on.

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug)]
    pub(crate) struct MemoryMachines {
        pub(crate) conformed: Mutex<Vec<String>>,
        /// Inputs of silver-to-gold.
        pub(crate) shown: Mutex<Vec<Value>>,
        /// How many more executions can be started.
        pub(crate) capacity: AtomicUsize,
    }

    impl Default for MemoryMachines {
        fn default() -> Self {
            Self {
                conformed: Mutex::default(),
                shown: Mutex::default(),
                capacity: AtomicUsize::new(usize::MAX),
            }
        }
    }

    impl MemoryMachines {
        fn start<T>(&self, started: &Mutex<Vec<T>>, what: T) -> anyhow::Result<()> {
            let capacity = self.capacity.load(Ordering::Relaxed);
            anyhow::ensure!(capacity > 0, "throttled");
            self.capacity.store(capacity - 1, Ordering::Relaxed);
            started.lock().unwrap().push(what);
            Ok(())
        }
    }

    #[async_trait]
    impl Machines for MemoryMachines {
        async fn conform(&self, key: &str) -> anyhow::Result<()> {
            self.start(&self.conformed, key.to_owned())
        }

        async fn show(&self, result: &JobResult) -> anyhow::Result<()> {
            self.start(&self.shown, computed(result))
        }
    }
}
