//! Failures of the services that operations use, and of single items of an operation.

use std::fmt::Display;

use shoplake_aws::PortError;
use shoplake_platform::failure::Failure;

/// The most items that a failure names.
const MAX_NAMED: usize = 20;

/// So many items that fail in a row, and that may succeed later, show that a service is away.
const OUTAGE: usize = 10;

/// Failures of single items. The other items are done, and the operation fails at its end.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    failures: Vec<String>,
    is_retryable: bool,
    in_a_row: usize,
}

impl Failures {
    /// Adds the failure of an item.
    pub(crate) fn add(&mut self, item: impl Display, failure: Failure) {
        let (text, is_permanent) = (format!("{item}: {failure}"), failure.is_permanent());
        tracing::error!(failure = text, "the operation goes on with the next item");
        self.failures.push(text);
        if !is_permanent {
            self.is_retryable = true;
            self.in_a_row += 1;
        }
    }

    /// Notes that an item succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.in_a_row = 0;
    }

    /// Returns whether so many items failed in a row that the next one would most likely fail too.
    pub(crate) fn show_an_outage(&self) -> bool {
        self.in_a_row >= OUTAGE
    }

    /// Adds the failures of another part of the operation, which do not continue a row.
    pub(crate) fn append(&mut self, other: Self) {
        self.failures.extend(other.failures);
        self.is_retryable |= other.is_retryable;
    }

    /// Returns whether an item failed.
    pub(crate) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Returns `done` if no item failed. Otherwise the failure names the items. It is retryable if
    /// one of them may succeed later.
    pub(crate) fn or<T>(self, done: T) -> Result<T, Failure> {
        if self.failures.is_empty() {
            return Ok(done);
        }
        let unnamed = self.failures.len().saturating_sub(MAX_NAMED);
        let named: Vec<_> = self.failures.into_iter().take(MAX_NAMED).collect();
        let mut text = named.join("; ");
        if unnamed > 0 {
            text.push_str(&format!("; and {unnamed} other failures, which are in the log"));
        }
        Err(if self.is_retryable { Failure::retryable(text) } else { Failure::permanent(text) })
    }
}

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
    fn a_failure_names_the_items() {
        assert_eq!(Failures::default().or(7), Ok(7));
        let mut failures = Failures::default();
        failures.add("a", Failure::permanent("broken"));
        let failure = failures.or(7).unwrap_err();
        assert_eq!((failure.is_permanent(), failure.to_string().as_str()), (true, "a: broken"));

        let mut failures = Failures::default();
        for item in 0..25 {
            failures.add(item, Failure::permanent("broken"));
        }
        assert!(!failures.show_an_outage(), "each item may be broken in itself");
        failures.add("last", Failure::retryable("away"));
        let failure = failures.or(()).unwrap_err();
        let text = failure.to_string();
        assert!(!failure.is_permanent() && text.starts_with("0: broken; 1: broken;"), "{text}");
        assert!(text.ends_with("; and 6 other failures, which are in the log"), "{text}");
    }

    #[test]
    fn many_failures_in_a_row_show_an_outage() {
        let mut failures = Failures::default();
        for item in 0..OUTAGE - 1 {
            failures.add(item, Failure::retryable("away"));
        }
        failures.succeeded();
        failures.add("b", Failure::retryable("away"));
        assert!(!failures.show_an_outage());
        for item in 1..OUTAGE {
            failures.add(item, Failure::retryable("away"));
        }
        assert!(failures.show_an_outage());
    }

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
