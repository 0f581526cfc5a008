//! Metrics in CloudWatch's embedded metric format: a JSON line on stdout that CloudWatch turns into
//! metrics. Counting costs no network call.
//!
//! A name is `<what happened>_<to what>_<unit>`: `received_events_count`, `received_body_bytes`. A
//! [`Metric`] consists of a stem and a unit, so that every name has its unit.
//!
//! Dimensions are `function`, and `dataset` or `model` where one applies. A function has its
//! deployed name (`shoplake-prod-webhook`), which distinguishes the environments of an account.
//! CloudWatch bills each combination, so a dimension holds only names of datasets and models that
//! exist, never the input of a caller.

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
/// Valid events that the stream did not accept. Their sender has to send them again.
pub const UNACCEPTED_EVENTS: Metric = Metric::new("unaccepted_events", Unit::Count);
/// Requests that were refused before their events were read.
pub const REJECTED_REQUESTS: Metric = Metric::new("rejected_requests", Unit::Count);
/// Size of the bodies that arrived at an edge.
pub const RECEIVED_BODY: Metric = Metric::new("received_body", Unit::Bytes);
/// Rows written to silver.
pub const WRITTEN_SILVER_ROWS: Metric = Metric::new("written_silver_rows", Unit::Count);
/// Lines that were quarantined because they violate their contract.
pub const QUARANTINED_LINES: Metric = Metric::new("quarantined_lines", Unit::Count);
/// Size of the Parquet objects written.
pub const WRITTEN_PARQUET: Metric = Metric::new("written_parquet", Unit::Bytes);
/// The time from the receipt of an event until the warehouse shows a KPI that includes it: of the
/// oldest new event of a load.
pub const EVENT_TO_KPI: Metric = Metric::new("event_to_kpi", Unit::Seconds);
/// Old days of shops that wait for their turn, because the shop has reached its limit of an hour.
pub const DELAYED_DAYS: Metric = Metric::new("delayed_days", Unit::Count);
/// Datasets whose freshness was checked.
pub const CHECKED_DATASETS: Metric = Metric::new("checked_datasets", Unit::Count);
/// The age of the newest silver object of a dataset.
pub const NEWEST_OBJECT_AGE: Metric = Metric::new("newest_object_age", Unit::Seconds);

/// The unit of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A count.
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
    /// The metric named `<stem>_<unit>`.
    pub const fn new(stem: &'static str, unit: Unit) -> Self {
        Self { stem, unit }
    }

    /// Returns the full name, for instance `received_events_count`.
    pub fn name(&self) -> String {
        format!("{}_{}", self.stem, self.unit.suffix())
    }
}

/// The destination of metric lines.
pub trait Sink: Send + Sync {
    /// Writes one line, without a line break.
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
    /// Returns the lines, parsed.
    pub fn lines(&self) -> Vec<Value> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Returns the sum of all values of `metric`.
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

    /// Writes values as one line, with the dimension `dataset` if there is one. Without values it
    /// writes nothing.
    pub fn emit(&self, dataset: Option<&str>, values: &[(Metric, f64)]) {
        if !values.is_empty() {
            let owners = Vec::from_iter(dataset.map(|dataset| ("dataset", dataset)));
            let dimensions =
                std::iter::once("function").chain(owners.iter().map(|(name, _)| *name));
            let line = line(&self.function, &owners, &[dimensions.collect()], values, Utc::now());
            self.sink.write(&line.to_string());
        }
    }

    /// Writes values of `model`, and the same values without a model, so that one alarm covers all
    /// models.
    pub fn emit_of_model(&self, model: &str, values: &[(Metric, f64)]) {
        if !values.is_empty() {
            let dimensions = [vec!["function"], vec!["function", "model"]];
            let line = line(&self.function, &[("model", model)], &dimensions, values, Utc::now());
            self.sink.write(&line.to_string());
        }
    }
}

/// Returns one line. Every value becomes a metric for each of `dimensions`.
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
    fn a_line_is_in_the_embedded_metric_format() {
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
    fn without_a_dataset_the_function_is_the_only_dimension() {
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
    fn a_model_is_counted_alone_and_with_all_models() {
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
