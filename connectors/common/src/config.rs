//! The parts of a task's configuration that every connector has.

use std::num::NonZeroU32;

use shoplake_contracts::ShopId;
use shoplake_platform::config::{ConfigError, parsed, required};

use crate::SecretSource;

const DEFAULT_PAGE_SIZE: NonZeroU32 = NonZeroU32::new(500).expect("it is above 0");

/// Reads `PAGE_SIZE`, how many rows are fetched, sent and acknowledged at a time.
///
/// # Errors
/// When it is no number above 0.
pub fn page_size() -> Result<NonZeroU32, ConfigError> {
    Ok(parsed("PAGE_SIZE")?.unwrap_or(DEFAULT_PAGE_SIZE))
}

/// In whose name rows are sent, and where to.
#[derive(Debug, Clone)]
pub struct Destination {
    /// `SHOP_ID`
    pub shop: ShopId,
    /// `STREAM_NAME`
    pub stream_name: String,
    /// `LAKE_BUCKET`
    pub lake_bucket: String,
}

impl Destination {
    /// Reads the environment.
    ///
    /// # Errors
    /// Names the variable that is missing or cannot be read.
    pub fn from_env() -> Result<Self, ConfigError> {
        let expected = "the shop's id".to_owned();
        Ok(Self {
            shop: parsed("SHOP_ID")?
                .ok_or_else(|| ConfigError::Missing { name: "SHOP_ID".to_owned(), expected })?,
            stream_name: required("STREAM_NAME")?,
            lake_bucket: required("LAKE_BUCKET")?,
        })
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
    /// Reads the environment; `prefix` keeps the variables of one source apart from another's: `POS`.
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
