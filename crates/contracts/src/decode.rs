//! Decodes bytes into a row, in one pass and without building a document.

use std::fmt;
use std::str;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::contract::Contract;
use crate::fields::{Array, ChildLayout, Node, Object};
use crate::json::MAX_DEPTH;
use crate::keys::KeyTable;
use crate::metadata::RowMetadata;
use crate::reason::Code;
use crate::scalar::{Kind, Scalar};
use crate::text;
use crate::value::{Row, Value};

/// The row violates its contract. [`Contract::explain`] returns the reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data violates its contract")]
pub struct Rejected;

impl Contract {
    /// Decodes the bytes of one event into `row` and replaces its previous values. One byte order
    /// mark before the event is ignored.
    ///
    /// # Errors
    ///
    /// If the bytes are not JSON or violate the contract. The values of the row are then undefined.
    pub fn decode<'a>(
        &self,
        metadata: RowMetadata<'a>,
        data: &'a [u8],
        row: &mut Row<'a>,
    ) -> Result<(), Rejected> {
        let data = str::from_utf8(text::without_bom(data)).map_err(|_| Rejected)?;
        let mut deserializer = sonic_rs::Deserializer::from_str(data);
        self.decoder(metadata, row).deserialize(&mut deserializer).map_err(|_| Rejected)?;
        deserializer.end().map_err(|_| Rejected)
    }

    /// Returns a decoder for an event within a larger document, such as an envelope. The document's
    /// deserializer must be that of `sonic_rs`, with valid UTF-8.
    pub fn decoder<'s, 'a>(
        &'s self,
        metadata: RowMetadata<'a>,
        row: &'s mut Row<'a>,
    ) -> Decode<'s, 'a> {
        Decode { contract: self, metadata, row }
    }
}

/// Decodes one event into a row; from [`Contract::decoder`].
#[derive(Debug)]
pub struct Decode<'s, 'a> {
    contract: &'s Contract,
    metadata: RowMetadata<'a>,
    row: &'s mut Row<'a>,
}

impl<'de> DeserializeSeed<'de> for Decode<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { contract, metadata, row } = self;
        row.clear();
        ObjectSeed {
            object: &contract.root,
            null: false,
            target: Target {
                shop: metadata.shop,
                layouts: &contract.child_layouts,
                values: &mut row.values,
                children: &mut row.children,
            },
            depth: MAX_DEPTH,
        }
        .deserialize(deserializer)?;

        if let Some(window) = &contract.accepts {
            for column in &contract.window_columns {
                window.check(&row.values[*column], metadata).map_err(rejected)?;
            }
        }

        contract.check_batch(&row.values[contract.partition_column], metadata).map_err(rejected)?;

        contract.metadata.write(&mut row.values, metadata);
        for (layout, children) in contract.child_layouts.iter().zip(&mut row.children) {
            for (position, child) in children.iter_mut().enumerate() {
                for (own, parents) in &layout.inherited {
                    child[*own] = row.values[*parents].clone();
                }
                child[layout.ordinal] = Value::Integer(position as i64 + 1);
                layout.metadata.write(child, metadata);
            }
        }
        Ok(())
    }
}

/// The row that decoded values are written to.
struct Target<'t, 'de> {
    shop: &'de str,
    layouts: &'t [ChildLayout],
    values: &'t mut [Value<'de>],
    children: &'t mut [Vec<Vec<Value<'de>>>],
}

struct ObjectSeed<'t, 'de> {
    object: &'t Object,
    null: bool,
    target: Target<'t, 'de>,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, 'de> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.null { Ok(()) } else { Err(rejected(Code::Type)) }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { object, mut target, depth, .. } = self;
        let depth = deeper(depth)?;
        let mut seen = 0_u128;
        while let Some(found) = fields.next_key_seed(KeySeed(&object.keys))? {
            let Some(position) = found else {
                fields.next_value_seed(Ignore(depth))?;
                continue;
            };
            let bit = 1 << position;
            if seen & bit != 0 {
                return Err(rejected(Code::Duplicate));
            }
            seen |= bit;
            match &object.members[position].node {
                Node::Scalar { column, scalar, shop } => {
                    let value = fields.next_value_seed(ScalarSeed(scalar))?;
                    if *shop && value.as_str() != Some(target.shop) {
                        return Err(rejected(Code::ShopMismatch));
                    }
                    target.values[*column] = value;
                }
                Node::Object { null, object } => {
                    let Target { shop, layouts, ref mut values, ref mut children } = target;
                    let target = Target { shop, layouts, values, children };
                    fields.next_value_seed(ObjectSeed { object, null: *null, target, depth })?;
                }
                Node::Array(array) => {
                    let layout = &target.layouts[array.child];
                    let rows = &mut target.children[array.child];
                    fields.next_value_seed(ArraySeed { array, layout, rows, depth })?;
                }
            }
        }
        if object.required & !seen == 0 { Ok(()) } else { Err(rejected(Code::Missing)) }
    }
}

struct ArraySeed<'t, 'de> {
    array: &'t Array,
    layout: &'t ChildLayout,
    rows: &'t mut Vec<Vec<Value<'de>>>,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for ArraySeed<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ArraySeed<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if self.array.null { Ok(()) } else { Err(rejected(Code::Type)) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { array, layout, rows, depth } = self;
        let depth = deeper(depth)?;
        loop {
            let mut values = vec![Value::Null; layout.width];
            let target = Target { shop: "", layouts: &[], values: &mut values, children: &mut [] };
            let item = ObjectSeed { object: &array.items, null: false, target, depth };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
            if array.maximum.is_some_and(|maximum| rows.len() == maximum) {
                return Err(rejected(Code::TooManyItems));
            }
            rows.push(values);
        }
        if rows.len() < array.minimum { Err(rejected(Code::TooFewItems)) } else { Ok(()) }
    }
}

struct KeySeed<'t>(&'t KeyTable);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Option<usize>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a field name")
    }

    #[inline]
    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.0.find(name))
    }
}

struct ScalarSeed<'t>(&'t Scalar);

impl<'de> DeserializeSeed<'de> for ScalarSeed<'_> {
    type Value = Value<'de>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        if matches!(self.0.kind, Kind::Integer { .. }) {
            let json = sonic_rs::LazyValue::deserialize(deserializer)?;
            return self.0.written_integer(json.as_raw_str()).map_err(rejected);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ScalarSeed<'_> {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string, a number, a boolean or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        self.0.null().map_err(rejected)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value<'de>, E> {
        self.0.boolean(value).map_err(rejected)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value<'de>, E> {
        self.0.integer(value).map_err(rejected)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value<'de>, E> {
        self.0.unsigned(value).map_err(rejected)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value<'de>, E> {
        self.0.double(value).map_err(rejected)
    }

    #[inline]
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Value<'de>, E> {
        self.0.text(value, || Value::Text(value)).map_err(rejected)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value<'de>, E> {
        self.0.text(value, || Value::Unescaped(value.into())).map_err(rejected)
    }
}

/// Skips a value, but parses it. [`IgnoredAny`] alone is laxer than a parser (it does not check
/// escapes), so that two readers could see different documents in the same bytes.
#[derive(Debug)]
pub struct Ignore(u8);

impl Default for Ignore {
    fn default() -> Self {
        Self(MAX_DEPTH)
    }
}

impl<'de> DeserializeSeed<'de> for Ignore {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Ignore {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = deeper(self.0)?;
        while items.next_element_seed(Ignore(depth))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let depth = deeper(self.0)?;
        while fields.next_key::<IgnoredKey>()?.is_some() {
            fields.next_value_seed(Ignore(depth))?;
        }
        Ok(())
    }
}

/// A field name that must be well-formed and is not kept.
type IgnoredKey = IgnoredAny;

fn deeper<E: Error>(depth: u8) -> Result<u8, E> {
    depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
}

/// Returns the parser's kind of error. It is never shown: [`Contract::explain`] returns the
/// reasons.
#[cold]
fn rejected<E: Error>(code: Code) -> E {
    E::custom(code.as_str())
}
