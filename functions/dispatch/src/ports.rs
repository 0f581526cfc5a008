//! What dispatch needs of the world besides the lake: state machines to start, and a queue to wait
//! on.

use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use serde::Serialize;
use serde_json::json;
use shoplake_jobs::PartitionDirty;

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

    /// Has a job run on Glue.
    async fn silver_to_gold_on_glue(&self, run: &GlueRun) -> anyhow::Result<()>;
}

/// What the state machine for Glue is told: it moves objects between services and knows no layout
/// of the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GlueRun {
    /// Names the execution. Whoever starts it again under this name, after an answer that was lost,
    /// starts nothing.
    #[serde(skip)]
    pub name: String,
    /// The key of the job document.
    pub job: String,
    /// The key under which the job leaves its result.
    pub result: String,
    /// The key of the lease, which is given back when all attempts have failed.
    pub lease: String,
    /// The job's id, for whom the lease is.
    pub id: String,
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
    silver_to_gold_glue: Option<String>,
}

impl StepFunctions {
    /// The state machines, by ARN. There is none for Glue where there is no Glue.
    pub fn new(
        config: &SdkConfig,
        bronze_to_silver: String,
        silver_to_gold: String,
        silver_to_gold_glue: Option<String>,
    ) -> Self {
        Self {
            client: aws_sdk_sfn::Client::new(config),
            bronze_to_silver,
            silver_to_gold,
            silver_to_gold_glue,
        }
    }

    async fn start(
        &self,
        machine: &str,
        name: Option<&str>,
        input: serde_json::Value,
    ) -> anyhow::Result<()> {
        let request =
            self.client.start_execution().state_machine_arn(machine).input(input.to_string());
        let request = request.set_name(name.map(str::to_owned));
        request
            .send()
            .await
            .with_context(|| format!("could not start an execution of {machine}"))?;
        Ok(())
    }
}

#[async_trait]
impl Machines for StepFunctions {
    async fn bronze_to_silver(&self, bucket: &str, key: &str) -> anyhow::Result<()> {
        self.start(&self.bronze_to_silver, None, json!({"bucket": bucket, "key": key})).await
    }

    async fn silver_to_gold(&self, key: &str) -> anyhow::Result<()> {
        self.start(&self.silver_to_gold, None, json!({"job": key})).await
    }

    async fn silver_to_gold_on_glue(&self, run: &GlueRun) -> anyhow::Result<()> {
        let machine = self.silver_to_gold_glue.as_deref();
        let machine =
            machine.context("there is no state machine for Glue: set SILVER_TO_GOLD_GLUE_ARN")?;
        self.start(machine, Some(&run.name), serde_json::to_value(run)?).await
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
            let request = self
                .client
                .send_message_batch()
                .queue_url(&self.queue_url)
                .set_entries(Some(entries));
            let output = request
                .send()
                .await
                .with_context(|| format!("could not send to {}", self.queue_url))?;
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
    //! The same in memory: what was started or postponed can be looked at, and starting can be told
    //! to fail.

    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    pub(crate) struct MemoryMachines {
        pub(crate) conformed: Mutex<Vec<String>>,
        pub(crate) jobs: Mutex<Vec<String>>,
        pub(crate) glue_runs: Mutex<Vec<GlueRun>>,
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

        async fn silver_to_gold_on_glue(&self, run: &GlueRun) -> anyhow::Result<()> {
            anyhow::ensure!(!self.out_of_order.load(Ordering::Relaxed), "throttled");
            self.glue_runs.lock().unwrap().push(run.clone());
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
