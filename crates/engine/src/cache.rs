//! Bytes of objects, kept in memory between jobs.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use shoplake_lake::Object;

/// Objects and parts of objects whose bytes never change under their name, up to a limit. Those
/// that were not used for the longest time make room for others.
#[derive(Debug)]
pub struct Cache {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<String, (Object, u64)>,
    /// The names, by the number of their last use.
    uses: BTreeMap<u64, String>,
    next_use: u64,
    bytes: usize,
}

impl Cache {
    /// Returns an empty cache for so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Returns what has this name.
    pub(crate) fn get(&self, name: &str) -> Option<Object> {
        let mut state = self.state();
        let number = state.next_use;
        let State { entries, uses, next_use, .. } = &mut *state;
        let (object, used) = entries.get_mut(name)?;
        uses.remove(used);
        uses.insert(number, name.to_owned());
        (*used, *next_use) = (number, number + 1);
        Some(object.clone())
    }

    /// Keeps an object under a name that only its content has.
    pub(crate) fn put(&self, name: &str, object: &Object) {
        let mut state = self.state();
        let size = object.bytes.len();
        if size > self.limit || state.entries.contains_key(name) {
            return;
        }
        while state.bytes + size > self.limit
            && let Some((_, oldest)) = state.uses.pop_first()
            && let Some((removed, _)) = state.entries.remove(&oldest)
        {
            state.bytes -= removed.bytes.len();
        }
        let number = state.next_use;
        state.next_use += 1;
        state.bytes += size;
        state.uses.insert(number, name.to_owned());
        state.entries.insert(name.to_owned(), (object.clone(), number));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use shoplake_lake::{ETag, Head, Metadata};

    use super::*;

    fn object(size: usize) -> Object {
        let head = Head {
            etag: ETag::new("e"),
            size: size as u64,
            last_modified: DateTime::UNIX_EPOCH,
            metadata: Metadata::new(),
        };
        Object { head, bytes: vec![0; size].into() }
    }

    fn known<'a>(cache: &Cache, names: &[&'a str]) -> Vec<&'a str> {
        let state = cache.state();
        assert_eq!(state.uses.len(), state.entries.len());
        let sizes: usize = state.entries.values().map(|(object, _)| object.bytes.len()).sum();
        assert!(sizes == state.bytes && sizes <= cache.limit);
        names.iter().copied().filter(|name| state.entries.contains_key(*name)).collect()
    }

    #[test]
    fn what_was_not_used_for_the_longest_time_makes_room() {
        let cache = Cache::new(10);
        for name in ["a", "b", "c"] {
            cache.put(name, &object(3));
        }
        assert_eq!(cache.get("a").map(|object| object.bytes.len()), Some(3));
        cache.put("d", &object(3));
        assert_eq!(known(&cache, &["a", "b", "c", "d"]), ["a", "c", "d"]);
        cache.put("e", &object(9));
        assert_eq!(known(&cache, &["a", "b", "c", "d", "e"]), ["e"]);
        cache.put("f", &object(11));
        assert_eq!(known(&cache, &["e", "f"]), ["e"], "what is too big is not kept");
        assert!(cache.get("f").is_none());
    }
}
