//! Configuration from environment variables.
//!
//! A function reads all of its variables before it serves anything, so that a missing one stops the
//! deployment and not the first customer.

use std::{env, fmt::Display, path::PathBuf, str::FromStr};

/// An environment variable that is missing or unreadable. The message does not repeat the value,
/// which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The variable is not set, or empty.
    #[error(
        "environment variable {name} is not set, expected {expected}; set it in the environment of this process"
    )]
    Missing {
        /// The variable.
        name: String,
        /// What it is for.
        expected: String,
    },
    /// The variable is set to something that cannot be read.
    #[error("environment variable {name} cannot be read, expected {expected}: {reason}")]
    Invalid {
        /// The variable.
        name: String,
        /// What was expected.
        expected: String,
        /// What is wrong with what came.
        reason: String,
    },
}

/// The variable's value; empty counts as missing, as Terraform cannot pass an absent value.
pub fn required(name: &str) -> Result<String, ConfigError> {
    read(name)?.ok_or_else(|| ConfigError::Missing {
        name: name.to_owned(),
        expected: purpose(name).to_owned(),
    })
}

/// The variable's value, or `default` where it is missing or empty.
pub fn optional(name: &str, default: &str) -> Result<String, ConfigError> {
    Ok(read(name)?.unwrap_or_else(|| default.to_owned()))
}

/// The variable's value as a `T`, or `None` where it is missing or empty.
///
/// The error carries what `T`'s own error says; a secret is no matter for parsing.
pub fn parsed<T>(name: &str) -> Result<Option<T>, ConfigError>
where
    T: FromStr,
    T::Err: Display,
{
    let Some(value) = read(name)? else {
        return Ok(None);
    };
    value.parse().map(Some).map_err(|error: T::Err| ConfigError::Invalid {
        name: name.to_owned(),
        expected: std::any::type_name::<T>().to_owned(),
        reason: error.to_string(),
    })
}

/// The directory that holds the definitions (`schemas/`, `glue-sql/`): `DEFINITIONS_DIR`, or else
/// the Lambda package.
pub fn definitions_dir() -> Result<PathBuf, ConfigError> {
    if let Some(directory) = read("DEFINITIONS_DIR")? {
        return Ok(directory.into());
    }
    match read("LAMBDA_TASK_ROOT")? {
        Some(directory) => Ok(directory.into()),
        None => required("DEFINITIONS_DIR").map(PathBuf::from),
    }
}

fn read(name: &str) -> Result<Option<String>, ConfigError> {
    match env::var(name) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(ConfigError::Invalid {
            name: name.to_owned(),
            expected: purpose(name).to_owned(),
            reason: "it is not valid UTF-8".to_owned(),
        }),
    }
}

/// What each known variable is for, so that an error says what to set it to.
fn purpose(name: &str) -> &'static str {
    match name {
        "BRONZE_TO_SILVER_ARN" => "the ARN of the bronze-to-silver state machine",
        "CONFORM_FAILED_QUEUE_URL" => {
            "the URL of the SQS queue of batches that conform has given up"
        }
        "DEFINITIONS_DIR" => "the directory that holds schemas/ and glue-sql/",
        "DIRTY_DEAD_LETTERS_URL" => {
            "the URL of the SQS queue of dirty marks that could not be dispatched"
        }
        "DIRTY_QUEUE_URL" => "the URL of the SQS queue of dirty partitions",
        "EVENT_BUS" => "the name of the EventBridge bus",
        "FIREHOSE_BUFFER_SECONDS" => "how many seconds Firehose gathers what it writes to bronze",
        "GLUE_ABOVE_BYTES" => "from how many bytes of input on a job runs on Glue",
        "LAKE_BUCKET" => "the name of the S3 bucket that holds the lake",
        "SHOPS_KMS_KEY" => "the KMS key that encrypts the secrets of shops",
        "SHOPS_PARAMETER_PATH" => {
            "the Parameter Store path of the shops, for instance /shoplake-local/shops"
        }
        "SILVER_TO_GOLD_ARN" => "the ARN of the silver-to-gold state machine",
        "STREAM_PREFIX" => {
            "the part of a stream's name before -<source>, for instance shoplake-local"
        }
        "WAREHOUSE_COPY_ROLE_ARN" => "the ARN of the IAM role with which Redshift reads the lake",
        "WAREHOUSE_DATABASE" => "the name of the Redshift database",
        "WAREHOUSE_WORKGROUP" => "the name of the Redshift Serverless workgroup",
        _ => "a value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Setting a variable is unsafe (and process-wide), so the tests read what cargo sets for every
    // test.

    #[test]
    fn given_a_missing_variable_when_required_then_the_error_says_what_it_is_for() {
        let error = required("WAREHOUSE_COPY_ROLE_ARN").unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable WAREHOUSE_COPY_ROLE_ARN is not set, expected the ARN of the IAM role with which \
             Redshift reads the lake; set it in the environment of this process"
        );
    }

    #[test]
    fn given_a_set_variable_when_required_then_its_value() {
        assert_eq!(required("CARGO_PKG_NAME").unwrap(), "shoplake-platform");
    }

    #[test]
    fn given_a_missing_variable_when_optional_then_the_default() {
        assert_eq!(optional("SHOPLAKE_NOT_SET", "default").unwrap(), "default");
        assert_eq!(optional("CARGO_PKG_NAME", "default").unwrap(), "shoplake-platform");
    }

    #[test]
    fn given_an_unreadable_variable_when_parsed_then_the_error_does_not_repeat_the_value() {
        let error = parsed::<u32>("CARGO_PKG_NAME").unwrap_err().to_string();
        assert!(error.contains("CARGO_PKG_NAME") && error.contains("u32"), "{error}");
        assert!(!error.contains("shoplake-platform"), "{error}");
        assert_eq!(parsed::<u32>("SHOPLAKE_NOT_SET"), Ok(None));
    }
}
