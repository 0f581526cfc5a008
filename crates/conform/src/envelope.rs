//! Reads a line, an envelope and the event in it, in one pass.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use shoplake_contracts::envelope::is_storable;
use shoplake_contracts::{BackfillName, Ignore, ReceiptDays, RowMetadata, RunId, ShopId, text};

/// The attributes of an envelope before its data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EnvelopeHeader<'a> {
    pub(crate) dataset: &'a str,
    pub(crate) metadata: RowMetadata<'a>,
}

/// Decodes the data of an envelope, once its header is known.
pub(crate) trait DataReader<'de> {
    /// Reads the value of `data` from `fields`.
    fn read<A: MapAccess<'de>>(
        &mut self,
        header: EnvelopeHeader<'de>,
        fields: &mut A,
    ) -> Result<(), A::Error>;
}

/// Reads an envelope whose header precedes its data, as in the envelopes that this project writes.
/// Every other line, valid or not, is an error here and takes the slow path with
/// [`ReadEnvelope`](shoplake_contracts::ReadEnvelope). Both must accept the same envelopes.
pub(crate) struct EnvelopeSeed<'r, R> {
    pub(crate) reader: &'r mut R,
    pub(crate) days: ReceiptDays,
}

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
        let Self { reader, days } = self;
        let mut texts = Texts::default();
        let mut done = false;
        while let Some(name) = fields.next_key::<&str>()? {
            let slot = match name {
                "id" => &mut texts.id,
                "shopid" => &mut texts.shop,
                "dataset" => &mut texts.dataset,
                "receivedat" => &mut texts.received_at,
                "subject" => &mut texts.subject,
                "run" => &mut texts.run,
                "backfill" => &mut texts.backfill,
                "oversizedbytes" => return Err(A::Error::custom("a row that no record can hold")),
                "data" if !done => {
                    let header = texts.header(days).ok_or_else(|| A::Error::custom("no header"))?;
                    reader.read(header, &mut fields)?;
                    done = true;
                    continue;
                }
                "data" => return Err(A::Error::custom("data twice")),
                _ => {
                    fields.next_value_seed(Ignore::default())?;
                    continue;
                }
            };
            if done {
                return Err(A::Error::custom("a header after the data"));
            }
            if slot.replace(fields.next_value::<&str>()?).is_some() {
                return Err(A::Error::custom("a field twice"));
            }
        }
        if done { Ok(()) } else { Err(A::Error::custom("no data")) }
    }
}

/// The attributes of an envelope, not yet checked.
#[derive(Default)]
struct Texts<'a> {
    id: Option<&'a str>,
    shop: Option<&'a str>,
    dataset: Option<&'a str>,
    received_at: Option<&'a str>,
    subject: Option<&'a str>,
    run: Option<&'a str>,
    backfill: Option<&'a str>,
}

impl<'a> Texts<'a> {
    /// Returns the header, if all attributes are valid.
    fn header(&self, days: ReceiptDays) -> Option<EnvelopeHeader<'a>> {
        let (envelope_id, shop) = (self.id?, self.shop?);
        let received_at = text::parse_timestamp(self.received_at?)?;
        let is_valid = !envelope_id.is_empty()
            && is_storable(envelope_id)
            && ShopId::is_valid(shop)
            && days.contains(text::day(received_at))
            && self.subject.is_none_or(is_storable)
            && self.run.is_none_or(|run| RunId::is_valid(run) && self.subject.is_some())
            && self.backfill.is_none_or(BackfillName::is_valid);
        let metadata = RowMetadata {
            shop,
            envelope_id,
            received_at,
            backfill: self.backfill,
            batch: self.subject,
            run: self.run,
        };
        is_valid.then_some(EnvelopeHeader { dataset: self.dataset?, metadata })
    }
}
