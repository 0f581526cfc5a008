//! Packs envelope lines into records.

use std::{
    hash::{DefaultHasher, Hasher},
    ops::Range,
};

use super::Record;

/// The size up to which a record is filled. Kinesis bills puts in units of 25 KB per record and
/// Firehose in units of 5 KB, so a record with one small event pays for 25 KB. More than one unit
/// per record would save no money, and a lost record would lose more events.
pub const RECORD_TARGET_BYTES: usize = 25_000;

/// A record and the lines that are in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The record.
    pub record: Record,
    /// Indexes of its lines among the given ones.
    pub line_indexes: Range<usize>,
}

/// Packs the envelope lines of ONE shop, in order, into records of up to [`RECORD_TARGET_BYTES`]. A
/// longer line gets a record of its own.
///
/// A line has no line break inside. A missing line break at its end is added.
pub fn pack<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> Vec<Packed> {
    let mut packed = Vec::new();
    let mut data = Vec::new();
    let mut first = 0;
    let mut next = 0;
    for line in lines {
        let line = line.as_ref();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if !data.is_empty() && data.len() + line.len() + 1 > RECORD_TARGET_BYTES {
            packed.push(seal(std::mem::take(&mut data), first..next));
            first = next;
        }
        data.extend_from_slice(line);
        data.push(b'\n');
        next += 1;
    }
    if !data.is_empty() {
        packed.push(seal(data, first..next));
    }
    packed
}

/// The partition key is a hash of the content: it spreads one busy shop over all shards, and needs
/// no randomness.
fn seal(data: Vec<u8>, line_indexes: Range<usize>) -> Packed {
    let mut hasher = DefaultHasher::new();
    hasher.write(&data);
    Packed {
        record: Record { partition_key: format!("{:016x}", hasher.finish()), data },
        line_indexes,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn no_lines_make_no_record() {
        assert!(pack(Vec::<String>::new()).is_empty());
    }

    #[test]
    fn each_line_ends_with_one_line_break() {
        assert_eq!(pack(["{}\n", "[]"])[0].record.data, b"{}\n[]\n");
    }

    #[test]
    fn a_line_beyond_the_target_has_its_own_record() {
        let long = "x".repeat(RECORD_TARGET_BYTES + 1);
        let ranges: Vec<_> =
            pack(["a", &long, "b", "c"]).into_iter().map(|packed| packed.line_indexes).collect();
        assert_eq!(ranges, [0..1, 1..2, 2..4]);
    }

    #[test]
    fn partition_keys_of_records_differ() {
        let line = "x".repeat(RECORD_TARGET_BYTES - 10);
        let packed = pack((0..100).map(|number| format!("{number}{line}")));
        let keys: HashSet<_> = packed.iter().map(|packed| &packed.record.partition_key).collect();
        assert_eq!(keys.len(), 100);
    }

    proptest! {
        #[test]
        fn packing_keeps_all_lines_in_order(
            lines in vec("[a-z{}\": ]{0,9000}", 0..40),
        ) {
            let packed = pack(&lines);
            let unpacked: Vec<String> = packed
                .iter()
                .flat_map(|packed| packed.record.data.split_inclusive(|&byte| byte == b'\n'))
                .map(|line| String::from_utf8(line[..line.len() - 1].to_vec()).unwrap())
                .collect();
            prop_assert_eq!(&unpacked, &lines);

            let indexes: Vec<usize> = packed
                .iter().flat_map(|packed| packed.line_indexes.clone()).collect();
            prop_assert_eq!(indexes, (0..lines.len()).collect::<Vec<_>>());

            for packed in &packed {
                let bytes = packed.record.data.len();
                prop_assert!(bytes <= RECORD_TARGET_BYTES || packed.line_indexes.len() == 1);
            }
            // No record could have been saved by filling the one before it.
            for pair in packed.windows(2) {
                let next_line = lines[pair[1].line_indexes.start].len() + 1;
                prop_assert!(pair[0].record.data.len() + next_line > RECORD_TARGET_BYTES);
            }
        }
    }
}
