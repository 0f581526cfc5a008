//! The header `Retry-After` (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// Returns how long to wait from `now`: a number of seconds, or an HTTP date in any of its three
/// formats (RFC 9110, section 5.6.7). A date that has passed means now.
pub(super) fn parse(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    // A sign is not a digit, and more digits than fit are longer than any wait.
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:00 GMT").unwrap()
    }

    #[test]
    fn seconds_are_waited() {
        assert_eq!(parse("120", now()), Some(Duration::from_secs(120)));
        assert_eq!(parse(" 0 ", now()), Some(Duration::ZERO));
        assert_eq!(parse("99999999999999999999", now()), Some(Duration::from_secs(u64::MAX)));
    }

    #[test]
    fn a_date_of_each_format_is_waited_for() {
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(date, now()), Some(Duration::from_secs(37)), "{date}");
        }
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT", now()), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_not_a_wait() {
        for value in ["", "soon", "-1", "+1", "1.5", "06/11/1994"] {
            assert_eq!(parse(value, now()), None, "{value}");
        }
    }
}
