//! Sends the planned requests.

use std::time::{Duration, Instant};

use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use chrono::Utc;
use futures::{TryStreamExt, stream};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::{EventSource, Plan, Purpose, Request, Secret, Summary};
use crate::record::Recorder;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Where to send to, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// The API without the path, such as `https://api.example.com/local`.
    pub api_url: String,
    /// The shop.
    pub shop: String,
    /// Its webhook secret.
    pub secret: Secret,
}

/// Sends requests, several at a time.
pub struct Sender {
    http: reqwest::Client,
    target: Target,
    concurrency: usize,
    backoff: ExponentialBuilder,
}

#[derive(Deserialize)]
struct Accepted {
    accepted: u64,
}

/// The API's answer to a request.
enum Outcome {
    Accepted(u64),
    Refused { status: StatusCode, detail: String },
}

/// Why a request is sent again.
#[derive(Debug, thiserror::Error)]
enum RetryError {
    #[error("the API answered {0}")]
    Status(StatusCode),
    #[error("the API could not be reached")]
    Unreachable(#[from] reqwest::Error),
}

impl Sender {
    /// Returns a sender with at most `concurrency` concurrent requests.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(target: Target, concurrency: usize) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(10))
            .with_max_times(10)
            .with_jitter();
        Ok(Self { http, target, concurrency: concurrency.max(1), backoff })
    }

    /// Sends all planned requests and returns the summary of their answers.
    ///
    /// # Errors
    /// When the API stays out of reach, or a record cannot be written.
    pub async fn send<S: EventSource>(
        &self,
        plan: &Plan<S>,
        recorder: &mut Recorder,
    ) -> anyhow::Result<Summary> {
        let url = self.target.url(S::DATASET)?;
        let mut summary = Summary::default();
        let mut last_progress = Instant::now();
        let mut answers = stream::iter(plan.requests())
            .map_ok(|request| self.attempt_until_answered(&url, request))
            .try_buffer_unordered(self.concurrency);
        while let Some((request, outcome, retries)) = answers.try_next().await? {
            summary.count(&request);
            summary.retries += retries;
            self.count_answer(&request, outcome, &mut summary, recorder)?;
            if last_progress.elapsed() >= PROGRESS_EVERY {
                last_progress = Instant::now();
                tracing::info!(sent = summary.sent, accepted = summary.accepted, "sending");
            }
        }
        Ok(summary)
    }

    async fn attempt_until_answered(
        &self,
        url: &Url,
        request: Request,
    ) -> anyhow::Result<(Request, Outcome, u64)> {
        let events: Vec<_> = request.events.iter().map(|event| &event.json).collect();
        let body = serde_json::to_vec(&events)?;
        let mut retries = 0;
        let outcome = (|| self.attempt(url, &request.id, body.clone()))
            .retry(self.backoff)
            .when(|error| error.is::<RetryError>())
            .notify(|_, _| retries += 1)
            .await
            .with_context(|| format!("sending request {}", request.id))?;
        Ok((request, outcome, retries))
    }

    async fn attempt(&self, url: &Url, id: &str, body: Vec<u8>) -> anyhow::Result<Outcome> {
        // Signed again at each attempt: the webhook refuses old timestamps.
        let timestamp = Utc::now().timestamp();
        let response = self
            .http
            .post(url.clone())
            .header("content-type", "application/json")
            .header("x-shop-id", &self.target.shop)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", self.target.secret.sign(id, timestamp, &body)?)
            .body(body)
            .send()
            .await
            .map_err(RetryError::Unreachable)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(RetryError::Status(status).into());
        }
        let answer = response.bytes().await.map_err(RetryError::Unreachable)?;
        if status == StatusCode::ACCEPTED {
            let Accepted { accepted } =
                serde_json::from_slice(&answer).context("reading the API's receipt")?;
            return Ok(Outcome::Accepted(accepted));
        }
        Ok(Outcome::Refused {
            status,
            detail: String::from_utf8_lossy(&answer).chars().take(500).collect(),
        })
    }

    fn count_answer(
        &self,
        request: &Request,
        outcome: Outcome,
        summary: &mut Summary,
        recorder: &mut Recorder,
    ) -> anyhow::Result<()> {
        let events = request.events.len() as u64;
        summary.requests += 1;
        let expected = match &outcome {
            Outcome::Accepted(accepted) => {
                summary.accepted += accepted;
                request.record(recorder)?;
                request.purpose != Purpose::Invalid && *accepted == events
            }
            Outcome::Refused { status, .. } => {
                summary.rejected += events;
                summary.requests_refused += 1;
                request.purpose == Purpose::Invalid && *status == StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        if !expected {
            summary.unexpected_responses += 1;
            let (status, detail) = match outcome {
                Outcome::Accepted(accepted) => {
                    (StatusCode::ACCEPTED, format!("{accepted} of {events} events"))
                }
                Outcome::Refused { status, detail } => (status, detail),
            };
            tracing::warn!(
                id = request.id,
                purpose = ?request.purpose,
                %status,
                detail,
                "unexpected response"
            );
        }
        Ok(())
    }
}

impl Target {
    fn url(&self, dataset: &str) -> anyhow::Result<Url> {
        format!("{}/v1/events/{dataset}", self.api_url.trim_end_matches('/'))
            .parse()
            .with_context(|| format!("expected a URL, found {:?}", self.api_url))
    }
}
