//! The failure of a function, for its caller.
//!
//! State machines retry by an error's type. A failure that a retry cannot fix (an unreadable input,
//! an invalid definition) has the type [`Failure::PERMANENT`]; every other failure is retryable.

use std::fmt::Display;

/// A function's error: a type for the caller's retry policy, a message for humans.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    error_type: &'static str,
    message: String,
}

impl Failure {
    /// The type of an error that a retry cannot fix. State machines do not retry it.
    pub const PERMANENT: &'static str = "Shoplake.Permanent";

    /// The type of every other error.
    pub const RETRYABLE: &'static str = "Shoplake.Retryable";

    /// Returns a failure that a retry would repeat.
    pub fn permanent(error: impl Display) -> Self {
        Self { error_type: Self::PERMANENT, message: error.to_string() }
    }

    /// Returns a failure that a retry may fix.
    pub fn retryable(error: impl Display) -> Self {
        Self { error_type: Self::RETRYABLE, message: error.to_string() }
    }

    /// Returns the error's type, for `lambda_runtime::Diagnostic`.
    pub fn error_type(&self) -> &'static str {
        self.error_type
    }

    /// Returns whether a retry would fail as well.
    pub fn is_permanent(&self) -> bool {
        self.error_type == Self::PERMANENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_a_type_and_the_message_of_its_error() {
        let permanent = Failure::permanent("bad input");
        let retryable = Failure::retryable("throttled");
        assert_eq!(
            (permanent.error_type(), permanent.to_string().as_str()),
            ("Shoplake.Permanent", "bad input")
        );
        assert!(permanent.is_permanent() && !retryable.is_permanent());
    }
}
