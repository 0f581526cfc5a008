//! A dataset: its table, its delivery, its decoder.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::column::Column;
use crate::fields::{ChildLayout, MetadataColumns, Object};
use crate::metadata::RowMetadata;
use crate::partitioning::Partitioning;
use crate::reason::Code;
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

/// The parent of a dataset's rows, such as the order of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    /// The parent's dataset.
    pub dataset: String,
    /// The parent's key, which the rows have as well; `shop_id` first.
    pub key: Vec<String>,
    /// The version, which the rows have as well: rows count if their version is the parent's newest
    /// one or later. `None` for the rows of an array, which count if they came in the envelope of
    /// the parent's newest version.
    pub version: Option<String>,
}

/// When a run of a batch is complete: what its rows and its control total agree in. Each row counts
/// once, however often it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// The column of the control total with the number of the run's rows, the rejected ones
    /// included.
    pub count: String,
    /// What the control total adds up; `None` if the rows have no quantity.
    pub sum: Option<ControlSum>,
}

/// A column of a dataset, and the column of its control totals with the sum of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlSum {
    /// The column of the dataset.
    pub column: String,
    /// The column of the control total.
    pub total: String,
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
    /// What a batch is, if its deliveries are snapshots: all rows of a day or an hour of this
    /// column, whose text names the batch. A row with a run belongs to that batch, and counts only
    /// if its run is the newest complete one: a row that the next delivery lacks no longer counts.
    pub batch: Option<Partitioning>,
    /// When a run of a batch is complete; `None` only without [`batch`](Self::batch).
    pub complete: Option<Completeness>,
    /// How many days may lie between rows with the same key, if their partition column may change:
    /// models read so many days more on either side. Copies that are further apart count once each.
    /// `None` if the partition column can't change, or does not matter.
    pub copies_within_days: Option<u16>,
    /// The parent of the rows, if they count only with their parent's newest version.
    pub belongs_to: Option<Parent>,
    /// Raised when the decoder is corrected: of one envelope's rows those of the latest generation
    /// count.
    pub generation: u32,
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
    /// those of the envelope: `_envelope_id` and `_received_at`; `_batch` and `_run` if it is
    /// delivered in batches; `_generation` if the generation is above 1.
    pub columns: Vec<Column>,
    /// The datasets of its arrays of objects, in the order of [`Row::children`].
    pub children: Vec<String>,
    /// The dataset that this one is an array of.
    pub parent: Option<String>,
    /// The fields, as the decoder needs them.
    pub(crate) root: Object,
    /// The layout of the rows of each child.
    pub(crate) child_layouts: Vec<ChildLayout>,
    /// The columns that come from the envelope.
    pub(crate) metadata: MetadataColumns,
    /// The position of [`Partitioning::column`].
    pub(crate) partition_column: usize,
    /// The columns whose times [`accepts`](Self::accepts) limits: the event time, and the
    /// partition's if it is a time or a date.
    pub(crate) window_columns: Vec<usize>,
}

impl Contract {
    /// The columns of every silver table that come from the envelope: its id, and when it was
    /// received.
    pub const METADATA: [&'static str; 2] = ["_envelope_id", "_received_at"];

    /// The columns of the batch and the run of a row. Null in objects that were written before the
    /// columns existed, and in rows whose sender does not tell runs apart.
    pub const DELIVERY: [&'static str; 2] = ["_batch", "_run"];

    /// The column of the sender's clock, in contracts that declare it: of rows with one key and one
    /// version the row with the latest one counts.
    pub const TRIGGERED_AT: &'static str = "triggered_at";

    /// The column of the generation. Null means generation 1.
    pub const GENERATION: &'static str = "_generation";

    /// Returns an empty row, to decode into many times.
    pub fn row<'a>(&self) -> Row<'a> {
        Row::new(self.columns.len(), self.children.len())
    }

    /// Returns the position of the column in [`columns`](Self::columns).
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|candidate| candidate.name == column)
    }

    /// Checks that a row of a run belongs to the batch that the run delivers. Otherwise it would
    /// never count: it would be looked for in the partition of another batch.
    pub(crate) fn check_batch(
        &self,
        value: &Value<'_>,
        metadata: RowMetadata<'_>,
    ) -> Result<(), Code> {
        let (Some(batch), Some(delivered), Some(_)) = (&self.batch, metadata.batch, metadata.run)
        else {
            return Ok(());
        };
        let is_delivered =
            batch.of(value).is_some_and(|partition| partition.to_string() == delivered);
        if is_delivered { Ok(()) } else { Err(Code::OtherBatch) }
    }

    /// Returns the value that decides the partition of a decoded row and of its children.
    pub fn partition_value<'r, 'a>(&self, row: &'r Row<'a>) -> &'r Value<'a> {
        &row.values[self.partition_column]
    }
}
