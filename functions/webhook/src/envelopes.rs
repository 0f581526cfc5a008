//! Wraps events into envelopes.

use std::{borrow::Cow, collections::HashMap};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::value::RawValue;
use shoplake_contracts::{BackfillName, Contract, ShopId, envelope::Envelope};

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Wrapped {
    /// The envelope's id: the same when the same request is sent again, which makes sending it
    /// again safe.
    pub(crate) id: String,
    /// The envelope as one line.
    pub(crate) line: Vec<u8>,
}

/// Wraps the events of one request of `shop` for `source`, which may belong to a backfill.
pub(crate) fn wrap(
    contract: &Contract,
    source: &str,
    shop: &ShopId,
    webhook_id: &str,
    received_at: DateTime<Utc>,
    backfill: Option<&BackfillName>,
    events: &[&RawValue],
) -> Result<Vec<Wrapped>, serde_json::Error> {
    let wrap = |(index, &event): (usize, &&RawValue)| -> Result<Wrapped, serde_json::Error> {
        let id = format!("{webhook_id}.{index}");
        let mut envelope =
            Envelope::new(shop, source, &contract.dataset, id.as_str(), received_at, event);
        if let Some(time) = event_time(event, &contract.event_time) {
            envelope = envelope.with_time(time);
        }
        if let Some(backfill) = backfill {
            envelope = envelope.with_backfill(backfill);
        }
        let line = envelope.to_line()?;
        Ok(Wrapped { id, line })
    };
    events.iter().enumerate().map(wrap).collect()
}

/// When the event happened, if its event-time field is at the top and readable; in UTC, RFC 3339,
/// microseconds.
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
    fn given_a_readable_event_time_when_read_then_it_is_in_utc() {
        assert_eq!(
            time(r#"{"a":{"occurred_at":1},"occurred_at":"2026-11-21T12:00:00.5+02:00"}"#)
                .as_deref(),
            Some("2026-11-21T10:00:00.500000Z")
        );
    }

    #[test]
    fn given_no_readable_event_time_when_read_then_it_is_left_out() {
        for event in [r#"{}"#, r#"{"occurred_at":1}"#, r#"{"occurred_at":"yesterday"}"#, "[]", "1"]
        {
            assert_eq!(time(event), None, "{event}");
        }
    }
}
