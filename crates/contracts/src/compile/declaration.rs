//! The block `x-dataset`: everything about a dataset except its fields.

use std::time::Duration;

use shoplake_jobs::ColumnType;

use super::keyword::{Compiled, list, only_keywords, problem};
use crate::column::Column;
use crate::contract::{Completeness, Contract, ControlSum, Delivery, Parent};
use crate::json::Json;
use crate::partitioning::Partitioning;
use crate::window::TimeWindow;

/// `x-dataset`.
pub(super) struct Declaration {
    pub(super) sources: Vec<String>,
    pub(super) delivery: Delivery,
    pub(super) key: Vec<String>,
    pub(super) version: Option<String>,
    pub(super) event_time: String,
    pub(super) partition: Partitioning,
    pub(super) batch: Option<Partitioning>,
    pub(super) complete: Option<Completeness>,
    pub(super) copies_within_days: Option<u16>,
    pub(super) belongs_to: Option<Parent>,
    pub(super) generation: u32,
    pub(super) sort: Vec<String>,
    pub(super) personal: Vec<String>,
    pub(super) fresh_within: Option<Duration>,
    pub(super) accepts: Option<TimeWindow>,
}

impl Declaration {
    pub(super) fn read(block: &Json) -> Compiled<Self> {
        let at = "/x-dataset";
        let known = [
            "source",
            "delivery",
            "key",
            "version",
            "event_time",
            "partition",
            "sort",
            "personal",
            "fresh_within",
            "accepts",
            "batch",
            "complete",
            "copies_within_days",
            "parent",
            "generation",
        ];
        only_keywords(block, at, &known)?;
        let texts = |name: &str| -> Compiled<Vec<String>> {
            list(block, at, name)?
                .iter()
                .map(|value| {
                    value
                        .as_str()
                        .map(str::to_owned)
                        .map_or_else(|| problem(&format!("{at}/{name}"), "expected strings"), Ok)
                })
                .collect()
        };
        let text = |name: &str| match block.get(name) {
            Some(Json::Text(text)) => Ok(text.clone()),
            _ => problem(&format!("{at}/{name}"), "expected a string"),
        };
        let delivery = match text("delivery")?.as_str() {
            "stream" => Delivery::Stream,
            "batch" => Delivery::Batch,
            "internal" => Delivery::Internal,
            other => {
                return problem(
                    &format!("{at}/delivery"),
                    format!("expected stream, batch or internal, found {other:?}"),
                );
            }
        };
        let sources = match block.get("source") {
            Some(Json::Text(source)) => vec![source.clone()],
            _ => texts("source")?,
        };
        if sources.is_empty() != (delivery == Delivery::Internal) {
            return problem(
                &format!("{at}/source"),
                "a dataset has a source unless its delivery is internal",
            );
        }
        let version = match block.get("version") {
            None | Some(Json::Null) => None,
            Some(_) => Some(text("version")?),
        };
        let partition = match text("partition")?.parse() {
            Ok(partition) => partition,
            Err(error) => return problem(&format!("{at}/partition"), format!("{error}")),
        };
        let fresh_within = match block.get("fresh_within") {
            None | Some(Json::Null) => None,
            Some(_) => Some(duration_at(&format!("{at}/fresh_within"), &text("fresh_within")?)?),
        };
        if fresh_within.is_some() && delivery == Delivery::Internal {
            return problem(
                &format!("{at}/fresh_within"),
                "an internal dataset has no schedule, so it cannot be late",
            );
        }
        let accepts = accepts(block, at, delivery, &partition)?;
        let batch = match block.get("batch") {
            None | Some(Json::Null) => None,
            Some(_) => Some(batch(&text("batch")?, at, delivery, &partition)?),
        };
        let complete = completeness(block, at, batch.is_some())?;
        if batch.is_some() && fresh_within.is_none() {
            return problem(
                &format!("{at}/batch"),
                "a delivery whose rows do not all arrive does not count, and only the freshness \
                 check alerts people: expected \"fresh_within\", the time within which a delivery \
                 has to be complete, such as \"P2D\"",
            );
        }
        let number = |name: &str, least: u32, most: u32| match block.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::Integer(number))
                if (i64::from(least)..=i64::from(most)).contains(number) =>
            {
                Ok(u32::try_from(*number).ok())
            }
            Some(other) => problem(
                &format!("{at}/{name}"),
                format!("expected an integer from {least} to {most}, found {other}"),
            ),
        };
        let copies_within_days = number("copies_within_days", 0, MAX_COPIES_WITHIN_DAYS)?;
        let copies_within_days = copies_within_days.and_then(|days| u16::try_from(days).ok());
        let generation = number("generation", 1, MAX_GENERATION)?.unwrap_or(1);
        let belongs_to = match block.get("parent") {
            None | Some(Json::Null) => None,
            Some(parent) => Some(belongs_to(parent, &format!("{at}/parent"))?),
        };
        Ok(Self {
            batch,
            complete,
            copies_within_days,
            belongs_to,
            generation,
            sources,
            delivery,
            key: texts("key")?,
            version,
            event_time: text("event_time")?,
            partition,
            sort: texts("sort")?,
            personal: texts("personal")?,
            fresh_within,
            accepts,
        })
    }

    /// Checks that the named columns exist and have suitable types.
    pub(super) fn check(&self, columns: &[Column]) -> Compiled<()> {
        let find = |part: &str, name: &str| match column(columns, name) {
            Some((_, column)) => Ok(column),
            None => problem(
                &format!("/x-dataset/{part}"),
                format!("{name:?} is not a column (nested fields are named with '_')"),
            ),
        };
        let reject = |part: &str, name: &str, text: &str| {
            problem(&format!("/x-dataset/{part}"), format!("{name:?} {text}"))
        };
        for (part, names) in [("key", &self.key), ("sort", &self.sort)] {
            if names.first().map(String::as_str) != Some("shop_id") {
                return problem(&format!("/x-dataset/{part}"), "must start with shop_id");
            }
        }
        for name in &self.key {
            if find("key", name)?.nullable {
                return reject("key", name, "may be null; a key's columns must be required");
            }
        }
        for name in &self.sort {
            find("sort", name)?;
        }
        if let Some(version) = &self.version
            && find("version", version)?.nullable
        {
            return reject(
                "version",
                version,
                "may be null; then it does not decide which row is newer",
            );
        }
        if find("event_time", &self.event_time)?.column_type != ColumnType::Timestamp {
            return reject("event_time", &self.event_time, "must be a date-time");
        }
        if let Some(sum) = self.complete.as_ref().and_then(|complete| complete.sum.as_ref()) {
            let added_up = find("complete", &sum.column)?;
            if added_up.nullable || added_up.column_type != ColumnType::Bigint {
                return reject(
                    "complete",
                    &sum.column,
                    "must be a required integer, because control totals add it up",
                );
            }
        }
        let sent_at = column(columns, Contract::TRIGGERED_AT).map(|_| Contract::TRIGGERED_AT);
        if let (Some(_), Some(name)) = (&self.batch, self.version.as_deref().or(sent_at)) {
            return reject(
                "batch",
                name,
                "would decide between rows of one key, but the control total of a delivery has the \
                 quantity of the row sent last, so the delivery might never be complete; remove \
                 \"version\" and the field \"triggered_at\": the newest delivery counts",
            );
        }
        if let Some(parent) = &self.belongs_to {
            for name in parent.key.iter().chain(&parent.version) {
                if find("parent", name)?.nullable {
                    return reject(
                        "parent",
                        name,
                        "may be null; the parent of a row must be known",
                    );
                }
            }
        }
        let name = self.partition.column();
        let decides = find("partition", name)?;
        let possible = match self.partition {
            Partitioning::Day(_) => {
                matches!(decides.column_type, ColumnType::Timestamp | ColumnType::Date)
            }
            Partitioning::Hour(_) => decides.column_type == ColumnType::Timestamp,
            Partitioning::Bucket { .. } => {
                matches!(decides.column_type, ColumnType::String | ColumnType::Bigint)
            }
        };
        if decides.nullable || !possible {
            return reject(
                "partition",
                name,
                "must be required, and a date-time or date (day), a date-time (hour), a string or \
                 integer (bucket)",
            );
        }
        self.check_place()
    }

    /// Checks that rows with one key lie where they are found together. Otherwise a row whose
    /// partition column is corrected would count in both partitions.
    fn check_place(&self) -> Compiled<()> {
        let name = self.partition.column();
        let is_by_bucket = matches!(self.partition, Partitioning::Bucket { .. });
        let is_in_key = self.key.iter().any(|column| column == name);
        let is_stable = is_by_bucket || is_in_key || self.batch.is_some();
        match self.copies_within_days {
            None if !is_stable => problem(
                "/x-dataset/partition",
                format!(
                    "{name:?} may change under the key ({}), so that a row and its correction \
                     count in two partitions; expected {name:?} in \"key\", or \"bucket(...)\", or \
                     \"batch\" if each delivery replaces a whole day or hour, or \
                     \"copies_within_days\": how many days may lie between rows with one key that \
                     count once (0: on another day the same key is another row)",
                    self.key.join(", ")
                ),
            ),
            Some(_) if is_stable => problem(
                "/x-dataset/copies_within_days",
                format!(
                    "has no effect: rows with one key are in one place, as {name:?} is in the key, \
                     the dataset is by bucket, or its batches are snapshots; remove it"
                ),
            ),
            _ => Ok(()),
        }
    }
}

/// The most days between copies of a row: each is read by every model, on both sides.
const MAX_COPIES_WITHIN_DAYS: u32 = 31;

const MAX_GENERATION: u32 = 9_999;

/// Returns what a batch is. It lies within one partition, so that a model that reads a partition
/// has all rows of its batches.
fn batch(
    text: &str,
    at: &str,
    delivery: Delivery,
    partition: &Partitioning,
) -> Compiled<Partitioning> {
    let at = format!("{at}/batch");
    if delivery != Delivery::Batch {
        return problem(&at, "only a dataset with \"delivery\": \"batch\" has batches");
    }
    let batch: Partitioning = match text.parse() {
        Ok(batch) => batch,
        Err(error) => return problem(&at, format!("{error}")),
    };
    let is_within = match (&batch, partition) {
        (Partitioning::Day(one), Partitioning::Day(other))
        | (Partitioning::Hour(one), Partitioning::Hour(other) | Partitioning::Day(other)) => {
            one == other
        }
        _ => false,
    };
    if is_within {
        return Ok(batch);
    }
    problem(
        &at,
        format!(
            "{batch} does not lie within a partition, {partition}: expected day(column) or \
             hour(column) of the partition's column; leave \"batch\" out if a batch is not all \
             rows of a day or an hour"
        ),
    )
}

/// Returns when a run of a batch is complete.
fn completeness(block: &Json, at: &str, has_batches: bool) -> Compiled<Option<Completeness>> {
    let usage = "expected {\"count\": \"row_count\", \"sum\": {\"quantity\": \"quantity_sum\"}}: \
                 the column of control_totals with the number of rows, and a column of this \
                 dataset with the column of control_totals that has its sum; leave \"sum\" out if \
                 the rows have no quantity";
    let declared = match block.get("complete") {
        None | Some(Json::Null) if has_batches => {
            return problem(
                &format!("{at}/batch"),
                format!(
                    "a delivery of a batch counts once it is complete, so \"complete\" has to say \
                     when it is: {usage}"
                ),
            );
        }
        None | Some(Json::Null) => return Ok(None),
        Some(declared) => declared,
    };
    let at = format!("{at}/complete");
    if !has_batches {
        return problem(&at, "has no effect without \"batch\"; remove it");
    }
    only_keywords(declared, &at, &["count", "sum"])?;
    let Some(Json::Text(count)) = declared.get("count") else { return problem(&at, usage) };
    let sum = match declared.get("sum") {
        None | Some(Json::Null) => None,
        Some(Json::Object(sums)) => match &sums[..] {
            [(column, Json::Text(total))] => {
                Some(ControlSum { column: column.clone(), total: total.clone() })
            }
            _ => return problem(&at, usage),
        },
        Some(_) => return problem(&at, usage),
    };
    Ok(Some(Completeness { count: count.clone(), sum }))
}

/// Returns the parent that a dataset declares.
fn belongs_to(block: &Json, at: &str) -> Compiled<Parent> {
    only_keywords(block, at, &["dataset", "key", "version"])?;
    let text = |name: &str| match block.get(name) {
        Some(Json::Text(text)) => Ok(text.clone()),
        _ => problem(
            &format!("{at}/{name}"),
            "expected a string: {\"dataset\": \"orders\", \"key\": [\"shop_id\", \"order_id\"], \
             \"version\": \"updated_at\"}",
        ),
    };
    let mut key = Vec::new();
    for name in list(block, at, "key")? {
        let Some(name) = name.as_str() else {
            return problem(&format!("{at}/key"), "expected strings");
        };
        key.push(name.to_owned());
    }
    if key.len() < 2 || key[0] != "shop_id" {
        return problem(
            &format!("{at}/key"),
            "expected the key of the parent, such as [\"shop_id\", \"order_id\"]",
        );
    }
    Ok(Parent { dataset: text("dataset")?, key, version: Some(text("version")?) })
}

/// Returns the declared window of accepted times, or else the default window of a dataset that is
/// partitioned by time and can be sent.
fn accepts(
    block: &Json,
    at: &str,
    delivery: Delivery,
    partition: &Partitioning,
) -> Compiled<Option<TimeWindow>> {
    let at = format!("{at}/accepts");
    let declared = match block.get("accepts") {
        None | Some(Json::Null) => {
            let is_by_time = matches!(partition, Partitioning::Day(_) | Partitioning::Hour(_));
            let has_default = delivery != Delivery::Internal && is_by_time;
            return Ok(has_default.then_some(TimeWindow::DEFAULT));
        }
        Some(declared) => declared,
    };
    if delivery == Delivery::Internal {
        return problem(
            &at,
            "an internal dataset can't be sent, so it has no window of accepted times",
        );
    }
    only_keywords(declared, &at, &["past", "future"])?;
    let bound = |name: &str| match declared.get(name) {
        Some(Json::Text(text)) => duration_at(&format!("{at}/{name}"), text),
        _ => problem(&format!("{at}/{name}"), "expected a duration such as P400D"),
    };
    Ok(Some(TimeWindow { past: bound("past")?, future: bound("future")? }))
}

fn duration_at(at: &str, text: &str) -> Compiled<Duration> {
    duration(text).map_or_else(
        || {
            let expected = "expected days, hours and minutes such as P2D, PT3H or P1DT12H";
            problem(at, format!("{expected}, found {text:?}"))
        },
        Ok,
    )
}

/// Parses a positive ISO 8601 duration of days, hours and minutes. Months and years have no fixed
/// length, so they are not accepted.
fn duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix('P')?;
    let (date, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (text, ""),
    };
    let (days, after_days) = amount(date, 'D')?;
    let (hours, time) = amount(time, 'H')?;
    let (minutes, after_minutes) = amount(time, 'M')?;
    let minutes = (days * 24 + hours) * 60 + minutes;
    let is_whole = after_days.is_empty() && after_minutes.is_empty() && minutes > 0;
    is_whole.then(|| Duration::from_secs(minutes * 60))
}

/// Returns the number before `unit` at the beginning of the text, and the rest of the text; 0 if
/// the text does not have the unit.
fn amount(text: &str, unit: char) -> Option<(u64, &str)> {
    let Some((number, rest)) = text.split_once(unit) else { return Some((0, text)) };
    let is_number =
        (1..=5).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some((number.parse().ok()?, rest)))?
}

/// Returns the position and the column of this name.
pub(super) fn column<'c>(columns: &'c [Column], name: &str) -> Option<(usize, &'c Column)> {
    columns.iter().enumerate().find(|(_, column)| column.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_days_hours_and_minutes() {
        let minutes = |text| duration(text).map(|duration| duration.as_secs() / 60);
        assert_eq!(minutes("P2D"), Some(2 * 24 * 60));
        assert_eq!(minutes("PT3H"), Some(180));
        assert_eq!(minutes("PT90M"), Some(90));
        assert_eq!(minutes("P1DT12H30M"), Some(36 * 60 + 30));
        for text in [
            "", "P", "PT", "P1DT", "2D", "P2", "P0D", "PT0H", "P1M", "P1Y", "P-1D", "PT1S",
            "PT1M1H", "P1.5D", "PD", "P2D3",
        ] {
            assert_eq!(minutes(text), None, "{text}");
        }
    }
}
