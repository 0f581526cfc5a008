//! JSON documents that keep the order of fields, fields that occur twice, and the digits of
//! numbers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text;

/// The deepest nesting of containers: that of `serde_json`, which explains what the decoder
/// rejects.
pub(crate) const MAX_DEPTH: u8 = 127;

/// A parsed document; for schemas and for rows that failed, not for the hot path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Boolean(bool),
    Integer(i64),
    /// Above `i64::MAX`.
    Unsigned(u64),
    /// The nearest double, and the number's text.
    Double(f64, Box<str>),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Returns the field's value; the last one if the field occurs several times.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        match self {
            Self::Object(fields) => {
                fields.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the kind of value with its article, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "a boolean",
            Self::Integer(_) | Self::Unsigned(_) | Self::Double(..) => "a number",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }
}

/// Shows the value as JSON, and containers by their kind.
impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(formatter, "{value}"),
            Self::Integer(value) => write!(formatter, "{value}"),
            Self::Unsigned(value) => write!(formatter, "{value}"),
            Self::Double(_, number) => formatter.write_str(number),
            Self::Text(value) => write!(formatter, "{value:?}"),
            Self::Null | Self::Array(_) | Self::Object(_) => formatter.write_str(self.kind()),
        }
    }
}

/// Why bytes are not a document.
#[derive(Debug)]
pub(crate) struct JsonError {
    /// The field with the problem, if it could be read.
    pub(crate) field: String,
    /// What is wrong, with line and column.
    pub(crate) problem: String,
}

/// The most characters of a field's name, and of a path, that an error repeats.
const MAX_NAME: usize = 64;
const MAX_PATH: usize = 300;

/// Parses a document.
///
/// Splits off values first and then parses them one by one, so that an error has its field and a
/// number its digits.
pub(crate) fn parse(data: &[u8]) -> Result<Json, JsonError> {
    let whole = |problem: String| JsonError { field: String::new(), problem };
    let document = str::from_utf8(text::without_bom(data)).map_err(|error| {
        let byte = error.valid_up_to() + 1;
        whole(format!("bytes that are not UTF-8 at byte {byte}"))
    })?;
    let raw: &RawValue =
        serde_json::from_str(document).map_err(|error| whole(error.to_string()))?;
    Reader { document, path: String::new() }.value(raw, MAX_DEPTH)
}

struct Reader<'a> {
    document: &'a str,
    /// The path of the current value: `device.type`, `line_items[2].quantity`.
    path: String,
}

impl<'a> Reader<'a> {
    fn value(&mut self, raw: &'a RawValue, depth: u8) -> Result<Json, JsonError> {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => {
                let depth = self.deeper(text, depth)?;
                let Fields(fields) = self.read(text)?;
                let mut read = Vec::with_capacity(fields.len());
                for (name, raw) in fields {
                    let shown = text::storable(&name, MAX_NAME);
                    let separator = if self.path.is_empty() { "" } else { "." };
                    let value = self.within(&format!("{separator}{shown}"), raw, depth)?;
                    read.push((name, value));
                }
                Ok(Json::Object(read))
            }
            Some(b'[') => {
                let depth = self.deeper(text, depth)?;
                let items: Vec<&'a RawValue> = self.read(text)?;
                let items = items.into_iter().enumerate();
                items
                    .map(|(position, raw)| self.within(&format!("[{position}]"), raw, depth))
                    .collect::<Result<_, _>>()
                    .map(Json::Array)
            }
            _ => Ok(match self.read(text)? {
                Json::Double(value, _) => Json::Double(value, text.into()),
                value => value,
            }),
        }
    }

    /// Reads the value at the path plus `step`. After an error the path stays that of the error.
    fn within(&mut self, step: &str, raw: &'a RawValue, depth: u8) -> Result<Json, JsonError> {
        let length = self.path.len();
        self.path.push_str(step);
        let value = self.value(raw, depth)?;
        self.path.truncate(length);
        Ok(value)
    }

    fn deeper(&self, text: &str, depth: u8) -> Result<u8, JsonError> {
        let problem = format!("nested more than {MAX_DEPTH} levels deep");
        depth.checked_sub(1).ok_or_else(|| self.error(text, 0, &problem))
    }

    fn read<T: Deserialize<'a>>(&self, text: &'a str) -> Result<T, JsonError> {
        serde_json::from_str(text).map_err(|error| {
            let problem = error.to_string();
            let problem = problem.split(" at line ").next().unwrap_or_default();
            // Only strings and numbers still fail here, and they have no line break.
            self.error(text, error.column().saturating_sub(1), problem)
        })
    }

    fn error(&self, text: &str, offset: usize, problem: &str) -> JsonError {
        let start = text.as_ptr() as usize - self.document.as_ptr() as usize;
        let before = &self.document.as_bytes()[..(start + offset).min(self.document.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        JsonError {
            field: text::storable(&self.path, MAX_PATH),
            problem: format!("{problem} at line {line} column {column}"),
        }
    }
}

/// An object's fields, not yet parsed.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = access.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(i64::try_from(value).map_or(Json::Unsigned(value), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Double(value, format!("{value:?}").into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = access.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}
