//! A bronze object: gzipped envelope lines, as Firehose delivers them.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use shoplake_contracts::text;

/// The readable part of an object.
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    /// The decompressor's error, if the object is damaged after `bytes`.
    pub(crate) damage: Option<String>,
}

/// Returns the decompressed object; an object that is not gzip is returned unchanged.
pub(crate) fn content(object: &[u8]) -> Content {
    if !object.starts_with(&[0x1f, 0x8b]) {
        return Content { bytes: object.to_vec(), damage: None };
    }
    let mut bytes = Vec::with_capacity(object.len() * 8);
    let damage =
        MultiGzDecoder::new(object).read_to_end(&mut bytes).err().map(|error| error.to_string());
    Content { bytes, damage }
}

/// Returns the object's name without folder and `.gz`.
pub(crate) fn name(key: &str) -> &str {
    let (_, file) = key.rsplit_once('/').unwrap_or(("", key));
    file.strip_suffix(".gz").unwrap_or(file)
}

/// Returns the day of arrival in a key `.../dt=2026-11-21/...`, in microseconds since
/// 1970-01-01T00:00:00Z.
pub(crate) fn arrived_at(key: &str) -> Option<i64> {
    let day =
        key.split('/').find_map(|folder| folder.strip_prefix("dt=").and_then(text::parse_date));
    day.map(|day| i64::from(day) * text::MICROS_PER_DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_name_and_the_day() {
        let key = "bronze/pos/dt=1970-01-02/hour=10/shoplake-local-pos-1.gz";
        assert_eq!(name(key), "shoplake-local-pos-1");
        assert_eq!(arrived_at(key), Some(text::MICROS_PER_DAY));
        assert_eq!((name("x"), arrived_at("x")), ("x", None));
    }

    #[test]
    fn an_uncompressed_object_is_unchanged() {
        assert_eq!(content(b"{}\n").bytes, b"{}\n");
    }
}
