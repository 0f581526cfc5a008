//! Lines that could not become rows: kept whole, with the reasons, so that they can be repaired and sent again.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use shoplake_contracts::Reason;

/// At which stage a line failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Not JSON, or not even readable.
    MalformedRecord,
    /// JSON, but no envelope.
    MalformedEnvelope,
    /// An envelope for which there is no contract.
    UnknownDataset,
    /// The data is not what its contract says.
    ContractViolation,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Origin<'a> {
    Kinesis { stream: &'a str, shard: &'a str, sequence: &'a str, line: usize },
    Bronze { bucket: &'a str, key: &'a str, line: usize },
}

impl Origin<'_> {
    /// One text that identifies the line.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Kinesis { stream, shard, sequence, line } => format!("{stream}:{shard}/{sequence}:{line}"),
            Self::Bronze { bucket, key, line } => format!("{bucket}:{key}:{line}"),
        }
    }
}

/// One line of a quarantine object.
#[derive(Debug, Serialize)]
struct Record<'a> {
    failure: Failure<'a>,
    /// The dataset whose contract was not fulfilled.
    contract: Option<&'a str>,
    /// The original bytes.
    envelope: String,
    /// How `envelope` holds them: `utf-8` as they were, `base64` when they are no UTF-8.
    envelope_encoding: &'static str,
    origin: Origin<'a>,
    processor: Processor,
}

#[derive(Debug, Serialize)]
struct Failure<'a> {
    kind: Kind,
    reasons: &'a [Reason],
}

/// Which program judged.
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

/// The NDJSON of a quarantine object in the making.
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
        let record = Record { failure, contract, envelope, envelope_encoding, origin, processor: PROCESSOR };
        serde_json::to_writer(&mut self.ndjson, &record)?;
        self.ndjson.push(b'\n');
        Ok(())
    }

    /// Gzip, without a time in its header.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&self.ndjson)?;
        encoder.finish()
    }
}
