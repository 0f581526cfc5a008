//! Finds events of a request that have one key and different times.
//!
//! Only events of one request are compared, because a request is accepted or rejected whole.
//! conform does not compare the lines of a batch: batches are divided by chance, so a replay would
//! quarantine other lines than the first run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use shoplake_contracts::text::Timestamp;
use shoplake_contracts::{Code, Contract, Reason, Row, Value};

/// The events of a request by their key.
pub(crate) struct Copies<'c> {
    contract: &'c Contract,
    /// The positions of the key's columns, and of the time.
    columns: Option<(Vec<usize>, usize)>,
    /// The first event with a key: its position in the request and its time.
    first: HashMap<Vec<String>, (usize, i64)>,
}

impl<'c> Copies<'c> {
    /// Returns the copies of a request without events. If the contract has a version, rows with one
    /// key are versions and not copies, so their times may differ.
    pub(crate) fn new(contract: &'c Contract) -> Self {
        let key = contract.key.iter().filter_map(|column| contract.position(column)).collect();
        let time = contract.position(&contract.event_time);
        let columns = time.filter(|_| contract.version.is_none()).map(|time| (key, time));
        Self { contract, columns, first: HashMap::new() }
    }

    /// Adds an event, and returns why it is not a copy of an earlier one with its key.
    pub(crate) fn add(&mut self, index: usize, row: &Row<'_>) -> Option<Reason> {
        let (key, time) = self.columns.as_ref()?;
        let Value::Timestamp(time) = row.values[*time] else { return None };
        match self.first.entry(key.iter().map(|column| text(&row.values[*column])).collect()) {
            Entry::Vacant(entry) => {
                entry.insert((index, time));
                None
            }
            Entry::Occupied(entry) => {
                let (first, expected) = *entry.get();
                (expected != time).then(|| Reason {
                    field: self.contract.event_time.clone(),
                    expected: format!(
                        "{}, the time of event {first} of this request, which has the same {}; an \
                         event that is sent again has its id and its time, another event has an id \
                         of its own",
                        Timestamp(expected),
                        self.contract.key[1..].join(", ")
                    ),
                    actual: Timestamp(time).to_string(),
                    code: Code::TimeMismatch,
                })
            }
        }
    }
}

/// Returns a text that differs for different values of one column.
fn text(value: &Value<'_>) -> String {
    value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned)
}
