//! Configuration from environment variables.
//!
//! A function reads all of its variables when it starts, so that a missing one fails the deployment
//! and not the first request.

use std::{env, fmt::Display, path::PathBuf, str::FromStr};

/// An environment variable that is missing or invalid. The message does not contain the value,
/// which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The variable is not set, or empty.
    #[error(
        "environment variable {name} is not set, expected {expected}; set it in the environment of \
         this process"
    )]
    Missing {
        /// The variable.
        name: String,
        /// What it has to be set to.
        expected: String,
    },
    /// The value of the variable is invalid.
    #[error("environment variable {name} is invalid, expected {expected}: {reason}")]
    Invalid {
        /// The variable.
        name: String,
        /// What was expected.
        expected: String,
        /// What is wrong with the value.
        reason: String,
    },
}

/// Returns the variable's value. An empty one counts as missing, because Terraform cannot pass an
/// absent value.
///
/// # Errors
/// If the variable is missing or not UTF-8.
pub fn required(name: &str) -> Result<String, ConfigError> {
    read(name)?.ok_or_else(|| ConfigError::Missing {
        name: name.to_owned(),
        expected: purpose(name).to_owned(),
    })
}

/// Returns the variable's value, or `default` if it is missing or empty.
///
/// # Errors
/// If the variable is not UTF-8.
pub fn optional(name: &str, default: &str) -> Result<String, ConfigError> {
    Ok(read(name)?.unwrap_or_else(|| default.to_owned()))
}

/// Returns the variable's value as a `T`, or `None` if it is missing or empty.
///
/// # Errors
/// If `T` cannot be parsed. The error contains the error of `T`: do not parse secrets.
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

/// Returns the directory with the definitions (`schemas/`, `glue-sql/`): `DEFINITIONS_DIR`, or the
/// Lambda package.
///
/// # Errors
/// If neither is set.
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

/// Returns what each known variable has to be set to.
fn purpose(name: &str) -> &'static str {
    match name {
        "BRONZE_TO_SILVER_ARN" => "the ARN of the bronze-to-silver state machine",
        "CONFORM_FAILED_QUEUE_URL" => {
            "the URL of the SQS queue of batches that could not be conformed"
        }
        "DEFINITIONS_DIR" => {
            "the directory with schemas/, glue-sql/ and, for load and control, models.json"
        }
        "DIRTY_DEAD_LETTER_QUEUE_URL" => "the URL of the dead-letter queue of the dirty queue",
        "DIRTY_QUEUE_URL" => "the URL of the SQS queue of dirty partitions",
        "EVENT_BUS" => "the name of the EventBridge bus",
        "FIREHOSE_BUFFER_SECONDS" => {
            "for how many seconds Firehose buffers records before it writes them to bronze"
        }
        "GLUE_ABOVE_BYTES" => "the bytes of input above which a job runs on Glue",
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
    fn a_missing_variable_names_what_to_set_it_to() {
        let error = required("WAREHOUSE_COPY_ROLE_ARN").unwrap_err();
        assert_eq!(
            error.to_string(),
            "environment variable WAREHOUSE_COPY_ROLE_ARN is not set, expected the ARN of the IAM \
             role with which Redshift reads the lake; set it in the environment of this process"
        );
    }

    #[test]
    fn a_required_variable_returns_its_value() {
        assert_eq!(required("CARGO_PKG_NAME").unwrap(), "shoplake-platform");
    }

    #[test]
    fn a_missing_optional_variable_returns_the_default() {
        assert_eq!(optional("SHOPLAKE_NOT_SET", "default").unwrap(), "default");
        assert_eq!(optional("CARGO_PKG_NAME", "default").unwrap(), "shoplake-platform");
    }

    #[test]
    fn an_invalid_value_is_not_in_the_error() {
        let error = parsed::<u32>("CARGO_PKG_NAME").unwrap_err().to_string();
        assert!(error.contains("CARGO_PKG_NAME") && error.contains("u32"), "{error}");
        assert!(!error.contains("shoplake-platform"), "{error}");
        assert_eq!(parsed::<u32>("SHOPLAKE_NOT_SET"), Ok(None));
    }
}
