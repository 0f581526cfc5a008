//! The opaque cursor: clients cannot build one.

use std::fmt::Display;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Returns the cursor of the page that starts at `offset`.
pub(super) fn encode(period: impl Display, offset: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("{period}@{offset}"))
}

/// Returns the offset of a cursor of `period`; none if the cursor is not one of this period.
pub(super) fn decode(period: impl Display, cursor: &str) -> Option<usize> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (of, offset) = text.split_once('@')?;
    (of == period.to_string()).then(|| offset.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_offset_of_its_own_period_only() {
        let cursor = encode("2010-12-01", 500);

        assert_eq!(decode("2010-12-01", &cursor), Some(500));
        assert_eq!(decode("2010-12-02", &cursor), None);
        assert_eq!(decode("2010-12-01", "500"), None);
    }
}
