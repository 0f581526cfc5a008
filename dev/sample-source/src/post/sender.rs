//! Sends the planned requests.

use std::time::{Duration, Instant};

use anyhow::Context;
use backon::{ExponentialBuilder, Retryable};
use chrono::Utc;
use futures::{TryStreamExt, stream};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::{Feed, Plan, Purpose, Request, Secret, Summary};
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

/// The API's verdict on a request.
enum Verdict {
    Accepted(u64),
    Refused { status: StatusCode, detail: String },
}

/// Not an answer: worth another attempt.
#[derive(Debug, thiserror::Error)]
enum TryAgain {
    #[error("the API answered {0}")]
    Status(StatusCode),
    #[error("the API could not be reached")]
    Unreachable(#[from] reqwest::Error),
}

impl Sender {
    /// A sender with at most `concurrency` requests under way.
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

    /// Sends everything that is planned and says what became of it.
    ///
    /// # Errors
    /// When the API stays out of reach, or a record cannot be written.
    pub async fn send<F: Feed>(
        &self,
        plan: &Plan<F>,
        recorder: &mut Recorder,
    ) -> anyhow::Result<Summary> {
        let url = self.target.url(F::DATASET)?;
        let mut summary = Summary::default();
        let mut told = Instant::now();
        let mut answers = stream::iter(plan.requests())
            .map_ok(|request| self.attempt_until_answered(&url, request))
            .try_buffer_unordered(self.concurrency);
        while let Some((request, verdict, retries)) = answers.try_next().await? {
            summary.count(&request);
            summary.retries += retries;
            self.judge(&request, verdict, &mut summary, recorder)?;
            if told.elapsed() >= PROGRESS_EVERY {
                told = Instant::now();
                tracing::info!(sent = summary.sent, accepted = summary.accepted, "sending");
            }
        }
        Ok(summary)
    }

    async fn attempt_until_answered(
        &self,
        url: &Url,
        request: Request,
    ) -> anyhow::Result<(Request, Verdict, u64)> {
        let events: Vec<_> = request.events.iter().map(|event| &event.json).collect();
        let body = serde_json::to_vec(&events)?;
        let mut retries = 0;
        let verdict = (|| self.attempt(url, &request.id, body.clone()))
            .retry(self.backoff)
            .when(|error| error.is::<TryAgain>())
            .notify(|_, _| retries += 1)
            .await
            .with_context(|| format!("sending request {}", request.id))?;
        Ok((request, verdict, retries))
    }

    async fn attempt(&self, url: &Url, id: &str, body: Vec<u8>) -> anyhow::Result<Verdict> {
        // Signed anew at each attempt: old timestamps are refused.
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
            .map_err(TryAgain::Unreachable)?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Err(TryAgain::Status(status).into());
        }
        let answer = response.bytes().await.map_err(TryAgain::Unreachable)?;
        if status == StatusCode::ACCEPTED {
            let Accepted { accepted } =
                serde_json::from_slice(&answer).context("reading the API's receipt")?;
            return Ok(Verdict::Accepted(accepted));
        }
        Ok(Verdict::Refused {
            status,
            detail: String::from_utf8_lossy(&answer).chars().take(500).collect(),
        })
    }

    fn judge(
        &self,
        request: &Request,
        verdict: Verdict,
        summary: &mut Summary,
        recorder: &mut Recorder,
    ) -> anyhow::Result<()> {
        let events = request.events.len() as u64;
        summary.requests += 1;
        let expected = match &verdict {
            Verdict::Accepted(accepted) => {
                summary.accepted += accepted;
                request.record(recorder)?;
                request.purpose != Purpose::Dirt && *accepted == events
            }
            Verdict::Refused { status, .. } => {
                summary.rejected += events;
                summary.requests_refused += 1;
                request.purpose == Purpose::Dirt && *status == StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        if !expected {
            summary.surprises += 1;
            let (status, detail) = match verdict {
                Verdict::Accepted(accepted) => {
                    (StatusCode::ACCEPTED, format!("{accepted} of {events} events"))
                }
                Verdict::Refused { status, detail } => (status, detail),
            };
            tracing::warn!(id = request.id, purpose = ?request.purpose, %status, detail, "not the expected answer");
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
