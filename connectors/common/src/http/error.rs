//! Why there is no page.

use std::time::Duration;

use reqwest::StatusCode;

/// An API did not give a page.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Something about the request itself is wrong: no retry helps.
    #[error("the source answered {status} to {url}, expected 200: {detail}; {}", advice(*.status))]
    Refused {
        /// The request.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The beginning of its body.
        detail: String,
    },
    /// Too many requests, for longer than we waited.
    #[error(
        "the source throttles {url} and asks to wait {retry_after:?}; run again later, or ask for a higher limit"
    )]
    Throttled {
        /// The request.
        url: String,
        /// What the source asked for.
        retry_after: Option<Duration>,
    },
    /// No answer, or one that says the source itself is failing.
    #[error("the source is not available at {url}: {cause}; run again later")]
    Unavailable {
        /// The request.
        url: String,
        /// What went wrong.
        cause: String,
    },
    /// The answer is not a page.
    #[error(
        "the source's answer to {url} is not a page, expected {{\"data\": [...], \"next_cursor\": \"...\" or null}}: {cause}"
    )]
    Malformed {
        /// The request.
        url: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The answer is larger than any page should be.
    #[error("the source's answer to {url} has more than {limit} bytes; ask for smaller pages")]
    TooLarge {
        /// The request.
        url: String,
        /// The most that is read.
        limit: usize,
    },
    /// No client can be made of the settings.
    #[error(
        "no HTTP client could be made: {0}; check the base URL, the token and the machine's CA certificates"
    )]
    Settings(String),
}

impl ApiError {
    /// Whether the same request may succeed a moment later. A garbled answer may: proxies cut connections short.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unavailable { .. } | Self::Malformed { .. } => true,
            Self::Refused { .. } | Self::TooLarge { .. } | Self::Settings(_) => false,
        }
    }

    /// Whether the source says that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether it is the cursor that the source takes offence at.
    pub(super) fn may_be_the_cursor(&self) -> bool {
        let Self::Refused { status, .. } = self else { return false };
        matches!(
            *status,
            StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::GONE
                | StatusCode::UNPROCESSABLE_ENTITY
        )
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "the token is wrong or has expired: store a new one",
        StatusCode::FORBIDDEN => "the token does not allow this: give it the right to read",
        StatusCode::NOT_FOUND => "check the base URL",
        status if status.is_redirection() => "it has moved: set the base URL to its new address",
        _ => "the connector and the source do not agree on the API",
    }
}
