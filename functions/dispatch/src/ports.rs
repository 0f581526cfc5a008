//! What dispatch needs of the world besides the lake: state machines to start, and a queue to wait on.

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde_json::json;
use shoplake_models::PartitionDirty;

/// How many messages one call takes (`SendMessageBatch`).
const MAX_BATCH: usize = 10;

/// The longest that SQS delays a message.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// Starts executions. Starting one twice is harmless: whatever it writes has a deterministic name.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Has a bronze object conformed into silver.
    async fn bronze_to_silver(&self, bucket: &str, key: &str) -> anyhow::Result<()>;

    /// Has the job document under `key` run.
    async fn silver_to_gold(&self, key: &str) -> anyhow::Result<()>;
}

/// Remembers a dirty partition for later.
#[async_trait]
pub trait Delay: Send + Sync {
    /// Brings the partition back after `delay`, or earlier: dispatch will look at it anew.
    async fn postpone(&self, dirty: &PartitionDirty, delay: Duration) -> anyhow::Result<()>;

    /// Brings all of them back as soon as possible; an error if any of them was not taken.
    async fn mark(&self, dirty: &[PartitionDirty]) -> anyhow::Result<()> {
        for dirty in dirty {
            self.postpone(dirty, Duration::ZERO).await?;
        }
        Ok(())
    }
}

/// AWS Step Functions.
pub struct StepFunctions {
    client: aws_sdk_sfn::Client,
    bronze_to_silver: String,
    silver_to_gold: String,
}

impl StepFunctions {
    /// The two state machines, by ARN.
    pub fn new(config: &SdkConfig, bronze_to_silver: String, silver_to_gold: String) -> Self {
        Self { client: aws_sdk_sfn::Client::new(config), bronze_to_silver, silver_to_gold }
    }

    async fn start(&self, machine: &str, input: serde_json::Value) -> anyhow::Result<()> {
        let request = self.client.start_execution().state_machine_arn(machine).input(input.to_string());
        request.send().await.with_context(|| format!("could not start an execution of {machine}"))?;
        Ok(())
    }
}

#[async_trait]
impl Machines for StepFunctions {
    async fn bronze_to_silver(&self, bucket: &str, key: &str) -> anyhow::Result<()> {
        self.start(&self.bronze_to_silver, json!({"bucket": bucket, "key": key})).await
    }

    async fn silver_to_gold(&self, key: &str) -> anyhow::Result<()> {
        self.start(&self.silver_to_gold, json!({"job": key})).await
    }
}

/// The dirty queue itself.
pub struct SqsDelay {
    client: aws_sdk_sqs::Client,
    queue_url: String,
}

impl SqsDelay {
    /// The queue that dispatch reads.
    pub fn new(config: &SdkConfig, queue_url: String) -> Self {
        Self { client: aws_sdk_sqs::Client::new(config), queue_url }
    }
}

#[async_trait]
impl Delay for SqsDelay {
    async fn postpone(&self, dirty: &PartitionDirty, delay: Duration) -> anyhow::Result<()> {
        let request = self
            .client
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(dirty.event().to_string())
            .delay_seconds(i32::try_from(delay.min(LONGEST_DELAY).as_secs())?);
        request.send().await.with_context(|| format!("could not postpone {dirty:?}"))?;
        Ok(())
    }

    async fn mark(&self, dirty: &[PartitionDirty]) -> anyhow::Result<()> {
        for batch in dirty.chunks(MAX_BATCH) {
            let entries = batch.iter().enumerate().map(|(index, dirty)| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(dirty.event().to_string())
                    .build()
            });
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            let request =
                self.client.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries));
            let output =
                request.send().await.with_context(|| format!("could not send to {}", self.queue_url))?;
            // The call succeeds even if some of its messages do not.
            if let Some(failed) = output.failed.first() {
                anyhow::bail!(
                    "{} of {} messages were not taken, the first for {}: {:?}",
                    output.failed.len(),
                    batch.len(),
                    failed.code,
                    failed.message
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod memory {
    //! The same in memory: what was started or postponed can be looked at, and starting can be told to fail.

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct MemoryMachines {
        pub(crate) conformed: Mutex<Vec<String>>,
        pub(crate) jobs: Mutex<Vec<String>>,
        pub(crate) out_of_order: AtomicBool,
    }

    #[async_trait]
    impl Machines for MemoryMachines {
        async fn bronze_to_silver(&self, _bucket: &str, key: &str) -> anyhow::Result<()> {
            self.conformed.lock().unwrap().push(key.to_owned());
            Ok(())
        }

        async fn silver_to_gold(&self, key: &str) -> anyhow::Result<()> {
            anyhow::ensure!(!self.out_of_order.load(Ordering::Relaxed), "throttled");
            self.jobs.lock().unwrap().push(key.to_owned());
            Ok(())
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct MemoryDelay(pub(crate) Mutex<Vec<(PartitionDirty, Duration)>>);

    #[async_trait]
    impl Delay for MemoryDelay {
        async fn postpone(&self, dirty: &PartitionDirty, delay: Duration) -> anyhow::Result<()> {
            self.0.lock().unwrap().push((dirty.clone(), delay));
            Ok(())
        }
    }
}
