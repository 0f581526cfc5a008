//! Why a request is refused, as `application/problem+json` (RFC 9457).

use chrono::{DateTime, SecondsFormat, Utc};
use lambda_http::http::header::{self, HeaderName};
use lambda_http::http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use shoplake_contracts::ShopId;
use shoplake_ingest::quote::{quoted, quoted_bytes};
use shoplake_ingest::{
    BodyError, EventError, Receipt, Rejection, ReusedId, StreamFailure, TooManyPartitions,
};

use crate::authentication::AuthenticationError;
use crate::standard_webhooks::SignatureError;

/// The most reasons that a document lists: enough to correct a sender, far below Lambda's 6 MB.
const MAX_ERRORS: usize = 100;

/// Seconds after which a throttled sender may retry: a shard's throughput is counted per second.
const THROTTLED_RETRY_AFTER: u64 = 5;

/// Seconds after which a sender may retry while a service is down.
const UNAVAILABLE_RETRY_AFTER: u64 = 30;

/// The kinds of problems; each has a name (the last part of `type`), a status and a title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    MalformedBody,
    Unauthenticated,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    InvalidEvents,
    WebhookIdReused,
    TooManyPartitions,
    Throttled,
    Internal,
    Unavailable,
}

impl Kind {
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::MalformedBody => {
                ("malformed-body", StatusCode::BAD_REQUEST, "The body cannot be read")
            }
            Self::Unauthenticated => {
                ("unauthenticated", StatusCode::UNAUTHORIZED, "The request is not signed by a shop")
            }
            Self::NotFound => {
                ("not-found", StatusCode::NOT_FOUND, "The path or the dataset does not exist")
            }
            Self::MethodNotAllowed => (
                "method-not-allowed",
                StatusCode::METHOD_NOT_ALLOWED,
                "The method is not allowed at this path",
            ),
            Self::TooLarge => {
                ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request is too large")
            }
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not in a supported format",
            ),
            Self::InvalidEvents => (
                "invalid-events",
                StatusCode::UNPROCESSABLE_ENTITY,
                "Events do not fulfil the contract",
            ),
            Self::WebhookIdReused => (
                "webhook-id-reused",
                StatusCode::CONFLICT,
                "The webhook-id belongs to another request",
            ),
            Self::TooManyPartitions => (
                "too-many-partitions",
                StatusCode::TOO_MANY_REQUESTS,
                "Events of too many old or future days at once",
            ),
            Self::Throttled => {
                ("throttled", StatusCode::TOO_MANY_REQUESTS, "Too many events at once")
            }
            Self::Internal => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR, "The function has a defect")
            }
            Self::Unavailable => (
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Events cannot be accepted right now",
            ),
        }
    }
}

/// Which events the stream accepted and which it did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Partial {
    accepted: Vec<Receipt>,
    unaccepted: Vec<Receipt>,
}

/// What is wrong with the events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Errors {
    /// The first reasons.
    errors: Vec<EventError>,
    /// The number of all reasons.
    error_count: usize,
}

/// A refusal: what was expected, what was found, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    header: Option<(HeaderName, HeaderValue)>,
    // Boxed: few problems have them, and every `Result` would have their size.
    errors: Option<Box<Errors>>,
    partial: Option<Box<Partial>>,
}

/// The members of the JSON document.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    problem_type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: String,
    #[serde(flatten)]
    errors: Option<&'a Errors>,
    #[serde(flatten)]
    partial: Option<&'a Partial>,
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), header: None, errors: None, partial: None }
    }

    fn with_header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.header = Some((name, value.into()));
        self
    }

    fn with_errors(mut self, mut errors: Vec<EventError>) -> Self {
        let error_count = errors.len();
        errors.truncate(MAX_ERRORS);
        self.errors = Some(Box::new(Errors { errors, error_count }));
        self
    }

    pub(crate) fn no_such_path(path: &str) -> Self {
        let detail = format!(
            "expected POST /v1/events/{{dataset}} or GET /v1/health, got the path {}; correct the \
             path",
            quoted(path)
        );
        Self::new(Kind::NotFound, detail)
    }

    /// Lists the datasets: their names are public.
    pub(crate) fn no_such_dataset(dataset: &str, datasets: &[&str]) -> Self {
        let detail = format!(
            "expected a dataset that takes events ({}), got {}; correct the path",
            datasets.join(", "),
            quoted(dataset)
        );
        Self::new(Kind::NotFound, detail)
    }

    pub(crate) fn method_not_allowed(method: &Method, allowed: &'static str) -> Self {
        let detail = format!("expected {allowed} at this path, got {}", quoted(method.as_str()));
        Self::new(Kind::MethodNotAllowed, detail)
            .with_header(header::ALLOW, HeaderValue::from_static(allowed))
    }

    pub(crate) fn not_json(headers: &HeaderMap) -> Self {
        let shown = |name: HeaderName| match headers.get(&name) {
            Some(value) => format!("{name}: {}", quoted_bytes(value.as_bytes())),
            None => format!("no {name}"),
        };
        let detail = format!(
            "expected content-type: application/json and no content-encoding, got {} and {}; send \
             plain JSON",
            shown(header::CONTENT_TYPE),
            shown(header::CONTENT_ENCODING)
        );
        Self::new(Kind::UnsupportedMediaType, detail)
    }

    pub(crate) fn body_too_large(actual: usize, limit: usize) -> Self {
        let detail = format!(
            "expected a body of at most {limit} bytes, got {actual}; send the events in several \
             requests"
        );
        Self::new(Kind::TooLarge, detail)
    }

    /// Returns the problem with a request of `shop` that ingest rejected. `id` is its `webhook-id`.
    pub(crate) fn rejected(rejection: Rejection, shop: &ShopId, id: &str) -> Self {
        match rejection {
            Rejection::Body(error) => Self::no_events(&error),
            Rejection::ReusedId(reused) => Self::webhook_id_reused(id, &reused),
            Rejection::InvalidEvents { events, errors } => Self::invalid_events(events, errors),
            Rejection::EventsTooLarge { errors } => Self::events_too_large(errors),
            Rejection::TooManyPartitions(refused) => Self::too_many_partitions(shop, &refused),
            Rejection::Envelope(_) => Self::internal(),
            Rejection::Unaccepted { failure, accepted, unaccepted } => {
                Self::unaccepted(failure, accepted, unaccepted)
            }
        }
    }

    fn no_events(error: &BodyError) -> Self {
        let kind = match error {
            BodyError::TooManyEvents { .. } => Kind::TooLarge,
            _ => Kind::MalformedBody,
        };
        Self::new(kind, error.to_string())
    }

    fn events_too_large(errors: Vec<EventError>) -> Self {
        let detail = "expected events that fit into a record of the stream, got larger ones; none \
                      of the events was accepted; make the events listed in errors smaller and \
                      send all events again";
        Self::new(Kind::TooLarge, detail).with_errors(errors)
    }

    fn invalid_events(events: usize, errors: Vec<EventError>) -> Self {
        let mut invalid: Vec<usize> = errors.iter().map(|error| error.index).collect();
        invalid.dedup();
        let listed = if errors.len() > MAX_ERRORS {
            format!(" (the first {MAX_ERRORS} of {} reasons)", errors.len())
        } else {
            String::new()
        };
        let detail = format!(
            "expected {events} event(s) that fulfil the contract, got {} that do not; none of the \
             events was accepted; correct or leave out the events listed in errors{listed} and \
             send again",
            invalid.len()
        );
        Self::new(Kind::InvalidEvents, detail).with_errors(errors)
    }

    /// With the same id, two different events would share the id of an envelope.
    fn webhook_id_reused(id: &str, reused: &ReusedId) -> Self {
        let detail = format!(
            "the webhook-id {} belongs to a request with another body, whose events this dataset \
             accepted at {}; none of these events was accepted; send them under a new webhook-id, \
             or send the same bytes to repeat the first request",
            quoted(id),
            timestamp(reused.accepted_at)
        );
        Self::new(Kind::WebhookIdReused, detail)
    }

    /// 413 if the request is never accepted, because it has more than the limit of an hour alone.
    fn too_many_partitions(shop: &ShopId, refused: &TooManyPartitions) -> Self {
        let TooManyPartitions { requested, new, used, limit, until, retry_after_seconds } =
            *refused;
        if requested > limit {
            let detail = format!(
                "expected events of at most {limit} partitions (days or hours) in a request that \
                 are over two days old or in the future, for the shop {shop}; this request has \
                 {requested}; none of the events was accepted; send at most {limit} of them in an \
                 hour, or ask the operator to open a backfill for the shop"
            );
            return Self::new(Kind::TooLarge, detail);
        }
        let detail = format!(
            "expected events of at most {limit} partitions (days or hours) an hour that are over \
             two days old or in the future, for the shop {shop}; this request has {new} new ones \
             and {used} were accepted since the hour began; none of the events was accepted; send \
             the request again after {}, or ask the operator to open a backfill for the shop",
            timestamp(until)
        );
        Self::new(Kind::TooManyPartitions, detail)
            .with_header(header::RETRY_AFTER, retry_after_seconds)
    }

    /// The cause is in the log, under the request's id.
    fn internal() -> Self {
        let detail = "the function could not write the events' envelopes; none of the events was \
                      accepted; report the instance of this problem to the operator";
        Self::new(Kind::Internal, detail)
    }

    fn secrets_unavailable() -> Self {
        let detail = "signatures cannot be checked right now; none of the events was accepted; \
                      send the same request again later";
        Self::new(Kind::Unavailable, detail)
            .with_header(header::RETRY_AFTER, UNAVAILABLE_RETRY_AFTER)
    }

    /// 429 if the sender can help by slowing down, else 503.
    fn unaccepted(
        failure: StreamFailure,
        accepted: Vec<Receipt>,
        unaccepted: Vec<Receipt>,
    ) -> Self {
        let (kind, cause, retry_after) = match failure {
            StreamFailure::Throttled => (
                Kind::Throttled,
                "more events arrive than the stream accepts",
                THROTTLED_RETRY_AFTER,
            ),
            StreamFailure::Unavailable => (
                Kind::Unavailable,
                "the stream does not accept events right now",
                UNAVAILABLE_RETRY_AFTER,
            ),
        };
        let detail = format!(
            "{cause}: {} event(s) were accepted, {} were not; send the same request again later, \
             with the same body and webhook-id: events that were accepted already count once",
            accepted.len(),
            unaccepted.len()
        );
        let mut problem = Self::new(kind, detail).with_header(header::RETRY_AFTER, retry_after);
        problem.partial = Some(Box::new(Partial { accepted, unaccepted }));
        problem
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.kind.parts().1
    }

    pub(crate) fn header(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.header.as_ref()
    }

    /// Returns the problem's name, for the log.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.parts().0
    }

    /// Returns the JSON document. `request_id` is a UUID.
    pub(crate) fn to_json(&self, request_id: &str) -> Result<String, serde_json::Error> {
        let (name, status, title) = self.kind.parts();
        serde_json::to_string(&Document {
            problem_type: format!("urn:problem-type:shoplake:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance: format!("urn:uuid:{request_id}"),
            errors: self.errors.as_deref(),
            partial: self.partial.as_deref(),
        })
    }
}

/// Returns a time as the texts of problems show it.
fn timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl From<SignatureError> for Problem {
    fn from(error: SignatureError) -> Self {
        Self::new(Kind::Unauthenticated, error.to_string())
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("StandardWebhooks"))
    }
}

impl From<AuthenticationError> for Problem {
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::Signature(error) => error.into(),
            AuthenticationError::SecretsUnavailable => Self::secrets_unavailable(),
        }
    }
}
