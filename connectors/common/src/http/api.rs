//! Fetches pages: bearer token, cursor, retries.

use std::time::Duration;

use async_trait::async_trait;
use backon::Retryable;
use chrono::Utc;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ApiError, retry_after};
use crate::Patience;
use crate::{Page, Source, SourceError};

/// No page should come near this; one that does would not fit into a small task's memory together with its envelopes.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// This much of a refusal's body is told on.
const MAX_DETAIL_BYTES: usize = 500;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `GET <url>&cursor=<cursor>` with a bearer token, answered by `{"data": [...], "next_cursor": "..." | null}`.
#[derive(Debug, Clone)]
pub struct PagedApi {
    client: Client,
    url: Url,
    token: SecretString,
    patience: Patience,
}

/// A page as it travels. `next_cursor` must be there: an answer that lost it would end the batch early, unnoticed.
#[derive(Deserialize)]
struct Body {
    data: Vec<Box<RawValue>>,
    #[serde(deserialize_with = "Option::deserialize")]
    next_cursor: Option<String>,
}

impl PagedApi {
    /// The pages at `path` below `base_url`, with these query parameters.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn new(
        base_url: &str,
        path: &str,
        query: &[(&str, &str)],
        token: SecretString,
        patience: Patience,
    ) -> Result<Self, ApiError> {
        let text = format!("{}/{}", base_url.trim_end_matches('/'), path.trim_start_matches('/'));
        let mut url: Url = text.parse().map_err(|error| ApiError::Settings(format!("{text:?}: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ApiError::Settings(format!("{text:?}: expected http or https")));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let client = Client::builder()
            .user_agent(concat!("shoplake/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(patience.request_timeout)
            // Whoever redirects may ask for the token.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| ApiError::Settings(cause(&error)))?;
        Ok(Self { client, url, token, patience })
    }

    /// The same API and client, asked for something more.
    #[must_use]
    pub fn with_query(&self, query: &[(&str, &str)]) -> Self {
        let mut api = self.clone();
        api.url.query_pairs_mut().extend_pairs(query);
        api
    }

    async fn attempt(&self, url: &Url) -> Result<Page, ApiError> {
        let request = self.client.get(url.clone()).header(ACCEPT, "application/json");
        let response = request
            .bearer_auth(self.token.expose_secret())
            .send()
            .await
            .map_err(|error| unavailable(url, &error))?;
        let status = response.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = header.and_then(|value| retry_after::parse(value, Utc::now()));
            return Err(ApiError::Throttled { url: url.to_string(), retry_after });
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            return Err(ApiError::Unavailable {
                url: url.to_string(),
                cause: format!("it answered {status}"),
            });
        }
        if status != StatusCode::OK {
            return Err(refused(url, response).await);
        }
        let body = read(url, response).await?;
        serde_json::from_slice::<Body>(&body)
            .map(|Body { data, next_cursor }| Page { rows: data, next_cursor })
            .map_err(|error| ApiError::Malformed { url: url.to_string(), cause: error.to_string() })
    }

    /// Whether another attempt is worth it, now.
    fn worth_a_retry(&self, error: &ApiError) -> bool {
        match error {
            ApiError::Throttled { retry_after: Some(wait), .. } => *wait <= self.patience.longest_retry_after,
            _ => error.is_transient(),
        }
    }
}

#[async_trait]
impl Source for PagedApi {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        let mut url = self.url.clone();
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        (|| self.attempt(&url))
            .retry(self.patience.backoff())
            .when(|error| self.worth_a_retry(error))
            .adjust(wait)
            .notify(|error, wait| {
                tracing::warn!(%error, wait_milliseconds = wait.as_millis() as u64, "the page is asked for again");
            })
            .await
            .map_err(|error| match cursor {
                Some(_) if error.may_be_the_cursor() => SourceError::CursorRefused(error),
                _ => SourceError::Api(error),
            })
    }
}

/// The source knows best how long to wait; without its word, or after the last attempt, the backoff decides.
fn wait(error: &ApiError, backoff: Option<Duration>) -> Option<Duration> {
    match (error, backoff) {
        (ApiError::Throttled { retry_after: Some(asked), .. }, Some(backoff)) => Some(backoff.max(*asked)),
        _ => backoff,
    }
}

async fn read(url: &Url, mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(url, &error))? {
        if body.len() + chunk.len() > MAX_PAGE_BYTES {
            return Err(ApiError::TooLarge { url: url.to_string(), limit: MAX_PAGE_BYTES });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn refused(url: &Url, mut response: Response) -> ApiError {
    let status = response.status();
    // The first bytes say what is wrong; that they cannot be read would say nothing more.
    let body = response.chunk().await.ok().flatten().unwrap_or_default();
    let detail = String::from_utf8_lossy(&body[..body.len().min(MAX_DETAIL_BYTES)]).into_owned();
    ApiError::Refused { url: url.to_string(), status, detail }
}

fn unavailable(url: &Url, error: &reqwest::Error) -> ApiError {
    ApiError::Unavailable { url: url.to_string(), cause: cause(error) }
}

/// reqwest says what it was doing; its sources say what went wrong.
fn cause(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |source| (*source).source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(seconds: u64) -> ApiError {
        ApiError::Throttled { url: String::new(), retry_after: Some(Duration::from_secs(seconds)) }
    }

    #[test]
    fn given_a_retry_after_then_at_least_so_long_is_waited() {
        let second = Duration::from_secs(1);

        assert_eq!(wait(&throttled(7), Some(second)), Some(7 * second));
        assert_eq!(wait(&throttled(0), Some(second)), Some(second));
        assert_eq!(wait(&throttled(7), None), None, "the last attempt was the last");
    }

    #[test]
    fn given_a_retry_after_beyond_all_patience_then_it_is_left_to_a_later_run() {
        let token = SecretString::from("t");
        let api = PagedApi::new("https://pos.example.com", "v1", &[], token, Patience::default()).unwrap();

        assert!(api.worth_a_retry(&throttled(600)));
        assert!(!api.worth_a_retry(&throttled(601)));
        assert!(throttled(601).is_transient());
    }

    #[test]
    fn given_settings_that_are_no_url_then_the_error_says_which() {
        for base_url in ["pos.example.com", "ftp://pos.example.com", ""] {
            let error =
                PagedApi::new(base_url, "/v1/sales", &[], SecretString::from("t"), Patience::default());
            assert!(matches!(error, Err(ApiError::Settings(_))), "{base_url}");
        }
    }

    #[test]
    fn given_an_api_when_printed_for_debugging_then_its_token_does_not_show() {
        let token = SecretString::from("hunter2");
        let api = PagedApi::new("https://pos.example.com", "v1", &[], token, Patience::default()).unwrap();

        assert!(!format!("{api:?}").contains("hunter2"));
    }
}
