//! What the task is told by its environment.

use chrono::{DateTime, Days, NaiveDate, Utc};
use secrecy::SecretString;
use shoplake_contracts::ShopId;
use shoplake_platform::config::{ConfigError, optional, parsed, required};

const DEFAULT_PAGE_SIZE: u32 = 500;

/// The task's configuration; the README says what each variable is.
#[derive(Debug, Clone)]
pub struct Config {
    /// `SHOP_ID`
    pub shop: ShopId,
    /// `POS_BASE_URL`
    pub base_url: String,
    /// `POS_TOKEN` or `POS_TOKEN_PARAMETER`
    pub token: TokenSource,
    /// `STREAM_NAME`
    pub stream_name: String,
    /// `LAKE_BUCKET`
    pub lake_bucket: String,
    /// `BUSINESS_DATE`
    pub business_date: NaiveDate,
    /// `PAGE_SIZE`
    pub page_size: u32,
}

/// Where the API's token is.
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// Here.
    Value(SecretString),
    /// In Parameter Store, under this name.
    Parameter(String),
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or cannot be read.
    pub fn from_env(now: DateTime<Utc>) -> Result<Self, ConfigError> {
        Ok(Self {
            shop: parsed("SHOP_ID")?.ok_or_else(|| missing("SHOP_ID", "the shop's id"))?,
            base_url: required("POS_BASE_URL")?,
            token: token_source(optional("POS_TOKEN", "")?, optional("POS_TOKEN_PARAMETER", "")?)?,
            stream_name: required("STREAM_NAME")?,
            lake_bucket: required("LAKE_BUCKET")?,
            business_date: parsed("BUSINESS_DATE")?.unwrap_or_else(|| yesterday(now)),
            page_size: parsed("PAGE_SIZE")?.unwrap_or(DEFAULT_PAGE_SIZE),
        })
    }
}

fn token_source(token: String, parameter: String) -> Result<TokenSource, ConfigError> {
    match (token.is_empty(), parameter.is_empty()) {
        (false, true) => Ok(TokenSource::Value(token.into())),
        (true, false) => Ok(TokenSource::Parameter(parameter)),
        _ => Err(missing("POS_TOKEN_PARAMETER", "either it or POS_TOKEN, not both")),
    }
}

fn missing(name: &str, expected: &str) -> ConfigError {
    ConfigError::Missing { name: name.to_owned(), expected: expected.to_owned() }
}

/// The last day that is certainly over.
fn yesterday(now: DateTime<Utc>) -> NaiveDate {
    let today = now.date_naive();
    today.checked_sub_days(Days::new(1)).unwrap_or(today)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_no_date_then_it_is_the_day_before_in_utc() {
        let now = DateTime::parse_from_rfc3339("2026-03-01T00:30:00+01:00").unwrap().to_utc();

        assert_eq!(yesterday(now), NaiveDate::from_ymd_opt(2026, 2, 27).unwrap());
    }

    #[test]
    fn given_a_token_and_a_parameter_or_neither_then_the_configuration_is_refused() {
        let source = |token: &str, parameter: &str| token_source(token.to_owned(), parameter.to_owned());

        assert!(matches!(source("t", ""), Ok(TokenSource::Value(_))));
        assert!(matches!(source("", "/p"), Ok(TokenSource::Parameter(_))));
        assert!(source("", "").is_err());
        let error = source("hunter2", "/p").unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains("not both"), "{error}");
    }
}
