//! Turns a page of rows into envelope lines, and counts them.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use shoplake_contracts::envelope::Envelope;

use crate::{Batch, Checkpoint, Facts, Page};

/// The dataset of control totals.
const CONTROL_TOTALS: &str = "control_totals";

/// What one page adds to a batch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines {
    /// Envelopes, one per row.
    pub(crate) lines: Vec<Vec<u8>>,
    /// Sum of the quantities that are numbers.
    pub(crate) quantity_sum: i64,
    /// Rows that the source handed out again.
    pub(crate) repeated: usize,
    /// Recognises the page's rows, should the next page repeat them.
    pub(crate) fingerprints: Vec<String>,
}

/// Wraps the rows of the page that follows `progress`.
///
/// A source whose data shifts between two requests hands out a row again, on the same page or the next one. Where key and
/// bytes are the same it is the same row and is left out, or the control total would count it twice and match nothing.
pub(crate) fn wrap(
    batch: &Batch,
    describe: fn(&RawValue) -> Facts,
    progress: &Checkpoint,
    page: &Page,
    received_at: DateTime<Utc>,
) -> Result<Lines, serde_json::Error> {
    let mut seen: HashSet<String> = progress.last_page.iter().cloned().collect();
    let mut wrapped = Lines::default();
    for row in &page.rows {
        let facts = describe(row);
        if let Some(key) = &facts.key {
            let fingerprint = fingerprint(key, row);
            wrapped.fingerprints.push(fingerprint.clone());
            if !seen.insert(fingerprint) {
                wrapped.repeated += 1;
                continue;
            }
        }
        let position = progress.rows + wrapped.lines.len() as u64 + 1;
        let id = facts.key.map_or_else(|| batch.position_id(position), |key| batch.row_id(&key));
        let envelope = Envelope::new(&batch.shop, batch.connector, batch.dataset, id, received_at, row)
            .with_subject(&batch.name);
        let envelope = match facts.occurred_at {
            Some(time) => envelope.with_time(time),
            None => envelope,
        };
        wrapped.lines.push(envelope.to_line()?);
        wrapped.quantity_sum += facts.quantity.map_or(0, i64::from);
    }
    Ok(wrapped)
}

fn fingerprint(key: &str, row: &RawValue) -> String {
    let digest = Sha256::new().chain_update(key).chain_update([0]).chain_update(row.get()).finalize();
    hex::encode(&digest[..8])
}

/// One row of the dataset `control_totals`.
#[derive(Serialize)]
struct ControlTotal<'a> {
    dataset: &'a str,
    batch: &'a str,
    business_date: NaiveDate,
    row_count: u64,
    quantity_sum: i64,
    completed_at: String,
}

/// What the whole batch came to.
pub(crate) fn control_total(
    batch: &Batch,
    progress: &Checkpoint,
    completed_at: DateTime<Utc>,
) -> Result<Vec<u8>, serde_json::Error> {
    let completed = completed_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    let data = to_raw_value(&ControlTotal {
        dataset: batch.dataset,
        batch: &batch.name,
        business_date: batch.business_date,
        row_count: progress.rows,
        quantity_sum: progress.quantity_sum,
        completed_at: completed.clone(),
    })?;
    let id = batch.control_total_id();
    Envelope::new(&batch.shop, batch.connector, CONTROL_TOTALS, id, completed_at, &data)
        .with_subject(&batch.name)
        .with_time(completed)
        .to_line()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch {
            shop: "acme".parse().unwrap(),
            connector: "pos",
            dataset: "pos_sales",
            name: "2010-12-01".to_owned(),
            business_date: NaiveDate::from_ymd_opt(2010, 12, 1).unwrap(),
        }
    }

    /// A row is its own key, unless it starts with a minus.
    fn describe(row: &RawValue) -> Facts {
        let key = Some(format!("t/{}", row.get())).filter(|key| !key.contains('-'));
        Facts { key, quantity: row.get().parse().ok(), occurred_at: None }
    }

    fn page(rows: &[&str]) -> Page {
        let rows = rows.iter().map(|row| RawValue::from_string((*row).to_owned()).unwrap()).collect();
        Page { rows, next_cursor: None }
    }

    fn wrap_page(progress: &Checkpoint, rows: &[&str]) -> Lines {
        wrap(&batch(), describe, progress, &page(rows), DateTime::UNIX_EPOCH).unwrap()
    }

    fn ids(lines: &Lines) -> Vec<String> {
        let id = |line: &Vec<u8>| serde_json::from_slice::<Envelope<'_>>(line).unwrap().id.into_owned();
        lines.lines.iter().map(id).collect()
    }

    #[test]
    fn given_rows_then_their_json_is_kept_digit_by_digit() {
        let row = r#"{"z":1.10,"a":10000000000000000000000001,"note":"é \u00e9"}"#;

        let line = wrap_page(&Checkpoint::default(), &[row]).lines.remove(0);

        assert!(String::from_utf8(line).unwrap().ends_with(&format!("\"data\":{row}}}\n")));
    }

    #[test]
    fn given_rows_without_a_key_then_their_id_is_their_position_in_the_batch() {
        let progress = Checkpoint { rows: 10, ..Checkpoint::default() };

        let lines = wrap_page(&progress, &["1", "-2", "-2"]);

        assert_eq!(ids(&lines), ["pos/2010-12-01/t/1", "pos/2010-12-01/row-12", "pos/2010-12-01/row-13"]);
        assert_eq!(
            (lines.quantity_sum, lines.repeated),
            (-3, 0),
            "rows without a key are never the same row"
        );
    }

    #[test]
    fn given_a_row_on_two_pages_in_a_row_then_it_is_counted_once() {
        let first = wrap_page(&Checkpoint::default(), &["1", "2", "2"]);
        let progress = Checkpoint { rows: 2, last_page: first.fingerprints, ..Checkpoint::default() };

        let second = wrap_page(&progress, &["2", "3"]);

        assert_eq!((first.lines.len(), first.quantity_sum, first.repeated), (2, 3, 1));
        assert_eq!((second.lines.len(), second.quantity_sum, second.repeated), (1, 3, 1));
    }

    #[test]
    fn given_quantities_that_are_no_numbers_then_the_rows_count_and_add_nothing() {
        let lines = wrap_page(&Checkpoint::default(), &["\"six\"", "null", "2.5", "99999999999", "4"]);

        assert_eq!((lines.lines.len(), lines.quantity_sum), (5, 4));
    }

    #[test]
    fn given_a_finished_batch_then_its_control_total_says_so() {
        let progress = Checkpoint { rows: 3, quantity_sum: -1, ..Checkpoint::default() };

        let line = control_total(&batch(), &progress, DateTime::UNIX_EPOCH).unwrap();

        let envelope: Envelope<'_> = serde_json::from_slice(&line).unwrap();
        assert_eq!(envelope.id, "pos/2010-12-01/control-total");
        assert_eq!(envelope.dataset, "control_totals");
        assert_eq!(
            envelope.data.get(),
            r#"{"dataset":"pos_sales","batch":"2010-12-01","business_date":"2010-12-01","row_count":3,"quantity_sum":-1,"completed_at":"1970-01-01T00:00:00.000000Z"}"#
        );
    }
}
