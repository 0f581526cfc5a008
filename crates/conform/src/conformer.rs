//! The whole way of a batch: lines to rows, rows to tables, tables to objects.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::NaiveDate;
use parquet::file::metadata::KeyValue;
use serde::de::{DeserializeSeed, Error, MapAccess};
use serde_json::json;
use shoplake_contracts::envelope::UNKNOWN;
use shoplake_contracts::{Code, Contract, Contracts, Delivery, PartitionValue, Reason, Row, Stamp, text};

use crate::bronze;
use crate::envelope::{DataReader, EnvelopeSeed, Head, Patient};
use crate::kinesis::{self, Arena};
use crate::outcome::{ConformError, Counts, Outcome, OutputObject};
use crate::quarantine::{Kind, Origin, PROCESSOR, QuarantineFile};
use crate::table::{Table, TableLayout};

/// The dataset in which every rejected line is a row.
const QUARANTINED: &str = "quarantined";

/// How objects are named. Given from outside, so that the lake's layout is known in one place.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The silver key of (dataset, the partition's folder, name).
    pub silver: fn(&str, &str, &str) -> String,
    /// The quarantine key of (dataset, day, name).
    pub quarantine: fn(&str, NaiveDate, &str) -> String,
}

/// Turns batches into objects, by contract.
#[derive(Clone, Debug)]
pub struct Conformer {
    contracts: Contracts,
    tables: BTreeMap<String, TableLayout>,
    layout: Layout,
}

impl Conformer {
    /// A conformer of these datasets.
    pub fn new(contracts: Contracts, layout: Layout) -> Self {
        let tables =
            contracts.iter().map(|contract| (contract.dataset.clone(), TableLayout::new(contract))).collect();
        Self { contracts, tables, layout }
    }

    /// Conforms the payload of a Lambda invocation by a Kinesis event source mapping. Its objects are named after the stream, the shard, the
    /// first sequence number and the number of records: with the first number alone, a shorter batch that is delivered late (by a poller that
    /// has lost its shard) would overwrite a longer one, and lose the rest of it.
    ///
    /// # Errors
    /// When the payload is no Kinesis event, or the Parquet library fails.
    pub fn conform_kinesis(&self, payload: &str) -> Result<Outcome, ConformError> {
        let records = kinesis::records(payload)?;
        let Some(first) = records.first() else { return Ok(Outcome::default()) };
        let arena = Arena::decode(&records);
        let name = format!("{}-{}-{}-{}", first.stream, first.shard, first.sequence, records.len());
        let mut batch = Batch::new(self, name);
        for (record, data) in records.iter().zip(arena.iter()) {
            for (line, bytes) in lines(data) {
                let origin = Origin::Kinesis {
                    stream: record.stream,
                    shard: record.shard,
                    sequence: record.sequence,
                    line,
                };
                batch.line(bytes, origin, record.arrived_at)?;
            }
        }
        let origin = format!("{}/{}/{}+{}", first.stream, first.shard, first.sequence, records.len());
        Ok(Outcome { first_sequence: Some(first.sequence.to_owned()), ..batch.finish(&origin)? })
    }

    /// Conforms a bronze object. Its objects bear its name.
    ///
    /// # Errors
    /// When the Parquet library fails.
    pub fn conform_bronze(&self, bucket: &str, key: &str, object: &[u8]) -> Result<Outcome, ConformError> {
        let content = bronze::content(object);
        let arrived_at = bronze::arrived_at(key);
        let mut batch = Batch::new(self, bronze::name(key).to_owned());
        let mut last = 0;
        for (line, bytes) in lines(&content.bytes) {
            batch.line(bytes, Origin::Bronze { bucket, key, line }, arrived_at)?;
            last = line;
        }
        if let Some(damage) = content.damage {
            let reason = Reason {
                field: String::new(),
                expected: "a whole gzip file".to_owned(),
                actual: damage,
                code: Code::Malformed,
            };
            let patient = Patient { reasons: vec![reason], ..Patient::default() };
            batch.quarantine(
                Kind::MalformedRecord,
                &patient,
                b"",
                Origin::Bronze { bucket, key, line: last + 1 },
                arrived_at,
            )?;
        }
        batch.finish(&format!("{bucket}/{key}"))
    }
}

/// Days of four-digit years are all dates.
fn date(days: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(days).unwrap_or_default()
}

/// The lines that are not blank, numbered from 1.
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
        .filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// The tables of one input.
struct Batch<'c, 'a> {
    conformer: &'c Conformer,
    name: String,
    lanes: Vec<Lane<'c, 'a>>,
    /// The lane of the row that was decoded last.
    current: usize,
    quarantine: BTreeMap<(String, i32), QuarantineFile>,
    counts: BTreeMap<String, Counts>,
}

/// One dataset of the batch.
struct Lane<'c, 'a> {
    contract: &'c Contract,
    layout: &'c TableLayout,
    row: Row<'a>,
    /// Rows taken; compared with what the objects hold.
    received: u64,
    partitions: Partitions,
    children: Vec<(&'c str, &'c TableLayout, Partitions)>,
}

/// Few, and neighbours in the batch mostly share one: the last one is tried first.
#[derive(Default)]
struct Partitions {
    tables: Vec<(PartitionValue, Table)>,
    current: usize,
}

impl Partitions {
    #[inline]
    fn table(&mut self, partition: PartitionValue, layout: &TableLayout) -> &mut Table {
        let is_current = self.tables.get(self.current).is_some_and(|(found, _)| *found == partition);
        if !is_current {
            self.current =
                self.tables.iter().position(|(found, _)| *found == partition).unwrap_or_else(|| {
                    // Room for a whole Lambda payload in the first table; further ones are usually small.
                    let rows = if self.tables.is_empty() { 4096 } else { 64 };
                    self.tables.push((partition, layout.table(rows)));
                    self.tables.len() - 1
                });
        }
        &mut self.tables[self.current].1
    }
}

impl<'c, 'a> Lane<'c, 'a> {
    fn new(conformer: &'c Conformer, contract: &'c Contract) -> Option<Self> {
        let children = contract.children.iter().map(|child| {
            let layout = conformer.tables.get(child)?;
            Some((child.as_str(), layout, Partitions::default()))
        });
        Some(Self {
            contract,
            layout: conformer.tables.get(&contract.dataset)?,
            row: contract.row(),
            received: 0,
            partitions: Partitions::default(),
            children: children.collect::<Option<_>>()?,
        })
    }

    /// Takes over a decoded row. `None` if it belongs nowhere, which its contract rules out.
    fn push(&mut self, row: &Row<'_>) -> Option<()> {
        let partition = self.contract.partition.of(self.contract.partition_value(row))?;
        self.partitions.table(partition, self.layout).push(&row.values);
        self.received += 1;
        for ((_, layout, partitions), rows) in self.children.iter_mut().zip(&row.children) {
            for values in rows {
                partitions.table(partition, layout).push(values);
            }
        }
        Some(())
    }
}

impl<'de> DataReader<'de> for Batch<'_, 'de> {
    #[inline]
    fn read<A: MapAccess<'de>>(&mut self, head: Head<'de>, fields: &mut A) -> Result<(), A::Error> {
        self.current = self.lane(head.dataset).ok_or_else(|| A::Error::custom("no such dataset"))?;
        let lane = &mut self.lanes[self.current];
        fields.next_value_seed(lane.contract.decoder(head.stamp, &mut lane.row))
    }
}

impl<'c, 'a> Batch<'c, 'a> {
    fn new(conformer: &'c Conformer, name: String) -> Self {
        Self {
            conformer,
            name,
            lanes: Vec::new(),
            current: 0,
            quarantine: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The lane of a dataset that can be sent.
    fn lane(&mut self, dataset: &str) -> Option<usize> {
        let sendable =
            |contract: &&Contract| contract.delivery != Delivery::Internal && contract.parent.is_none();
        let found = self.lanes.iter().position(|lane| lane.contract.dataset == dataset);
        match found {
            Some(lane) => Some(lane).filter(|lane| sendable(&self.lanes[*lane].contract)),
            None => {
                let contract = self.conformer.contracts.get(dataset).filter(sendable)?;
                self.lanes.push(Lane::new(self.conformer, contract)?);
                Some(self.lanes.len() - 1)
            }
        }
    }

    fn line(&mut self, bytes: &'a [u8], origin: Origin<'_>, arrived_at: i64) -> Result<(), ConformError> {
        if self.quick(bytes).is_some() {
            return Ok(());
        }
        self.patient(bytes, origin, arrived_at)
    }

    /// The one-pass way, for lines with nothing unusual about them.
    fn quick(&mut self, bytes: &'a [u8]) -> Option<()> {
        let mut deserializer = sonic_rs::Deserializer::from_str(str::from_utf8(bytes).ok()?);
        EnvelopeSeed(self).deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        let lane = &mut self.lanes[self.current];
        let row = std::mem::replace(&mut lane.row, Row { values: Vec::new(), children: Vec::new() });
        let pushed = lane.push(&row);
        lane.row = row;
        pushed
    }

    /// The slow way: for lines whose envelope is spelt in another order, and for those that fail.
    fn patient(&mut self, bytes: &[u8], origin: Origin<'_>, arrived_at: i64) -> Result<(), ConformError> {
        let mut read = Patient::read(bytes);
        if !read.reasons.is_empty() {
            let kind = if read.json { Kind::MalformedEnvelope } else { Kind::MalformedRecord };
            return self.quarantine(kind, &read, bytes, origin, arrived_at);
        }
        let dataset = read.dataset.clone().unwrap_or_default();
        let Some(lane) = self.lane(&dataset) else {
            read.reasons.push(Reason {
                field: "dataset".to_owned(),
                expected: "the name of a dataset that can be sent".to_owned(),
                actual: dataset.chars().take(100).collect(),
                code: Code::NotAllowed,
            });
            return self.quarantine(Kind::UnknownDataset, &read, bytes, origin, arrived_at);
        };
        let lane = &mut self.lanes[lane];
        let (Some(shop), Some(id), Some(received_at), Some(data)) =
            (&read.shop, &read.id, read.received_at, read.data)
        else {
            // No reason was found above, so all of them are there.
            return self.quarantine(Kind::MalformedEnvelope, &read, bytes, origin, arrived_at);
        };
        let data = data.get().as_bytes();
        let mut row = lane.contract.row();
        let stamp = Stamp { shop, envelope_id: id, received_at, backfill: None };
        let decoded = lane.contract.decode(stamp, data, &mut row);
        if decoded.is_ok() && lane.push(&row).is_some() {
            return Ok(());
        }
        read.reasons = lane.contract.explain(stamp, data);
        self.quarantine(Kind::ContractViolation, &read, bytes, origin, arrived_at)
    }

    fn quarantine(
        &mut self,
        kind: Kind,
        read: &Patient<'_>,
        bytes: &[u8],
        origin: Origin<'_>,
        arrived_at: i64,
    ) -> Result<(), ConformError> {
        let known = read.dataset.as_deref().filter(|dataset| {
            self.conformer
                .contracts
                .get(dataset)
                .is_some_and(|contract| contract.delivery != Delivery::Internal)
        });
        let dataset = known.unwrap_or(UNKNOWN);
        let arrived_at = read.received_at.unwrap_or(arrived_at);
        let arrival_day = arrived_at.div_euclid(text::MICROS_PER_DAY) as i32;
        let day = read.subject.as_deref().and_then(batch_day).unwrap_or(arrival_day);

        let file = self.quarantine.entry((dataset.to_owned(), day)).or_default();
        file.add(kind, &read.reasons, known, bytes, origin)?;
        let counts = self.counts.entry(dataset.to_owned()).or_default();
        counts.received += 1;
        counts.quarantined += 1;

        let Some(contract) = self.conformer.contracts.get(QUARANTINED) else { return Ok(()) };
        let reason = read.reasons.first();
        let quarantine_key = (self.conformer.layout.quarantine)(dataset, date(day), &self.name);
        let description = json!({
            "dataset": dataset,
            "envelope_id": read.id.as_deref().unwrap_or(UNKNOWN),
            "batch": read.subject,
            "kind": kind,
            "field": reason.map(|reason| &reason.field),
            "code": reason.map_or(Code::Malformed, |reason| reason.code),
            "expected": reason.map_or("", |reason| &reason.expected),
            "actual": reason.map_or("", |reason| &reason.actual),
            "origin": origin.id(),
            "quarantine_key": quarantine_key,
            "day": text::Day(day).to_string(),
        })
        .to_string();
        let stamp = Stamp {
            shop: read.shop.as_deref().unwrap_or(UNKNOWN),
            envelope_id: read.id.as_deref().unwrap_or(UNKNOWN),
            received_at: arrived_at,
            backfill: None,
        };
        let mut row = contract.row();
        let lane = self.internal_lane(contract);
        let taken = contract.decode(stamp, description.as_bytes(), &mut row).is_ok()
            && lane.is_some_and(|lane| lane.push(&row).is_some());
        if taken { Ok(()) } else { Err(ConformError::Undescribable { dataset: QUARANTINED.to_owned() }) }
    }

    fn internal_lane(&mut self, contract: &'c Contract) -> Option<&mut Lane<'c, 'a>> {
        let position = match self.lanes.iter().position(|lane| lane.contract.dataset == contract.dataset) {
            Some(position) => position,
            None => {
                self.lanes.push(Lane::new(self.conformer, contract)?);
                self.lanes.len() - 1
            }
        };
        self.lanes.get_mut(position)
    }

    fn finish(mut self, origin: &str) -> Result<Outcome, ConformError> {
        let mut objects = Vec::new();
        let layout = self.conformer.layout;
        for lane in self.lanes {
            if lane.contract.delivery != Delivery::Internal {
                self.counts.entry(lane.contract.dataset.clone()).or_default().received += lane.received;
            }
            let own = (lane.contract.dataset.as_str(), lane.layout, lane.partitions);
            for (dataset, table_layout, partitions) in std::iter::once(own).chain(lane.children) {
                for (partition, table) in partitions.tables {
                    let rows = table.rows as u64;
                    let metadata = vec![
                        KeyValue::new("shoplake.rows".to_owned(), rows.to_string()),
                        KeyValue::new("shoplake.origin".to_owned(), origin.to_owned()),
                        KeyValue::new("shoplake.processor".to_owned(), PROCESSOR.id()),
                    ];
                    let parquet = table_layout
                        .parquet(table, metadata)
                        .map_err(|source| ConformError::Parquet { dataset: dataset.to_owned(), source })?;
                    if lane.contract.delivery != Delivery::Internal {
                        let counts = self.counts.entry(dataset.to_owned()).or_default();
                        counts.silver_rows += rows;
                        if dataset != lane.contract.dataset {
                            counts.received += rows;
                        }
                        counts.bytes += parquet.len() as u64;
                    }
                    let key = (layout.silver)(dataset, &partition.to_string(), &self.name);
                    objects.push(OutputObject { key, bytes: Bytes::from(parquet) });
                }
            }
        }
        for ((dataset, day), file) in self.quarantine {
            let key = (layout.quarantine)(&dataset, date(day), &self.name);
            objects.push(OutputObject { key, bytes: Bytes::from(file.finish()?) });
        }
        objects.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(Outcome { objects, counts: self.counts, first_sequence: None })
    }
}

/// The day that a batch is of: it is named after it (`2010-12-01`), or after an hour of it (`2026-11-21T10`).
fn batch_day(subject: &str) -> Option<i32> {
    text::parse_date(subject.split_once('T').map_or(subject, |(day, _)| day))
}
