//! The error of a port.

use std::error::Error;

/// A service failed or did not answer. The call may be repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "could not {action}: {cause}; retry, and if it persists check the name of the target and the \
     role"
)]
pub struct PortError {
    /// What was tried, such as `send to https://sqs...`.
    pub action: String,
    /// What the service, or the client, answered.
    pub cause: String,
}

impl PortError {
    /// Returns the error of `action`, with the message of a failed call.
    pub fn new(action: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { action: action.into(), cause: cause.into() }
    }

    /// Returns the error of `action`, with all causes of an error of the SDK.
    pub(crate) fn sdk(action: impl Into<String>, error: impl Error) -> Self {
        Self::new(action, aws_sdk_sqs::error::DisplayErrorContext(error).to_string())
    }
}
