//! Packs envelope lines into records.

use std::{
    hash::{DefaultHasher, Hasher},
    ops::Range,
};

use super::Record;

/// A record is filled up to this size. Kinesis bills puts in units of 25 KB per record and Firehose
/// in units of 5 KB, so a record that carries one small event pays for 25 KB of nothing; more than
/// one unit per record would save no money and make a lost record hurt more.
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
/// A line is one line: it has no line break inside, and its own at the end is added where it is
/// missing.
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
    fn given_no_line_when_packed_then_no_record() {
        assert!(pack(Vec::<String>::new()).is_empty());
    }

    #[test]
    fn given_lines_with_and_without_a_line_break_when_packed_then_each_has_one() {
        assert_eq!(pack(["{}\n", "[]"])[0].record.data, b"{}\n[]\n");
    }

    #[test]
    fn given_a_line_beyond_the_target_when_packed_then_it_has_a_record_of_its_own() {
        let long = "x".repeat(RECORD_TARGET_BYTES + 1);
        let ranges: Vec<_> =
            pack(["a", &long, "b", "c"]).into_iter().map(|packed| packed.line_indexes).collect();
        assert_eq!(ranges, [0..1, 1..2, 2..4]);
    }

    #[test]
    fn given_many_records_when_packed_then_their_keys_spread() {
        let line = "x".repeat(RECORD_TARGET_BYTES - 10);
        let packed = pack((0..100).map(|number| format!("{number}{line}")));
        let keys: HashSet<_> = packed.iter().map(|packed| &packed.record.partition_key).collect();
        assert_eq!(keys.len(), 100);
    }

    proptest! {
        #[test]
        fn given_any_lines_when_packed_then_nothing_is_lost_and_the_order_is_kept(
            lines in vec("[a-z{}\": ]{0,9000}", 0..40),
        ) {
            let packed = pack(&lines);
            let unpacked: Vec<String> = packed
                .iter()
                .flat_map(|packed| packed.record.data.split_inclusive(|&byte| byte == b'\n'))
                .map(|line| String::from_utf8(line[..line.len() - 1].to_vec()).unwrap())
                .collect();
            prop_assert_eq!(&unpacked, &lines);

            let indexes: Vec<usize> = packed.iter().flat_map(|packed| packed.line_indexes.clone()).collect();
            prop_assert_eq!(indexes, (0..lines.len()).collect::<Vec<_>>());

            for packed in &packed {
                prop_assert!(packed.record.data.len() <= RECORD_TARGET_BYTES || packed.line_indexes.len() == 1);
            }
            // No record could have been saved by filling the one before it.
            for pair in packed.windows(2) {
                let next_line = lines[pair[1].line_indexes.start].len() + 1;
                prop_assert!(pair[0].record.data.len() + next_line > RECORD_TARGET_BYTES);
            }
        }
    }
}
