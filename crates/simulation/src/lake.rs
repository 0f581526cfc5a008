//! The pipeline in memory: the functions' own handlers process what is delivered until all queues
//! are empty.

mod settle;
mod views;

use std::collections::BTreeMap;
use std::io::Write;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, ensure};
use base64_simd::STANDARD;
use chrono::{DateTime, Datelike, Duration, TimeZone, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::json;
use shoplake_aws::topic::{MemoryTopic, Message};
use shoplake_aws::{MemoryDirtyQueue, MemoryExecutions};
use shoplake_conform::Conformer;
use shoplake_contracts::{Contracts, Delivery};
use shoplake_engine::{DataFusion, Gold, Limits};
use shoplake_function_conform::{Answer, Conform, LAYOUT};
use shoplake_function_dispatch::{Dispatch, Engines};
use shoplake_function_load::Load;
use shoplake_function_notify::{Notify, NotifyPolicy};
use shoplake_function_transform::Transform;
use shoplake_jobs::{FailedCheck, JobResult, Partition, PartitionDirty};
use shoplake_lake::{Condition, MemoryStore, Metadata, Store, keys};
use shoplake_models::Models;
use shoplake_platform::clock::{Clock, ManualClock};
use shoplake_platform::metrics::{MemorySink, Metrics};
use shoplake_warehouse::{Literal, Loader};

use crate::bucket::{self, Bucket};
use crate::event::Event;
use crate::rows::{self, Row};
use crate::warehouse::MemoryWarehouse;

pub use settle::Settled;

/// The type of dispatch over ports in memory.
type MemoryDispatch = Dispatch<
    Bucket,
    Arc<MemoryExecutions>,
    Arc<MemoryDirtyQueue>,
    Arc<MemoryDirtyQueue>,
    Arc<ManualClock>,
>;

/// A lake in memory with its functions.
pub struct Lake {
    contracts: Contracts,
    clock: Arc<ManualClock>,
    messages: Arc<MemoryDirtyQueue>,
    bucket: Bucket,
    executions: Arc<MemoryExecutions>,
    conform: Conform<Bucket>,
    dispatch: MemoryDispatch,
    transform: Arc<Transform>,
    load: Load,
    notify: Notify,
    warehouse: Arc<MemoryWarehouse>,
    topic: Arc<MemoryTopic>,
    /// The last job of each model and partition that did not end in a conflict.
    ended: Mutex<BTreeMap<(String, Partition), Ended>>,
}

/// The last job of a partition.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The key of its document.
    pub job: String,
    /// Its result.
    pub result: JobResult,
}

/// The attributes of a line that decide how it is delivered.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    dataset: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    source: std::borrow::Cow<'a, str>,
}

/// The time of receipt of a line.
#[derive(Deserialize)]
struct Receipt {
    receivedat: DateTime<Utc>,
}

/// Returns when a stream receives the line: at its time of receipt, or on the lake's first day if
/// that time is invalid.
fn arrival(line: &[u8]) -> DateTime<Utc> {
    let receipt = serde_json::from_slice(line).ok().map(|Receipt { receivedat }| receivedat);
    receipt.filter(|receipt| (2000..2100).contains(&receipt.year())).unwrap_or_else(start)
}

impl Lake {
    /// Returns an empty lake with these definitions. Its clock starts at 2026-01-01 and moves only
    /// while a message is delayed.
    pub fn new(contracts: Contracts, models: Models) -> Self {
        let clock = Arc::new(ManualClock::new(start()));
        let messages = Arc::new(MemoryDirtyQueue::new(clock.clone()));
        let bucket = Bucket::new(messages.clone());
        bucket.objects.set_now(clock.now());
        let executions = Arc::new(MemoryExecutions::default());
        let conform = Conform {
            conformer: Conformer::new(contracts.clone(), LAYOUT),
            bucket: bucket::NAME.to_owned(),
            lake: bucket.clone(),
            metrics: Metrics::new("conform", Arc::new(MemorySink::default())),
        };
        let index = models.index();
        let dispatch = Dispatch {
            models,
            lake: bucket.clone(),
            executions: executions.clone(),
            engines: Engines { lambda_runs: 20, glue_runs: 0, glue_above_bytes: u64::MAX },
            old_days_per_hour: None,
            queue: messages.clone(),
            publisher: messages.clone(),
            clock: clock.clone(),
            metrics: Metrics::new("dispatch", Arc::new(MemorySink::default())),
        };
        let transform = Arc::new(Transform {
            store: Arc::new(bucket.clone()),
            publisher: messages.clone(),
            clock: clock.clone(),
            // Jobs of a simulation are small: more threads would only wait for each other.
            engine: Arc::new(DataFusion::new(Limits { parallelism: 1, ..Limits::default() })),
        });
        let warehouse = Arc::new(MemoryWarehouse::new(bucket.clone()));
        let load = Load {
            loader: Loader::new(warehouse.clone()),
            store: Arc::new(bucket.clone()),
            models: index,
            bucket: bucket::NAME.to_owned(),
            role: Literal::new("arn:aws:iam::000000000000:role/copy").expect("a literal"),
            clock: clock.clone(),
            metrics: Metrics::new("load", Arc::new(MemorySink::default())),
        };
        let topic = Arc::new(MemoryTopic::default());
        let notify = Notify {
            store: Arc::new(bucket.clone()),
            topic: topic.clone(),
            clock: clock.clone(),
            policy: NotifyPolicy { within: Duration::hours(48), ended: false },
        };
        Self {
            contracts,
            clock,
            messages,
            bucket,
            executions,
            conform,
            dispatch,
            transform,
            load,
            notify,
            warehouse,
            topic,
            ended: Mutex::default(),
        }
    }

    /// Returns an empty lake with the definitions of the repository.
    ///
    /// # Errors
    /// When a definition is invalid.
    pub fn of_repository() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let contracts = Contracts::load(&root.join("crates/contracts/schemas"))?;
        let models = Models::load(&root.join("glue-sql"), &contracts)?;
        Ok(Self::new(contracts, models))
    }

    /// Limits the old days that a shop makes the pipeline compute in an hour. By default there is
    /// no limit, because most events of a simulation are older than its clock.
    #[must_use]
    pub fn with_old_days_per_hour(mut self, limit: NonZeroU16) -> Self {
        self.dispatch.old_days_per_hour = Some(limit);
        self
    }

    /// Delivers events as one batch called `name`: those of a streaming source by Kinesis, those of
    /// a batch source as an object of bronze. A second delivery under the same name overwrites the
    /// objects of the first one, as a retry does.
    ///
    /// # Errors
    /// When conform fails. Invalid events end in [quarantine](Self::quarantined).
    pub async fn deliver(&self, events: &[Event], name: &str) -> anyhow::Result<()> {
        let lines: Vec<_> =
            events.iter().map(|event| self.envelope(event)).collect::<Result<_, _>>()?;
        self.deliver_lines(&lines, name).await
    }

    /// Returns the event as it is sent: an envelope on one line.
    ///
    /// # Errors
    /// When the shop id is invalid.
    pub fn envelope(&self, event: &Event) -> anyhow::Result<Vec<u8>> {
        event.to_line(&self.contracts)
    }

    /// Delivers envelopes unchanged, one per line.
    ///
    /// # Errors
    /// When conform fails.
    pub async fn deliver_lines(
        &self,
        lines: &[impl AsRef<[u8]>],
        name: &str,
    ) -> anyhow::Result<()> {
        let mut streams: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
        let mut objects = streams.clone();
        for line in lines.iter().map(AsRef::as_ref) {
            let (source, is_batch) = self.way(line);
            let ways = if is_batch { &mut objects } else { &mut streams };
            ways.entry(source).or_default().push(line);
        }
        for (source, lines) in streams {
            let answer = self.conform(&kinesis_event(&source, name, &lines)).await?;
            ensure!(
                matches!(
                    &answer,
                    Answer::Batch { batch_item_failures } if batch_item_failures.is_empty()
                ),
                "conform did not take the batch {name:?}: {answer:?}"
            );
        }
        for (source, lines) in objects {
            // Firehose writes an object after its last line arrived.
            let now = lines.iter().map(|line| arrival(line)).fold(self.clock.now(), DateTime::max);
            let mut object = GzEncoder::new(Vec::new(), Compression::fast());
            for line in lines {
                object.write_all(line.trim_ascii_end())?;
                object.write_all(b"\n")?;
            }
            self.put(&keys::bronze(&source, now, name), object.finish()?).await?;
        }
        Ok(())
    }

    /// Writes an object as an operator does, such as `reference/<name>.csv`.
    ///
    /// # Errors
    /// None in practice: a lake in memory takes everything.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.bucket.put(key, bytes.into(), Metadata::new(), Condition::Always).await?;
        Ok(())
    }

    /// Sends a model's day to be computed again, as the action `backfill` does.
    ///
    /// # Errors
    /// When the day is invalid.
    pub fn backfill(&self, model: &str, day: &str) -> anyhow::Result<()> {
        let dirty = PartitionDirty::one(model, day.parse()?, "backfill".to_owned());
        let dirty = PartitionDirty { recompute: true, ..dirty };
        self.messages.deliver(dirty.event().to_string());
        Ok(())
    }

    /// Returns the rows of all partitions of a model, or of a view, in the order of its key.
    ///
    /// # Errors
    /// When the model does not exist, an object of gold is not readable, or the view fails.
    pub async fn rows(&self, model: &str) -> anyhow::Result<Vec<Row>> {
        if let Some(view) = self.models().views().iter().find(|view| view.name == model) {
            return self.view_rows(view).await;
        }
        let names =
            || self.models().iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let model = self
            .models()
            .get(model)
            .with_context(|| format!("no model {model:?}: expected one of {}", names()))?;
        let mut found = Vec::new();
        for entry in self.bucket.list(&keys::gold_model(&model.name)).await? {
            let object = self.bucket.get(&entry.key).await?.context("a listed object exists")?;
            found.extend(rows::of_batch(&Gold::decode(object.bytes)?.rows)?);
        }
        found.sort_by(|one, other| rows::by_key(&model.key, one, other));
        Ok(found)
    }

    /// Returns the rows of a model that the warehouse has, in the order of its key.
    ///
    /// # Errors
    /// When the model does not exist or does not have a warehouse table.
    pub fn warehouse_rows(&self, model: &str) -> anyhow::Result<Vec<Row>> {
        let model = self.models().get(model).with_context(|| format!("no model {model:?}"))?;
        let table = model.warehouse.as_ref().context("the model has no warehouse table")?;
        let mut found = self.warehouse.rows(table);
        found.sort_by(|one, other| rows::by_key(&model.key, one, other));
        Ok(found)
    }

    /// Returns the alerts that were sent, in order: about rows and about failed checks.
    pub fn alerts(&self) -> Vec<Message> {
        self.topic.messages()
    }

    /// Returns the records of all objects of quarantine.
    ///
    /// # Errors
    /// When an object is not readable.
    pub async fn quarantined(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut found = Vec::new();
        for entry in self.bucket.list(keys::QUARANTINE).await? {
            let object = self.bucket.get(&entry.key).await?.context("a listed object exists")?;
            let lines =
                std::io::read_to_string(flate2::read::MultiGzDecoder::new(&object.bytes[..]))?;
            for line in lines.lines() {
                found.push(serde_json::from_str(line)?);
            }
        }
        Ok(found)
    }

    /// Returns the last job of each model and partition that did not end in a conflict.
    pub fn ended(&self) -> BTreeMap<(String, Partition), Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the checks of both severities that failed in the last job of a partition.
    pub fn failed_checks(&self) -> Vec<FailedCheck> {
        self.ended().into_values().flat_map(|ended| ended.result.failed_checks).collect()
    }

    /// What is computed from what.
    pub fn models(&self) -> &Models {
        &self.dispatch.models
    }

    /// What datasets there are.
    pub fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// All objects.
    pub fn objects(&self) -> &MemoryStore {
        &self.bucket.objects
    }

    /// The source of a line, and whether it is one that is delivered in batches.
    fn way(&self, line: &[u8]) -> (String, bool) {
        // What is no envelope comes by a stream, where anybody can send anything.
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else {
            return ("web".to_owned(), false);
        };
        let contract = self.contracts.get(&line.dataset);
        let is_batch = contract.is_some_and(|contract| contract.delivery == Delivery::Batch);
        let source = line.source.rsplit('/').next().unwrap_or_default();
        (source.to_owned(), is_batch)
    }

    async fn conform(&self, payload: &str) -> anyhow::Result<Answer> {
        self.conform.handle(payload).await.context("conform failed")
    }
}

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().unwrap_or_default()
}

/// Returns the event of a batch with one Kinesis record per line.
fn kinesis_event(source: &str, name: &str, lines: &[&[u8]]) -> String {
    let records: Vec<_> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| {
            let sequence = format!("{name}.{number:06}");
            json!({
                "kinesis": {
                    "data": STANDARD.encode_to_string(line), "sequenceNumber": sequence,
                    "approximateArrivalTimestamp": arrival(line).timestamp() as f64,
                },
                "eventID": format!("shardId-000000000000:{sequence}"),
                "eventSourceARN":
                    format!("arn:aws:kinesis:eu-west-1:000000000000:stream/shoplake-simulation-{source}"),
            })
        })
        .collect();
    json!({"Records": records}).to_string()
}
