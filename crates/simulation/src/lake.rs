//! The pipeline around the bucket: what is delivered goes through the functions' own handlers until
//! nothing is left to do.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use base64_simd::STANDARD;
use chrono::{DateTime, Datelike, Duration, TimeZone, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::{join, try_join_all};
use serde::Deserialize;
use serde_json::json;
use shoplake_aws::{Execution, Fault, GlueRun, MemoryDirtyQueue, MemoryExecutions};
use shoplake_conform::Conformer;
use shoplake_contracts::{Contracts, Delivery};
use shoplake_engine::{Gold, Limits};
use shoplake_function_conform::{Answer, Conform, LAYOUT};
use shoplake_function_dispatch::{Dispatch, Engines};
use shoplake_function_transform::{Request, Transform, TransformError};
use shoplake_jobs::{FailedCheck, JobOutcome, JobResult};
use shoplake_lake::{Condition, MemoryStore, Metadata, Store};
use shoplake_models::Models;
use shoplake_platform::clock::{Clock, ManualClock};
use shoplake_platform::metrics::{MemorySink, Metrics};
use tokio::runtime::Handle;

use crate::bucket::{self, Bucket};
use crate::event::Event;
use crate::messages;
use crate::rows::{self, Row};
use crate::weather::Gust;

/// How often an execution is tried again on a calm day, as the state machine does, before it is a
/// failure.
const ATTEMPTS: u32 = 3;

/// A lake in memory with everything that works on it.
pub struct Lake {
    contracts: Contracts,
    clock: Arc<ManualClock>,
    messages: Arc<MemoryDirtyQueue>,
    bucket: Bucket,
    executions: Arc<MemoryExecutions>,
    conform: Conform<Bucket>,
    dispatch: Dispatch<Bucket, Arc<MemoryExecutions>, Arc<MemoryDirtyQueue>, Arc<ManualClock>>,
    transform: Arc<Transform>,
    /// By model and partition the last job that ended otherwise than in a conflict.
    ended: Mutex<BTreeMap<(String, String), Ended>>,
}

/// How the last job of a partition ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The key of its document.
    pub job: String,
    /// What it came to.
    pub result: JobResult,
}

/// What it took until nothing was left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Jobs that ran.
    pub jobs: usize,
    /// Those of them that committed rows.
    pub commits: usize,
    /// Those of them that found another commit in their place.
    pub conflicts: usize,
}

/// What has to be known of a line to bring it on its way.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    dataset: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    source: std::borrow::Cow<'a, str>,
}

/// When a line says that it was received.
#[derive(Deserialize)]
struct Receipt {
    receivedat: DateTime<Utc>,
}

/// When a stream takes the line: when its sender says that it was received, if it may be so, or
/// else on the lake's first day.
fn arrival(line: &[u8]) -> DateTime<Utc> {
    let receipt = serde_json::from_slice(line).ok().map(|Receipt { receivedat }| receivedat);
    receipt.filter(|receipt| (2000..2100).contains(&receipt.year())).unwrap_or_else(start)
}

impl Lake {
    /// An empty lake with these definitions. Its clock begins with 2026-01-01 and moves only while
    /// something waits.
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
        let dispatch = Dispatch {
            models,
            lake: bucket.clone(),
            executions: executions.clone(),
            engines: Engines { glue_above_bytes: u64::MAX, glue: false },
            queue: messages.clone(),
            clock: clock.clone(),
        };
        let transform = Arc::new(Transform {
            store: Arc::new(bucket.clone()),
            publisher: messages.clone(),
            queue: messages.clone(),
            // Jobs of a simulation are small: more threads would only wait for each other.
            limits: Limits { parallelism: 1, ..Limits::default() },
        });
        let ended = Mutex::default();
        Self { contracts, clock, messages, bucket, executions, conform, dispatch, transform, ended }
    }

    /// An empty lake with the definitions of the repository.
    ///
    /// # Errors
    /// When one of them is wrong.
    pub fn of_repository() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let contracts = Contracts::load(&root.join("crates/contracts/schemas"))?;
        let models = Models::load(&root.join("glue-sql"), &contracts)?;
        Ok(Self::new(contracts, models))
    }

    /// Delivers events as one batch called `name`: those of a streaming source by Kinesis, those of
    /// a batch source as an object of bronze. Delivering a batch of the same name again overwrites
    /// what it has become, as a retry does.
    ///
    /// # Errors
    /// When conform fails. What is merely wrong ends in [quarantine](Self::quarantined).
    pub async fn deliver(&self, events: &[Event], name: &str) -> anyhow::Result<()> {
        let lines: Vec<_> =
            events.iter().map(|event| self.envelope(event)).collect::<Result<_, _>>()?;
        self.deliver_lines(&lines, name).await
    }

    /// The event as it would be sent: an envelope on one line.
    ///
    /// # Errors
    /// When the shop's id is none.
    pub fn envelope(&self, event: &Event) -> anyhow::Result<Vec<u8>> {
        event.to_line(&self.contracts)
    }

    /// Delivers envelopes as they are, one per line.
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
                matches!(&answer, Answer::Batch { batch_item_failures } if batch_item_failures.is_empty()),
                "conform did not take the batch {name:?}: {answer:?}"
            );
        }
        for (source, lines) in objects {
            // Firehose writes an object after its last line came.
            let now = lines.iter().map(|line| arrival(line)).fold(self.clock.now(), DateTime::max);
            let arrival = now.format("dt=%Y-%m-%d/hour=%H");
            let mut object = GzEncoder::new(Vec::new(), Compression::fast());
            for line in lines {
                object.write_all(line.trim_ascii_end())?;
                object.write_all(b"\n")?;
            }
            self.put(&format!("bronze/{source}/{arrival}/{name}.gz"), object.finish()?).await?;
        }
        Ok(())
    }

    /// Writes an object as somebody with access to the bucket does, such as `reference/<name>.csv`.
    ///
    /// # Errors
    /// None in practice: a lake in memory takes everything.
    pub async fn put(&self, key: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.bucket.put(key, bytes.into(), Metadata::new(), Condition::Always).await?;
        Ok(())
    }

    /// Does everything that there is to do, in the order in which it came.
    ///
    /// # Errors
    /// When something cannot be started or does not run. A check that fails is no error, see
    /// [`failed_checks`](Self::failed_checks).
    pub async fn settle(&self) -> anyhow::Result<Settled> {
        let mut settled = Settled::default();
        loop {
            if !self.messages.is_idle() {
                self.dispatch(&self.messages.receive(0, usize::MAX)).await?;
            } else if !self.executions.is_empty() {
                self.run_all(&mut settled).await?;
            } else if let Some(wait) = self.messages.next_delay() {
                self.sleep(wait);
            } else {
                return Ok(settled);
            }
        }
    }

    /// Does only what the gusts say, one after the other, and leaves the rest waiting.
    ///
    /// # Errors
    /// As [`settle`](Self::settle).
    pub async fn endure(&self, gusts: &[Gust]) -> anyhow::Result<Settled> {
        let mut settled = Settled::default();
        for gust in gusts {
            self.blow(*gust, &mut settled).await?;
        }
        Ok(settled)
    }

    /// How many executions were started that nobody has run yet.
    pub fn waiting(&self) -> usize {
        self.executions.len()
    }

    /// The rows of a model, of all its partitions and in the order of its key.
    ///
    /// # Errors
    /// When there is no such model, or what is in gold cannot be read.
    pub async fn rows(&self, model: &str) -> anyhow::Result<Vec<Row>> {
        let names =
            || self.models().iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let model = self
            .models()
            .get(model)
            .with_context(|| format!("there is no model {model:?}; there are {}", names()))?;
        let mut found = Vec::new();
        for entry in self.bucket.list(&format!("gold/{}/", model.name)).await? {
            let object = self.bucket.get(&entry.key).await?.context("what is listed is there")?;
            found.extend(rows::of_batch(&Gold::decode(object.bytes)?.rows)?);
        }
        found.sort_by(|one, other| rows::by_key(&model.key, one, other));
        Ok(found)
    }

    /// The lines that could not become rows, as in the objects of quarantine.
    ///
    /// # Errors
    /// When such an object cannot be read.
    pub async fn quarantined(&self) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut found = Vec::new();
        for entry in self.bucket.list("quarantine/").await? {
            let object = self.bucket.get(&entry.key).await?.context("what is listed is there")?;
            let lines =
                std::io::read_to_string(flate2::read::MultiGzDecoder::new(&object.bytes[..]))?;
            for line in lines.lines() {
                found.push(serde_json::from_str(line)?);
            }
        }
        Ok(found)
    }

    /// How the last job of each partition ended, by model and partition; conflicts do not count.
    pub fn ended(&self) -> BTreeMap<(String, String), Ended> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The checks that the last job of a partition failed, of both severities.
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

    async fn dispatch(&self, bodies: &[String]) -> anyhow::Result<()> {
        if bodies.is_empty() {
            return Ok(());
        }
        let response = self.dispatch.handle(messages::batch(bodies)).await;
        let failed = response.batch_item_failures.first().and_then(|failure| {
            failure.item_identifier.parse::<usize>().ok().and_then(|place| bodies.get(place))
        });
        match failed {
            Some(body) => bail!("dispatch could not act on {body}"),
            None => Ok(()),
        }
    }

    /// Runs everything that was started: model by model, each after what it reads, so that it does
    /// not matter how many run at the same time.
    async fn run_all(&self, settled: &mut Settled) -> anyhow::Result<()> {
        let order: BTreeMap<_, _> = self
            .models()
            .iter()
            .enumerate()
            .map(|(place, model)| (model.name.as_str(), place))
            .collect();
        let mut groups: BTreeMap<Option<usize>, Vec<Execution>> = BTreeMap::new();
        for execution in self.executions.take_all() {
            let group = match &execution {
                Execution::BronzeToSilver { .. } => None,
                Execution::SilverToGold { job }
                | Execution::SilverToGoldGlue(GlueRun { job, .. }) => {
                    job.split('/').nth(1).and_then(|model| order.get(model)).copied()
                }
                Execution::SilverToGoldWithResult { .. } => None,
            };
            groups.entry(group).or_default().push(execution);
        }
        for executions in groups.into_values() {
            // Each on a thread, as many as there are.
            for chunk in
                executions.chunks(std::thread::available_parallelism().map_or(1, usize::from))
            {
                for ran in
                    try_join_all(chunk.iter().map(|execution| self.persist(execution))).await?
                {
                    settled.count(ran);
                }
            }
        }
        Ok(())
    }

    /// Runs an execution with the retries of a state machine.
    async fn persist(&self, execution: &Execution) -> anyhow::Result<Option<JobOutcome>> {
        let mut attempt = 1;
        loop {
            match self.run(execution).await {
                Err(error) if attempt < ATTEMPTS && is_retryable(&error) => attempt += 1,
                ran => return ran,
            }
        }
    }

    /// Runs an execution once.
    async fn run(&self, execution: &Execution) -> anyhow::Result<Option<JobOutcome>> {
        match execution {
            Execution::BronzeToSilver { bucket, key } => {
                self.conform(&json!({"bucket": bucket, "key": key}).to_string()).await?;
                Ok(None)
            }
            // Glue is another engine that makes the same commit.
            Execution::SilverToGold { job } | Execution::SilverToGoldGlue(GlueRun { job, .. }) => {
                let (transform, request) = (self.transform.clone(), Request { job: job.clone() });
                // On a thread of its own, as in a function of its own.
                let runtime = Handle::current();
                let work = move || runtime.block_on(transform.handle(&request));
                let result = tokio::task::spawn_blocking(work).await?;
                let result = result.with_context(|| format!("the job {job} does not run"))?;
                let outcome = result.outcome;
                if outcome != JobOutcome::Conflict {
                    let partition = (result.model.clone(), result.partition.clone());
                    let ended = Ended { job: job.clone(), result };
                    self.ended
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(partition, ended);
                }
                Ok(Some(outcome))
            }
            Execution::SilverToGoldWithResult { .. } => Ok(None),
        }
    }

    async fn blow(&self, gust: Gust, settled: &mut Settled) -> anyhow::Result<()> {
        match gust {
            Gust::Dispatch { place, most, twice } => {
                let bodies = self.messages.receive(place, most);
                self.dispatch(&bodies).await?;
                if twice {
                    bodies.into_iter().for_each(|body| self.messages.deliver(body));
                }
            }
            Gust::Run { place } => {
                if let Some(execution) = self.executions.take(place) {
                    settled.count(self.persist(&execution).await?);
                }
            }
            Gust::RunTwice { place } => {
                if let Some(execution) = self.executions.take(place) {
                    let (one, other) =
                        join(self.persist(&execution), self.persist(&execution)).await;
                    settled.count(one?);
                    settled.count(other?);
                }
            }
            Gust::RunTogether { place, other } => {
                let executions = [self.executions.take(place), self.executions.take(other)];
                let runs = executions.iter().flatten().map(|execution| self.persist(execution));
                for ran in try_join_all(runs).await? {
                    settled.count(ran);
                }
            }
            Gust::Kill { place } => {
                if let Some(execution) = self.executions.take(place) {
                    self.messages.fail([Some(Fault::Refused)]);
                    match self.run(&execution).await {
                        Ok(ran) => settled.count(ran),
                        Err(error) if is_retryable(&error) => self.executions.add(execution),
                        Err(error) => return Err(error),
                    }
                    self.messages.fail([]);
                }
            }
            Gust::LoseAnswer { place } => {
                if let Some(execution) = self.executions.take(place) {
                    self.bucket.lose_next_answer();
                    settled.count(self.persist(&execution).await?);
                }
            }
            Gust::Sleep { seconds } => self.sleep(Duration::seconds(seconds.into())),
        }
        Ok(())
    }

    fn sleep(&self, time: Duration) {
        self.clock.advance(time);
        self.bucket.objects.set_now(self.clock.now());
    }
}

impl Settled {
    fn count(&mut self, ran: Option<JobOutcome>) {
        let Some(outcome) = ran else { return };
        self.jobs += 1;
        match outcome {
            JobOutcome::Committed => self.commits += 1,
            JobOutcome::Conflict => self.conflicts += 1,
            JobOutcome::Unchanged | JobOutcome::ChecksFailed => {}
        }
    }
}

fn start() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single().unwrap_or_default()
}

fn is_retryable(error: &anyhow::Error) -> bool {
    error.downcast_ref::<TransformError>().is_some_and(TransformError::is_retryable)
}

/// The event that Lambda gets for a batch of records, one for each line.
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
