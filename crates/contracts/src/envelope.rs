//! The envelope of an event on a stream and in bronze: a CloudEvents 1.0 event in structured JSON,
//! one per line.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::run::RunId;
use crate::shop::{BackfillName, ShopId};
use crate::text;

/// The version of CloudEvents of every envelope.
pub const SPEC_VERSION: &str = "1.0";

/// The name for a shop, dataset or envelope that could not be read. Neither a shop nor a dataset
/// can have it.
pub const UNKNOWN: &str = "_unknown";

/// The most bytes of an envelope's id or subject; less than a text column of the warehouse holds.
pub const MAX_TEXT_BYTES: usize = 16_384;

/// The most bytes of a stream record, and so of one envelope. Kinesis accepts 1 MiB (partition key
/// included) by default, and Firehose 1,000 KiB. The smaller limit applies to all streams: a record
/// that Firehose can't read never reaches bronze.
pub const MAX_RECORD_BYTES: usize = 1_000 * 1_024;

/// The most bytes that an envelope has of a row that is too large for it.
pub const OVERSIZED_BEGINNING_BYTES: usize = 10_000;

/// Returns whether the warehouse can store a text of an envelope: it is not too long, and has no
/// unsupported character.
pub fn is_storable(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && text::unsupported_character(text).is_none()
}

/// Returns the `data` of an envelope for a row that is larger than a stream record: the beginning
/// of the row as a JSON string, cut at a character.
///
/// # Errors
///
/// Never in practice: every text is a JSON string.
pub fn oversized_beginning(row: &str) -> Result<Box<RawValue>, serde_json::Error> {
    to_raw_value(&row[..row.floor_char_boundary(OVERSIZED_BEGINNING_BYTES)])
}

/// One event, one line. `data` is last, so that a reader knows the dataset before it reads the
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
    /// The batch that it belongs to, if any: a business date or an hour.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Cow<'a, str>>,
    /// The [`RunId`] of the delivery of its batch, if deliveries of the batch are told apart.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Cow<'a, str>>,
    /// When the event happened, if the event has a time.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Cow<'a, str>>,
    /// The tenant.
    #[serde(borrow)]
    pub shopid: Cow<'a, str>,
    /// The dataset, which names the contract.
    #[serde(borrow)]
    pub dataset: Cow<'a, str>,
    /// When the pipeline received it: RFC 3339, UTC, microseconds.
    #[serde(borrow)]
    pub receivedat: Cow<'a, str>,
    /// Always `application/json`.
    #[serde(borrow)]
    pub datacontenttype: Cow<'a, str>,
    /// The [`BackfillName`] of the backfill that it belongs to, if any. Its times may be older than
    /// the dataset's window.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Cow<'a, str>>,
    /// The size, in digits, of a row that is larger than a record. `data` is then the row's
    /// beginning, and conform quarantines it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub oversizedbytes: Option<Cow<'a, str>>,
    /// The event, in its original bytes.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Wraps one event of `dataset` that `source` (`web`, `pos`) sent for `shop`.
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
            run: None,
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

    /// Sets the batch that it belongs to.
    #[must_use]
    pub fn with_subject(self, subject: impl Into<Cow<'a, str>>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }

    /// Sets the run that delivers its batch.
    #[must_use]
    pub fn with_run(self, run: &'a RunId) -> Self {
        Self { run: Some(Cow::Borrowed(run.as_str())), ..self }
    }

    /// Sets when the event happened (RFC 3339).
    #[must_use]
    pub fn with_time(self, time: impl Into<Cow<'a, str>>) -> Self {
        Self { time: Some(time.into()), ..self }
    }

    /// Sets the named backfill that it belongs to.
    #[must_use]
    pub fn with_backfill(self, name: &'a BackfillName) -> Self {
        Self { backfill: Some(Cow::Borrowed(name.as_str())), ..self }
    }

    /// Sets the size of a row of which `data` is only the [beginning](oversized_beginning).
    #[must_use]
    pub fn with_oversized_bytes(self, bytes: usize) -> Self {
        Self { oversizedbytes: Some(Cow::Owned(bytes.to_string())), ..self }
    }

    /// Returns the envelope as one line, with its `\n`. The line breaks of a pretty-printed event
    /// become blanks: they are between tokens, because a JSON string has none.
    ///
    /// # Errors
    ///
    /// Never in practice: every field is text or raw JSON.
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
    fn a_pretty_printed_event_is_one_line() {
        let shop: ShopId = "acme".parse().unwrap();
        let data = RawValue::from_string("{\r\n  \"note\": \"a\\nb\"\n}".to_owned()).unwrap();
        let line = Envelope::new(&shop, "web", "web_traffic", "m1.0", DateTime::UNIX_EPOCH, &data)
            .with_subject("2026-11-21")
            .to_line()
            .unwrap();

        let expected = concat!(
            r#"{"specversion":"1.0","id":"m1.0","source":"/shops/acme/web","#,
            r#""type":"web_traffic.received","subject":"2026-11-21","shopid":"acme","#,
            r#""dataset":"web_traffic","receivedat":"1970-01-01T00:00:00.000000Z","#,
            r#""datacontenttype":"application/json","data":{    "note": "a\nb" }}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(line.clone()).unwrap(), expected);
        let read: Envelope<'_> = serde_json::from_slice(&line).unwrap();
        assert_eq!(read.subject.as_deref(), Some("2026-11-21"));
    }
}
