//! What surrounds every event on the wire: a CloudEvents 1.0 event in structured JSON, one per
//! line.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::{BackfillName, ShopId, text};

/// The version of CloudEvents that every envelope is.
pub const SPEC_VERSION: &str = "1.0";

/// Stands for a shop, dataset or envelope that could not be read. No shop and no dataset can have
/// this name.
pub const UNKNOWN: &str = "_unknown";

/// The most bytes of an envelope's id or subject: less than a text column of the warehouse holds.
pub const MAX_TEXT_BYTES: usize = 16_384;

/// The most bytes of a stream record, and so of one envelope. Kinesis takes 1 MiB (partition key
/// included) by default, Firehose 1,000 KiB, and the smaller limit holds for all: a record that
/// Firehose cannot read never reaches bronze.
pub const MAX_RECORD_BYTES: usize = 1_000 * 1_024;

/// Bytes of a row that is too large for an envelope which its envelope still has.
pub const OVERSIZED_BEGINNING_BYTES: usize = 10_000;

/// Whether a text of an envelope can become a value of the warehouse: not too long, and without
/// characters that it can't store.
pub fn is_storable(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && text::unsupported_character(text).is_none()
}

/// The `data` of an envelope for a row that no stream record can hold: the beginning of the row as
/// a JSON string, cut at a character.
///
/// # Errors
/// None in practice: a text is a JSON string.
pub fn oversized_beginning(row: &str) -> Result<Box<RawValue>, serde_json::Error> {
    to_raw_value(&row[..row.floor_char_boundary(OVERSIZED_BEGINNING_BYTES)])
}

/// One event, one line. `data` is last, so that a reader knows the dataset before it meets the
/// data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Envelope<'a> {
    /// Always [`SPEC_VERSION`].
    #[serde(borrow)]
    pub specversion: Cow<'a, str>,
    /// The idempotency key: the same event sent twice has the same id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// `/shops/<shop>/<source>`
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// `<dataset>.received`
    #[serde(borrow, rename = "type")]
    pub event_type: Cow<'a, str>,
    /// The batch it belongs to, if it came in one: its business date.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// When it happened, if the sender said so.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Cow<'a, str>>,
    /// The tenant.
    #[serde(borrow)]
    pub shopid: Cow<'a, str>,
    /// Names the contract.
    #[serde(borrow)]
    pub dataset: Cow<'a, str>,
    /// When the pipeline took it, RFC 3339, UTC, microseconds.
    #[serde(borrow)]
    pub receivedat: Cow<'a, str>,
    /// Always `application/json`.
    #[serde(borrow)]
    pub datacontenttype: Cow<'a, str>,
    /// The named backfill that it belongs to: its times may be older than the dataset's window. A
    /// [`BackfillName`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Cow<'a, str>>,
    /// The size of a row, in digits, that no record can hold; `data` is then its beginning, and
    /// conform quarantines it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub oversizedbytes: Option<Cow<'a, str>>,
    /// The event as it came.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Wraps one event of `dataset` that `source` (`web`, `pos`) gave for `shop`.
    pub fn new(
        shop: &'a ShopId,
        source: &str,
        dataset: &'a str,
        id: impl Into<Cow<'a, str>>,
        received_at: DateTime<Utc>,
        data: &'a RawValue,
    ) -> Self {
        Self {
            specversion: Cow::Borrowed(SPEC_VERSION),
            id: id.into(),
            source: Cow::Owned(format!("/shops/{shop}/{source}")),
            event_type: Cow::Owned(format!("{dataset}.received")),
            subject: None,
            time: None,
            shopid: Cow::Borrowed(shop.as_str()),
            dataset: Cow::Borrowed(dataset),
            receivedat: Cow::Owned(received_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            datacontenttype: Cow::Borrowed("application/json"),
            backfill: None,
            oversizedbytes: None,
            data,
        }
    }

    /// Says which batch it belongs to.
    #[must_use]
    pub fn with_subject(self, subject: impl Into<Cow<'a, str>>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// Says when it happened (RFC 3339).
    #[must_use]
    pub fn with_time(self, time: impl Into<Cow<'a, str>>) -> Self {
        Self { time: Some(time.into()), ..self }
    }

    /// Says that it belongs to a named backfill.
    #[must_use]
    pub fn with_backfill(self, name: &'a BackfillName) -> Self {
        Self { backfill: Some(Cow::Borrowed(name.as_str())), ..self }
    }

    /// Says that `data` is only the [beginning](oversized_beginning) of a row of so many bytes.
    #[must_use]
    pub fn with_oversized_bytes(self, bytes: usize) -> Self {
        Self { oversizedbytes: Some(Cow::Owned(bytes.to_string())), ..self }
    }

    /// The envelope as one line, its `\n` included. Line breaks that a pretty-printed event has
    /// between its tokens become blanks (inside a JSON string there are none), so that one envelope
    /// stays one line.
    ///
    /// # Errors
    /// None in practice: every field is text or raw JSON.
    pub fn to_line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = serde_json::to_vec(self)?;
        for byte in &mut line {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        line.push(b'\n');
        Ok(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pretty_printed_event_is_still_one_line() {
        let shop: ShopId = "acme".parse().unwrap();
        let data = RawValue::from_string("{\r\n  \"note\": \"a\\nb\"\n}".to_owned()).unwrap();
        let line = Envelope::new(&shop, "web", "web_traffic", "m1.0", DateTime::UNIX_EPOCH, &data)
            .with_subject("2026-11-21")
            .to_line()
            .unwrap();

        insta::assert_snapshot!(String::from_utf8(line.clone()).unwrap(), @r#"{"specversion":"1.0","id":"m1.0","source":"/shops/acme/web","type":"web_traffic.received","subject":"2026-11-21","shopid":"acme","dataset":"web_traffic","receivedat":"1970-01-01T00:00:00.000000Z","datacontenttype":"application/json","data":{    "note": "a\nb" }}"#);
        let read: Envelope<'_> = serde_json::from_slice(&line).unwrap();
        assert_eq!(read.subject.as_deref(), Some("2026-11-21"));
    }
}
