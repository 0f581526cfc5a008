//! Turns a page of rows into envelope lines, and counts them.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use shoplake_contracts::{
    Contracts, Partition, Reason, RowMetadata, RunId,
    envelope::{Envelope, MAX_RECORD_BYTES, oversized_beginning},
};

use crate::seen_rows::{SeenRows, Sighting};
use crate::{Batch, Dataset, Destination};

/// The dataset of control totals.
const CONTROL_TOTALS: &str = "control_totals";
const CONTROL_TOTALS_SCHEMA: &str =
    include_str!("../../../crates/contracts/schemas/control_totals.json");

/// Totals of what a batch has sent so far.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Rows: distinct keys.
    pub(crate) rows: u64,
    /// Sum of the quantities of the rows that their contract accepts. Wider than a quantity, so
    /// that no number of rows overflows it.
    pub(crate) quantity_sum: i128,
    /// The latest `receivedat` that a row was sent with.
    pub(crate) received_at: DateTime<Utc>,
    /// The rows themselves, where the source may repeat them.
    pub(crate) seen: Option<SeenRows>,
    /// The days or hours of the rows since the run began.
    pub(crate) partitions: HashSet<Partition>,
}

/// The envelopes of one page.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Envelopes, one per row.
    pub(crate) lines: Vec<Vec<u8>>,
    /// Rows that the source handed out again; they are left out.
    pub(crate) repeated: usize,
    /// Rows that the source handed out again with other content; they are sent.
    pub(crate) changed: usize,
    /// The digest of the rows in the envelopes. It does not depend on the time of the call or on
    /// the run.
    pub(crate) digest: String,
}

/// Writes the envelopes of one batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnvelopeWriter<'a> {
    pub(crate) batch: &'a Batch,
    pub(crate) dataset: &'a Dataset,
    pub(crate) destination: &'a Destination,
    pub(crate) run: &'a RunId,
}

impl EnvelopeWriter<'_> {
    /// Wraps the rows of a page and adds them to the totals.
    pub(crate) fn wrap(
        &self,
        rows: &[Box<RawValue>],
        now: DateTime<Utc>,
        totals: &mut Totals,
    ) -> Result<Lines, serde_json::Error> {
        let metadata = self.metadata(now);
        let mut wrapped = Lines::default();
        let mut content = Sha256::new();
        for row in rows {
            let mut summary = self.dataset.summarize(metadata, row);
            totals.partitions.extend(summary.partition);
            let id = self.batch.row_id(&summary.key);
            let time = summary.occurred_at.as_deref();
            let mut line = self.row(&id, time, now, row)?;
            if line.len() > MAX_RECORD_BYTES {
                tracing::warn!(
                    shop_id = %self.destination.shop,
                    batch = self.batch.name,
                    row = summary.key,
                    row_bytes = row.get().len(),
                    line_bytes = line.len(),
                    limit_bytes = MAX_RECORD_BYTES,
                    "a row is too large for a record of the stream: its beginning is sent and will \
                     be in quarantine; have the source send smaller rows"
                );
                line = self.oversized(&id, now, row)?;
                summary.quantity = None;
            }
            let sighting = match &mut totals.seen {
                Some(seen) => seen.record(&summary.key, row.get(), summary.quantity),
                None => Sighting::New,
            };
            let quantity = i128::from(summary.quantity.unwrap_or(0));
            match sighting {
                Sighting::New => {
                    totals.rows += 1;
                    totals.quantity_sum += quantity;
                    totals.received_at = totals.received_at.max(now);
                }
                Sighting::Repeated => {
                    wrapped.repeated += 1;
                    continue;
                }
                Sighting::Changed { quantity: replaced } => {
                    wrapped.changed += 1;
                    if summary.quantity.is_some() {
                        totals.quantity_sum += quantity - i128::from(replaced);
                        // Of rows with one key silver takes the one received last, so this one has
                        // to be later.
                        totals.received_at =
                            totals.received_at.max(now) + TimeDelta::microseconds(1);
                        line = self.row(&id, time, totals.received_at, row)?;
                    }
                }
            }
            // The lengths keep two different pages from having the same bytes.
            for part in [&*id, row.get(), &format!("{:?}", summary.quantity)] {
                content.update((part.len() as u64).to_le_bytes());
                content.update(part);
            }
            wrapped.lines.push(line);
        }
        wrapped.digest = hex::encode(content.finalize());
        Ok(wrapped)
    }

    fn row(
        &self,
        id: &str,
        time: Option<&str>,
        received_at: DateTime<Utc>,
        row: &RawValue,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let mut envelope = self.envelope(self.dataset.name(), id, received_at, row);
        if let Some(time) = time {
            envelope = envelope.with_time(time);
        }
        envelope.to_line()
    }

    /// Returns the envelope of a row that is too large for a record: its size and its beginning.
    fn oversized(
        &self,
        id: &str,
        received_at: DateTime<Utc>,
        row: &RawValue,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let beginning = oversized_beginning(row.get())?;
        let envelope = self.envelope(self.dataset.name(), id, received_at, &beginning);
        envelope.with_oversized_bytes(row.get().len()).to_line()
    }

    /// Returns the envelope of the control total.
    pub(crate) fn control_total(
        &self,
        totals: &Totals,
        completed_at: DateTime<Utc>,
    ) -> Result<Vec<u8>, serde_json::Error> {
        let completed = completed_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let data = to_raw_value(&ControlTotal {
            dataset: self.dataset.name(),
            batch: &self.batch.name,
            run: self.run,
            business_date: self.batch.business_date,
            row_count: totals.rows,
            quantity_sum: totals.quantity_sum,
            completed_at: completed.clone(),
        })?;
        if let Some(reason) = self.reason_against(&data, completed_at) {
            tracing::warn!(
                shop_id = %self.destination.shop,
                batch = self.batch.name,
                %reason,
                "the contract control_totals rejects the batch's control total: it will be in \
                 quarantine, and this delivery does not count"
            );
        }
        let id = self.batch.control_total_id();
        self.envelope(CONTROL_TOTALS, &id, completed_at, &data).with_time(completed).to_line()
    }

    /// Returns why the contract rejects a control total, such as a sum beyond its bounds.
    fn reason_against(&self, data: &RawValue, received_at: DateTime<Utc>) -> Option<Reason> {
        let contracts = Contracts::from_sources([(CONTROL_TOTALS, CONTROL_TOTALS_SCHEMA)]).ok()?;
        let metadata = self.metadata(received_at);
        let reasons =
            contracts.get(CONTROL_TOTALS)?.validate(metadata, data.get().as_bytes()).err()?;
        reasons.into_iter().next()
    }

    /// Returns the metadata of a row that is received now.
    fn metadata(&self, received_at: DateTime<Utc>) -> RowMetadata<'_> {
        RowMetadata {
            batch: Some(&self.batch.name),
            run: Some(self.run.as_str()),
            ..self.destination.row_metadata(received_at)
        }
    }

    fn envelope<'e>(
        &'e self,
        dataset: &'e str,
        id: &'e str,
        received_at: DateTime<Utc>,
        data: &'e RawValue,
    ) -> Envelope<'e> {
        let envelope =
            Envelope::new(&self.batch.shop, self.batch.connector, dataset, id, received_at, data)
                .with_subject(&self.batch.name)
                .with_run(self.run);
        match &self.destination.backfill {
            Some(backfill) => envelope.with_backfill(backfill),
            None => envelope,
        }
    }
}

/// One row of the dataset `control_totals`.
#[derive(Serialize)]
struct ControlTotal<'a> {
    dataset: &'a str,
    batch: &'a str,
    run: &'a RunId,
    business_date: NaiveDate,
    row_count: u64,
    quantity_sum: i128,
    completed_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "2010-12-02T05:00:00.000000Z";

    /// Calls `act` with the writer of a batch.
    fn with_writer<T>(backfill: Option<&str>, act: impl FnOnce(EnvelopeWriter<'_>) -> T) -> T {
        let destination = Destination {
            shop: "acme".parse().unwrap(),
            stream_name: String::new(),
            lake_bucket: String::new(),
            backfill: backfill.map(|name| name.parse().unwrap()),
        };
        let batch = Batch {
            shop: destination.shop.clone(),
            connector: "pos",
            name: "2010-12-01".to_owned(),
            business_date: "2010-12-01".parse().unwrap(),
        };
        let schema = shoplake_testing::schema("pos_sales");
        let dataset = Dataset::new("pos_sales", &schema, Some("quantity")).unwrap();
        let run = RUN.parse().unwrap();
        act(EnvelopeWriter {
            batch: &batch,
            dataset: &dataset,
            destination: &destination,
            run: &run,
        })
    }

    fn wrap(backfill: Option<&str>, row: &str) -> String {
        let rows = [RawValue::from_string(row.to_owned()).unwrap()];
        let now = DateTime::UNIX_EPOCH;
        let wrapped =
            with_writer(backfill, |writer| writer.wrap(&rows, now, &mut Totals::default()));
        String::from_utf8(wrapped.unwrap().lines.remove(0)).unwrap()
    }

    #[test]
    fn the_json_of_a_row_is_kept_digit_by_digit() {
        let row = r#"{"z":1.10,"a":10000000000000000000000001,"note":"é \u00e9"}"#;

        assert!(wrap(None, row).ends_with(&format!("\"data\":{row}}}\n")));
    }

    #[test]
    fn the_digest_of_a_page_depends_on_its_rows_alone() {
        let digest = |rows: &[&str], now| {
            let raw = |row: &&str| RawValue::from_string((*row).to_owned()).unwrap();
            let rows: Vec<_> = rows.iter().map(raw).collect();
            with_writer(None, |writer| {
                writer.wrap(&rows, now, &mut Totals::default()).unwrap().digest
            })
        };
        let (now, later) = (DateTime::UNIX_EPOCH, DateTime::UNIX_EPOCH + TimeDelta::hours(1));
        let page = digest(&[r#"{"a":1}"#, r#"{"b":2}"#], now);

        assert_eq!(digest(&[r#"{"a":1}"#, r#"{"b":2}"#], later), page);
        for other in [&[r#"{"a":1}"#][..], &[r#"{"a":1}"#, r#"{"b":3}"#], &[]] {
            assert_ne!(digest(other, now), page, "{other:?}");
        }
    }

    #[test]
    fn a_backfill_is_in_the_envelopes_of_rows_and_totals() {
        for backfill in [None, Some("history-2010")] {
            let total = with_writer(backfill, |writer| {
                writer.control_total(&Totals::default(), DateTime::UNIX_EPOCH).unwrap()
            });
            let lines = [wrap(backfill, "{}"), String::from_utf8(total).unwrap()];
            for line in lines {
                let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
                assert_eq!(envelope.backfill.as_deref(), backfill, "{line}");
            }
        }
    }

    #[test]
    fn rows_and_totals_name_their_batch_and_run() {
        let total = with_writer(None, |writer| {
            writer.control_total(&Totals::default(), DateTime::UNIX_EPOCH).unwrap()
        });
        for line in [wrap(None, "{}"), String::from_utf8(total).unwrap()] {
            let envelope: Envelope<'_> = serde_json::from_str(&line).unwrap();
            let named = (envelope.subject.as_deref(), envelope.run.as_deref());
            assert_eq!(named, (Some("2010-12-01"), Some(RUN)), "{line}");
        }
    }

    #[test]
    fn a_control_total_says_what_was_sent() {
        let totals = Totals { rows: 3, quantity_sum: -1, ..Totals::default() };

        let line = with_writer(None, |writer| writer.control_total(&totals, DateTime::UNIX_EPOCH));

        let line = line.unwrap();
        let envelope: Envelope<'_> = serde_json::from_slice(&line).unwrap();
        assert_eq!(
            (&*envelope.id, &*envelope.dataset),
            ("pos/2010-12-01/control-total", "control_totals")
        );
        let expected = concat!(
            r#"{"dataset":"pos_sales","batch":"2010-12-01","run":"2010-12-02T05:00:00.000000Z","#,
            r#""business_date":"2010-12-01","#,
            r#""row_count":3,"quantity_sum":-1,"completed_at":"1970-01-01T00:00:00.000000Z"}"#
        );
        assert_eq!(envelope.data.get(), expected);
    }
}
