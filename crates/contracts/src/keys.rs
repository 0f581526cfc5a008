//! From a field's name to its number, in a few nanoseconds.

/// An open-addressing table that is built once. At most a quarter of it is filled, so that a look-up is one multiplication per eight
/// bytes and, nearly always, one comparison.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyTable {
    names: Vec<Box<str>>,
    /// Positions in `names` plus one; 0 is empty. The length is a power of two.
    buckets: Vec<u16>,
}

impl KeyTable {
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Box<str>> = names.into_iter().map(Box::from).collect();
        let mut buckets = vec![0_u16; (names.len() * 4).next_power_of_two()];
        let mask = buckets.len() - 1;
        for (position, name) in names.iter().enumerate() {
            let mut bucket = hash(name.as_bytes()) & mask;
            while buckets[bucket] != 0 {
                bucket = (bucket + 1) & mask;
            }
            buckets[bucket] = position as u16 + 1;
        }
        Self { names, buckets }
    }

    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let mask = self.buckets.len().checked_sub(1)?;
        let mut bucket = hash(name.as_bytes()) & mask;
        loop {
            let position = usize::from(self.buckets[bucket]).checked_sub(1)?;
            if *self.names[position] == *name {
                return Some(position);
            }
            bucket = (bucket + 1) & mask;
        }
    }
}

#[inline]
fn hash(name: &[u8]) -> usize {
    // An odd constant with its bits well spread (from the golden ratio).
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let (words, rest) = name.as_chunks::<8>();
    let mut digest = name.len() as u64;
    for word in words {
        digest = (digest ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD).rotate_left(29);
    }
    let mut tail = 0;
    for byte in rest {
        tail = (tail << 8) | u64::from(*byte);
    }
    ((digest ^ tail).wrapping_mul(SPREAD) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_found_where_it_was_put_and_no_other_is(names in proptest::collection::btree_set("[a-z_]{0,20}", 0..60), other in "[a-z_]{0,20}") {
            let table = KeyTable::new(names.iter().map(String::as_str));
            for (position, name) in names.iter().enumerate() {
                prop_assert_eq!(table.find(name), Some(position));
            }
            let listed: BTreeSet<_> = names;
            prop_assert_eq!(table.find(&other).is_some(), listed.contains(&other));
        }
    }
}
