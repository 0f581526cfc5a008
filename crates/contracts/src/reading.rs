//! Reads an envelope that may be malformed: its valid attributes, and everything that is wrong with
//! it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::envelope::{MAX_TEXT_BYTES, is_storable};
use crate::metadata::RowMetadata;
use crate::reason::{Code, Reason};
use crate::run::RunId;
use crate::shop::{BackfillName, ShopId};
use crate::text;

/// The most characters of a value that a reason repeats.
const MAX_ACTUAL: usize = 100;

/// The days on which an envelope can have been received, and which a quarantine can have: from
/// 2000-01-01 to the day after the arrival of the envelope's record (clocks differ), or to
/// 2099-12-31 if the arrival is unknown. A replayed envelope arrives any time after its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptDays {
    arrived_at: Option<i64>,
    last: i32,
}

impl ReceiptDays {
    /// 2000-01-01
    pub const FIRST: i32 = 10_957;
    /// 2099-12-31
    const LAST: i32 = 47_481;

    /// Returns the days for a record that arrived at this time, in microseconds since
    /// 1970-01-01T00:00:00Z.
    pub fn new(arrived_at: Option<i64>) -> Self {
        let arrived_at =
            arrived_at.filter(|at| (Self::FIRST..Self::LAST).contains(&text::day(*at)));
        Self { arrived_at, last: arrived_at.map_or(Self::LAST, |at| text::day(at) + 1) }
    }

    /// Returns when the record arrived, if that is known and plausible.
    pub fn arrived_at(self) -> Option<i64> {
        self.arrived_at
    }

    /// Returns whether the day is one of them.
    #[inline]
    pub fn contains(self, day: i32) -> bool {
        (Self::FIRST..=self.last).contains(&day)
    }
}

/// The attributes of a line that should be an envelope.
#[derive(Clone, Debug, Default)]
pub struct ReadEnvelope<'a> {
    /// The envelope's id.
    pub id: Option<String>,
    /// The tenant.
    pub shop: Option<String>,
    /// The dataset, which names the contract.
    pub dataset: Option<String>,
    /// The batch that it belongs to.
    pub subject: Option<String>,
    /// The run that delivered the batch.
    pub run: Option<String>,
    /// When the pipeline received it, in microseconds since 1970-01-01T00:00:00Z.
    pub received_at: Option<i64>,
    /// The named backfill that it belongs to.
    pub backfill: Option<String>,
    /// The size of a row that is larger than a record; `data` is then its beginning.
    pub oversized_bytes: Option<String>,
    /// The event.
    pub data: Option<&'a RawValue>,
    /// What is wrong with the envelope itself. Its contract checks the data.
    pub reasons: Vec<Reason>,
    /// Whether the line is JSON.
    pub is_json: bool,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    shopid: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    dataset: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    receivedat: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    subject: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    run: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    backfill: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    oversizedbytes: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

impl<'a> ReadEnvelope<'a> {
    /// Reads a line of any bytes. One byte order mark before it is ignored.
    pub fn read(line: &'a [u8], days: ReceiptDays) -> Self {
        let line = text::without_bom(line);
        let mut read = Self::default();
        let fields: Fields<'a> = match serde_json::from_slice(line) {
            Ok(fields) => fields,
            Err(error) => {
                read.is_json = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
                let expected = "an envelope: a CloudEvents 1.0 event in structured JSON";
                read.reject("", Code::Malformed, expected, &error.to_string());
                return read;
            }
        };
        read.is_json = true;
        let id =
            format!("the event's id: 1 to {MAX_TEXT_BYTES} bytes that the warehouse can store");
        read.id = read.text("id", fields.id, &id, |id| !id.is_empty() && is_storable(id));
        let shop = "a shop id (a-z, 0-9, '_', '-'; at most 63 characters)";
        read.shop = read.text("shopid", fields.shopid, shop, ShopId::is_valid);
        read.dataset = read.text("dataset", fields.dataset, "the name of a dataset", |_| true);
        let receipt = format!(
            "an RFC 3339 time as a string, from {} to the end of {}",
            text::Day(ReceiptDays::FIRST),
            text::Day(days.last)
        );
        let time =
            |text: &str| text::parse_timestamp(text).filter(|at| days.contains(text::day(*at)));
        let received_at =
            read.text("receivedat", fields.receivedat, &receipt, |text| time(text).is_some());
        read.received_at = received_at.as_deref().and_then(time);
        let subject = format!(
            "a batch's name: at most {MAX_TEXT_BYTES} bytes that the warehouse can store, or null"
        );
        read.subject = read.optional("subject", fields.subject, &subject, is_storable);
        let run =
            "the time when the delivery of the batch began, in UTC with microseconds, or null";
        read.run = read.optional("run", fields.run, run, RunId::is_valid);
        if read.run.is_some() && read.subject.is_none() {
            read.reject("subject", Code::Missing, "the name of the batch of this run", "nothing");
        }
        let backfill =
            "the name of a backfill (a-z, 0-9, '_', '-'; at most 63 characters), or null";
        read.backfill =
            read.optional("backfill", fields.backfill, backfill, BackfillName::is_valid);
        let is_size = |text: &str| {
            (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let size = "a size in bytes, as 1 to 15 digits in a string, or null";
        read.oversized_bytes =
            read.optional("oversizedbytes", fields.oversizedbytes, size, is_size);
        read.data = fields.data;
        if read.data.is_none() {
            read.reject("data", Code::Missing, "the event", "nothing");
        }
        read
    }

    /// Returns the row's metadata and the row; `None` if anything is wrong with the envelope.
    pub fn content(&self) -> Option<(RowMetadata<'_>, &'a RawValue)> {
        let (Some(id), Some(shop), Some(received_at), Some(data), []) =
            (&self.id, &self.shop, self.received_at, self.data, &self.reasons[..])
        else {
            return None;
        };
        let metadata = RowMetadata {
            shop,
            envelope_id: id,
            received_at,
            backfill: self.backfill.as_deref(),
            batch: self.subject.as_deref(),
            run: self.run.as_deref(),
        };
        Some((metadata, data))
    }

    /// Adds a reason.
    pub fn reject(&mut self, field: &str, code: Code, expected: &str, actual: &str) {
        let (field, actual) = (field.to_owned(), text::storable(actual, MAX_ACTUAL));
        self.reasons.push(Reason { field, expected: expected.to_owned(), actual, code });
    }

    fn optional(
        &mut self,
        field: &str,
        raw: Option<Cow<'_, RawValue>>,
        expected: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let raw = raw.filter(|raw| raw.get() != "null")?;
        self.text(field, Some(raw), expected, is_valid)
    }

    fn text(
        &mut self,
        field: &str,
        raw: Option<Cow<'_, RawValue>>,
        expected: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let Some(raw) = raw else {
            self.reject(field, Code::Missing, expected, "nothing");
            return None;
        };
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if is_valid(&text) => Some(text),
            Ok(text) => {
                match text::unsupported_character(&text) {
                    Some((position, character)) => {
                        let actual =
                            format!("U+{:04X} at character {position}", u32::from(character));
                        self.reject(field, Code::UnsupportedCharacter, expected, &actual);
                    }
                    None => self.reject(field, Code::Format, expected, raw.get()),
                }
                None
            }
            Err(_) => {
                self.reject(field, Code::Type, expected, raw.get());
                None
            }
        }
    }
}
