//! Looks up the position of a field's name in a few nanoseconds.

/// An open-addressing table that is built once. At most a quarter of it is filled, so that a
/// look-up is nearly always one comparison. A name of up to 16 bytes is compared as two words,
/// without a call.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyTable {
    names: Vec<(Words, Box<str>)>,
    /// Positions in `names` plus one; 0 is empty. The length is a power of two.
    buckets: Vec<u16>,
}

impl KeyTable {
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<_> =
            names.into_iter().map(|name| (Words::of(name.as_bytes()), Box::from(name))).collect();
        let mut buckets = vec![0_u16; (names.len() * 4).next_power_of_two()];
        let mask = buckets.len() - 1;
        for (position, (words, _)) in names.iter().enumerate() {
            let mut bucket = words.hash() & mask;
            while buckets[bucket] != 0 {
                bucket = (bucket + 1) & mask;
            }
            buckets[bucket] = position as u16 + 1;
        }
        Self { names, buckets }
    }

    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let words = Words::of(name.as_bytes());
        let mask = self.buckets.len().checked_sub(1)?;
        let mut bucket = words.hash() & mask;
        loop {
            let position = usize::from(self.buckets[bucket]).checked_sub(1)?;
            let (candidate, full) = &self.names[position];
            if *candidate == words && (name.len() <= 16 || **full == *name) {
                return Some(position);
            }
            bucket = (bucket + 1) & mask;
        }
    }
}

/// The length, the first eight bytes and the last eight bytes: all of a name of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Words {
    length: usize,
    first: u64,
    last: u64,
}

impl Words {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let (first, last) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => (name.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)), 0),
        };
        Self { length: name.len(), first, last }
    }

    #[inline]
    fn hash(&self) -> usize {
        // An odd constant with its bits well spread (from the golden ratio).
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let mixed =
            (self.first ^ self.last.rotate_left(23) ^ self.length as u64).wrapping_mul(SPREAD);
        (mixed >> 40) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_the_names_in_the_table_are_found(
            names in proptest::collection::btree_set("[a-z_]{0,20}", 0..60),
            other in "[a-z_]{0,20}",
        ) {
            let table = KeyTable::new(names.iter().map(String::as_str));
            for (position, name) in names.iter().enumerate() {
                prop_assert_eq!(table.find(name), Some(position));
            }
            let listed: BTreeSet<_> = names;
            prop_assert_eq!(table.find(&other).is_some(), listed.contains(&other));
        }
    }
}
