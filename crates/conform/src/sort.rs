//! The order of a table's rows.

use std::cmp::Ordering;

use arrow::array::{
    Array, ArrayRef, AsArray, DynComparator, RecordBatch, UInt32Array, make_comparator,
};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;

/// Returns the rows' positions in ascending order of the columns, nulls first; equal rows keep
/// their order.
///
/// Eight bytes per column decide nearly every comparison, where a general comparison calls through
/// a pointer per column.
pub(crate) fn order(batch: &RecordBatch, columns: &[usize]) -> Result<UInt32Array, ArrowError> {
    let keys: Vec<Key> = columns
        .iter()
        .map(|position| Key::new(batch.column(*position)))
        .collect::<Result<_, _>>()?;
    let mut rows: Vec<u32> = (0..batch.num_rows() as u32).collect();
    rows.sort_unstable_by(|one, other| {
        let (left, right) = (*one as usize, *other as usize);
        let decided =
            keys.iter().map(|key| key.compare(left, right)).find(|ordering| ordering.is_ne());
        decided.unwrap_or_else(|| one.cmp(other))
    });
    Ok(UInt32Array::from(rows))
}

struct Key {
    /// Never greater for a lesser value; may be equal for different values.
    prefixes: Vec<u64>,
    full: DynComparator,
}

impl Key {
    fn new(column: &ArrayRef) -> Result<Self, ArrowError> {
        let full = make_comparator(column, column, SortOptions::default())?;
        let number = |value: Option<i64>| value.map_or(0, |value| (value as u64) ^ (1 << 63));
        let prefixes = match column.data_type() {
            DataType::Utf8 => text_prefixes(column),
            DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(number).collect(),
            DataType::Timestamp(..) => {
                column.as_primitive::<TimestampMicrosecondType>().iter().map(number).collect()
            }
            _ => vec![0; column.len()],
        };
        Ok(Self { prefixes, full })
    }

    #[inline]
    fn compare(&self, left: usize, right: usize) -> Ordering {
        self.prefixes[left].cmp(&self.prefixes[right]).then_with(|| (self.full)(left, right))
    }
}

/// Returns the eight bytes after the common prefix of all texts.
fn text_prefixes(column: &ArrayRef) -> Vec<u64> {
    let texts = column.as_string::<i32>();
    let mut present = texts.iter().flatten().map(str::as_bytes);
    let first = present.next().unwrap_or_default();
    let common = present.fold(first.len(), |common, text| {
        first[..common].iter().zip(text).take_while(|(one, other)| one == other).count()
    });
    let prefix = |text: Option<&str>| {
        let rest = text.map_or(&[][..], |text| &text.as_bytes()[common..]);
        match rest.first_chunk::<8>() {
            Some(bytes) => u64::from_be_bytes(*bytes),
            None => (0..8).fold(0, |word, place| {
                (word << 8) | u64::from(rest.get(place).copied().unwrap_or(0))
            }),
        }
    };
    texts.iter().map(prefix).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Int64Array, StringArray};
    use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_a_general_sort(
            rows in proptest::collection::vec(
                (
                    proptest::option::of("(ab|abcdefgh\u{0}?)?[a-c]{0,3}"),
                    proptest::option::of(-2..2_i64),
                    any::<bool>(),
                ),
                0..40,
            ),
        ) {
            let texts: StringArray = rows.iter().map(|row| row.0.clone()).collect();
            let numbers: Int64Array = rows.iter().map(|row| row.1).collect();
            let flags: BooleanArray = rows.iter().map(|row| Some(row.2)).collect();
            let batch = RecordBatch::try_from_iter([
                ("text", Arc::new(texts) as ArrayRef),
                ("number", Arc::new(numbers)),
                ("flag", Arc::new(flags)),
            ])
            .unwrap();
            let column = |values: &ArrayRef| SortColumn { values: values.clone(), options: None };
            let columns: Vec<SortColumn> = batch.columns().iter().map(column).collect();
            let indices = lexsort_to_indices(&columns, None).unwrap();
            let expected = take_record_batch(&batch, &indices).unwrap();
            let found = take_record_batch(&batch, &order(&batch, &[0, 1, 2]).unwrap()).unwrap();
            prop_assert_eq!(found, expected);
        }
    }
}
