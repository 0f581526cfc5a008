//! Events that the contract must reject.

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};

/// One way to make a valid event invalid.
pub(crate) type Corruption = fn(&mut Map<String, Value>);

/// Corrupts a valid event in the `kind`-th of these ways; kinds repeat.
pub(crate) fn corrupt(
    event: &impl Serialize,
    ways: &[Corruption],
    kind: u64,
) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(event)?;
    let fields = value.as_object_mut().context("an event is an object")?;
    ways[kind as usize % ways.len()](fields);
    Ok(value)
}
