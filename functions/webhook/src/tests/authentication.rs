//! Which requests are authenticated, and that a refusal does not say which shops exist.

use chrono::TimeDelta;
use lambda_http::Body;
use lambda_http::http::StatusCode;
use serde_json::Value;

use super::{Fixture, PREVIOUS, STREAM, event, parsed, signature, signed, signed_as, with_header};

#[tokio::test]
async fn the_previous_secret_stays_valid() {
    let fixture = Fixture::new();
    let body = event("e1");
    let previous = signature(PREVIOUS, body.as_bytes());
    let request = with_header(signed(&body), "webhook-signature", &previous);
    assert_eq!(fixture.status(request).await, StatusCode::ACCEPTED);

    let both = format!("{} {previous}", signature(b"retired", body.as_bytes()));
    let request = with_header(signed(&body), "webhook-signature", &both);
    assert_eq!(fixture.status(request).await, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_wrong_signature_and_an_unknown_shop_have_the_same_answer() {
    let fixture = Fixture::new();
    let forged = with_header(
        signed(event("e1")),
        "webhook-signature",
        &signature(b"forged", event("e1").as_bytes()),
    );
    let (response, mut forged) = fixture.refused(forged, StatusCode::UNAUTHORIZED).await;
    assert_eq!(response.headers()["www-authenticate"], "StandardWebhooks");

    let unknown = with_header(signed(event("e1")), "x-shop-id", "unknown");
    let (unknown_response, mut unknown) = fixture.refused(unknown, StatusCode::UNAUTHORIZED).await;
    assert_eq!(response.headers(), unknown_response.headers());
    forged["instance"] = Value::Null;
    unknown["instance"] = Value::Null;
    assert_eq!(forged, unknown);
    assert!(fixture.stream.lines(STREAM).is_empty());
}

#[tokio::test]
async fn a_signature_with_the_dummy_key_authenticates_no_shop() {
    let fixture = Fixture::new();
    let body = event("e1");
    let request = with_header(signed(&body), "x-shop-id", "unknown");
    let request = with_header(request, "webhook-signature", &signature(b"dummy", body.as_bytes()));
    fixture.refused(request, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn an_old_request_is_refused() {
    let fixture = Fixture::new();
    fixture.clock.advance(TimeDelta::seconds(301));
    let (_, problem) = fixture.refused(signed(event("e1")), StatusCode::UNAUTHORIZED).await;
    assert!(problem["detail"].as_str().unwrap().contains("within 300 seconds"));
}

#[tokio::test]
async fn a_changed_body_is_refused() {
    let fixture = Fixture::new();
    let mut request = signed(event("e1"));
    *request.body_mut() = Body::Text(event("e2"));
    fixture.refused(request, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn secrets_that_cannot_be_read_are_answered_with_503() {
    let fixture = Fixture::new();
    fixture.secrets.set("acme".parse().unwrap(), ["whsec_%%%"]);
    fixture.refused(signed(event("e1")), StatusCode::SERVICE_UNAVAILABLE).await;
    fixture.secrets.set_available(false);
    let (response, _) = fixture.refused(signed(event("e1")), StatusCode::SERVICE_UNAVAILABLE).await;
    assert_eq!(response.headers()["retry-after"], "30");
}

#[tokio::test]
async fn invented_shops_cost_no_look_up_and_harm_no_shop() {
    let fixture = Fixture::new().with_cached_secrets();
    let body = event("e1");
    let mut answers = Vec::new();
    for number in 0..10_000 {
        let request = signed_as(&format!("invented-{number}"), "msg_1", &body);
        let response = fixture.webhook.handle(request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        if number % 1_000 == 0 {
            answers.push(parsed(&response)["detail"].clone());
        }
    }
    assert!(fixture.secrets.requests() <= 5, "{} look-ups", fixture.secrets.requests());
    for shop in ["acme", "other"] {
        assert_eq!(fixture.status(signed_as(shop, "msg_1", &body)).await, StatusCode::ACCEPTED);
    }
    // A wrong signature of a shop that exists has the same answer.
    let forged =
        with_header(signed(&body), "webhook-signature", &signature(b"forged", body.as_bytes()));
    let (_, forged) = fixture.refused(forged, StatusCode::UNAUTHORIZED).await;
    assert!(answers.iter().all(|answer| *answer == forged["detail"]), "{answers:?}");
}

#[tokio::test]
async fn an_unauthenticated_sender_does_not_learn_which_ids_are_used() {
    let fixture = Fixture::new();
    assert_eq!(fixture.status(signed(event("e1"))).await, StatusCode::ACCEPTED);
    let forged = signature(b"forged", event("e2").as_bytes());
    let request = with_header(signed(event("e2")), "webhook-signature", &forged);
    fixture.refused(request, StatusCode::UNAUTHORIZED).await;
}
