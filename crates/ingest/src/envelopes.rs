//! Wraps events into envelopes.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::value::RawValue;
use shoplake_contracts::envelope::Envelope;
use shoplake_contracts::{BackfillName, Contract};

use crate::request::AuthenticatedRequest;

/// An event in its envelope.
#[derive(Debug)]
pub(crate) struct WrappedEvent {
    /// The envelope's id: `<request id>.<index>`. A repeated request gives the same ids, so its
    /// events count once.
    pub(crate) id: String,
    /// The envelope as one line.
    pub(crate) line: Vec<u8>,
}

/// Wraps the events of one request for the stream of `source`.
pub(crate) fn wrap(
    contract: &Contract,
    source: &str,
    request: &AuthenticatedRequest<'_>,
    backfill: Option<&BackfillName>,
    events: &[&RawValue],
) -> Result<Vec<WrappedEvent>, serde_json::Error> {
    let wrap = |(index, &event): (usize, &&RawValue)| -> Result<WrappedEvent, serde_json::Error> {
        let AuthenticatedRequest { shop, received_at, .. } = *request;
        let id = format!("{}.{index}", request.id);
        let mut envelope =
            Envelope::new(shop, source, &contract.dataset, id.as_str(), received_at, event);
        if let Some(time) = event_time(event, &contract.event_time) {
            envelope = envelope.with_time(time);
        }
        if let Some(backfill) = backfill {
            envelope = envelope.with_backfill(backfill);
        }
        let line = envelope.to_line()?;
        Ok(WrappedEvent { id, line })
    };
    events.iter().enumerate().map(wrap).collect()
}

/// Returns the time of the event in UTC, RFC 3339 with microseconds. `None` if the event has no
/// valid time in a field of this name at its top level.
fn event_time(event: &RawValue, field: &str) -> Option<String> {
    let fields: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(event.get()).ok()?;
    let time: Cow<'_, str> = serde_json::from_str(fields.get(field)?.get()).ok()?;
    let time = DateTime::parse_from_rfc3339(&time).ok()?.with_timezone(&Utc);
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(event: &str) -> Option<String> {
        event_time(serde_json::from_str(event).unwrap(), "occurred_at")
    }

    #[test]
    fn an_event_time_is_converted_to_utc() {
        assert_eq!(
            time(r#"{"a":{"occurred_at":1},"occurred_at":"2026-11-21T12:00:00.5+02:00"}"#)
                .as_deref(),
            Some("2026-11-21T10:00:00.500000Z")
        );
    }

    #[test]
    fn an_envelope_has_no_time_if_the_event_has_no_valid_one() {
        for event in [r#"{}"#, r#"{"occurred_at":1}"#, r#"{"occurred_at":"yesterday"}"#, "[]", "1"]
        {
            assert_eq!(time(event), None, "{event}");
        }
    }
}
