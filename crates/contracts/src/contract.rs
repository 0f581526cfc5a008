//! A dataset as the rest of the pipeline knows it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::decode::{Object, Row, Value};
use crate::partition::Partitioning;
use crate::window::TimeWindow;

/// How a dataset's rows arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Webhook, Kinesis, conform: seconds.
    Stream,
    /// Connector, Kinesis, Firehose, bronze, conform: minutes.
    Batch,
    /// Written by the pipeline itself; nobody can send it.
    Internal,
}

/// A compiled schema: what a dataset's silver table looks like, and the decoder of its rows.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The dataset's name, which is the schema file's.
    pub dataset: String,
    /// For humans.
    pub title: String,
    /// For humans.
    pub description: String,
    /// Which sources may send it; none if it is internal.
    pub sources: Vec<String>,
    /// How it arrives.
    pub delivery: Delivery,
    /// Two rows with the same key are the same thing; always starts with `shop_id`.
    pub key: Vec<String>,
    /// Of two rows with the same key the one with the greater value here wins; `None` if they are
    /// copies of each other.
    pub version: Option<String>,
    /// When the thing happened.
    pub event_time: String,
    /// How the silver table is divided.
    pub partition: Partitioning,
    /// The order of rows within an object; always starts with `shop_id`.
    pub sort: Vec<String>,
    /// Columns that hold personal data.
    pub personal: Vec<String>,
    /// How long nothing may arrive, of all shops together, until somebody has to look; none if that
    /// is no sign of a fault.
    pub fresh_within: Option<Duration>,
    /// How far from its receipt a row may have happened; none if the dataset accepts any time.
    pub accepts: Option<TimeWindow>,
    /// All columns of the silver table: `shop_id` first, then the fields as declared, then
    /// `_envelope_id` and `_received_at`.
    pub columns: Vec<Column>,
    /// The datasets that its arrays of objects become, in the order of [`Row::children`].
    pub children: Vec<String>,
    /// The dataset whose array this one is.
    pub parent: Option<String>,
    /// The decoder's field table.
    pub(crate) root: Object,
    /// How the rows of each child are made.
    pub(crate) child_layouts: Vec<ChildLayout>,
    /// Where [`Partitioning::column`] is among the columns.
    pub(crate) partition_column: usize,
    /// The columns whose times [`accepts`](Self::accepts) limits: the event time, and the
    /// partition's if it is a time or a date.
    pub(crate) window_columns: Vec<usize>,
}

/// The columns of a child row that do not come out of the array's item.
#[derive(Clone, Debug)]
pub(crate) struct ChildLayout {
    pub(crate) width: usize,
    /// (column of the child, column of the parent)
    pub(crate) inherited: Vec<(usize, usize)>,
    pub(crate) ordinal: usize,
}

impl Contract {
    /// The columns that every silver table ends with: which envelope a row came in, and when.
    pub const METADATA: [&'static str; 2] = ["_envelope_id", "_received_at"];

    /// A row to decode into, again and again.
    pub fn row<'a>(&self) -> Row<'a> {
        Row::new(self.columns.len(), self.children.len())
    }

    /// Where the column is among [`columns`](Self::columns).
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|candidate| candidate.name == column)
    }

    /// The value of a decoded row that decides its partition; its children are in the same one.
    pub fn partition_value<'r, 'a>(&self, row: &'r Row<'a>) -> &'r Value<'a> {
        &row.values[self.partition_column]
    }
}
