//! Step Functions: starts of executions, which may fail, come twice or be delayed.

use std::sync::Arc;

use async_trait::async_trait;
use shoplake_aws::{Execution, Executions, GlueRun, MemoryExecutions, PortError};
use shoplake_jobs::JobResult;
use shoplake_platform::faults::Fault;
use tokio::sync::Notify;

use crate::protocol::profile::Outage;
use crate::protocol::reached::BadState;
use crate::protocol::world::{ServiceFaults, World};

/// The operation of a start.
const START: &str = "start an execution";

/// The state machines.
pub(crate) struct SimulatedExecutions {
    world: Arc<World>,
    started: MemoryExecutions,
    faults: ServiceFaults,
    arrived: Notify,
}

impl SimulatedExecutions {
    pub(crate) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            started: MemoryExecutions::default(),
            faults: ServiceFaults::new(world, "executions", world.profile.executions),
            arrived: Notify::new(),
        })
    }

    /// Waits for executions that were started, and takes them.
    pub(crate) async fn take(&self) -> Vec<Execution> {
        while self.started.is_empty() {
            self.arrived.notified().await;
        }
        self.started.take_all()
    }

    /// Returns whether all executions were taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.started.is_empty()
    }

    async fn start(&self, execution: Execution) -> Result<(), PortError> {
        self.world.call().await;
        let is_out = self.world.is_out(Outage::StepFunctions);
        let drawn = self.faults.write(START);
        let fault = if is_out { Some(Fault::Refused) } else { drawn };
        self.world.trace(format_args!("start {execution:?} {fault:?}"));
        if fault.is_none_or(Fault::takes_effect) {
            // An Express state machine runs an execution at least once.
            if self.faults.twice(START) {
                self.world.reach(BadState::ExecutionTwice);
                self.started.add(execution.clone());
            }
            self.started.add(execution);
            self.arrived.notify_waiters();
        }
        match fault {
            None => return Ok(()),
            Some(Fault::AnswerLost) => self.world.reach(BadState::StartAnswerLost),
            Some(_) => self.world.reach(BadState::StartRefused),
        }
        Err(PortError::new(START, "a fault of the simulation"))
    }
}

#[async_trait]
impl Executions for SimulatedExecutions {
    async fn start_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.start(Execution::BronzeToSilver { bucket, key, is_retry: false }).await
    }

    async fn retry_bronze_to_silver(&self, bucket: &str, key: &str) -> Result<(), PortError> {
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.start(Execution::BronzeToSilver { bucket, key, is_retry: true }).await
    }

    async fn start_silver_to_gold(&self, key: &str) -> Result<(), PortError> {
        self.start(Execution::SilverToGold { job: key.to_owned() }).await
    }

    async fn start_silver_to_gold_with_result(&self, _: &JobResult) -> Result<(), PortError> {
        Err(PortError::new(START, "a simulation has no reloads"))
    }

    async fn start_silver_to_gold_glue(&self, _: &GlueRun) -> Result<(), PortError> {
        Err(PortError::new(START, "a simulation has no Glue"))
    }
}
