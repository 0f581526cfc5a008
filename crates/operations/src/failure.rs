//! Failures of the services that operations use.

use shoplake_aws::PortError;
use shoplake_platform::failure::Failure;

/// Returns the failure of a call to a service. `advice` replaces the error's own advice, which is
/// to retry the call: it names the action that the operator runs again.
pub(crate) fn unavailable(error: PortError, advice: &str) -> Failure {
    let PortError { action, cause } = error;
    Failure::retryable(format!(
        "could not {action}: {cause}; {advice}, and if it persists check the target's name and the \
         role"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_has_one_advice() {
        let error = PortError::new("receive from https://sqs/q", "AccessDenied");
        let failure = unavailable(error, "run the action again");
        assert!(!failure.is_permanent());
        assert_eq!(
            failure.to_string(),
            "could not receive from https://sqs/q: AccessDenied; run the action again, and if it \
             persists check the target's name and the role"
        );
    }
}
