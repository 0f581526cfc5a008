//! Finds the reasons why a row failed: a slow second reading, for the few rows that need it.

use crate::contract::Contract;
use crate::decode::Rejected;
use crate::fields::{Array, Node, Object};
use crate::json::{self, Json};
use crate::metadata::RowMetadata;
use crate::reason::{Code, Reason};
use crate::text;
use crate::window::TimeWindow;

/// The most reasons of a row: enough to correct it, not enough to flood a log.
const MAX_REASONS: usize = 20;
/// The most characters of a value that a reason repeats.
const MAX_ACTUAL: usize = 100;

impl Contract {
    /// Checks the bytes of one event.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them: at least one reason.
    pub fn validate(&self, metadata: RowMetadata<'_>, data: &[u8]) -> Result<(), Vec<Reason>> {
        self.decode(metadata, data, &mut self.row())
            .map_err(|Rejected| self.explain(metadata, data))
    }

    /// Returns everything that is wrong with data that could not be decoded, field by field: at
    /// least one reason.
    pub fn explain(&self, metadata: RowMetadata<'_>, data: &[u8]) -> Vec<Reason> {
        let window = self.accepts.as_ref().map(|window| (window, &self.window_columns[..]));
        let batch = Some((self, self.partition_column));
        let mut explanation = Explanation { metadata, window, batch, reasons: Vec::new() };
        match json::parse(data) {
            Ok(document) => explanation.object(&self.root, false, &document, ""),
            Err(error) => {
                let expected =
                    if error.field.is_empty() { "a JSON object" } else { "well-formed JSON" };
                explanation.add(&error.field, Code::Malformed, expected, error.problem);
            }
        }
        if explanation.reasons.is_empty() {
            // The parsers disagree about the document. The decoder decides: what other programs
            // read differently is not loaded.
            explanation.add(
                "",
                Code::Malformed,
                "a JSON object",
                "JSON that parsers read differently".to_owned(),
            );
        }
        explanation.reasons
    }
}

struct Explanation<'e> {
    metadata: RowMetadata<'e>,
    /// The window of accepted times, and the columns that it limits.
    window: Option<(&'e TimeWindow, &'e [usize])>,
    /// The contract, and the column that decides the batch of a row.
    batch: Option<(&'e Contract, usize)>,
    reasons: Vec<Reason>,
}

impl Explanation<'_> {
    fn add(&mut self, field: &str, code: Code, expected: impl Into<String>, actual: String) {
        if self.reasons.len() < MAX_REASONS {
            self.reasons.push(Reason {
                field: field.to_owned(),
                expected: expected.into(),
                actual,
                code,
            });
        }
    }

    fn object(&mut self, object: &Object, null: bool, value: &Json, at: &str) {
        let Json::Object(fields) = value else {
            if !(null && *value == Json::Null) {
                let expected = if null { "an object, or null" } else { "an object" };
                self.add(at, Code::Type, expected, shortened(value));
            }
            return;
        };
        for member in &object.members {
            let at =
                if at.is_empty() { member.name.clone() } else { format!("{at}.{}", member.name) };
            let mut found =
                fields.iter().filter(|(name, _)| *name == member.name).map(|(_, value)| value);
            let Some(value) = found.next() else {
                if member.required {
                    self.add(&at, Code::Missing, expected(&member.node), "nothing".to_owned());
                }
                continue;
            };
            if found.next().is_some() {
                self.add(
                    &at,
                    Code::Duplicate,
                    "the field once",
                    "the field more than once".to_owned(),
                );
                continue;
            }
            match &member.node {
                Node::Scalar { column, scalar, shop } => match scalar.json(value) {
                    Err(code) => self.add(&at, code, scalar.expected(code), actual(code, value)),
                    Ok(_) if *shop && value.as_str() != Some(self.metadata.shop) => {
                        let expected =
                            format!("{:?}, the shop it was sent for", self.metadata.shop);
                        self.add(&at, Code::ShopMismatch, expected, shortened(value));
                    }
                    Ok(typed) => {
                        let limits = self.window.filter(|(_, columns)| columns.contains(column));
                        if let Some((window, _)) = limits
                            && let Err(code) = window.check(&typed, self.metadata)
                        {
                            let expected = window.expected(&typed, self.metadata);
                            self.add(&at, code, expected, shortened(value));
                        }
                        if let Some((contract, decides)) = self.batch
                            && decides == *column
                            && let Err(code) = contract.check_batch(&typed, self.metadata)
                        {
                            let batch = self.metadata.batch.unwrap_or_default();
                            let expected = format!(
                                "a value of the batch {batch:?}, in which it was delivered"
                            );
                            self.add(&at, code, expected, shortened(value));
                        }
                    }
                },
                Node::Object { null, object } => self.object(object, *null, value, &at),
                Node::Array(array) => self.array(array, value, &at),
            }
        }
    }

    fn array(&mut self, array: &Array, value: &Json, at: &str) {
        let Json::Array(items) = value else {
            if !(array.null && *value == Json::Null) {
                let expected = if array.null { "an array, or null" } else { "an array" };
                self.add(at, Code::Type, expected, shortened(value));
            }
            return;
        };
        let actual = || format!("{} items", items.len());
        if items.len() < array.minimum {
            self.add(at, Code::TooFewItems, format!("at least {} items", array.minimum), actual());
        }
        if let Some(maximum) = array.maximum.filter(|maximum| items.len() > *maximum) {
            self.add(at, Code::TooManyItems, format!("at most {maximum} items"), actual());
        }
        // The window and the batch limit columns of the parent's table, not of the items'.
        let (window, batch) = (self.window.take(), self.batch.take());
        for (position, item) in items.iter().enumerate() {
            self.object(&array.items, false, item, &format!("{at}[{position}]"));
        }
        (self.window, self.batch) = (window, batch);
    }
}

fn expected(node: &Node) -> String {
    match node {
        Node::Scalar { scalar, .. } => scalar.expected(Code::Type),
        Node::Object { .. } => "an object".to_owned(),
        Node::Array(_) => "an array".to_owned(),
    }
}

/// Returns what was found instead.
fn actual(code: Code, value: &Json) -> String {
    let unsupported = value.as_str().and_then(text::unsupported_character);
    match unsupported.filter(|_| code == Code::UnsupportedCharacter) {
        Some((position, character)) => {
            format!("U+{:04X} at character {position}", u32::from(character))
        }
        None => shortened(value),
    }
}

fn shortened(value: &Json) -> String {
    let text = value.to_string();
    match text.char_indices().nth(MAX_ACTUAL) {
        Some((end, _)) => format!("{}... ({} characters)", &text[..end], text.chars().count()),
        None => text,
    }
}
