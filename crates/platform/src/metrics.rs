//! Metrics in CloudWatch's embedded metric format: a JSON line on stdout that CloudWatch turns into
//! metrics, so that counting costs no network call.
//!
//! Names follow one grammar, `<what happened>_<to what>_<unit>`: `received_events_count`,
//! `received_body_bytes`. A [`Metric`] is made of its stem and its unit, so a name without a unit
//! cannot be written.
//!
//! Dimensions are `function` and, where there is one, `dataset` or `model`. A function's name is
//! the deployed one (`shoplake-prod-webhook`), so that the environments of an account are told
//! apart. CloudWatch bills each combination, so a dimension only ever holds the name of a dataset
//! or model that exists, never what a caller sent.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// The CloudWatch namespace of all metrics.
pub const NAMESPACE: &str = "Shoplake";

/// Events that arrived at an edge, valid or not.
pub const RECEIVED_EVENTS: Metric = Metric::new("received_events", Unit::Count);
/// Events that were put to a stream.
pub const ACCEPTED_EVENTS: Metric = Metric::new("accepted_events", Unit::Count);
/// Events that were refused at an edge.
pub const REJECTED_EVENTS: Metric = Metric::new("rejected_events", Unit::Count);
/// Valid events that the stream did not take; their sender was asked to send them again.
pub const UNACCEPTED_EVENTS: Metric = Metric::new("unaccepted_events", Unit::Count);
/// Requests that were refused before their events were read.
pub const REJECTED_REQUESTS: Metric = Metric::new("rejected_requests", Unit::Count);
/// Size of the bodies that arrived at an edge.
pub const RECEIVED_BODY: Metric = Metric::new("received_body", Unit::Bytes);
/// Rows written to silver.
pub const WRITTEN_SILVER_ROWS: Metric = Metric::new("written_silver_rows", Unit::Count);
/// Lines set aside because they do not keep their contract.
pub const QUARANTINED_LINES: Metric = Metric::new("quarantined_lines", Unit::Count);
/// Size of the Parquet objects written.
pub const WRITTEN_PARQUET: Metric = Metric::new("written_parquet", Unit::Bytes);
/// From when an event was received until the warehouse shows a KPI that knows it: of the oldest
/// event that a load brought.
pub const EVENT_TO_KPI: Metric = Metric::new("event_to_kpi", Unit::Seconds);
/// Datasets that were looked at for whether they still arrive.
pub const WATCHED_DATASETS: Metric = Metric::new("checked_datasets", Unit::Count);
/// How long ago the newest silver object of a dataset was written.
pub const NEWEST_OBJECT_AGE: Metric = Metric::new("newest_object_age", Unit::Seconds);

/// What a metric's number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// A size.
    Bytes,
    /// A duration.
    Seconds,
    /// A duration that is usually below one second.
    Milliseconds,
}

impl Unit {
    fn suffix(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
            Self::Milliseconds => "milliseconds",
        }
    }

    fn cloudwatch(self) -> &'static str {
        match self {
            Self::Count => "Count",
            Self::Bytes => "Bytes",
            Self::Seconds => "Seconds",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// A metric: what is measured, and in what unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    stem: &'static str,
    unit: Unit,
}

impl Metric {
    /// A metric named `<stem>_<unit>`.
    pub const fn new(stem: &'static str, unit: Unit) -> Self {
        Self { stem, unit }
    }

    /// The full name, for instance `received_events_count`.
    pub fn name(&self) -> String {
        format!("{}_{}", self.stem, self.unit.suffix())
    }
}

/// Where metric lines go.
pub trait Sink: Send + Sync {
    /// Takes one line, without its line break.
    fn write(&self, line: &str);
}

/// Standard output, which CloudWatch Logs reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stdout;

impl Sink for Stdout {
    fn write(&self, line: &str) {
        // A metric that cannot be written must not fail the work that it measures.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }
}

/// Keeps the lines in memory.
#[derive(Debug, Default)]
pub struct MemorySink {
    lines: Mutex<Vec<String>>,
}

impl MemorySink {
    /// The lines so far, parsed.
    pub fn lines(&self) -> Vec<Value> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The sum of all values of `metric`.
    pub fn total(&self, metric: Metric) -> f64 {
        let name = metric.name();
        self.lines().iter().filter_map(|line| line[&name].as_f64()).sum()
    }
}

impl Sink for MemorySink {
    fn write(&self, line: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    }
}

/// Writes the metrics of one function.
#[derive(Clone)]
pub struct Metrics {
    function: String,
    sink: Arc<dyn Sink>,
}

impl Metrics {
    /// The metrics of `function`, on standard output; in Lambda, under the name that it is deployed
    /// as.
    pub fn stdout(function: &str) -> Self {
        let deployed = std::env::var("AWS_LAMBDA_FUNCTION_NAME");
        Self::new(deployed.as_deref().unwrap_or(function), Arc::new(Stdout))
    }

    /// The metrics of `function`, in `sink`.
    pub fn new(function: &str, sink: Arc<dyn Sink>) -> Self {
        Self { function: function.to_owned(), sink }
    }

    /// Records values, of `dataset` where they belong to one. One call is one line; no value, no
    /// line.
    pub fn emit(&self, dataset: Option<&str>, values: &[(Metric, f64)]) {
        if !values.is_empty() {
            let owners = Vec::from_iter(dataset.map(|dataset| ("dataset", dataset)));
            let dimensions =
                std::iter::once("function").chain(owners.iter().map(|(name, _)| *name));
            let line = line(&self.function, &owners, &[dimensions.collect()], values, Utc::now());
            self.sink.write(&line.to_string());
        }
    }

    /// Records values of `model`, and the same for all models together, so that one alarm can watch
    /// over all of them.
    pub fn emit_of_model(&self, model: &str, values: &[(Metric, f64)]) {
        if !values.is_empty() {
            let dimensions = [vec!["function"], vec!["function", "model"]];
            let line = line(&self.function, &[("model", model)], &dimensions, values, Utc::now());
            self.sink.write(&line.to_string());
        }
    }
}

/// One line; each of `dimensions` makes a metric of its own of every value.
fn line(
    function: &str,
    owners: &[(&str, &str)],
    dimensions: &[Vec<&str>],
    values: &[(Metric, f64)],
    now: DateTime<Utc>,
) -> Value {
    let mut line = Map::new();
    line.insert("function".to_owned(), function.into());
    for (name, value) in owners {
        line.insert((*name).to_owned(), (*value).into());
    }
    let definitions: Vec<Value> = values
        .iter()
        .map(|(metric, _)| json!({"Name": metric.name(), "Unit": metric.unit.cloudwatch()}))
        .collect();
    for (metric, value) in values {
        line.insert(metric.name(), json!(value));
    }
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": now.timestamp_millis(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": dimensions,
                "Metrics": definitions,
            }],
        }),
    );
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_values_when_written_then_the_line_is_in_the_embedded_metric_format() {
        let now = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        let values = [(RECEIVED_EVENTS, 3.0), (RECEIVED_BODY, 512.0)];
        let dimensions = [vec!["function", "dataset"]];
        let line = line("webhook", &[("dataset", "web_traffic")], &dimensions, &values, now);
        assert_eq!(
            line,
            json!({
                "_aws": {
                    "Timestamp": 1_700_000_000_123_i64,
                    "CloudWatchMetrics": [{
                        "Namespace": "Shoplake",
                        "Dimensions": [["function", "dataset"]],
                        "Metrics": [
                            {"Name": "received_events_count", "Unit": "Count"},
                            {"Name": "received_body_bytes", "Unit": "Bytes"},
                        ],
                    }],
                },
                "function": "webhook",
                "dataset": "web_traffic",
                "received_events_count": 3.0,
                "received_body_bytes": 512.0,
            })
        );
    }

    #[test]
    fn given_no_dataset_when_written_then_only_the_function_is_a_dimension() {
        let sink = Arc::new(MemorySink::default());
        let metrics = Metrics::new("dispatch", sink.clone());
        metrics.emit(None, &[(RECEIVED_EVENTS, 1.0)]);
        metrics.emit(None, &[]);
        let lines = sink.lines();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["function"]]));
        assert_eq!(sink.total(RECEIVED_EVENTS), 1.0);
    }

    #[test]
    fn given_a_model_when_written_then_it_counts_by_itself_and_with_all_others() {
        let sink = Arc::new(MemorySink::default());
        Metrics::new("load", sink.clone()).emit_of_model("total_sales", &[(EVENT_TO_KPI, 42.0)]);
        let line = &sink.lines()[0];
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["function"], ["function", "model"]])
        );
        assert_eq!(
            (&line["model"], &line["event_to_kpi_seconds"]),
            (&json!("total_sales"), &json!(42.0))
        );
    }
}
