//! The block `x-dataset`: what a dataset is, besides its fields.

use std::time::Duration;

use super::keyword::{Compiled, list, only_keywords, problem};
use shoplake_jobs::ColumnType;

use crate::column::Column;
use crate::contract::Delivery;
use crate::json::Json;
use crate::partition::Partitioning;
use crate::window::TimeWindow;

/// `x-dataset`.
pub(super) struct Declaration {
    pub(super) sources: Vec<String>,
    pub(super) delivery: Delivery,
    pub(super) key: Vec<String>,
    pub(super) version: Option<String>,
    pub(super) event_time: String,
    pub(super) partition: Partitioning,
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
                "an internal dataset is written when there is something to write, so it cannot be late",
            );
        }
        let accepts = accepts(block, at, delivery, &partition)?;
        Ok(Self {
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

    /// Whether what it names is there, and is what it has to be.
    pub(super) fn check(&self, columns: &[Column]) -> Compiled<()> {
        let find = |part: &str, name: &str| match column(columns, name) {
            Some((_, column)) => Ok(column),
            None => problem(
                &format!("/x-dataset/{part}"),
                format!("{name:?} is not a column (nested fields are named with '_')"),
            ),
        };
        let complain = |part: &str, name: &str, text: &str| {
            problem(&format!("/x-dataset/{part}"), format!("{name:?} {text}"))
        };
        for (part, names) in [("key", &self.key), ("sort", &self.sort)] {
            if names.first().map(String::as_str) != Some("shop_id") {
                return problem(&format!("/x-dataset/{part}"), "must start with shop_id");
            }
        }
        for name in &self.key {
            if find("key", name)?.nullable {
                return complain("key", name, "may be null; a key's columns must be required");
            }
        }
        for name in &self.sort {
            find("sort", name)?;
        }
        if let Some(version) = &self.version
            && find("version", version)?.nullable
        {
            return complain(
                "version",
                version,
                "may be null; then nobody could tell which row wins",
            );
        }
        if find("event_time", &self.event_time)?.column_type != ColumnType::Timestamp {
            return complain("event_time", &self.event_time, "must be a date-time");
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
            return complain(
                "partition",
                name,
                "must be required, and a date-time or date (day), a date-time (hour), a string or integer (bucket)",
            );
        }
        Ok(())
    }
}

/// The window of accepted times: the declared one, else the default of what is partitioned by time
/// and can be sent.
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

/// An ISO 8601 duration of whole days, hours and minutes, longer than nothing. Months and years
/// have no length of their own.
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

/// How many of `unit` the text begins with, and what comes after; 0 if it does not have the unit at
/// all.
fn amount(text: &str, unit: char) -> Option<(u64, &str)> {
    let Some((number, rest)) = text.split_once(unit) else { return Some((0, text)) };
    let is_number =
        (1..=5).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Some((number.parse().ok()?, rest)))?
}

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
