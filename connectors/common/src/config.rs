//! Configuration that all connectors share.

use std::{fmt::Display, num::NonZeroU32, str::FromStr};

use chrono::{DateTime, Utc};
use shoplake_contracts::{BackfillName, ShopId, Stamp};
use shoplake_platform::config::{self, ConfigError, required};

use crate::SecretSource;

const DEFAULT_PAGE_SIZE: NonZeroU32 = NonZeroU32::new(500).expect("it is above 0");

/// Returns the variable's value as a `T`, or none if it is missing or empty. The error says what is
/// `expected`.
///
/// # Errors
/// When the value is not a `T`.
pub fn parsed<T>(name: &str, expected: &str) -> Result<Option<T>, ConfigError>
where
    T: FromStr,
    T::Err: Display,
{
    config::parsed(name).map_err(|error| match error {
        ConfigError::Invalid { name, reason, .. } => {
            ConfigError::Invalid { name, expected: expected.to_owned(), reason }
        }
        error => error,
    })
}

/// Reads `PAGE_SIZE`, how many rows are fetched, sent and acknowledged at a time.
///
/// # Errors
/// When it is not a number above 0.
pub fn page_size() -> Result<NonZeroU32, ConfigError> {
    Ok(parsed("PAGE_SIZE", "a number of rows above 0, such as 500")?.unwrap_or(DEFAULT_PAGE_SIZE))
}

/// The shop whose rows are sent, and where to.
#[derive(Debug, Clone)]
pub struct Destination {
    /// `SHOP_ID`
    pub shop: ShopId,
    /// `STREAM_NAME`
    pub stream_name: String,
    /// `LAKE_BUCKET`
    pub lake_bucket: String,
    /// `BACKFILL`: names the backfill that the rows belong to, which may be older than their
    /// datasets' windows.
    pub backfill: Option<BackfillName>,
}

impl Destination {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or cannot be read.
    pub fn from_env() -> Result<Self, ConfigError> {
        let (expected, name) = ("the shop's id, such as acme", "SHOP_ID".to_owned());
        let missing = || ConfigError::Missing { name, expected: expected.to_owned() };
        Ok(Self {
            shop: parsed("SHOP_ID", expected)?.ok_or_else(missing)?,
            stream_name: required("STREAM_NAME")?,
            lake_bucket: required("LAKE_BUCKET")?,
            backfill: parsed("BACKFILL", "the name of a backfill, such as history-2024")?,
        })
    }

    /// Returns the metadata of a row that is received now.
    pub(crate) fn stamp(&self, received_at: DateTime<Utc>) -> Stamp<'_> {
        Stamp::new(&self.shop, received_at).in_backfill(self.backfill.as_ref())
    }
}

/// The API that is polled.
#[derive(Debug, Clone)]
pub struct ApiConfig {
    /// `<PREFIX>_BASE_URL`
    pub base_url: String,
    /// `<PREFIX>_TOKEN` or `<PREFIX>_TOKEN_PARAMETER`
    pub token: SecretSource,
    /// `PAGE_SIZE`
    pub page_size: NonZeroU32,
}

impl ApiConfig {
    /// Reads the environment; `prefix` keeps the variables of one source apart from another's:
    /// `POS`.
    ///
    /// # Errors
    /// Names the variable that is missing or cannot be read.
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            base_url: required(&format!("{prefix}_BASE_URL"))?,
            token: SecretSource::from_env(&format!("{prefix}_TOKEN"))?,
            page_size: page_size()?,
        })
    }
}
