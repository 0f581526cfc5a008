//! Executions of state machines.
//!
//! An execution may be started twice: everything that it writes has a deterministic name, or a
//! version.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_sfn::Client;
use serde::Serialize;
use serde_json::{Value, json};
use shoplake_jobs::JobResult;
use shoplake_lake::keys;

use crate::{Fault, Faults, PortError, fault};

/// Starts executions.
#[async_trait]
pub trait Executions: Send + Sync {
    /// Starts bronze-to-silver, which conforms a bronze object.
    async fn start_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError>;

    /// Starts bronze-to-silver again for an object that was not conformed. If it fails, it does not
    /// alert.
    async fn retry_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError>;

    /// Starts silver-to-gold, which runs the job document `key`.
    async fn start_silver_to_gold(&self, key: &str) -> Result<(), PortError>;

    /// Starts silver-to-gold with an existing result, skipping the transform step.
    async fn start_silver_to_gold_with_result(&self, result: &JobResult) -> Result<(), PortError>;

    /// Starts silver-to-gold-glue, which runs a job on Glue.
    async fn start_silver_to_gold_glue(&self, run: &GlueRun) -> Result<(), PortError>;
}

#[async_trait]
impl<E: Executions + ?Sized> Executions for Arc<E> {
    async fn start_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        (**self).start_bronze_to_silver(bucket, key).await
    }

    async fn retry_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        (**self).retry_bronze_to_silver(bucket, key).await
    }

    async fn start_silver_to_gold(&self, key: &str) -> Result<(), PortError> {
        (**self).start_silver_to_gold(key).await
    }

    async fn start_silver_to_gold_with_result(&self, result: &JobResult) -> Result<(), PortError> {
        (**self).start_silver_to_gold_with_result(result).await
    }

    async fn start_silver_to_gold_glue(&self, run: &GlueRun) -> Result<(), PortError> {
        (**self).start_silver_to_gold_glue(run).await
    }
}

/// The input of silver-to-gold-glue. It names both objects, because the state machine does not know
/// the layout of the lake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GlueRun {
    /// The name of the execution. Starting it again under this name, after a lost answer, has no
    /// effect.
    #[serde(skip)]
    pub name: String,
    /// The key of the job document.
    pub job: String,
    /// The key under which the job leaves its result.
    pub result: String,
}

/// Returns the input of silver-to-gold for an existing result, as silver-to-gold-glue passes it on.
fn input_with_result(result: &JobResult) -> Value {
    let job = keys::job(&result.model, result.partition, &result.job);
    json!({"job": job, "transform": {"result": result}})
}

/// The ARNs of the state machines.
#[derive(Debug, Clone)]
pub struct StateMachineArns {
    /// bronze-to-silver
    pub bronze_to_silver: String,
    /// silver-to-gold
    pub silver_to_gold: String,
    /// silver-to-gold-glue; none where Glue is not deployed.
    pub silver_to_gold_glue: Option<String>,
}

/// AWS Step Functions.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
    arns: StateMachineArns,
}

impl StepFunctions {
    /// The state machines with these ARNs.
    pub fn new(config: &SdkConfig, arns: StateMachineArns) -> Self {
        Self { client: Client::new(config), arns }
    }

    async fn start(&self, arn: &str, name: Option<&str>, input: Value) -> Result<(), PortError> {
        let request = self
            .client
            .start_execution()
            .state_machine_arn(arn)
            .set_name(name.map(str::to_owned))
            .input(input.to_string());
        let action = || format!("start an execution of {arn}");
        request.send().await.map(drop).map_err(|error| PortError::sdk(action(), error))
    }
}

#[async_trait]
impl Executions for StepFunctions {
    async fn start_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        let input = json!({"bucket": bucket, "key": key});
        self.start(&self.arns.bronze_to_silver, None, input).await
    }

    async fn retry_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        let input = json!({"bucket": bucket, "key": key, "retry": true});
        self.start(&self.arns.bronze_to_silver, None, input).await
    }

    async fn start_silver_to_gold(&self, key: &str) -> Result<(), PortError> {
        self.start(&self.arns.silver_to_gold, None, json!({"job": key})).await
    }

    async fn start_silver_to_gold_with_result(&self, result: &JobResult) -> Result<(), PortError> {
        self.start(&self.arns.silver_to_gold, None, input_with_result(result)).await
    }

    async fn start_silver_to_gold_glue(&self, run: &GlueRun) -> Result<(), PortError> {
        let arn = self.arns.silver_to_gold_glue.as_deref().ok_or_else(|| {
            let action = "start an execution of silver-to-gold-glue";
            PortError::new(action, "it is not deployed: set SILVER_TO_GOLD_GLUE_ARN")
        })?;
        self.start(arn, Some(&run.name), json!(run)).await
    }
}

/// An execution that was started in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Execution {
    /// Of bronze-to-silver.
    BronzeToSilver {
        /// The bucket of the object.
        bucket: String,
        /// The key of the object.
        key: String,
        /// Whether the object was not conformed before.
        is_retry: bool,
    },
    /// Of silver-to-gold.
    SilverToGold {
        /// The key of the job document.
        job: String,
    },
    /// Of silver-to-gold, with an existing result.
    SilverToGoldWithResult {
        /// The input of the execution.
        input: Value,
    },
    /// Of silver-to-gold-glue.
    SilverToGoldGlue(GlueRun),
}

/// The operation of a start in memory.
const START: &str = "start an execution";

/// State machines in memory: executions that were started and wait to be run by a test.
#[derive(Debug, Default)]
pub struct MemoryExecutions {
    state: Mutex<State>,
    faults: Faults,
}

#[derive(Debug, Default)]
struct State {
    started: Vec<Execution>,
    /// Names of executions. Step Functions keeps them for 90 days.
    names: BTreeSet<String>,
}

impl MemoryExecutions {
    /// State machines with these faults. Calls of the port fail; executions without a name start
    /// twice and out of order.
    pub fn with_faults(faults: Faults) -> Self {
        Self { state: Mutex::default(), faults }
    }

    /// Returns the faults of the state machines.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Sets the faults of the next calls of the port.
    pub fn fail(&self, schedule: impl IntoIterator<Item = Option<Fault>>) {
        self.faults.set(schedule);
    }

    /// Adds an execution. It never fails.
    pub fn add(&self, execution: Execution) {
        self.state().started.push(execution);
    }

    /// Returns the executions that were not taken yet, in the order in which they were started.
    pub fn started(&self) -> Vec<Execution> {
        self.state().started.clone()
    }

    /// Returns the number of executions that were not taken yet.
    pub fn len(&self) -> usize {
        self.state().started.len()
    }

    /// Returns whether all executions were taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes all executions, in the order in which they were started.
    pub fn take_all(&self) -> Vec<Execution> {
        std::mem::take(&mut self.state().started)
    }

    /// Takes the execution at `place` modulo their number; `None` if there is none.
    pub fn take(&self, place: usize) -> Option<Execution> {
        let started = &mut self.state().started;
        let place = place.checked_rem(started.len())?;
        Some(started.remove(place))
    }

    fn start(&self, execution: Execution) -> Result<(), PortError> {
        fault::write(&self.faults, START, || {
            // An Express state machine runs an execution at least once.
            if self.faults.twice(START) {
                self.insert(execution.clone());
            }
            self.insert(execution);
        })
    }

    /// Adds an execution behind those that wait, or before some of them.
    fn insert(&self, execution: Execution) {
        let started = &mut self.state().started;
        let end = started.len();
        let overtaken = self.faults.overtaking(START, end + 1).unwrap_or(0);
        started.insert(end - overtaken, execution);
    }

    /// A poisoned lock is safe to use: each change is one call on a collection.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Executions for MemoryExecutions {
    async fn start_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.start(Execution::BronzeToSilver { bucket, key, is_retry: false })
    }

    async fn retry_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.start(Execution::BronzeToSilver { bucket, key, is_retry: true })
    }

    async fn start_silver_to_gold(&self, key: &str) -> Result<(), PortError> {
        self.start(Execution::SilverToGold { job: key.to_owned() })
    }

    async fn start_silver_to_gold_with_result(&self, result: &JobResult) -> Result<(), PortError> {
        self.start(Execution::SilverToGoldWithResult { input: input_with_result(result) })
    }

    async fn start_silver_to_gold_glue(&self, run: &GlueRun) -> Result<(), PortError> {
        fault::write(&self.faults, START, || {
            let mut state = self.state();
            if state.names.insert(run.name.clone()) {
                state.started.push(Execution::SilverToGoldGlue(run.clone()));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shoplake_platform::clock::ManualClock;

    use super::*;
    use crate::FaultRates;

    fn run(name: &str) -> GlueRun {
        let text = || name.to_owned();
        GlueRun { name: text(), job: text(), result: text() }
    }

    #[tokio::test]
    async fn a_named_execution_starts_once() {
        let executions = MemoryExecutions::default();
        executions.fail([Some(Fault::AnswerLost)]);
        assert!(executions.start_silver_to_gold_glue(&run("a")).await.is_err());
        executions.start_silver_to_gold_glue(&run("a")).await.unwrap();
        assert_eq!(executions.take_all(), [Execution::SilverToGoldGlue(run("a"))]);
    }

    #[tokio::test]
    async fn a_refused_execution_is_not_started() {
        let executions = MemoryExecutions::default();
        executions.fail([None, Some(Fault::Refused)]);
        executions.start_silver_to_gold("a").await.unwrap();
        assert!(executions.start_silver_to_gold("b").await.is_err());
        assert_eq!(executions.take(7), Some(Execution::SilverToGold { job: "a".to_owned() }));
        assert_eq!(executions.take(0), None);
    }

    #[tokio::test]
    async fn an_execution_without_a_name_may_start_twice() {
        let rates = FaultRates { twice: 100, ..FaultRates::default() };
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let executions =
            MemoryExecutions::with_faults(Faults::seeded("executions", 1, rates, clock));
        executions.start_silver_to_gold("a").await.unwrap();
        executions.start_silver_to_gold_glue(&run("b")).await.unwrap();
        let job = || Execution::SilverToGold { job: "a".to_owned() };
        assert_eq!(executions.take_all(), [job(), job(), Execution::SilverToGoldGlue(run("b"))]);
    }

    #[tokio::test]
    async fn executions_may_start_out_of_order() {
        let rates = FaultRates { out_of_order: 100, ..FaultRates::default() };
        let clock = Arc::new(ManualClock::new(DateTime::UNIX_EPOCH));
        let executions =
            MemoryExecutions::with_faults(Faults::seeded("executions", 1, rates, clock));
        for job in ["a", "b"] {
            executions.start_silver_to_gold(job).await.unwrap();
        }
        let job = |job: &str| Execution::SilverToGold { job: job.to_owned() };
        assert_eq!(executions.take_all(), ["b", "a"].map(job));
    }
}
