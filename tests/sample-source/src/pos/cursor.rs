//! The opaque cursor: clients must not learn to build one.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::NaiveDate;

/// The cursor of the page that starts at `offset`.
pub(super) fn encode(day: NaiveDate, offset: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("{day}:{offset}"))
}

/// The offset of a cursor handed out for `day`, or nothing when it was not.
pub(super) fn decode(day: NaiveDate, cursor: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (of_day, offset) = text.split_once(':')?;
    (of_day == day.to_string()).then(|| offset.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_offset_on_its_own_day_only() {
        let day = NaiveDate::from_ymd_opt(2010, 12, 1).unwrap();

        let cursor = encode(day, 500);

        assert_eq!(decode(day, &cursor), Some(500));
        assert_eq!(decode(day.succ_opt().unwrap(), &cursor), None);
        assert_eq!(decode(day, "500"), None);
    }
}
