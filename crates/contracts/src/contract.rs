//! A dataset: its table, its delivery, its decoder.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::fields::{ChildLayout, Object};
use crate::partitioning::Partitioning;
use crate::value::{Row, Value};
use crate::window::TimeWindow;

/// How a dataset's rows arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Webhook, Kinesis, conform: seconds.
    Stream,
    /// Connector, Kinesis, Firehose, bronze, conform: minutes.
    Batch,
    /// Written by the pipeline itself; it can't be sent.
    Internal,
}

/// A compiled schema: the columns of a dataset's silver table, and the decoder of its rows.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The dataset's name; the schema file has it, too.
    pub dataset: String,
    /// The title in the data dictionary.
    pub title: String,
    /// The description in the data dictionary and the catalog.
    pub description: String,
    /// The sources that may send it; empty if it is internal.
    pub sources: Vec<String>,
    /// How its rows arrive.
    pub delivery: Delivery,
    /// The columns that identify a row; `shop_id` first. Of rows with the same key one counts.
    pub key: Vec<String>,
    /// The column whose greatest value decides which row with the same key counts; `None` if such
    /// rows are copies of each other.
    pub version: Option<String>,
    /// The column with the time of the event.
    pub event_time: String,
    /// How the silver table is divided.
    pub partition: Partitioning,
    /// The sort order of rows within an object; `shop_id` first.
    pub sort: Vec<String>,
    /// Columns that hold personal data.
    pub personal: Vec<String>,
    /// How long no row may arrive, of all shops together, until an alert is sent; `None` if a long
    /// pause is normal.
    pub fresh_within: Option<Duration>,
    /// How far a row's time may be from its receipt; `None` if the dataset accepts any time.
    pub accepts: Option<TimeWindow>,
    /// All columns of the silver table: `shop_id` first, then the fields as declared, then
    /// `_envelope_id` and `_received_at`.
    pub columns: Vec<Column>,
    /// The datasets of its arrays of objects, in the order of [`Row::children`].
    pub children: Vec<String>,
    /// The dataset that this one is an array of.
    pub parent: Option<String>,
    /// The fields, as the decoder needs them.
    pub(crate) root: Object,
    /// The layout of the rows of each child.
    pub(crate) child_layouts: Vec<ChildLayout>,
    /// The position of [`Partitioning::column`].
    pub(crate) partition_column: usize,
    /// The columns whose times [`accepts`](Self::accepts) limits: the event time, and the
    /// partition's if it is a time or a date.
    pub(crate) window_columns: Vec<usize>,
}

impl Contract {
    /// The last columns of every silver table: the row's envelope, and when it was received.
    pub const METADATA: [&'static str; 2] = ["_envelope_id", "_received_at"];

    /// Returns an empty row, to decode into many times.
    pub fn row<'a>(&self) -> Row<'a> {
        Row::new(self.columns.len(), self.children.len())
    }

    /// Returns the position of the column in [`columns`](Self::columns).
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|candidate| candidate.name == column)
    }

    /// Returns the value that decides the partition of a decoded row and of its children.
    pub fn partition_value<'r, 'a>(&self, row: &'r Row<'a>) -> &'r Value<'a> {
        &row.values[self.partition_column]
    }
}
