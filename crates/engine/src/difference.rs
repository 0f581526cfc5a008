//! The rows that a computation changed, and the partitions of other models that read them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Date32Type;
use arrow::error::ArrowError;
use chrono::NaiveDate;
use shoplake_jobs::{Correspondence, JobDocument, Partition, PartitionDirty};

use crate::error::EngineError;
use crate::rows::{comparable, same_columns};

/// The rows that are in only one of two batches.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    removed: Vec<usize>,
    added: Vec<usize>,
}

impl Difference {
    /// Compares two batches that are both in the order of `sort`. If their columns differ, all rows
    /// differ.
    pub(crate) fn between(
        old: &RecordBatch,
        new: &RecordBatch,
        sort: &[String],
    ) -> Result<Self, ArrowError> {
        if !same_columns(&old.schema(), &new.schema()) {
            return Ok(Self {
                removed: (0..old.num_rows()).collect(),
                added: (0..new.num_rows()).collect(),
            });
        }
        let (old, new) = (comparable(old, sort)?, comparable(new, sort)?);
        let mut difference = Self::default();
        let (mut left, mut right) = (0, 0);
        while left < old.num_rows() || right < new.num_rows() {
            let order = if left == old.num_rows() {
                Ordering::Greater
            } else if right == new.num_rows() {
                Ordering::Less
            } else {
                old.row(left).cmp(&new.row(right))
            };
            if order.is_lt() {
                difference.removed.push(left);
            } else if order.is_gt() {
                difference.added.push(right);
            }
            left += usize::from(order.is_le());
            right += usize::from(order.is_ge());
        }
        Ok(difference)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// Returns the partitions of downstream models that read one of the differing rows.
    pub(crate) fn dirtied(
        &self,
        job: &JobDocument,
        old: &RecordBatch,
        new: &RecordBatch,
    ) -> Result<Vec<PartitionDirty>, EngineError> {
        let mut dirtied: BTreeMap<&str, BTreeSet<Partition>> = BTreeMap::new();
        for downstream in &job.downstream {
            let partitions = match &downstream.correspondence {
                Correspondence::ByColumn { column, window } => {
                    let mut changed = days(new, column, &self.added).ok_or_else(|| {
                        EngineError::OutputColumn {
                            model: job.model.clone(),
                            column: column.clone(),
                            what: "downstream (as a date)",
                        }
                    })?;
                    // From rows without the column no day was computed.
                    changed.extend(days(old, column, &self.removed).unwrap_or_default());
                    changed.into_iter().flat_map(|day| window.dirtied_by(day)).collect()
                }
                _ if self.is_empty() => Vec::new(),
                _ => downstream.dirtied_by(job.partition.value),
            };
            dirtied.entry(&downstream.model).or_default().extend(partitions);
        }
        let reason = format!("{} changed {}", job.model, job.partition.value);
        let messages = dirtied
            .into_iter()
            .flat_map(|(model, days)| PartitionDirty::ranges(model, &days, &reason));
        Ok(messages.collect())
    }
}

/// Returns the days that `column` has in `rows` of `batch`; `None` if it is not a column of dates.
fn days(batch: &RecordBatch, column: &str, rows: &[usize]) -> Option<BTreeSet<NaiveDate>> {
    let column = batch.column_by_name(column)?.as_primitive_opt::<Date32Type>()?;
    let days = rows.iter().filter(|row| column.is_valid(**row));
    Some(days.filter_map(|row| column.value_as_date(*row)).collect())
}
