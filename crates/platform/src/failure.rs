//! How a function fails, as its caller sees it.
//!
//! State machines retry by an error's type. What a retry cannot mend (an unreadable input, a wrong
//! definition) fails as [`Failure::PERMANENT`]; everything else may be over in a moment.

use std::fmt::Display;

/// A function's error: a type for the caller's retry policy, a message for humans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    error_type: &'static str,
    message: String,
}

impl Failure {
    /// The type of an error that another attempt cannot mend. State machines do not retry it.
    pub const PERMANENT: &'static str = "Shoplake.Permanent";

    /// The type of every other error.
    pub const RETRYABLE: &'static str = "Shoplake.Retryable";

    /// Another attempt would fail alike.
    pub fn permanent(error: impl Display) -> Self {
        Self { error_type: Self::PERMANENT, message: error.to_string() }
    }

    /// Another attempt may succeed.
    pub fn retryable(error: impl Display) -> Self {
        Self { error_type: Self::RETRYABLE, message: error.to_string() }
    }

    /// The error's type, for `lambda_runtime::Diagnostic`.
    pub fn error_type(&self) -> &'static str {
        self.error_type
    }

    /// Whether another attempt would fail alike.
    pub fn is_permanent(&self) -> bool {
        self.error_type == Self::PERMANENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_both_kinds_when_shown_then_the_type_tells_them_apart_and_the_message_is_the_error_s() {
        let permanent = Failure::permanent("bad input");
        let retryable = Failure::retryable("throttled");
        assert_eq!(
            (permanent.error_type(), permanent.to_string().as_str()),
            ("Shoplake.Permanent", "bad input")
        );
        assert!(permanent.is_permanent() && !retryable.is_permanent());
    }
}
