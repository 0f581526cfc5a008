//! Checks events before any of them is put on a stream.

use serde_json::value::RawValue;
use shoplake_contracts::envelope::MAX_RECORD_BYTES;
use shoplake_contracts::{Code, Contract, Partition, Reason, Rejected, RowMetadata};

use crate::copies::Copies;
use crate::envelopes::WrappedEvent;
use crate::rejection::{EventError, Rejection};

/// Returns the partitions of the events.
///
/// One event that violates the contract, names another shop, or has another time than an event with
/// its key, rejects all of them, so that a sender never has to find out which half was accepted.
pub(crate) fn partitions(
    contract: &Contract,
    metadata: RowMetadata<'_>,
    events: &[&RawValue],
) -> Result<Vec<Partition>, Rejection> {
    let mut row = contract.row();
    let mut partitions = Vec::with_capacity(events.len());
    let mut errors = Vec::new();
    let mut copies = Copies::new(contract);
    for (index, event) in events.iter().enumerate() {
        let data = event.get().as_bytes();
        match contract.decode(metadata, data, &mut row) {
            Ok(()) => {
                partitions.extend(contract.partition.of(contract.partition_value(&row)));
                let reason = copies.add(index, &row);
                errors.extend(reason.map(|reason| EventError { index, reason }));
            }
            Err(Rejected) => {
                let reasons = contract.explain(metadata, data).into_iter();
                errors.extend(reasons.map(|reason| EventError { index, reason }));
            }
        }
    }
    if errors.is_empty() {
        Ok(partitions)
    } else {
        Err(Rejection::InvalidEvents { events: events.len(), errors })
    }
}

/// Rejects events whose envelopes are larger than a record of a stream.
pub(crate) fn check_sizes(events: &[WrappedEvent]) -> Result<(), Rejection> {
    let errors: Vec<EventError> = events
        .iter()
        .enumerate()
        .filter(|(_, event)| event.line.len() > MAX_RECORD_BYTES)
        .map(|(index, event)| EventError {
            index,
            reason: Reason {
                field: String::new(),
                expected: format!("an event of at most {MAX_RECORD_BYTES} bytes in its envelope"),
                actual: format!("{} bytes", event.line.len()),
                code: Code::TooLarge,
            },
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Rejection::EventsTooLarge { errors }) }
}
