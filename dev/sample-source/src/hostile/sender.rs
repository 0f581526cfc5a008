//! Sends the requests and compares the answers with the expected ones.

use std::time::Duration;

use anyhow::Context;
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Client, StatusCode};
use serde::Serialize;
use serde_json::Value;

use super::requests::{Expected, Request, Signing};
use crate::post::{Secret, Target};

/// The webhook takes timestamps that are at most five minutes old.
const STALE_SECONDS: i64 = 301;

/// Attempts of a request that the stream has no room for, within a minute and a half.
const ATTEMPTS: u32 = 20;

/// A request with its expected and its real answer.
#[derive(Debug, Clone, Serialize)]
pub struct Account {
    /// What is odd about it.
    pub name: String,
    /// What it was posted to.
    pub dataset: &'static str,
    /// Its events.
    pub events: usize,
    /// The answer that was expected.
    pub expected: Expected,
    /// The answer that came.
    pub status: u16,
    /// Whether the answer was the expected one.
    pub as_expected: bool,
    /// The beginning of an unexpected answer.
    pub detail: String,
}

/// Sends all requests in their order, those of unknown shops several at a time.
///
/// # Errors
/// When the API stays out of reach.
pub async fn send(
    target: &Target,
    requests: Vec<Request>,
    flood: usize,
) -> anyhow::Result<Vec<Account>> {
    let http = Client::builder().timeout(Duration::from_secs(60)).build()?;
    let (unknown, known): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|request| matches!(request.signing, Signing::As(_)));
    // The flood runs while the shop itself sends.
    let flooded = stream::iter(unknown)
        .map(|request| account(&http, target, request))
        .buffer_unordered(flood.max(1))
        .try_collect::<Vec<_>>();
    let sent =
        stream::iter(known).then(|request| account(&http, target, request)).try_collect::<Vec<_>>();
    let (mut sent, flooded) = futures::try_join!(sent, flooded)?;
    sent.extend(flooded);
    Ok(sent)
}

async fn account(http: &Client, target: &Target, request: Request) -> anyhow::Result<Account> {
    let mut attempt = 1;
    let (status, answer) = loop {
        let answered = post(http, target, &request).await;
        let again = match &answered {
            Err(_) => true,
            Ok((status, _)) => {
                let is_busy = status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS;
                is_busy && !request.expected.statuses.contains(&status.as_u16())
            }
        };
        if !again || attempt == ATTEMPTS {
            break answered.with_context(|| format!("sending {:?}", request.name))?;
        }
        tokio::time::sleep(Duration::from_millis(500) * attempt).await;
        attempt += 1;
    };
    let Request { name, dataset, events, expected, .. } = request;
    let has_code = expected.code.is_none_or(|code| names(&answer, code));
    let as_expected = expected.statuses.contains(&status.as_u16()) && has_code;
    let detail = if as_expected { String::new() } else { answer.chars().take(500).collect() };
    Ok(Account { name, dataset, events, expected, status: status.as_u16(), as_expected, detail })
}

/// Returns whether one of a problem's errors has a code.
fn names(answer: &str, code: &str) -> bool {
    let problem: Value = serde_json::from_str(answer).unwrap_or_default();
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().any(|error| error["code"] == code)
}

async fn post(
    http: &Client,
    target: &Target,
    request: &Request,
) -> anyhow::Result<(StatusCode, String)> {
    let Request { dataset, id, body, signing, .. } = request;
    let stale = if *signing == Signing::Stale { STALE_SECONDS } else { 0 };
    let timestamp = Utc::now().timestamp() - stale;
    let signed_body: &[u8] = if *signing == Signing::OtherBody { b"{}" } else { body };
    let (shop, secret) = match signing {
        // Signed with a secret all the same: only the shop is unknown.
        Signing::As(shop) => {
            (shop.as_str(), "whsec_YSBzZWNyZXQgb2Ygbm8gc2hvcCBhdCBhbGw=".parse::<Secret>()?)
        }
        _ => (target.shop.as_str(), target.secret.clone()),
    };
    let content_type = match signing {
        Signing::ContentType(other) => other,
        _ => "application/json",
    };
    let headers = [
        ("content-type", content_type.to_owned()),
        ("x-shop-id", shop.to_owned()),
        ("webhook-id", id.clone()),
        ("webhook-timestamp", timestamp.to_string()),
        ("webhook-signature", secret.sign(id, timestamp, signed_body)?),
    ];
    let mut builder =
        http.post(format!("{}/v1/events/{dataset}", target.api_url.trim_end_matches('/')));
    for (name, value) in headers {
        if *signing != Signing::Without(name) {
            builder = builder.header(name, value);
        }
    }
    let response = builder.body(body.clone()).send().await?;
    Ok((response.status(), response.text().await?))
}
