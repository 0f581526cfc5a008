//! Requests to the webhook with their expected answers.

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;

use super::{
    crm::{interaction, widest_interaction},
    object::{Object, widest},
    web::{endless_session, event, widest_event},
};
use crate::seed::mix;

const WEB: &str = "web_traffic";
const CRM: &str = "crm_interactions";

/// The largest body that the webhook takes.
const LARGEST_BODY: usize = 3_000_000;

/// The most events of a request.
const MOST_EVENTS: usize = 500;

/// Requests in the name of shops that do not exist.
const UNKNOWN_SHOPS: u64 = 200;

/// More days than a shop may open in an hour.
const MANY_DAYS: i64 = 60;

/// The name of the request whose id belongs to another one.
const REUSED_ID: &str = "the same webhook-id with another body";

/// Texts that a warehouse cannot hold.
const NUL: &str = r#""a\u0000b""#;

/// How a request is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signing {
    /// According to the specification.
    Valid,
    /// With the signature of another body.
    OtherBody,
    /// With an old timestamp.
    Stale,
    /// Without one of the headers.
    Without(&'static str),
    /// As another shop, which does not exist.
    As(String),
    /// As another content type than JSON.
    ContentType(&'static str),
}

/// The answer that a request gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// One of these.
    pub statuses: Vec<u16>,
    /// A code that the answer names.
    pub code: Option<&'static str>,
    /// Where it is 202: the keys of its events, which are then in silver.
    pub keys: Vec<String>,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is odd about it.
    pub name: String,
    /// What it is posted to.
    pub dataset: &'static str,
    /// Its `webhook-id`.
    pub id: String,
    /// Its body.
    pub body: Vec<u8>,
    /// How many events the body has.
    pub events: usize,
    /// The answer.
    pub expected: Expected,
    pub(super) signing: Signing,
}

/// Returns all requests, in the order in which they are sent.
#[must_use]
pub fn requests(seed: u64, now: DateTime<Utc>) -> Vec<Request> {
    let mut plan = Plan {
        tag: format!("{:08x}", mix(seed, &[now.timestamp().unsigned_abs()]) as u32),
        requests: Vec::new(),
    };
    plan.texts(now);
    plan.numbers(now);
    plan.clocks(now);
    plan.documents(now);
    plan.sizes(now);
    plan.identities(now);
    plan.proofs(now);
    plan.requests
}

struct Plan {
    /// Part of the ids of this run's items.
    tag: String,
    requests: Vec<Request>,
}

impl Plan {
    /// Adds texts that the warehouse cannot hold, and the largest that it can.
    fn texts(&mut self, now: DateTime<Utc>) {
        let fields = [
            "event_id",
            "session_id",
            "visitor_id",
            "customer_id",
            "page_title",
            "referrer",
            "product_id",
            "search_term",
            "order_id",
            "user_agent",
            "language",
        ];
        for field in fields {
            let event = event(&self.key("nul", field), now).raw(field, NUL);
            self.refused(&format!("NUL in {field}"), WEB, &event, "unsupported_character");
        }
        for (parent, child) in
            [("device", "os"), ("device", "browser"), ("utm", "source"), ("utm", "term")]
        {
            let event =
                event(&self.key(parent, child), now).raw(parent, format!(r#"{{"{child}":{NUL}}}"#));
            self.refused(&format!("NUL in {parent}.{child}"), WEB, &event, "unsupported_character");
        }
        for field in ["interaction_id", "customer_id", "subject", "comment", "agent_id"] {
            let interaction = interaction(&self.key("nul", field), now).raw(field, NUL);
            self.refused(
                &format!("NUL in {field} of the CRM"),
                CRM,
                &interaction,
                "unsupported_character",
            );
        }
        // Contracts may accept these texts or not; an accepted one must arrive.
        for (name, text) in [
            ("U+FFFE", r#""a\uFFFEb""#),
            ("U+FFFF", r#""a\uFFFFb""#),
            ("U+FDD0", r#""a\uFDD0b""#),
            ("half a surrogate pair", r#""a\uD800b""#),
            ("controls", r#""\u0001\u001b[31m\u007f""#),
            ("right to left", "\"\u{202E}abc\u{2066}\""),
            ("a byte order mark", "\"\u{FEFF}a\""),
        ] {
            let key = self.key("odd", name);
            let event = event(&key, now).raw("page_title", text);
            self.push(
                name,
                WEB,
                event.json().into_bytes(),
                1,
                Self::either(&[202, 422], vec![key]),
            );
        }
        let key = self.key("widest", "");
        let event = widest_event(&key, now);
        self.accepted("texts of the largest size", WEB, std::slice::from_ref(&event), "event_id");
        let too_long = event.text("event_id", &widest(65, &key));
        self.refused("a text one character too long", WEB, &too_long, "too_long");
        let interaction = widest_interaction(&key, now);
        self.accepted("CRM texts of the largest size", CRM, &[interaction], "interaction_id");
    }

    /// Adds numbers as other systems write them.
    fn numbers(&mut self, now: DateTime<Utc>) {
        for (name, json) in [("2.0", "2.0"), ("3.00", "3.00"), ("1e0", "1e0")] {
            let event = event(&self.key("quantity", name), now).raw("quantity", json);
            self.accepted(&format!("a quantity of {name}"), WEB, &[event], "event_id");
        }
        let barcode = event(&self.key("barcode", ""), now)
            .text("order_value", "4006381333931")
            .text("currency", "GBP");
        self.accepted(
            "a barcode as the order's value",
            WEB,
            std::slice::from_ref(&barcode),
            "event_id",
        );
        let long = barcode.text("order_value", "400638133393100000").json().into_bytes();
        self.push("an amount of 18 digits", WEB, long, 1, Self::either(&[422], Vec::new()));
        let half = event(&self.key("half", ""), now).raw("quantity", "2.5").json().into_bytes();
        self.push("a fraction as quantity", WEB, half, 1, Self::either(&[422], Vec::new()));
        let huge = event(&self.key("huge", ""), now).raw("unknown_member", "1e400");
        self.push(
            "1e400 in an unknown field",
            WEB,
            huge.json().into_bytes(),
            1,
            Self::either(&[422], Vec::new()),
        );
        let rating = interaction(&self.key("rating", ""), now).raw("rating", "5.0");
        self.accepted("a rating of 5.0", CRM, &[rating], "interaction_id");
    }

    /// Adds events of wrong clocks.
    fn clocks(&mut self, now: DateTime<Utc>) {
        for (name, days, code) in [
            ("of 2099", 365 * 72, Some("in_the_future")),
            ("two days ahead", 2, Some("in_the_future")),
            ("401 days back", -401, Some("too_old")),
            ("of 1999", -365 * 27, None),
        ] {
            let event = event(&self.key("clock", name), now + Duration::days(days));
            let expected = Expected { statuses: vec![422], code, keys: Vec::new() };
            self.push(&format!("a clock {name}"), WEB, event.json().into_bytes(), 1, expected);
        }
        for (name, hours) in [("399 days back", -399 * 24), ("23 hours ahead", 23)] {
            let event = event(&self.key("clock", name), now + Duration::hours(hours));
            self.accepted(&format!("a clock {name}"), WEB, &[event], "event_id");
        }
        let days: Vec<_> = (3..3 + MANY_DAYS)
            .map(|age| event(&self.key("day", &age.to_string()), now - Duration::days(age)))
            .collect();
        let expected = Expected { statuses: vec![413], code: None, keys: Vec::new() };
        self.push("many days at once", WEB, array(&days), days.len(), expected);
        let key = self.key("two times", "");
        let copies = [event(&key, now), event(&key, now - Duration::days(1))];
        let expected =
            Expected { statuses: vec![422], code: Some("time_mismatch"), keys: Vec::new() };
        self.push("one id with two times", WEB, array(&copies), copies.len(), expected);
        let session = endless_session(now - Duration::hours(1));
        let session: Vec<_> =
            session.into_iter().map(|event| self.tagged(event, "event_id")).collect();
        self.accepted("a session of 50 hours", WEB, &session, "event_id");
    }

    /// Adds bodies with unusual or invalid JSON.
    fn documents(&mut self, now: DateTime<Utc>) {
        let mut with_mark = b"\xEF\xBB\xBF".to_vec();
        let key = self.key("bom", "");
        with_mark.extend(event(&key, now).json().into_bytes());
        self.push(
            "a byte order mark before the body",
            WEB,
            with_mark,
            1,
            Self::either(&[202, 400], vec![key]),
        );
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let key = self.key("deep", "");
        let nested = event(&key, now).raw("unknown_member", deep(200));
        let expected = Self::either(&[202, 400, 422], vec![key]);
        self.push("deep nesting in an unknown field", WEB, nested.json().into_bytes(), 1, expected);
        let key = self.key("twice", "");
        let twice = event(&key, now).twice("session_id");
        let expected = Self::either(&[202, 422], vec![key]);
        self.push("a member twice", WEB, twice.json().into_bytes(), 1, expected);
        for (name, body, statuses) in [
            ("deep nesting", deep(100_000).into_bytes(), vec![400, 413, 422]),
            ("no event", b"[]".to_vec(), vec![400]),
            ("no JSON", b"event=page_view".to_vec(), vec![400]),
            ("half a document", br#"{"event_id":"#.to_vec(), vec![400]),
            ("bytes that are no text", b"{\"event_id\":\"\xff\xfe\"}".to_vec(), vec![400, 422]),
            ("a number", b"1e400".to_vec(), vec![400, 422]),
        ] {
            self.push(name, WEB, body, 1, Self::either(&statuses, Vec::new()));
        }
        let wrong =
            event(&self.key("bad", ""), now).text("event_type", "dance").without("visitor_id");
        let good = event(&self.key("beside", ""), now);
        let expected = Expected { statuses: vec![422], code: Some("missing"), keys: Vec::new() };
        self.push("a bad event beside a good one", WEB, array(&[good, wrong]), 2, expected);
        let other = event(&self.key("other", ""), now).text("shop_id", "another-shop");
        self.refused("an event of another shop", WEB, &other, "shop_mismatch");
        let lost = event(&self.key("lost", ""), now).json().into_bytes();
        self.push(
            "an unknown dataset",
            "no_such_dataset",
            lost,
            1,
            Self::either(&[404], Vec::new()),
        );
    }

    /// Adds bodies of the largest size, and larger ones.
    fn sizes(&mut self, now: DateTime<Utc>) {
        // Six events: none of them is larger than a record of the stream.
        let quotes = format!("\"{}\"", r#"\""#.repeat(LARGEST_BODY / 13));
        let events: Vec<_> = (0..6)
            .map(|number| {
                event(&self.key("quotes", &number.to_string()), now)
                    .raw("unknown_member", quotes.clone())
            })
            .collect();
        let keys = events.iter().map(|event| event.get("event_id")).collect();
        let mut body = array(&events);
        body.resize(LARGEST_BODY, b' ');
        self.push(
            "the largest body, full of quotes",
            WEB,
            body.clone(),
            6,
            Self::either(&[202], keys),
        );
        body.push(b' ');
        self.push("a body one byte too large", WEB, body, 6, Self::either(&[413], Vec::new()));
        let huge = event(&self.key("record", ""), now)
            .raw("unknown_member", format!("\"{}\"", "x".repeat(1_200_000)));
        self.push(
            "an event beyond a record",
            WEB,
            huge.json().into_bytes(),
            1,
            Self::either(&[413], Vec::new()),
        );
        let many: Vec<_> = (0..=MOST_EVENTS)
            .map(|number| event(&self.key("many", &number.to_string()), now))
            .collect();
        self.push(
            "one event too many",
            WEB,
            array(&many),
            many.len(),
            Self::either(&[413], Vec::new()),
        );
        self.accepted("the most events of a request", WEB, &many[1..], "event_id");
    }

    /// Adds ids that are used again.
    fn identities(&mut self, now: DateTime<Utc>) {
        let key = self.key("same", "");
        for (name, at) in
            [("an event id", now), ("the same event id on another day", now - Duration::days(1))]
        {
            let event = event(&key, at).text("page_title", name);
            self.accepted(name, WEB, &[event], "event_id");
        }
        let key = self.key("corrected", "");
        for (rating, at) in [("1", now - Duration::days(1)), ("5", now)] {
            let interaction = interaction(&key, at).raw("rating", rating);
            self.accepted(
                &format!("a rating corrected to {rating}"),
                CRM,
                &[interaction],
                "interaction_id",
            );
        }
        let first = event(&self.key("id", "first"), now);
        self.accepted("a webhook-id", WEB, &[first], "event_id");
        let id = self.requests.last().map(|request| request.id.clone()).unwrap_or_default();
        if let Some(again) = self.requests.last().cloned() {
            self.requests.push(Request { name: "the same request again".to_owned(), ..again });
        }
        // Each process of the webhook knows the ids that it accepted itself: another one accepts
        // it.
        let key = self.key("id", "second");
        let second = event(&key, now).json().into_bytes();
        let expected = Self::either(&[409, 202], vec![key]);
        self.push(REUSED_ID, WEB, second, 1, expected);
        if let Some(reused) = self.requests.last_mut() {
            reused.id = id;
        }
    }

    /// Adds requests that are not authenticated.
    fn proofs(&mut self, now: DateTime<Utc>) {
        for (name, signing, status) in [
            ("the signature of another body", Signing::OtherBody, 401),
            ("an old timestamp", Signing::Stale, 401),
            ("no shop", Signing::Without("x-shop-id"), 401),
            ("no id", Signing::Without("webhook-id"), 401),
            ("no timestamp", Signing::Without("webhook-timestamp"), 401),
            ("no signature", Signing::Without("webhook-signature"), 401),
            ("text/plain", Signing::ContentType("text/plain"), 415),
        ] {
            self.signed(name, signing, status, now);
        }
        for number in 0..UNKNOWN_SHOPS {
            let shop = format!("unknown-{}-{number}", self.tag);
            self.signed("a shop that does not exist", Signing::As(shop), 401, now);
        }
    }

    fn signed(&mut self, name: &str, signing: Signing, status: u16, now: DateTime<Utc>) {
        let body = event(&self.key("proof", name), now).json().into_bytes();
        self.push(name, WEB, body, 1, Self::either(&[status], Vec::new()));
        if let Some(request) = self.requests.last_mut() {
            request.signing = signing;
        }
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}-{kind}-{name}", self.tag).replace(' ', "-")
    }

    fn tagged(&self, event: Object, key: &str) -> Object {
        let id = format!("{}-{}", self.tag, event.get(key));
        event.text(key, &id)
    }

    fn either(statuses: &[u16], keys: Vec<String>) -> Expected {
        Expected { statuses: statuses.to_vec(), code: None, keys }
    }

    fn accepted(&mut self, name: &str, dataset: &'static str, events: &[Object], key: &str) {
        let keys = events.iter().map(|event| event.get(key)).collect();
        self.push(name, dataset, array(events), events.len(), Self::either(&[202], keys));
    }

    fn refused(&mut self, name: &str, dataset: &'static str, event: &Object, code: &'static str) {
        let expected = Expected { statuses: vec![422], code: Some(code), keys: Vec::new() };
        self.push(name, dataset, event.json().into_bytes(), 1, expected);
    }

    fn push(
        &mut self,
        name: &str,
        dataset: &'static str,
        body: Vec<u8>,
        events: usize,
        expected: Expected,
    ) {
        let id = format!("hostile-{}-{}", self.tag, self.requests.len());
        let name = name.to_owned();
        self.requests.push(Request {
            name,
            dataset,
            id,
            body,
            events,
            expected,
            signing: Signing::Valid,
        });
    }
}

fn array(events: &[Object]) -> Vec<u8> {
    let events: Vec<_> = events.iter().map(Object::json).collect();
    format!("[{}]", events.join(",")).into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default()
    }

    #[test]
    fn requests_follow_from_seed_and_clock() {
        let keys = |seed| -> HashSet<String> {
            requests(seed, now()).into_iter().flat_map(|request| request.expected.keys).collect()
        };

        assert_eq!(requests(1, now()), requests(1, now()));
        assert!(keys(1).is_disjoint(&keys(2)));
    }

    #[test]
    fn only_accepted_requests_have_keys() {
        let requests = requests(1, now());
        let statuses: HashSet<u16> =
            requests.iter().flat_map(|request| request.expected.statuses.iter().copied()).collect();

        assert_eq!(statuses, HashSet::from([202, 400, 401, 404, 409, 413, 415, 422]));
        for Request { name, expected, events, .. } in &requests {
            let is_accepted = expected.statuses.contains(&202);
            assert_eq!(is_accepted, !expected.keys.is_empty(), "{name}");
            assert!(expected.keys.len() <= *events, "{name}");
        }
    }

    #[test]
    fn the_largest_body_is_json_of_the_largest_accepted_size() {
        let requests = requests(1, now());
        let largest = requests.iter().find(|request| request.body.len() == LARGEST_BODY);

        let body = largest.map(|request| request.body.as_slice()).unwrap_or_default();
        let events: Vec<Value> = serde_json::from_slice(body).unwrap_or_default();
        assert_eq!(events.len(), 6);
        assert!(events.iter().all(|event| event.to_string().len() < 900_000));
        let quotes = body.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        assert!(quotes > LARGEST_BODY * 9 / 10, "{quotes}");
    }

    #[test]
    fn a_webhook_id_comes_again_with_the_same_body_and_with_another() {
        let requests = requests(1, now());
        let position =
            requests.iter().position(|request| request.name == REUSED_ID).unwrap_or_default();

        let [first, again, reused] =
            [position - 2, position - 1, position].map(|index| &requests[index]);
        assert_eq!((&first.id, &first.body), (&again.id, &again.body));
        assert_eq!(first.id, reused.id);
        assert_ne!(first.body, reused.body);
    }
}
