//! The header `Retry-After` (RFC 9110, section 10.2.3).

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How long to wait from `now`: a number of seconds, or an HTTP date. A date that has passed means now.
pub(super) fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // The one date format that may still be generated is a subset of RFC 2822's.
    let at = DateTime::parse_from_rfc2822(value).ok()?;
    Some((at.to_utc() - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::parse_from_rfc3339("1994-11-06T08:49:00Z").unwrap().to_utc()
    }

    #[test]
    fn given_seconds_then_so_many() {
        assert_eq!(parse("120", now()), Some(Duration::from_secs(120)));
        assert_eq!(parse(" 0 ", now()), Some(Duration::ZERO));
    }

    #[test]
    fn given_a_date_then_the_time_until_it() {
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT", now()), Some(Duration::from_secs(37)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT", now()), Some(Duration::ZERO));
    }

    #[test]
    fn given_anything_else_then_nothing() {
        for value in ["", "soon", "-1", "1.5", "06/11/1994"] {
            assert_eq!(parse(value, now()), None, "{value}");
        }
    }
}
