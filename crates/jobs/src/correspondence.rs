//! Which partitions of its inputs a partition of a model is computed from, and the inverse: which
//! partitions a change dirties.

use std::collections::BTreeSet;
use std::fmt;
use std::iter;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::partition::{FIRST_DAY, LAST_DAY};
use crate::{Hour, Partition};

/// How a dataset or a model is divided into partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartitionKind {
    /// By hour.
    Hour,
    /// By day.
    Day,
    /// By bucket.
    Bucket(Buckets),
}

/// The buckets of a dataset or a model.
///
/// Their number is a power of two, so that the buckets of a doubled number nest: a row of bucket b
/// of n is in bucket b or b + n of 2n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buckets {
    /// How many there are.
    pub count: u32,
    /// How many there were when the oldest objects were written. Doubling moves no object, so the
    /// rows of a bucket are also in the folders that it had with each number since.
    pub oldest: u32,
}

impl Buckets {
    /// Returns so many buckets, which were always so many.
    pub fn new(count: u32) -> Self {
        Self { count, oldest: count }
    }

    /// Returns the folders that have rows of `bucket`.
    fn folders_of(self, bucket: u32) -> BTreeSet<u32> {
        self.counts().map(|count| bucket % count).collect()
    }

    /// Returns the buckets that have rows in `folder`.
    fn buckets_of(self, folder: u32) -> BTreeSet<u32> {
        self.counts()
            .filter(|count| folder < *count)
            .flat_map(|count| (folder..self.count).step_by(count as usize))
            .collect()
    }

    /// Returns all numbers of buckets since the oldest objects were written.
    fn counts(self) -> impl Iterator<Item = u32> {
        iter::successors(Some(self.oldest), |count| count.checked_mul(2))
            .take_while(move |count| *count <= self.count)
    }
}

impl PartitionKind {
    /// Returns whether `partition` is one of a table of this kind.
    pub fn has(self, partition: Partition) -> bool {
        match (self, partition) {
            (Self::Hour, Partition::Hour(_)) | (Self::Day, Partition::Day(_)) => true,
            (Self::Bucket(buckets), Partition::Bucket(bucket)) => bucket < buckets.count,
            _ => false,
        }
    }

    /// Returns the first and the last partition of all.
    fn ends(self) -> (Partition, Partition) {
        match self {
            Self::Hour | Self::Day => self.of_days(FIRST_DAY, LAST_DAY),
            Self::Bucket(buckets) => {
                (Partition::Bucket(0), Partition::Bucket(buckets.count.saturating_sub(1)))
            }
        }
    }

    /// Returns the first and the last partition from `first` to `last`. A bucket belongs to no day.
    fn of_days(self, first: NaiveDate, last: NaiveDate) -> (Partition, Partition) {
        match self {
            Self::Hour => (Hour::first_of(first).into(), Hour::last_of(last).into()),
            Self::Day => (Partition::Day(first), Partition::Day(last)),
            Self::Bucket(_) => self.ends(),
        }
    }
}

impl fmt::Display for PartitionKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hour => formatter.write_str("hour"),
            Self::Day => formatter.write_str("day"),
            Self::Bucket(Buckets { count, .. }) => write!(formatter, "bucket of {count}"),
        }
    }
}

/// The days that a day D is computed from: from D - lookback_days to D + lookahead_days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The days before D.
    pub lookback_days: u16,
    /// The days after D.
    pub lookahead_days: u16,
}

impl Window {
    /// Returns the first and the last day that `day` is computed from. A window ends where the
    /// years of four digits do.
    pub fn ends(self, day: NaiveDate) -> (NaiveDate, NaiveDate) {
        let first = day.checked_sub_days(Days::new(self.lookback_days.into()));
        let last = day.checked_add_days(Days::new(self.lookahead_days.into()));
        let first = first.map_or(FIRST_DAY, |first| first.max(FIRST_DAY));
        (first, last.map_or(LAST_DAY, |last| last.min(LAST_DAY)))
    }

    /// Returns the days that are computed from the day `changed`.
    pub fn dirtied_by(self, changed: NaiveDate) -> impl Iterator<Item = Partition> + use<> {
        // D reads [D - lookback, D + lookahead], so X is read by [X - lookahead, X + lookback].
        let Self { lookback_days, lookahead_days } = self;
        let inverse = Self { lookback_days: lookahead_days, lookahead_days: lookback_days };
        let (first, last) = inverse.ends(changed);
        Partition::Day(first).through(Partition::Day(last))
    }
}

/// How the partitions of an input correspond to those of the model that reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Correspondence {
    /// An hour reads the same hour, a bucket the same bucket.
    Same,
    /// A day reads days, or the hours of days.
    Days(Window),
    /// A day reads all buckets of another model, and of their rows those that this column assigns
    /// to its window.
    ByColumn {
        /// The column of the other model.
        column: String,
        /// The days that are read.
        #[serde(flatten)]
        window: Window,
    },
    /// Each bucket reads all partitions.
    All,
}

impl Correspondence {
    /// Returns the partitions of an input of the kind `input` that `partition` is computed from, as
    /// ranges with their first and last partition.
    pub fn read_by(
        &self,
        partition: Partition,
        input: PartitionKind,
    ) -> Vec<(Partition, Partition)> {
        match (self, partition.day(), partition, input) {
            (Self::Same, _, Partition::Bucket(bucket), PartitionKind::Bucket(buckets)) => {
                let folders = buckets.folders_of(bucket).into_iter().map(Partition::Bucket);
                folders.map(|folder| (folder, folder)).collect()
            }
            (Self::Days(window), Some(day), ..) => {
                let (first, last) = window.ends(day);
                vec![input.of_days(first, last)]
            }
            (Self::ByColumn { .. } | Self::All, ..) => vec![input.ends()],
            (Self::Same | Self::Days(_), ..) => vec![(partition, partition)],
        }
    }

    /// Returns the partitions of a model of the kind `model` that are computed from the partition
    /// `changed` of an input of the kind `input`.
    ///
    /// By column there are none: its days follow from the rows that differ, see
    /// [`Window::dirtied_by`].
    pub fn dirtied_by(
        &self,
        changed: Partition,
        input: PartitionKind,
        model: PartitionKind,
    ) -> Vec<Partition> {
        match (self, changed.day(), changed, input) {
            (Self::Same, _, Partition::Bucket(folder), PartitionKind::Bucket(buckets)) => {
                buckets.buckets_of(folder).into_iter().map(Partition::Bucket).collect()
            }
            (Self::Days(window), Some(day), ..) => window.dirtied_by(day).collect(),
            (Self::ByColumn { .. }, ..) => Vec::new(),
            (Self::All, ..) => {
                let (first, last) = model.ends();
                first.through(last).collect()
            }
            (Self::Same | Self::Days(_), ..) => vec![changed],
        }
    }

    /// Returns the correspondence without the other days of a window: what a partition needs an
    /// object of, so that it is not empty.
    pub fn own(&self) -> Self {
        match self {
            Self::Days(_) => Self::Days(Window::default()),
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition(text: &str) -> Partition {
        text.parse().unwrap()
    }

    /// Returns the ranges as texts.
    fn read(
        correspondence: &Correspondence,
        partition: Partition,
        input: PartitionKind,
    ) -> Vec<String> {
        let ranges = correspondence.read_by(partition, input);
        ranges.iter().map(|(first, last)| format!("{first} to {last}")).collect()
    }

    #[test]
    fn each_correspondence_reads_its_ranges() {
        let window = Window { lookback_days: 1, lookahead_days: 2 };
        let by_column = Correspondence::ByColumn { column: "sold_on".into(), window };
        let buckets = PartitionKind::Bucket(Buckets::new(16));
        let doubled = PartitionKind::Bucket(Buckets { count: 64, oldest: 16 });
        let day = partition("2010-12-31");
        for (correspondence, partition, input, expected) in [
            (
                Correspondence::Same,
                partition("2010-12-31T09"),
                PartitionKind::Hour,
                &["2010-12-31T09 to 2010-12-31T09"][..],
            ),
            (Correspondence::Same, partition("0007"), buckets, &["0007 to 0007"]),
            (
                Correspondence::Same,
                partition("0055"),
                doubled,
                &["0007 to 0007", "0023 to 0023", "0055 to 0055"],
            ),
            (Correspondence::Days(window), day, PartitionKind::Day, &["2010-12-30 to 2011-01-02"]),
            (
                Correspondence::Days(window),
                day,
                PartitionKind::Hour,
                &["2010-12-30T00 to 2011-01-02T23"],
            ),
            (by_column, day, buckets, &["0000 to 0015"]),
            (Correspondence::All, partition("0007"), doubled, &["0000 to 0063"]),
            (
                Correspondence::All,
                partition("0007"),
                PartitionKind::Day,
                &["0000-01-01 to 9999-12-31"],
            ),
        ] {
            assert_eq!(read(&correspondence, partition, input), expected, "{correspondence:?}");
        }
    }

    #[test]
    fn a_window_ends_with_the_calendar() {
        let window = Window { lookback_days: 1, lookahead_days: 30 };
        let ends = |day: NaiveDate| window.ends(day);
        assert_eq!(ends(LAST_DAY), (LAST_DAY.pred_opt().unwrap(), LAST_DAY));
        assert_eq!(ends(FIRST_DAY), (FIRST_DAY, FIRST_DAY + Days::new(30)));
    }

    #[test]
    fn a_correspondence_reads_back_from_json() {
        let window = Window { lookback_days: 1, lookahead_days: 2 };
        for (correspondence, json) in [
            (Correspondence::Same, serde_json::json!("same")),
            (Correspondence::All, serde_json::json!("all")),
            (
                Correspondence::Days(window),
                serde_json::json!({"days": {"lookback_days": 1, "lookahead_days": 2}}),
            ),
            (
                Correspondence::ByColumn { column: "c".into(), window },
                serde_json::json!({
                    "by_column": {"column": "c", "lookback_days": 1, "lookahead_days": 2},
                }),
            ),
        ] {
            assert_eq!(serde_json::to_value(&correspondence).unwrap(), json);
            assert_eq!(serde_json::from_value::<Correspondence>(json).unwrap(), correspondence);
        }
    }

    /// The kinds of input and model that correspond, with some of their partitions.
    fn pairs() -> impl Strategy<Value = (Correspondence, PartitionKind, PartitionKind)> {
        let window = (0_u16..40, 0_u16..40)
            .prop_map(|(lookback_days, lookahead_days)| Window { lookback_days, lookahead_days });
        let buckets = (0_u32..5, 0_u32..4).prop_map(|(oldest, doublings)| Buckets {
            count: 1 << (oldest + doublings),
            oldest: 1 << oldest,
        });
        let day_or_hour = prop_oneof![Just(PartitionKind::Day), Just(PartitionKind::Hour)];
        prop_oneof![
            Just((Correspondence::Same, PartitionKind::Hour, PartitionKind::Hour)),
            buckets.clone().prop_map(|buckets| {
                let model = Buckets::new(buckets.count);
                let [input, model] = [buckets, model].map(PartitionKind::Bucket);
                (Correspondence::Same, input, model)
            }),
            (window, day_or_hour.clone()).prop_map(|(window, input)| {
                (Correspondence::Days(window), input, PartitionKind::Day)
            }),
            (day_or_hour, buckets).prop_map(|(input, buckets)| {
                (Correspondence::All, input, PartitionKind::Bucket(Buckets::new(buckets.count)))
            }),
        ]
    }

    /// Returns a partition of this kind: the one of an hour since 2000-01-01.
    fn of_kind(kind: PartitionKind, hour: u32) -> Partition {
        let micros = 946_684_800_000_000 + i64::from(hour) * 3_600_000_000;
        match kind {
            PartitionKind::Hour => Partition::hour_of_micros(micros).unwrap(),
            PartitionKind::Day => Partition::day_of_micros(micros).unwrap(),
            PartitionKind::Bucket(buckets) => Partition::Bucket(hour % buckets.count),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// A change of X makes D dirty exactly if D is computed from X.
        #[test]
        fn dirtied_by_is_the_inverse_of_read_by(
            (correspondence, input, model) in pairs(),
            changed in 2_000_u32..4_000,
            distance in 0_u32..2_400,
        ) {
            let changed = of_kind(input, changed);
            let partition = of_kind(model, 800 + distance);
            let is_read = correspondence
                .read_by(partition, input)
                .into_iter()
                .any(|(first, last)| (first..=last).contains(&changed));
            let dirtied = correspondence.dirtied_by(changed, input, model);
            prop_assert_eq!(dirtied.contains(&partition), is_read);
            prop_assert!(dirtied.iter().all(|partition| model.has(*partition)));
        }

        /// A row of day X makes D dirty exactly if D reads the rows of X.
        #[test]
        fn a_row_dirties_the_days_that_read_its_day(
            lookback_days in 0_u16..40, lookahead_days in 0_u16..40,
            changed in 0_u32..2_400, distance in 0_u32..2_400,
        ) {
            let window = Window { lookback_days, lookahead_days };
            let day = |hour| of_kind(PartitionKind::Day, hour).day().unwrap();
            let (changed, day) = (day(changed), day(distance));
            let (first, last) = window.ends(day);
            let is_dirty = window.dirtied_by(changed).any(|dirty| dirty == Partition::Day(day));
            prop_assert_eq!(is_dirty, (first..=last).contains(&changed));
        }
    }
}
