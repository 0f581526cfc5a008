//! What went wrong, as `application/problem+json` (RFC 9457).

use lambda_http::http::{StatusCode, header, header::HeaderName};
use serde::Serialize;
use shoplake_contracts::Reason;
use shoplake_platform::stream::{PutError, PutFailure};

use crate::{
    events::{BodyError, MAX_BODY_BYTES},
    response::Receipt,
    signature::SignatureError,
};

/// Most reasons that an answer lists, so that it stays below Lambda's 6 MB whatever was sent.
const MAX_ERRORS: usize = 2_000;

/// Seconds after which a throttled caller may come back: a shard's throughput is counted per second.
const THROTTLED_RETRY_AFTER: &str = "5";

/// Seconds after which a caller may come back while something is down.
const UNAVAILABLE_RETRY_AFTER: &str = "30";

/// The kinds of problem: the last part of `type`, the status and the title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    MalformedBody,
    Unauthenticated,
    NotFound,
    MethodNotAllowed,
    TooLarge,
    UnsupportedMediaType,
    InvalidEvents,
    Throttled,
    Internal,
    Unavailable,
}

impl Kind {
    fn parts(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::MalformedBody => ("malformed-body", StatusCode::BAD_REQUEST, "The body cannot be read"),
            Self::Unauthenticated => {
                ("unauthenticated", StatusCode::UNAUTHORIZED, "The request is not signed by a shop")
            }
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing here"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed here")
            }
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request is too large"),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body is not in a supported format",
            ),
            Self::InvalidEvents => {
                ("invalid-events", StatusCode::UNPROCESSABLE_ENTITY, "Events do not keep the contract")
            }
            Self::Throttled => ("throttled", StatusCode::TOO_MANY_REQUESTS, "Too many events at once"),
            Self::Internal => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong on our side")
            }
            Self::Unavailable => {
                ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "Events cannot be taken right now")
            }
        }
    }
}

/// What is wrong with one field of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct EventError {
    /// The event's place in the request, from 0.
    pub(crate) index: usize,
    #[serde(flatten)]
    pub(crate) reason: Reason,
}

/// Which events were taken, where some were and some were not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Partial {
    accepted: Vec<Receipt>,
    unaccepted: Vec<Receipt>,
}

/// A refusal: what was expected, what came, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    header: Option<(HeaderName, &'static str)>,
    errors: Vec<EventError>,
    /// Boxed, as hardly any problem has it and every `Result` would carry its size.
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
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [EventError],
    #[serde(flatten)]
    partial: Option<&'a Partial>,
}

impl Problem {
    fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), header: None, errors: Vec::new(), partial: None }
    }

    fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(Kind::NotFound, "expected POST /v1/events/{dataset} or GET /v1/health, got another path")
    }

    /// The datasets are no secret, so whoever mistypes one is told which there are.
    pub(crate) fn no_such_dataset(datasets: &[&str]) -> Self {
        let datasets = datasets.join(", ");
        Self::new(
            Kind::NotFound,
            format!("expected a dataset that takes events ({datasets}), got another one; correct the path"),
        )
    }

    pub(crate) fn method_not_allowed(allowed: &'static str) -> Self {
        Self::new(Kind::MethodNotAllowed, format!("expected {allowed}, got another method"))
            .with_header(header::ALLOW, allowed)
    }

    pub(crate) fn not_json() -> Self {
        Self::new(
            Kind::UnsupportedMediaType,
            "expected content-type: application/json and no content-encoding, got something else; send plain JSON",
        )
    }

    pub(crate) fn body_too_large(actual: usize) -> Self {
        Self::new(
            Kind::TooLarge,
            format!(
                "expected a body of at most {MAX_BODY_BYTES} bytes, got {actual}; send the events in several requests"
            ),
        )
    }

    pub(crate) fn events_too_large(errors: Vec<EventError>) -> Self {
        Self {
            errors,
            ..Self::new(
                Kind::TooLarge,
                "expected events that fit a stream's record, got larger ones; no event was taken; make the events \
                 listed in errors smaller and send all events again",
            )
        }
    }

    /// Any event that is wrong refuses the request, so that a sender never has to find out which half went through.
    pub(crate) fn invalid_events(events: usize, mut errors: Vec<EventError>) -> Self {
        let reasons = errors.len();
        errors.truncate(MAX_ERRORS);
        let mut invalid: Vec<usize> = errors.iter().map(|error| error.index).collect();
        invalid.dedup();
        let listed = if reasons > MAX_ERRORS {
            format!(" (the first {MAX_ERRORS} of {reasons} reasons)")
        } else {
            String::new()
        };
        let detail = format!(
            "expected {events} event(s) that keep the contract, got {} that do not; no event was taken; correct or \
             leave out what errors lists{listed} and send again",
            invalid.len()
        );
        Self { errors, ..Self::new(Kind::InvalidEvents, detail) }
    }

    /// The details are for our log, not for the caller.
    pub(crate) fn internal() -> Self {
        Self::new(
            Kind::Internal,
            "the events could not be wrapped; no event was taken; report the instance of this problem",
        )
    }

    pub(crate) fn secrets_unavailable() -> Self {
        Self::new(
            Kind::Unavailable,
            "signatures cannot be checked right now; no event was taken; send the same request again later",
        )
        .with_header(header::RETRY_AFTER, UNAVAILABLE_RETRY_AFTER)
    }

    /// 429 where the caller can help by slowing down, 503 where nothing that the caller does would help.
    pub(crate) fn unaccepted(error: &PutError, accepted: Vec<Receipt>, unaccepted: Vec<Receipt>) -> Self {
        let (kind, cause, retry_after) = match error.reason {
            PutFailure::Throttled(_) => {
                (Kind::Throttled, "more events arrive than the stream takes", THROTTLED_RETRY_AFTER)
            }
            PutFailure::Unavailable(_) | PutFailure::Refused(_) | PutFailure::TooLarge { .. } => {
                (Kind::Unavailable, "the stream does not take events right now", UNAVAILABLE_RETRY_AFTER)
            }
        };
        let detail = format!(
            "{cause}: {} event(s) were accepted, {} were not; send the same request again later, with the same \
             webhook-id: ids are idempotent, so events that were accepted already do no harm",
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

    pub(crate) fn header(&self) -> Option<&(HeaderName, &'static str)> {
        self.header.as_ref()
    }

    /// The problem's name, for the log.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.parts().0
    }

    /// The JSON document; `request_id` is a UUID.
    pub(crate) fn to_json(&self, request_id: &str) -> Result<String, serde_json::Error> {
        let (name, status, title) = self.kind.parts();
        serde_json::to_string(&Document {
            problem_type: format!("urn:problem-type:shoplake:{name}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            instance: format!("urn:uuid:{request_id}"),
            errors: &self.errors,
            partial: self.partial.as_deref(),
        })
    }
}

impl From<SignatureError> for Problem {
    fn from(error: SignatureError) -> Self {
        Self::new(Kind::Unauthenticated, error.to_string())
            .with_header(header::WWW_AUTHENTICATE, "StandardWebhooks")
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        let kind = match error {
            BodyError::TooManyEvents { .. } => Kind::TooLarge,
            _ => Kind::MalformedBody,
        };
        Self::new(kind, error.to_string())
    }
}
