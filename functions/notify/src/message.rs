//! The messages about a row.

use serde_json::{Value, json};
use shoplake_aws::topic::{Message, subject};
use shoplake_jobs::{NotifyRequest, rfc3339};

use crate::rows::Row;

/// What happened to the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It started.
    Started,
    /// It ended.
    Ended,
}

/// Returns the message about the row.
pub(crate) fn message(request: &NotifyRequest, row: &Row, event: Event) -> Message {
    let (name, intro) = match event {
        Event::Started => ("started", ""),
        Event::Ended => ("ended", "Over: "),
    };
    let title = format!("{intro}{}", fill(&request.alert.subject, row));
    let shop = row.columns.get("shop_id").map(text);
    let body = json!({
        "event": name,
        "title": title,
        "shop": shop,
        "since": row.started.map(rfc3339),
        "until": row.ended.map(rfc3339),
        "model": request.model,
        "partition": request.partition,
        "row": row.columns,
    });
    let mut attributes = vec![("model", request.model.clone()), ("event", name.to_owned())];
    // SNS rejects empty attribute values.
    attributes.extend(shop.filter(|shop| !shop.is_empty()).map(|shop| ("shop_id", shop)));
    Message { subject: subject(&title), body: body.to_string(), attributes }
}

/// Returns the template with the row's values in place of `{column}`.
fn fill(template: &str, row: &Row) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let Some((column, after)) = after.split_once('}') else {
            filled.push('{');
            rest = after;
            continue;
        };
        filled.push_str(&row.columns.get(column).map(text).unwrap_or_default());
        rest = after;
    }
    filled.push_str(rest);
    filled
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "?".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
