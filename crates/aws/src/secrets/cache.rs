//! A small map whose entries expire.

use std::{collections::HashMap, hash::Hash};

use chrono::{DateTime, TimeDelta, Utc};

/// Keeps at most `capacity` values, each for `lifetime`.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: HashMap<K, (DateTime<Utc>, V)>,
    lifetime: TimeDelta,
    capacity: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    pub(super) fn new(lifetime: TimeDelta, capacity: usize) -> Self {
        Self { entries: HashMap::new(), lifetime, capacity }
    }

    pub(super) fn get(&self, key: &K, now: DateTime<Utc>) -> Option<V> {
        self.get_within(key, now, self.lifetime)
    }

    /// The value if it is not older than `lifetime`, whether it has expired or not.
    pub(super) fn get_within(&self, key: &K, now: DateTime<Utc>, lifetime: TimeDelta) -> Option<V> {
        let (since, value) = self.entries.get(key)?;
        (now - *since < lifetime).then(|| value.clone())
    }

    /// Returns whether there is a value, expired or not.
    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// Stores the value. A full cache evicts its oldest entry.
    pub(super) fn insert(&mut self, key: K, value: V, now: DateTime<Utc>) {
        if self.entries.len() >= self.capacity && !self.entries.contains_key(&key) {
            let oldest = self
                .entries
                .iter()
                .min_by_key(|(_, (since, _))| *since)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, (now, value));
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn an_entry_expires_after_its_lifetime() {
        let mut cache = Cache::new(TimeDelta::seconds(10), 2);
        cache.insert("a", 1, at(0));
        assert_eq!(cache.get(&"a", at(9)), Some(1));
        assert_eq!(cache.get(&"a", at(10)), None);
        assert_eq!(cache.get_within(&"a", at(10), TimeDelta::seconds(60)), Some(1));
    }

    #[test]
    fn a_full_cache_evicts_its_oldest_entry() {
        let mut cache = Cache::new(TimeDelta::seconds(10), 2);
        cache.insert("a", 1, at(0));
        cache.insert("b", 2, at(1));
        cache.insert("b", 3, at(2));
        cache.insert("c", 4, at(3));
        assert_eq!(cache.get(&"a", at(3)), None);
        assert_eq!(cache.get(&"b", at(3)), Some(3));
        assert_eq!(cache.get(&"c", at(3)), Some(4));
    }
}
