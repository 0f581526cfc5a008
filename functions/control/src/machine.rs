//! The state machine that conforms bronze objects.

use anyhow::Context;
use async_trait::async_trait;
use serde_json::json;

/// Starts executions. Starting one twice is harmless: whatever it writes has a deterministic name.
#[async_trait]
pub(crate) trait Machine: Send + Sync {
    /// Has the bronze object of this key conformed into silver.
    async fn conform(&self, key: &str) -> anyhow::Result<()>;
}

/// AWS Step Functions.
pub(crate) struct BronzeToSilver {
    client: aws_sdk_sfn::Client,
    arn: String,
    bucket: String,
}

impl BronzeToSilver {
    /// The state machine with this ARN, over the objects of `bucket`.
    pub(crate) fn new(client: aws_sdk_sfn::Client, arn: String, bucket: String) -> Self {
        Self { client, arn, bucket }
    }
}

#[async_trait]
impl Machine for BronzeToSilver {
    async fn conform(&self, key: &str) -> anyhow::Result<()> {
        let input = json!({"bucket": self.bucket, "key": key}).to_string();
        let request = self.client.start_execution().state_machine_arn(&self.arn).input(input);
        request.send().await.with_context(|| format!("could not start an execution of {}", self.arn))?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! The same in memory: what was started, and it can be told to fail from some execution on.

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Debug)]
    pub(crate) struct MemoryMachine {
        pub(crate) conformed: Mutex<Vec<String>>,
        /// How many more executions can be started.
        pub(crate) capacity: AtomicUsize,
    }

    impl Default for MemoryMachine {
        fn default() -> Self {
            Self { conformed: Mutex::default(), capacity: AtomicUsize::new(usize::MAX) }
        }
    }

    #[async_trait]
    impl Machine for MemoryMachine {
        async fn conform(&self, key: &str) -> anyhow::Result<()> {
            let capacity = self.capacity.load(Ordering::Relaxed);
            anyhow::ensure!(capacity > 0, "throttled");
            self.capacity.store(capacity - 1, Ordering::Relaxed);
            self.conformed.lock().unwrap().push(key.to_owned());
            Ok(())
        }
    }
}
