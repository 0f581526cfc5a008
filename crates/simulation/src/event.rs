//! What a source sends, before it is wrapped.

use std::borrow::Cow;

use anyhow::Context;
use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use shoplake_contracts::envelope::Envelope;
use shoplake_contracts::{Contracts, ShopId};

/// One event of a shop. In JSON `{"dataset", "shop_id", "data"}` and, if they matter, `id`,
/// `batch`, `run` and `received_at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Sent")]
pub struct Event {
    /// Names the contract.
    pub dataset: String,
    /// The tenant.
    pub shop_id: String,
    /// The fields, as the contract describes them.
    pub data: Value,
    /// The envelope's id; by default the event's content decides it, so that copies have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The batch it belongs to, such as a business date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
    /// The delivery of the batch, such as `2026-03-02T04:30:00.000000Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// When the pipeline took it; by default when it happened. Of two rows with the same key the
    /// one that was taken later wins, unless the contract has a version column.
    pub received_at: DateTime<Utc>,
}

/// An event as it is written in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    dataset: String,
    shop_id: String,
    data: Value,
    id: Option<String>,
    batch: Option<String>,
    run: Option<String>,
    received_at: Option<DateTime<Utc>>,
}

impl From<Sent> for Event {
    fn from(sent: Sent) -> Self {
        let Sent { dataset, shop_id, data, id, batch, run, received_at } = sent;
        let received_at = received_at.unwrap_or_else(|| happened(&data));
        Self { dataset, shop_id, data, id, batch, run, received_at }
    }
}

/// Fields that say when something happened, in any dataset.
const TIMES: [&str; 5] = ["occurred_at", "snapshot_at", "sold_at", "completed_at", "business_date"];

/// The latest time that the event names, so that it lies in every window of accepted times;
/// 2026-01-01 if it names none. A function of the event alone: the same events are the same bytes.
fn happened(data: &Value) -> DateTime<Utc> {
    let time = |text: &str| {
        let day =
            || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        text.parse().ok().or_else(day)
    };
    let named = TIMES.iter().filter_map(|field| data.get(field)?.as_str().and_then(time)).max();
    named.or_else(|| Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).single()).unwrap_or_default()
}

impl Event {
    /// An event of `dataset`.
    pub fn new(dataset: &str, shop: &str, data: Value) -> Self {
        let received_at = happened(&data);
        Self {
            dataset: dataset.to_owned(),
            shop_id: shop.to_owned(),
            data,
            id: None,
            batch: None,
            run: None,
            received_at,
        }
    }

    /// Says when the pipeline took it.
    ///
    /// # Panics
    /// If the text is no RFC 3339 time: events are written down in tests.
    #[must_use]
    pub fn received_at(self, time: &str) -> Self {
        match time.parse() {
            Ok(received_at) => Self { received_at, ..self },
            Err(error) => panic!("{time:?} is no RFC 3339 time: {error}"),
        }
    }

    /// Says which batch it belongs to.
    #[must_use]
    pub fn in_batch(self, batch: &str) -> Self {
        Self { batch: Some(batch.to_owned()), ..self }
    }

    /// Says which delivery of its batch it belongs to: the time when that one began, in UTC with
    /// microseconds.
    #[must_use]
    pub fn in_run(self, run: &str) -> Self {
        Self { run: Some(run.to_owned()), ..self }
    }

    /// The same event with other values of some fields.
    ///
    /// # Panics
    /// If either is no JSON object.
    #[must_use]
    pub fn with(mut self, fields: Value) -> Self {
        let (Value::Object(data), Value::Object(fields)) = (&mut self.data, fields) else {
            panic!("an event's data and what changes it are JSON objects");
        };
        data.extend(fields);
        self
    }

    /// The envelope as one line, its `\n` included.
    pub(crate) fn to_line(&self, contracts: &Contracts) -> anyhow::Result<Vec<u8>> {
        let shop: ShopId = self.shop_id.parse()?;
        let source = contracts.get(&self.dataset).and_then(|contract| contract.sources.first());
        let data: Box<RawValue> = to_raw_value(&self.data)?;
        let id = self.id.as_deref().map_or_else(|| Cow::Owned(self.digest(&data)), Cow::Borrowed);
        let source = source.map_or("unknown", String::as_str);
        let mut envelope = Envelope::new(&shop, source, &self.dataset, id, self.received_at, &data);
        if let Some(batch) = &self.batch {
            envelope = envelope.with_subject(batch);
        }
        envelope.run = self.run.as_deref().map(Cow::Borrowed);
        envelope.to_line().context("writing an envelope")
    }

    fn digest(&self, data: &RawValue) -> String {
        let mut hash = Sha256::new();
        for text in [&self.dataset, &self.shop_id, data.get()] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hex::encode(&hash.finalize()[..16])
    }
}
