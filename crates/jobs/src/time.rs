//! Times as the documents write them.

use chrono::{DateTime, SecondsFormat, Utc};

/// Returns the time in RFC 3339, with as many digits of a second as it needs.
pub fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
