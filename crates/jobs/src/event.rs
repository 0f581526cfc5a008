//! Messages about dirty partitions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Partition, PartitionError};

/// A dirty-partition message, the `detail` of its event: the partitions of a model that have to be
/// computed again. It names one partition or a range, because a changed day concerns every day
/// whose window holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartitionDirty {
    /// The model.
    pub model: String,
    /// The partition, such as `2010-12-01`, or the first of a range.
    pub partition: Partition,
    /// The last partition of a range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Partition>,
    /// Why the partitions are dirty, for people who read the queue.
    pub reason: String,
    /// Whether the partitions are computed even if their inputs are the same, after everything that
    /// is more urgent: a backfill.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recompute: bool,
}

impl PartitionDirty {
    /// The `source` of the event.
    pub const SOURCE: &str = "shoplake";
    /// The `detail-type` of the event.
    pub const DETAIL_TYPE: &str = "Partition Dirty";

    /// Returns the message about one partition.
    pub fn one(model: &str, partition: Partition, reason: String) -> Self {
        Self { model: model.to_owned(), partition, until: None, reason, recompute: false }
    }

    /// Returns the fewest messages that name exactly these partitions.
    pub fn ranges(model: &str, partitions: &BTreeSet<Partition>, reason: &str) -> Vec<Self> {
        let partitions: Vec<_> = partitions.iter().copied().collect();
        partitions
            .chunk_by(|one, next| one.next() == Some(*next))
            .filter_map(|range| Some((range.first()?, range.last()?)))
            .map(|(first, last)| {
                let until = (first != last).then_some(*last);
                Self { until, ..Self::one(model, *first, reason.to_owned()) }
            })
            .collect()
    }

    /// Returns the partitions that the message names, in order.
    ///
    /// # Errors
    /// When the ends of the range are of different kinds.
    pub fn partitions(&self) -> Result<impl Iterator<Item = Partition> + use<>, PartitionError> {
        let first = self.partition;
        let last = self.until.unwrap_or(first);
        if first.kind() == last.kind() {
            Ok(first.through(last))
        } else {
            Err(PartitionError::kind(last, first.kind()))
        }
    }

    /// Returns the event as EventBridge delivers it, for a message that goes straight to the queue.
    pub fn event(&self) -> serde_json::Value {
        let (source, detail_type) = (Self::SOURCE, Self::DETAIL_TYPE);
        serde_json::json!({"source": source, "detail-type": detail_type, "detail": self})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fewest_messages_name_each_day_once(
            days in prop::collection::btree_set(1_u32..=31, 0..31),
        ) {
            let day = |day| Partition::Day(chrono::NaiveDate::from_ymd_opt(2010, 12, day).unwrap());
            let wanted: BTreeSet<_> = days.iter().copied().map(day).collect();
            let messages = PartitionDirty::ranges("m", &wanted, "why");

            let named = messages.iter().flat_map(|message| message.partitions().unwrap());
            let named: Vec<_> = named.collect();
            prop_assert_eq!(named, wanted.into_iter().collect::<Vec<_>>());
            let neighbours = days.iter().zip(days.iter().skip(1));
            let gaps = neighbours.filter(|(one, next)| *one + 1 != **next).count();
            prop_assert_eq!(messages.len(), gaps + usize::from(!days.is_empty()));
        }
    }

    #[test]
    fn a_message_about_one_partition_has_no_until() {
        let one = PartitionDirty::one("m", "2010-12-01".parse().unwrap(), "why".into());
        let json = serde_json::json!({"model": "m", "partition": "2010-12-01", "reason": "why"});
        assert_eq!(serde_json::to_value(&one).unwrap(), json);
        assert_eq!(serde_json::from_value::<PartitionDirty>(json).unwrap(), one);
        for until in ["0007", "2010-12-01T09"] {
            let range = PartitionDirty { until: until.parse().ok(), ..one.clone() };
            assert!(range.partitions().is_err(), "{until}");
        }
    }
}
