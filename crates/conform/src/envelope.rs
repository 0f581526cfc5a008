//! Reading one line: an envelope and the event in it, in one pass where all goes well.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use shoplake_contracts::{Code, Ignore, Reason, ShopId, Stamp, text};

/// The part of an envelope that conforming needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) stamp: Stamp<'a>,
}

/// Who decodes the data of an envelope, once its head is known.
pub(crate) trait DataReader<'de> {
    /// Reads the value of `data`.
    fn read<A: MapAccess<'de>>(&mut self, head: Head<'de>, fields: &mut A) -> Result<(), A::Error>;
}

/// Reads an envelope whose head comes before its data, as ours do. Every other line, right or wrong, is an error here and is then
/// read with patience by [`Patient`].
pub(crate) struct EnvelopeSeed<'r, R>(pub(crate) &'r mut R);

impl<'de, R: DataReader<'de>> DeserializeSeed<'de> for EnvelopeSeed<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, R: DataReader<'de>> Visitor<'de> for EnvelopeSeed<'_, R> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an envelope")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut id = None;
        let mut shop = None;
        let mut dataset = None;
        let mut received_at = None;
        let mut done = false;
        while let Some(name) = fields.next_key::<&str>()? {
            let slot = match name {
                "id" => &mut id,
                "shopid" => &mut shop,
                "dataset" => &mut dataset,
                "receivedat" => &mut received_at,
                "data" if !done => {
                    let head =
                        head(id, shop, dataset, received_at).ok_or_else(|| A::Error::custom("no head"))?;
                    self.0.read(head, &mut fields)?;
                    done = true;
                    continue;
                }
                "data" => return Err(A::Error::custom("data twice")),
                _ => {
                    fields.next_value_seed(Ignore::default())?;
                    continue;
                }
            };
            if slot.replace(fields.next_value::<&str>()?).is_some() {
                return Err(A::Error::custom("a field twice"));
            }
        }
        if done { Ok(()) } else { Err(A::Error::custom("no data")) }
    }
}

fn head<'a>(
    id: Option<&'a str>,
    shop: Option<&'a str>,
    dataset: Option<&'a str>,
    received_at: Option<&'a str>,
) -> Option<Head<'a>> {
    let (envelope_id, shop) = (id?, shop?);
    let received_at = text::parse_timestamp(received_at?)?;
    let stamp = Stamp { shop, envelope_id, received_at, backfill: None };
    (!envelope_id.is_empty() && ShopId::is_valid(shop)).then_some(Head { dataset: dataset?, stamp })
}

/// A line, read with patience: whatever can be understood of it.
#[derive(Debug, Default)]
pub(crate) struct Patient<'a> {
    pub(crate) id: Option<String>,
    pub(crate) shop: Option<String>,
    pub(crate) dataset: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) received_at: Option<i64>,
    pub(crate) data: Option<&'a RawValue>,
    /// What is wrong with the envelope itself.
    pub(crate) reasons: Vec<Reason>,
    /// Whether it is JSON at all.
    pub(crate) json: bool,
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
    data: Option<&'a RawValue>,
}

impl<'a> Patient<'a> {
    pub(crate) fn read(line: &'a [u8]) -> Self {
        let mut read = Self::default();
        let fields: Fields<'a> = match serde_json::from_slice(line) {
            Ok(fields) => fields,
            Err(error) => {
                read.json = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
                read.complain(
                    "",
                    Code::Malformed,
                    "an envelope: a CloudEvents 1.0 event in structured JSON",
                    error.to_string(),
                );
                return read;
            }
        };
        read.json = true;
        read.subject = fields.subject.and_then(|subject| serde_json::from_str(subject.get()).ok());
        read.id = read.text("id", fields.id, "the event's id, not empty", |id| !id.is_empty());
        read.shop = read.text(
            "shopid",
            fields.shopid,
            "a shop id (a-z, 0-9, '_', '-'; at most 63 characters)",
            ShopId::is_valid,
        );
        read.dataset = read.text("dataset", fields.dataset, "the name of a dataset", |_| true);
        let is_time = |text: &str| text::parse_timestamp(text).is_some();
        let received_at = read.text("receivedat", fields.receivedat, "an RFC 3339 time as a string", is_time);
        read.received_at = received_at.as_deref().and_then(text::parse_timestamp);
        read.data = fields.data;
        if read.data.is_none() {
            read.complain("data", Code::Missing, "the event", "nothing".to_owned());
        }
        read
    }

    fn text(
        &mut self,
        field: &str,
        raw: Option<Cow<'_, RawValue>>,
        expected: &str,
        is_valid: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let Some(raw) = raw else {
            self.complain(field, Code::Missing, expected, "nothing".to_owned());
            return None;
        };
        match serde_json::from_str::<String>(raw.get()) {
            Ok(text) if is_valid(&text) => Some(text),
            found => {
                let code = if found.is_ok() { Code::Format } else { Code::Type };
                self.complain(field, code, expected, raw.get().chars().take(100).collect());
                None
            }
        }
    }

    fn complain(&mut self, field: &str, code: Code, expected: &str, actual: String) {
        self.reasons.push(Reason { field: field.to_owned(), expected: expected.to_owned(), actual, code });
    }
}
