//! Errors of an API.

use std::time::Duration;

use reqwest::StatusCode;

/// An API did not give a page. URLs in messages are without the user and password that a base URL
/// may have.
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
        "the source throttles {url} and asks to wait {}; run again later, or ask its vendor for a \
         higher limit",
        wait(*.retry_after)
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
        /// How long the source asked to wait.
        retry_after: Option<Duration>,
    },
    /// The answer ends in the middle of a page: a proxy or the source cut it short.
    #[error(
        "the source's answer to {url} ends after {bytes} bytes in the middle of a page: {cause}; \
         run again later"
    )]
    CutShort {
        /// The request.
        url: String,
        /// The body's length.
        bytes: usize,
        /// Where the page breaks off.
        cause: String,
    },
    /// The answer is not a page: no retry helps.
    #[error(
        "the source's answer to {url} (status 200, content type {content_type:?}) is not a page, \
         expected {{\"data\": [...], \"next_cursor\": \"...\" or null}}: {cause}; it begins with \
         {beginning:?}; check the base URL, and that the source speaks this API"
    )]
    Malformed {
        /// The request.
        url: String,
        /// What the source calls it.
        content_type: String,
        /// What is wrong with it.
        cause: String,
        /// Its first characters.
        beginning: String,
    },
    /// The answer is larger than any page should be.
    #[error(
        "the source's answer to {url} has more than {limit} bytes; ask for smaller pages with \
         PAGE_SIZE, or have the source send smaller rows"
    )]
    TooLarge {
        /// The request.
        url: String,
        /// The most that is read.
        limit: usize,
    },
    /// A client cannot be made of the settings.
    #[error(
        "could not make an HTTP client: {0}; check the base URL, the token and the CA certificates \
         of the machine"
    )]
    Settings(String),
}

impl ApiError {
    /// Returns whether the same request may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unavailable { .. } | Self::CutShort { .. } => true,
            Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Settings(_) => false,
        }
    }

    /// Returns how long the source asked to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// Returns whether the source answered 404.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Returns whether the error concerns this request only, so that another one may succeed.
    pub(crate) fn is_of_request(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::TooLarge { .. }) || self.may_be_the_cursor()
    }

    /// Returns whether the source may have rejected the cursor.
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

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(
        || "without saying how long".to_owned(),
        |wait| format!("{} s", wait.as_secs()),
    )
}

fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "the token is wrong or has expired: store a new one",
        StatusCode::FORBIDDEN => "the token does not allow this: give it the right to read",
        StatusCode::NOT_FOUND => "check the base URL",
        status if status.is_redirection() => "it has moved: set the base URL to its new address",
        _ => "the connector and the source do not agree on the API: check its version",
    }
}
