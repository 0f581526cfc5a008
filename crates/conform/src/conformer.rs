//! Conforms a batch: lines to rows, rows to tables, tables to objects.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::NaiveDate;
use parquet::file::metadata::KeyValue;
use serde::de::{DeserializeSeed, Error, MapAccess};
use shoplake_contracts::envelope::{MAX_RECORD_BYTES, UNKNOWN};
use shoplake_contracts::{
    BackfillName, Code, Contract, Contracts, Delivery, Partition, ReadEnvelope, ReceiptDays, Row,
    RowMetadata, text,
};

use crate::bronze;
use crate::envelope::{DataReader, EnvelopeHeader, EnvelopeSeed};
use crate::kinesis::{self, Arena};
use crate::output::{ConformError, Counts, Output, OutputObject};
use crate::quarantine::{Kind, Origin, PROCESSOR, QuarantineFile, RejectedLine, summary};
use crate::table::{self, Table, TableLayout};

/// The dataset in which every rejected line is a row.
const QUARANTINED: &str = "quarantined";

/// How objects are named. The caller gives it, so that only the lake crate knows the layout.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Returns the silver key for (dataset, the partition's folder, name).
    pub silver: fn(&str, Partition, &str) -> String,
    /// Returns the quarantine key for (dataset, day, name).
    pub quarantine: fn(&str, NaiveDate, &str) -> String,
}

/// Turns batches into objects, by contract.
#[derive(Clone, Debug)]
pub struct Conformer {
    contracts: Contracts,
    tables: BTreeMap<String, TableLayout>,
    layout: Layout,
    /// The latest generation of all decoders, which decides what is quarantined.
    generation: u32,
}

impl Conformer {
    /// Returns a conformer of these datasets.
    pub fn new(contracts: Contracts, layout: Layout) -> Self {
        let tables = contracts
            .iter()
            .map(|contract| (contract.dataset.clone(), TableLayout::new(contract)))
            .collect();
        let generation = contracts.iter().map(|contract| contract.generation).max().unwrap_or(1);
        Self { contracts, tables, layout, generation }
    }

    /// Conforms the payload of a Lambda invocation by a Kinesis event source mapping.
    ///
    /// Objects are named after the stream, the shard, the first sequence number and the number of
    /// records. Without the number of records, a shorter batch that is delivered late (by a poller
    /// that lost its shard) would overwrite a longer one.
    ///
    /// # Errors
    ///
    /// If the payload is not a Kinesis event, or the Parquet library fails.
    pub fn conform_kinesis(&self, payload: &str) -> Result<Output, ConformError> {
        let records = kinesis::records(payload)?;
        let Some(first) = records.first() else { return Ok(Output::default()) };
        let arena = Arena::decode(&records);
        let name = format!("{}-{}-{}-{}", first.stream, first.shard, first.sequence, records.len());
        let mut batch = Batch::new(self, name);
        batch.is_from_stream = true;
        for (record, data) in records.iter().zip(arena.iter()) {
            let days = ReceiptDays::new(Some(record.arrived_at));
            for (line, bytes) in lines(data) {
                let origin = Origin::Kinesis {
                    stream: record.stream,
                    shard: record.shard,
                    sequence: record.sequence,
                    line,
                };
                batch.line(bytes, origin, days)?;
            }
        }
        let origin =
            format!("{}/{}/{}+{}", first.stream, first.shard, first.sequence, records.len());
        Ok(Output { first_sequence: Some(first.sequence.to_owned()), ..batch.finish(&origin)? })
    }

    /// Conforms a bronze object. The objects have its name.
    ///
    /// `backfill` is the named backfill of lines that do not name one: bronze that was written
    /// before time windows existed may have older rows.
    ///
    /// # Errors
    ///
    /// If the Parquet library fails.
    pub fn conform_bronze(
        &self,
        bucket: &str,
        key: &str,
        object: &[u8],
        backfill: Option<&BackfillName>,
    ) -> Result<Output, ConformError> {
        let content = bronze::content(object);
        let days = ReceiptDays::new(bronze::arrived_at(key));
        let mut batch = Batch::new(self, bronze::name(key).to_owned());
        batch.backfill = backfill.map(BackfillName::as_str);
        let mut last = 0;
        for (line, bytes) in lines(&content.bytes) {
            batch.line(bytes, Origin::Bronze { bucket, key, line }, days)?;
            last = line;
        }
        if let Some(damage) = content.damage {
            let mut read = ReadEnvelope::default();
            read.reject("", Code::Malformed, "a whole gzip file", &damage);
            let origin = Origin::Bronze { bucket, key, line: last + 1 };
            batch.quarantine(Kind::MalformedRecord, &read, b"", origin, days)?;
        }
        batch.finish(&format!("{bucket}/{key}"))
    }
}

/// Returns the name of an object that decoders of this generation write. A corrected decoder reads
/// other rows from the same input: under the same name, one key would have two contents.
fn name_of_generation(name: &str, generation: u32) -> String {
    if generation > 1 { format!("{name}.g{generation}") } else { name.to_owned() }
}

/// Returns the date of a day. Every day of a quarantine has a four-digit year, so it is a date.
fn date(days: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(days).unwrap_or_default()
}

/// Returns the lines that are not blank, numbered from 1.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = bytes;
    let split = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    });
    split
        .enumerate()
        .map(|(position, line)| (position + 1, line))
        .filter(|(_, line)| !text::without_bom(line).trim_ascii().is_empty())
}

/// The tables of one input.
struct Batch<'c, 'a> {
    conformer: &'c Conformer,
    name: String,
    /// The backfill of lines that do not name one.
    backfill: Option<&'a str>,
    /// Whether a stream delivers the lines, so that the limit on old days applies to their shops.
    is_from_stream: bool,
    writers: Vec<DatasetWriter<'c, 'a>>,
    /// The writer of the row that was decoded last.
    current: usize,
    quarantine: BTreeMap<(String, i32), QuarantineFile>,
    counts: BTreeMap<String, Counts>,
}

/// The rows of one dataset in the batch.
struct DatasetWriter<'c, 'a> {
    contract: &'c Contract,
    layout: &'c TableLayout,
    row: Row<'a>,
    /// Whether that row belongs to a named backfill.
    is_in_backfill: bool,
    /// The number of rows; compared with the rows of the objects.
    received: u64,
    partitions: Partitions,
    children: Vec<(&'c str, &'c TableLayout, Partitions)>,
}

/// The tables of a dataset's partitions. Neighbouring lines mostly share a partition, so the last
/// one is tried first.
#[derive(Default)]
struct Partitions {
    tables: Vec<(Partition, Table)>,
    current: usize,
}

impl Partitions {
    #[inline]
    fn table(&mut self, partition: Partition, layout: &TableLayout) -> &mut Table {
        let is_current =
            self.tables.get(self.current).is_some_and(|(found, _)| *found == partition);
        if !is_current {
            self.current =
                self.tables.iter().position(|(found, _)| *found == partition).unwrap_or_else(
                    || {
                        // Room for a whole Lambda payload in the first table; further tables
                        // are usually small.
                        let rows = if self.tables.is_empty() { 4096 } else { 64 };
                        self.tables.push((partition, layout.table(rows)));
                        self.tables.len() - 1
                    },
                );
        }
        &mut self.tables[self.current].1
    }
}

impl<'c, 'a> DatasetWriter<'c, 'a> {
    fn new(conformer: &'c Conformer, contract: &'c Contract) -> Option<Self> {
        let children = contract.children.iter().map(|child| {
            let layout = conformer.tables.get(child)?;
            Some((child.as_str(), layout, Partitions::default()))
        });
        Some(Self {
            contract,
            layout: conformer.tables.get(&contract.dataset)?,
            row: contract.row(),
            is_in_backfill: false,
            received: 0,
            partitions: Partitions::default(),
            children: children.collect::<Option<_>>()?,
        })
    }

    /// Appends a decoded row. `None` if it has no partition, which its contract rules out.
    fn push(&mut self, row: &Row<'_>) -> Option<()> {
        let partition = self.contract.partition.of(self.contract.partition_value(row))?;
        let is_in_backfill = self.is_in_backfill;
        self.partitions.table(partition, self.layout).push(&row.values, is_in_backfill);
        self.received += 1;
        for ((_, layout, partitions), rows) in self.children.iter_mut().zip(&row.children) {
            for values in rows {
                partitions.table(partition, layout).push(values, is_in_backfill);
            }
        }
        Some(())
    }
}

impl<'de> DataReader<'de> for Batch<'_, 'de> {
    #[inline]
    fn read<A: MapAccess<'de>>(
        &mut self,
        header: EnvelopeHeader<'de>,
        fields: &mut A,
    ) -> Result<(), A::Error> {
        self.current = self
            .writer(header.dataset)
            .ok_or_else(|| A::Error::custom("a dataset that cannot be sent"))?;
        let writer = &mut self.writers[self.current];
        let metadata =
            RowMetadata { backfill: header.metadata.backfill.or(self.backfill), ..header.metadata };
        writer.is_in_backfill = metadata.backfill.is_some();
        fields.next_value_seed(writer.contract.decoder(metadata, &mut writer.row))
    }
}

impl<'c, 'a> Batch<'c, 'a> {
    fn new(conformer: &'c Conformer, name: String) -> Self {
        Self {
            conformer,
            name,
            backfill: None,
            is_from_stream: false,
            writers: Vec::new(),
            current: 0,
            quarantine: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Returns the position of the writer of a dataset that can be sent.
    fn writer(&mut self, dataset: &str) -> Option<usize> {
        let sendable = |contract: &&Contract| {
            contract.delivery != Delivery::Internal && contract.parent.is_none()
        };
        let found = self.writers.iter().position(|writer| writer.contract.dataset == dataset);
        match found {
            Some(writer) => Some(writer).filter(|writer| sendable(&self.writers[*writer].contract)),
            None => {
                let contract = self.conformer.contracts.get(dataset).filter(sendable)?;
                self.writers.push(DatasetWriter::new(self.conformer, contract)?);
                Some(self.writers.len() - 1)
            }
        }
    }

    fn line(
        &mut self,
        bytes: &'a [u8],
        origin: Origin<'_>,
        days: ReceiptDays,
    ) -> Result<(), ConformError> {
        if self.fast_path(text::without_bom(bytes), days).is_some() {
            return Ok(());
        }
        self.slow_path(bytes, origin, days)
    }

    /// Reads a valid line, whose envelope has its fields in the usual order, in one pass.
    fn fast_path(&mut self, bytes: &'a [u8], days: ReceiptDays) -> Option<()> {
        let mut deserializer = sonic_rs::Deserializer::from_str(str::from_utf8(bytes).ok()?);
        EnvelopeSeed { reader: self, days }.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        let writer = &mut self.writers[self.current];
        let row =
            std::mem::replace(&mut writer.row, Row { values: Vec::new(), children: Vec::new() });
        let pushed = writer.push(&row);
        writer.row = row;
        pushed
    }

    /// Reads a line that the fast path did not accept, and quarantines it if it is not valid.
    fn slow_path(
        &mut self,
        bytes: &[u8],
        origin: Origin<'_>,
        days: ReceiptDays,
    ) -> Result<(), ConformError> {
        let mut read = ReadEnvelope::read(bytes, days);
        if !read.reasons.is_empty() {
            let kind = if read.is_json { Kind::MalformedEnvelope } else { Kind::MalformedRecord };
            return self.quarantine(kind, &read, bytes, origin, days);
        }
        let dataset = read.dataset.clone().unwrap_or_default();
        let Some(writer) = self.writer(&dataset) else {
            read.reject(
                "dataset",
                Code::NotAllowed,
                "the name of a dataset that can be sent",
                &dataset,
            );
            return self.quarantine(Kind::UnknownDataset, &read, bytes, origin, days);
        };
        if let Some(size) = read.oversized_bytes.take() {
            let expected = format!("a row of at most {MAX_RECORD_BYTES} bytes in its envelope");
            read.reject("", Code::TooLarge, &expected, &format!("{size} bytes"));
            return self.quarantine(Kind::OversizedRow, &read, bytes, origin, days);
        }
        let writer = &mut self.writers[writer];
        let Some((metadata, data)) = read.content() else {
            // Not reached: without a reason, all parts are there.
            return self.quarantine(Kind::MalformedEnvelope, &read, bytes, origin, days);
        };
        let metadata = RowMetadata { backfill: metadata.backfill.or(self.backfill), ..metadata };
        writer.is_in_backfill = metadata.backfill.is_some();
        let data = data.get().as_bytes();
        let mut row = writer.contract.row();
        let decoded = writer.contract.decode(metadata, data, &mut row);
        if decoded.is_ok() && writer.push(&row).is_some() {
            return Ok(());
        }
        read.reasons = writer.contract.explain(metadata, data);
        self.quarantine(Kind::ContractViolation, &read, bytes, origin, days)
    }

    /// Keeps a line that can't be a row. Its day is always a valid date.
    fn quarantine(
        &mut self,
        kind: Kind,
        read: &ReadEnvelope<'_>,
        bytes: &[u8],
        origin: Origin<'_>,
        days: ReceiptDays,
    ) -> Result<(), ConformError> {
        let known = read.dataset.as_deref().filter(|dataset| {
            self.conformer
                .contracts
                .get(dataset)
                .is_some_and(|contract| contract.delivery != Delivery::Internal)
        });
        let dataset = known.unwrap_or(UNKNOWN);
        let floor = i64::from(ReceiptDays::FIRST) * text::MICROS_PER_DAY;
        let received_at = read.received_at.or(days.arrived_at()).unwrap_or(floor);
        let batch_day =
            read.subject.as_deref().and_then(batch_day).filter(|day| days.contains(*day));
        let day = batch_day.unwrap_or_else(|| text::day(received_at));

        let file = self.quarantine.entry((dataset.to_owned(), day)).or_default();
        file.add(kind, &read.reasons, known, bytes, origin)?;
        let counts = self.counts.entry(dataset.to_owned()).or_default();
        counts.received += 1;
        counts.quarantined += 1;

        let Some(contract) = self.conformer.contracts.get(QUARANTINED) else { return Ok(()) };
        let name = name_of_generation(&self.name, self.conformer.generation);
        let quarantine_key = (self.conformer.layout.quarantine)(dataset, date(day), &name);
        let quarantine_key = &quarantine_key;
        let line = RejectedLine { kind, read, dataset, origin, quarantine_key, day, received_at };
        let row = summary(contract, &line);
        // Both are `None` only for a contract that a neutral value can't be partitioned by, and
        // such a contract does not compile.
        let _ = self.internal_writer(contract).and_then(|writer| writer.push(&row));
        Ok(())
    }

    fn internal_writer(&mut self, contract: &'c Contract) -> Option<&mut DatasetWriter<'c, 'a>> {
        let position = match self
            .writers
            .iter()
            .position(|writer| writer.contract.dataset == contract.dataset)
        {
            Some(position) => position,
            None => {
                self.writers.push(DatasetWriter::new(self.conformer, contract)?);
                self.writers.len() - 1
            }
        };
        self.writers.get_mut(position)
    }

    fn finish(mut self, origin: &str) -> Result<Output, ConformError> {
        let mut objects = Vec::new();
        let layout = self.conformer.layout;
        let quarantine_name = name_of_generation(&self.name, self.conformer.generation);
        for writer in self.writers {
            let name = if writer.contract.delivery == Delivery::Internal {
                quarantine_name.clone()
            } else {
                name_of_generation(&self.name, writer.contract.generation)
            };
            if writer.contract.delivery != Delivery::Internal {
                self.counts.entry(writer.contract.dataset.clone()).or_default().received +=
                    writer.received;
            }
            let own = (writer.contract.dataset.as_str(), writer.layout, writer.partitions);
            for (dataset, table_layout, partitions) in std::iter::once(own).chain(writer.children) {
                for (partition, table) in partitions.tables {
                    let rows = table.rows as u64;
                    let metadata = vec![
                        KeyValue::new("shoplake.rows".to_owned(), rows.to_string()),
                        KeyValue::new("shoplake.origin".to_owned(), origin.to_owned()),
                        KeyValue::new("shoplake.processor".to_owned(), PROCESSOR.id()),
                    ];
                    let failed =
                        |source| ConformError::Parquet { dataset: dataset.to_owned(), source };
                    let is_limited =
                        self.is_from_stream && partition.day().is_some() && !table.is_in_backfill;
                    let batch = table_layout.sorted(table).map_err(|error| failed(error.into()))?;
                    let shops = if is_limited { table::shops(&batch) } else { Vec::new() };
                    let parquet = table_layout.parquet(&batch, metadata).map_err(failed)?;
                    if writer.contract.delivery != Delivery::Internal {
                        let counts = self.counts.entry(dataset.to_owned()).or_default();
                        counts.silver_rows += rows;
                        if dataset != writer.contract.dataset {
                            counts.received += rows;
                        }
                        counts.bytes += parquet.len() as u64;
                    }
                    let key = (layout.silver)(dataset, partition, &name);
                    objects.push(OutputObject { key, bytes: Bytes::from(parquet), shops });
                }
            }
        }
        for ((dataset, day), file) in self.quarantine {
            let key = (layout.quarantine)(&dataset, date(day), &quarantine_name);
            let (bytes, shops) = (Bytes::from(file.finish()?), Vec::new());
            objects.push(OutputObject { key, bytes, shops });
        }
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Output { objects, counts: self.counts, first_sequence: None })
    }
}

/// Returns the day in a batch's name, which is a day (`2010-12-01`) or an hour (`2026-11-21T10`).
fn batch_day(subject: &str) -> Option<i32> {
    text::parse_date(subject.split_once('T').map_or(subject, |(day, _)| day))
}
