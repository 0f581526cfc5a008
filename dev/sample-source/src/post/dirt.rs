//! Events that the contract must refuse.

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};

/// One way to spoil a good event.
pub(crate) type Spoil = fn(&mut Map<String, Value>);

/// Spoils a good event in the `kind`-th of these ways; kinds repeat.
pub(crate) fn spoil(event: &impl Serialize, ways: &[Spoil], kind: u64) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(event)?;
    let fields = value.as_object_mut().context("an event is an object")?;
    ways[kind as usize % ways.len()](fields);
    Ok(value)
}
