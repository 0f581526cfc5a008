//! Fetches pages: bearer token, cursor, retries.

use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{ACCEPT, CONTENT_TYPE, HeaderName, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ApiError, retry_after};
use crate::{Page, RetryPolicy, Source, SourceError};

/// No page should come near this; one that does would not fit into a small task's memory together
/// with its envelopes.
const MAX_PAGE_BYTES: usize = 32 << 20;

/// How much of an unexpected answer an error shows.
const MAX_SHOWN_CHARACTERS: usize = 200;

/// What some systems put before the JSON; RFC 8259 (section 8.1) lets a reader ignore it.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `GET <url>&cursor=<cursor>` with a bearer token, answered by `{"data": [...], "next_cursor":
/// "..." | null}`.
#[derive(Debug, Clone)]
pub struct PagedApi {
    client: Client,
    url: Url,
    token: SecretString,
    retry_policy: RetryPolicy,
}

/// The body of a page. `next_cursor` is required: an answer without it would end the batch early,
/// unnoticed.
#[derive(Deserialize)]
struct Body {
    data: Vec<Box<RawValue>>,
    #[serde(deserialize_with = "Option::deserialize")]
    next_cursor: Option<String>,
}

impl PagedApi {
    /// Returns the pages at `path` below `base_url`, with these query parameters.
    ///
    /// # Errors
    /// When the URL is not one.
    pub fn new(
        base_url: &str,
        path: &str,
        query: &[(&str, &str)],
        token: SecretString,
        retry_policy: RetryPolicy,
    ) -> Result<Self, ApiError> {
        let text = format!("{}/{}", base_url.trim_end_matches('/'), path.trim_start_matches('/'));
        let mut url: Url =
            text.parse().map_err(|error| ApiError::Settings(format!("{text:?}: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ApiError::Settings(format!("{text:?}: expected http or https")));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let client = Client::builder()
            .user_agent(concat!("shoplake/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(retry_policy.request_timeout)
            // A redirect would take the token to another host.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|error| ApiError::Settings(cause(&error)))?;
        Ok(Self { client, url, token, retry_policy })
    }

    /// Returns the same API and client with further query parameters.
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
        let retry_after = header(&response, RETRY_AFTER)
            .and_then(|value| retry_after::parse(value, SystemTime::now()));
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ApiError::Throttled { url: shown(url), retry_after });
        }
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            let cause = format!("it answered {status}");
            return Err(ApiError::Unavailable { url: shown(url), cause, retry_after });
        }
        if status != StatusCode::OK {
            return Err(refused(url, response).await);
        }
        let content_type = header(&response, CONTENT_TYPE).unwrap_or_default().to_owned();
        let body = read(url, response).await?;
        page(&body).map_err(|error| match error {
            PageError::Json(error) if error.is_eof() => {
                ApiError::CutShort { url: shown(url), bytes: body.len(), cause: error.to_string() }
            }
            error => ApiError::Malformed {
                url: shown(url),
                content_type,
                cause: error.to_string(),
                beginning: beginning(&body),
            },
        })
    }

    /// Returns how long to wait before the next attempt; none if the last attempt was the last one.
    /// Waits at least as long as the source asks for.
    fn next_delay(
        &self,
        error: &ApiError,
        backoff: Option<Duration>,
        elapsed: Duration,
    ) -> Option<Duration> {
        let delay = backoff?.max(error.retry_after().unwrap_or_default());
        let is_in_time =
            elapsed.checked_add(delay).is_some_and(|end| end <= self.retry_policy.deadline);
        (error.is_transient() && is_in_time).then_some(delay)
    }
}

#[async_trait]
impl Source for PagedApi {
    async fn page(&self, cursor: Option<&str>) -> Result<Page, SourceError> {
        let mut url = self.url.clone();
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let started = Instant::now();
        let mut delays = self.retry_policy.delays();
        loop {
            let error = match self.attempt(&url).await {
                Ok(page) => return Ok(page),
                Err(error) => error,
            };
            let Some(delay) = self.next_delay(&error, delays.next(), started.elapsed()) else {
                return Err(match cursor {
                    Some(_) if error.may_be_the_cursor() => SourceError::CursorRefused(error),
                    _ => SourceError::Api(error),
                });
            };
            tracing::warn!(%error, delay_ms = delay.as_millis(), "fetching the page again");
            tokio::time::sleep(delay).await;
        }
    }
}

/// Why a body is not a page.
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("next_cursor is empty, expected null after the last page")]
    EmptyCursor,
}

fn page(body: &[u8]) -> Result<Page, PageError> {
    let Body { data, next_cursor } =
        serde_json::from_slice(body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body))?;
    if next_cursor.as_deref() == Some("") {
        return Err(PageError::EmptyCursor);
    }
    Ok(Page { rows: data, next_cursor })
}

fn header(response: &Response, name: HeaderName) -> Option<&str> {
    response.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Returns the URL without user and password, for messages.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail for a URL with a host, which http and https have.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// Returns the first characters of a body; bytes that are not UTF-8 are replaced.
fn beginning(body: &[u8]) -> String {
    let first = &body[..body.len().min(MAX_SHOWN_CHARACTERS * 4)];
    String::from_utf8_lossy(first).chars().take(MAX_SHOWN_CHARACTERS).collect()
}

async fn read(url: &Url, mut response: Response) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unavailable(url, &error))? {
        if body.len() + chunk.len() > MAX_PAGE_BYTES {
            return Err(ApiError::TooLarge { url: shown(url), limit: MAX_PAGE_BYTES });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn refused(url: &Url, mut response: Response) -> ApiError {
    let status = response.status();
    // The first bytes say what is wrong. If they cannot be read, the status has to be enough.
    let body = response.chunk().await.ok().flatten().unwrap_or_default();
    ApiError::Refused { url: shown(url), status, detail: format!("{:?}", beginning(&body)) }
}

fn unavailable(url: &Url, error: &reqwest::Error) -> ApiError {
    ApiError::Unavailable { url: shown(url), cause: cause(error), retry_after: None }
}

/// Returns an error's text with its sources: reqwest itself only says what it was doing.
fn cause(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |source| (*source).source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(base_url: &str) -> Result<PagedApi, ApiError> {
        PagedApi::new(
            base_url,
            "/v1/sales",
            &[],
            SecretString::from("hunter2"),
            RetryPolicy::default(),
        )
    }

    fn throttled(seconds: u64) -> ApiError {
        let retry_after = Some(Duration::from_secs(seconds));
        ApiError::Throttled { url: String::new(), retry_after }
    }

    fn unavailable(seconds: u64) -> ApiError {
        let retry_after = Some(Duration::from_secs(seconds));
        ApiError::Unavailable { url: String::new(), cause: String::new(), retry_after }
    }

    #[test]
    fn a_source_that_asks_to_wait_is_given_the_time() {
        let api = api("https://pos.example.com").unwrap();
        let second = Duration::from_secs(1);
        let delay = |error: &ApiError, backoff| api.next_delay(error, backoff, Duration::ZERO);

        for error in [throttled, unavailable] {
            assert_eq!(delay(&error(7), Some(second)), Some(7 * second));
            assert_eq!(delay(&error(0), Some(second)), Some(second));
            assert_eq!(delay(&error(7), None), None, "the last attempt was the last");
        }
    }

    #[test]
    fn a_wait_beyond_the_deadline_is_left_to_a_later_run() {
        let api = api("https://pos.example.com").unwrap();
        let second = Duration::from_secs(1);

        for error in [throttled, unavailable] {
            assert_eq!(
                api.next_delay(&error(900), Some(second), Duration::ZERO),
                Some(900 * second)
            );
            assert_eq!(api.next_delay(&error(901), Some(second), Duration::ZERO), None);
            assert_eq!(api.next_delay(&error(700), Some(second), 201 * second), None);
            assert_eq!(api.next_delay(&error(u64::MAX), Some(second), second), None);
            assert!(error(901).is_transient());
        }
    }

    #[test]
    fn settings_that_are_not_a_url_are_named() {
        for base_url in ["pos.example.com", "ftp://pos.example.com", ""] {
            assert!(matches!(api(base_url), Err(ApiError::Settings(_))), "{base_url}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let api = api("https://reader:hunter3@pos.example.com").unwrap();

        assert!(!format!("{api:?}").contains("hunter2"));
        assert_eq!(shown(&api.url), "https://pos.example.com/v1/sales");
    }

    #[test]
    fn the_beginning_of_an_answer_is_cut_at_a_character() {
        let body = "€".repeat(1_000);
        assert_eq!(beginning(body.as_bytes()), "€".repeat(200));
        assert_eq!(beginning(b"\xff\xfe<"), "\u{fffd}\u{fffd}<");
    }
}
