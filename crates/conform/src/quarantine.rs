//! Keeps the original bytes of lines that can't be rows, with the reasons, so that they can be
//! corrected and replayed.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use shoplake_contracts::envelope::UNKNOWN;
use shoplake_contracts::{Code, ColumnType, Contract, ReadEnvelope, Reason, Row, Value, text};

/// The stage at which a line failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Not JSON, or the rest of a damaged file.
    MalformedRecord,
    /// JSON, but not an envelope.
    MalformedEnvelope,
    /// An envelope of a dataset that can't be sent.
    UnknownDataset,
    /// The data violates its contract.
    ContractViolation,
    /// The row is larger than a stream's record; its envelope has only its beginning.
    OversizedRow,
}

impl Kind {
    /// Returns the kind's name in JSON and in silver.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRecord => "malformed_record",
            Self::MalformedEnvelope => "malformed_envelope",
            Self::UnknownDataset => "unknown_dataset",
            Self::ContractViolation => "contract_violation",
            Self::OversizedRow => "oversized_row",
        }
    }
}

/// Where a line is in the input.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Origin<'a> {
    Kinesis { stream: &'a str, shard: &'a str, sequence: &'a str, line: usize },
    Bronze { bucket: &'a str, key: &'a str, line: usize },
}

impl Origin<'_> {
    /// Returns a text that identifies the line.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Kinesis { stream, shard, sequence, line } => {
                format!("{stream}:{shard}/{sequence}:{line}")
            }
            Self::Bronze { bucket, key, line } => format!("{bucket}:{key}:{line}"),
        }
    }
}

/// One line of a quarantine object.
#[derive(Debug, Serialize)]
struct Record<'a> {
    failure: Failure<'a>,
    /// The dataset whose contract the line violates.
    contract: Option<&'a str>,
    /// The original bytes.
    envelope: String,
    /// The encoding of `envelope`: `utf-8`, or `base64` for bytes that are not UTF-8.
    envelope_encoding: &'static str,
    origin: Origin<'a>,
    processor: Processor,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    kind: Kind,
    reasons: &'a [Reason],
}

/// The program that rejected the line.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Processor {
    name: &'static str,
    version: &'static str,
}

pub(crate) const PROCESSOR: Processor =
    Processor { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };

impl Processor {
    pub(crate) fn id(self) -> String {
        format!("{}/{}", self.name, self.version)
    }
}

/// Builds the NDJSON of a quarantine object.
#[derive(Debug, Default)]
pub(crate) struct QuarantineFile {
    ndjson: Vec<u8>,
}

impl QuarantineFile {
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        reasons: &[Reason],
        contract: Option<&str>,
        line: &[u8],
        origin: Origin<'_>,
    ) -> io::Result<()> {
        let (envelope, envelope_encoding) = match str::from_utf8(line) {
            Ok(text) => (text.to_owned(), "utf-8"),
            Err(_) => (base64_simd::STANDARD.encode_to_string(line), "base64"),
        };
        let failure = Failure { kind, reasons };
        let record =
            Record { failure, contract, envelope, envelope_encoding, origin, processor: PROCESSOR };
        serde_json::to_writer(&mut self.ndjson, &record)?;
        self.ndjson.push(b'\n');
        Ok(())
    }

    /// Returns the gzipped object. Its header has no time, so that a retry writes the same bytes.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&self.ndjson)?;
        encoder.finish()
    }
}

/// The most characters of a text in a row of `quarantined`; the quarantine object has all of them.
const MAX_SHOWN: usize = 1_000;

/// Returns the row of `quarantined` for a rejected line.
///
/// Built column by column instead of decoded, and from storable texts only, so that it can't be
/// rejected. A column that this program does not know gets a neutral value.
pub(crate) fn summary(contract: &Contract, line: &RejectedLine<'_>) -> Row<'static> {
    let mut row = contract.row();
    for (column, value) in contract.columns.iter().zip(&mut row.values) {
        *value = line
            .value(&column.name)
            .filter(|value| fits(column.column_type, value))
            .unwrap_or_else(|| {
                if column.nullable { Value::Null } else { neutral(column.column_type) }
            });
    }
    row
}

/// What is known about a rejected line.
pub(crate) struct RejectedLine<'a> {
    pub(crate) kind: Kind,
    pub(crate) read: &'a ReadEnvelope<'a>,
    pub(crate) dataset: &'a str,
    pub(crate) origin: Origin<'a>,
    pub(crate) quarantine_key: &'a str,
    pub(crate) day: i32,
    pub(crate) received_at: i64,
}

impl RejectedLine<'_> {
    fn value(&self, column: &str) -> Option<Value<'static>> {
        let shown = |text: &str| Value::Unescaped(text::storable(text, MAX_SHOWN).into());
        let reason = self.read.reasons.first();
        Some(match column {
            "shop_id" => shown(self.read.shop.as_deref().unwrap_or(UNKNOWN)),
            "dataset" => shown(self.dataset),
            "envelope_id" | "_envelope_id" => shown(self.read.id.as_deref().unwrap_or(UNKNOWN)),
            "batch" => shown(self.read.subject.as_deref()?),
            "run" => shown(self.read.run.as_deref()?),
            "kind" => Value::Text(self.kind.as_str()),
            "field" => shown(&reason?.field),
            "code" => Value::Text(reason.map_or(Code::Malformed, |reason| reason.code).as_str()),
            "expected" => shown(&reason?.expected),
            "actual" => shown(&reason?.actual),
            // Not shortened: it identifies the row, and the key names the object. Both consist of
            // names of at most 1,024 bytes.
            "origin" => Value::Unescaped(text::storable(&self.origin.id(), usize::MAX).into()),
            "quarantine_key" => {
                Value::Unescaped(text::storable(self.quarantine_key, usize::MAX).into())
            }
            "day" => Value::Date(self.day),
            "_received_at" => Value::Timestamp(self.received_at),
            _ => return None,
        })
    }
}

fn fits(column_type: ColumnType, value: &Value<'_>) -> bool {
    match value {
        Value::Date(_) => column_type == ColumnType::Date,
        Value::Timestamp(_) => column_type == ColumnType::Timestamp,
        value => column_type == ColumnType::String && value.as_str().is_some(),
    }
}

fn neutral(column_type: ColumnType) -> Value<'static> {
    match column_type {
        ColumnType::String => Value::Text(""),
        ColumnType::Bigint => Value::Integer(0),
        ColumnType::Double => Value::Double(0.0),
        ColumnType::Boolean => Value::Boolean(false),
        ColumnType::Date => Value::Date(0),
        ColumnType::Timestamp => Value::Timestamp(0),
        ColumnType::Decimal { .. } => Value::Decimal(0),
    }
}
