//! The state machines, as `statemachines/*.asl.json` define them: retries, branches, recorded
//! failures and alerts. An execution may end at any time without a word.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::join;
use serde_json::{Value, json};
use shoplake_aws::Execution;
use shoplake_aws::topic::{Message, Topic, subject};
use shoplake_function_conform::Answer;
use shoplake_function_transform::Request;
use shoplake_jobs::{JobOutcome, JobResult, NotifyRequest};
use shoplake_lake::state::Step;
use shoplake_platform::clock::Clock;
use shoplake_platform::failure::Failure;
use shoplake_warehouse::LoadOutcome;

use super::executor::{sleep, timeout};
use super::functions::{Cloud, Function, InvokeError};
use super::planted::Planted;
use super::random::Random;
use super::reached::BadState;

/// The time limit of an Express execution (`TimeoutSeconds`).
const LIMIT: Duration = Duration::from_secs(300);

/// The time limit of a task of control.
const CONTROL: Duration = Duration::from_secs(15);

/// How long notify may start rows: its time limit is 30 seconds, and a row takes up to 18.
const NOTIFY: TimeDelta = TimeDelta::seconds(12);

/// The subject of an alert about an object of bronze.
pub(crate) const NOT_CONFORMED: &str = "an object was not conformed";

/// Runs the executions that are started, forever.
pub(crate) async fn run(cloud: Arc<Cloud>) {
    let random = Random::new("executions lost", cloud.world.seed);
    loop {
        for execution in cloud.executions.take().await {
            let is_lost = cloud.world.goes_wrong(&random, cloud.world.profile.executions_lost);
            let limit = if is_lost { random.seconds(0, 20) } else { LIMIT };
            let seed = random.between(0, u64::MAX);
            let machine = Machine { cloud: cloud.clone(), random: Random::new("retries", seed) };
            cloud.world.spawn(async move {
                let world = machine.cloud.world.clone();
                if timeout(limit, machine.run(execution)).await.is_none() {
                    world.reach(BadState::ExecutionLost);
                }
            });
        }
    }
}

/// An execution.
struct Machine {
    cloud: Arc<Cloud>,
    random: Random,
}

impl Machine {
    async fn run(&self, execution: Execution) {
        match execution {
            Execution::BronzeToSilver { bucket, key, is_retry } => {
                self.bronze_to_silver(&bucket, &key, is_retry).await;
            }
            Execution::SilverToGold { job } => self.silver_to_gold(job).await,
            // The simulation starts no others.
            Execution::SilverToGoldWithResult { .. } | Execution::SilverToGoldGlue(_) => {}
        }
    }

    async fn bronze_to_silver(&self, bucket: &str, key: &str, is_retry: bool) {
        let payload = json!({"bucket": bucket, "key": key}).to_string();
        let conformed = self
            .task(async || {
                let payload = payload.clone();
                let conform = async move |cloud: Arc<Cloud>| cloud.conform.handle(&payload).await;
                self.cloud.invoke(Function::Conform, conform).await
            })
            .await;
        match conformed {
            Ok(Answer::Object { .. }) => {}
            Ok(answer) => self.cloud.world.violate(format!("conform returned {answer:?}")),
            // The sweep starts it again.
            Err(_) if is_retry => {}
            Err(error) => self.alert(NOT_CONFORMED, json!({"key": key, "error": error})).await,
        }
    }

    async fn silver_to_gold(&self, job: String) {
        let transformed = self
            .task(async || {
                let request = Request { job: job.clone() };
                let transform = async move |cloud: Arc<Cloud>| {
                    let _running = cloud.invariants.job_runs(&request.job);
                    cloud.transform.handle(&request).await.map_err(|error| {
                        if error.is_retryable() {
                            Failure::retryable(error)
                        } else {
                            Failure::permanent(error)
                        }
                    })
                };
                self.cloud.invoke(Function::Transform, transform).await
            })
            .await;
        let result = match transformed {
            Ok(result) => result,
            Err(error) => return self.record(&job, Step::Compute, error).await,
        };
        match result.outcome {
            JobOutcome::Conflict => return self.cloud.world.reach(BadState::Conflict),
            JobOutcome::Unchanged => self.cloud.world.reach(BadState::Unchanged),
            JobOutcome::Committed => {}
        }
        if result.withheld.count > 0 {
            self.cloud.world.reach(BadState::ShopWithheld);
        }
        join!(
            self.load(&job, &result),
            self.notify(&job, result.notify.as_ref()),
            self.alert_checks(&job, &result)
        );
    }

    /// The branch `Load`.
    async fn load(&self, job: &str, result: &JobResult) {
        if self.cloud.world.plants(Planted::LoadSkipped) {
            return;
        }
        let event = json!(result);
        let loaded = self
            .task(async || {
                let event = event.clone();
                let load = async move |cloud: Arc<Cloud>| cloud.load.handle(event).await;
                self.cloud.invoke(Function::Load, load).await
            })
            .await;
        match loaded.map(|response| response.load.map(|load| load.outcome)) {
            Ok(Some(LoadOutcome::AlreadyLoaded)) => {
                self.cloud.world.reach(BadState::LoadRepeated);
            }
            Ok(Some(LoadOutcome::Superseded)) => {
                self.cloud.world.reach(BadState::LoadSuperseded);
            }
            Ok(_) => {}
            Err(error) => self.record(job, Step::Load, error).await,
        }
    }

    /// The branch `HasNotification`.
    async fn notify(&self, job: &str, request: Option<&NotifyRequest>) {
        let Some(request) = request else { return };
        if self.cloud.world.plants(Planted::NotifySkipped) {
            return;
        }
        let event = json!(request);
        let notified = self
            .task(async || {
                let event = event.clone();
                let notify = async move |cloud: Arc<Cloud>| {
                    let until = cloud.notify.clock.now() + NOTIFY;
                    cloud.notify.handle(event, until).await
                };
                self.cloud.invoke(Function::Notify, notify).await
            })
            .await;
        if let Err(error) = notified {
            self.record(job, Step::Notify, error).await;
        }
    }

    /// The branch `HasNewCheckFailures`. The sweep sends what it does not send.
    async fn alert_checks(&self, job: &str, result: &JobResult) {
        if result.alert.is_some() {
            let request = json!({"action": "send_alert", "job": job, "version": result.version});
            let _ = self.control(request, 3).await;
        }
    }

    /// Records that a step failed. control alerts people if it is the first failure.
    async fn record(&self, job: &str, step: Step, error: String) {
        let world = &self.cloud.world;
        let owed = self.cloud.invariants.owed(job, step);
        if world.plants(Planted::FailuresNotRecorded) {
            return self.cloud.invariants.step_failed(job, step, owed);
        }
        let request = json!({
            "action": "record_failure", "job": job, "step": step, "error": error, "cause": "",
        });
        let recorded = self.control(request, 2).await;
        match recorded {
            Some(recorded) => {
                self.cloud.invariants.step_failed(job, step, owed);
                world.reach(match step {
                    Step::Compute => BadState::ComputeFailed,
                    Step::Load => BadState::LoadFailed,
                    Step::Notify => BadState::NotifyFailed,
                });
                if world.plants(Planted::FailuresAlertedAgain) {
                    let place = [&recorded["model"], &recorded["partition"]];
                    let body = json!({"model": place[0], "partition": place[1], "step": step});
                    self.alert("a step failed", body).await;
                }
            }
            None => world.reach(BadState::FailureUnrecorded),
        }
    }

    /// Asks control for something, with so many retries.
    async fn control(&self, request: Value, retries: u32) -> Option<Value> {
        for attempt in 0..=retries {
            if attempt > 0 {
                self.wait(attempt, 1, 5).await;
            }
            let request = request.clone();
            let control = async move |cloud: Arc<Cloud>| {
                shoplake_function_control::handle(&cloud.operations, request).await
            };
            let invoked = self.cloud.invoke(Function::Control, control);
            if let Some(Ok(response)) = timeout(CONTROL, invoked).await {
                return Some(response);
            }
            self.cloud.invariants.control_failed();
        }
        None
    }

    /// Publishes a message, with the retries of the states `Alert...`.
    async fn alert(&self, title: &str, body: Value) {
        let message =
            Message { subject: subject(title), body: body.to_string(), attributes: Vec::new() };
        for attempt in 1..=4 {
            if self.cloud.topic.publish(&message).await.is_ok() {
                return;
            }
            self.wait(attempt, 1, 5).await;
        }
    }

    /// Runs a function, with the retries of the tasks of the state machines. Returns the last
    /// error.
    async fn task<T>(&self, invoke: impl AsyncFn() -> Result<T, InvokeError>) -> Result<T, String> {
        let (mut throttled, mut timed_out, mut failed) = (0, 0, 0);
        loop {
            let error = match invoke().await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let (retries, most, interval, longest) = match &error {
                InvokeError::Failed(failure) if failure.is_permanent() => (&mut failed, 0, 0, 0),
                InvokeError::Throttled => (&mut throttled, 6, 1, 20),
                InvokeError::TimedOut => (&mut timed_out, 1, 2, 5),
                InvokeError::Crashed | InvokeError::Failed(_) => (&mut failed, 4, 2, 20),
            };
            if *retries >= most {
                return Err(match error {
                    InvokeError::Failed(failure) => failure.to_string(),
                    other => format!("{other:?}"),
                });
            }
            *retries += 1;
            let attempt = *retries;
            self.wait(attempt, interval, longest).await;
        }
    }

    /// Waits before a retry: twice as long each time, with full jitter.
    async fn wait(&self, attempt: u32, interval: u64, longest: u64) {
        let seconds = (interval << (attempt.saturating_sub(1)).min(10)).min(longest);
        sleep(self.random.seconds(0, seconds)).await;
    }
}
