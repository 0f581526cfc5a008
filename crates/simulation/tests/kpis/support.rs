//! Feedback, interactions and the time to resolution.

use serde_json::json;
use shoplake_simulation::Event;

use crate::given::{failed, inquiry, lake, show, then, ticket};

#[tokio::test]
async fn ratings_of_4_and_5_are_satisfied() {
    let rated = |id, rating: Option<i64>| {
        inquiry(id, "c1", "2026-03-01T10:00:00Z").with(json!({"rating": rating}))
    };
    let lake = lake(&[
        rated("i1", Some(5)),
        rated("i2", Some(4)),
        rated("i3", Some(2)),
        rated("i4", None),
        rated("i5", None).with(json!({"channel": "phone"})),
    ])
    .await;
    assert_eq!(
        show(&lake, "feedback_score", "channel responses average_rating satisfied csat").await,
        // (5 + 4 + 2) / 3 and 2 / 3
        ["email 3 3.6666666666666665 2 0.6666666666666666", "phone 0 null 0 null"]
    );
}

#[tokio::test]
async fn customers_are_counted_once_by_channel_and_type() {
    let of = |id, customer, channel: &str, kind: &str| {
        inquiry(id, customer, "2026-03-01T10:00:00Z")
            .with(json!({"channel": channel, "interaction_type": kind}))
    };
    let events = [
        of("i1", "c1", "chat", "inquiry"),
        of("i2", "c1", "chat", "inquiry"),
        of("i3", "c2", "chat", "inquiry"),
        of("i4", "c1", "chat", "complaint"),
        of("i5", "c1", "email", "inquiry"),
    ];
    let lake = lake(&events).await;
    then(&lake, "again", &events).await;
    assert_eq!(
        show(
            &lake,
            "interaction_volume_by_type",
            "interaction_date channel interaction_type interactions distinct_customers"
        )
        .await,
        [
            "2026-03-01 chat complaint 1 1",
            "2026-03-01 chat inquiry 3 2",
            "2026-03-01 email inquiry 1 1"
        ]
    );
}

#[tokio::test]
async fn the_version_of_an_interaction_with_the_later_time_counts() {
    let first = inquiry("i1", "c1", "2026-03-01T10:00:00Z").with(json!({"rating": 1}));
    let corrected = inquiry("i1", "c1", "2026-03-01T10:05:00Z").with(json!({"rating": 5}));
    let lake = lake(&[corrected]).await;
    then(&lake, "first, but late", &[first]).await;
    assert_eq!(show(&lake, "feedback_score", "responses average_rating").await, ["1 5.0"]);
}

const TIMES: &str = "resolution_date tickets_resolved average_hours median_hours p90_hours \
    tickets_without_opening open_tickets";
const AGES: &str = "resolution_date open_tickets open_under_1_day open_1_to_3_days \
    open_3_to_7_days open_over_7_days";

fn opened_and_resolved(name: &str, opened: &str, resolved: &str) -> [Event; 2] {
    [ticket(name, "opened", opened), ticket(name, "resolved", resolved)]
}

#[tokio::test]
async fn percentiles_are_interpolated_between_ranks() {
    let three = [
        opened_and_resolved("t1", "2026-03-01T08:00:00Z", "2026-03-01T10:00:00Z"), // 2 hours
        opened_and_resolved("t2", "2026-02-28T13:00:00Z", "2026-03-01T13:00:00Z"), // 24
        opened_and_resolved("t3", "2026-03-01T09:00:00Z", "2026-03-01T13:00:00Z"), // 4
    ]
    .concat();
    let lake = lake(&three).await;
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await,
        [
            "2026-02-28 0 null null null 0 1",
            // 30 / 3; the second of three; rank 0.9 * 2 = 1.8 is 4 + 0.8 * (24 - 4)
            "2026-03-01 3 10.0 4.0 20.0 0 0",
        ]
    );

    then(
        &lake,
        "a fourth",
        &opened_and_resolved("t4", "2026-03-01T00:00:00Z", "2026-03-01T10:00:00Z"), // 10
    )
    .await;
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await[1],
        // 40 / 4; half way from 4 to 10; rank 0.9 * 3 = 2.7 is 10 + 0.7 * (24 - 10)
        "2026-03-01 4 10.0 7.0 19.8 0 0"
    );
}

#[tokio::test]
async fn a_resolution_counts_once_its_opening_has_arrived() {
    let [opened, resolved] =
        opened_and_resolved("t1", "2026-03-01T23:00:00Z", "2026-03-02T01:00:00Z");
    let lake = lake(&[resolved]).await;
    assert_eq!(show(&lake, "time_to_resolution", TIMES).await, ["2026-03-02 0 null null null 1 0"]);
    assert_eq!(failed(&lake), ["resolved_tickets_were_opened"]);

    then(&lake, "late", &[opened]).await;
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await,
        ["2026-03-01 0 null null null 0 1", "2026-03-02 1 2.0 2.0 2.0 0 0"]
    );
    assert!(failed(&lake).is_empty(), "{:?}", lake.failed_checks());
}

#[tokio::test]
async fn a_resolution_timed_before_the_opening_does_not_count() {
    let lake = lake(&[
        ticket("t1", "opened", "2026-03-01T10:00:00Z"),
        ticket("t1", "resolved", "2026-03-01T09:55:00Z"),
        ticket("t1", "pending", "2026-03-02T10:00:00Z"),
    ])
    .await;
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await,
        ["2026-03-01 0 null null null 1 1", "2026-03-02 0 null null null 0 1"]
    );

    // resolved twice after it: the first of them counts, an hour after the opening
    then(
        &lake,
        "resolved",
        &[
            ticket("t1", "resolved", "2026-03-01T12:00:00Z"),
            ticket("t1", "resolved", "2026-03-01T11:00:00Z"),
        ],
    )
    .await;
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await,
        ["2026-03-01 1 1.0 1.0 1.0 1 0", "2026-03-02 0 null null null 0 0"]
    );
}

#[tokio::test]
async fn a_ticket_resolved_when_it_was_opened_took_zero_hours() {
    let lake =
        lake(&opened_and_resolved("t1", "2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z")).await;
    assert_eq!(show(&lake, "time_to_resolution", TIMES).await, ["2026-03-01 1 0.0 0.0 0.0 0 0"]);
}

#[tokio::test]
async fn a_ticket_opened_again_stays_resolved() {
    let lake = lake(
        &[
            opened_and_resolved("t1", "2026-03-01T08:00:00Z", "2026-03-01T10:00:00Z"),
            opened_and_resolved("t1", "2026-03-02T08:00:00Z", "2026-03-02T09:00:00Z"),
        ]
        .concat(),
    )
    .await;
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await,
        ["2026-03-01 1 2.0 2.0 2.0 0 0", "2026-03-02 0 null null null 0 0"]
    );
}

#[tokio::test]
async fn an_open_ticket_passes_through_all_age_groups() {
    let lake = lake(&[
        ticket("t1", "opened", "2026-03-01T10:00:00Z"),
        ticket("t1", "pending", "2026-03-02T10:00:00Z"),
        ticket("t1", "pending", "2026-03-05T10:00:00Z"),
        ticket("t1", "pending", "2026-03-10T10:00:00Z"),
        ticket("t1", "resolved", "2026-03-11T10:00:00Z"),
    ])
    .await;
    assert_eq!(
        show(&lake, "time_to_resolution", AGES).await,
        [
            "2026-03-01 1 1 0 0 0", // 14 hours old at midnight
            "2026-03-02 1 0 1 0 0", // 1 day and 14 hours
            "2026-03-05 1 0 0 1 0", // 4 days and 14 hours
            "2026-03-10 1 0 0 0 1", // 9 days and 14 hours
            "2026-03-11 0 0 0 0 0",
        ]
    );
    // 10 days of 24 hours
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await[4],
        "2026-03-11 1 240.0 240.0 240.0 0 0"
    );
}

#[tokio::test]
async fn a_ticket_of_exactly_1_3_or_7_days_is_in_the_older_group() {
    let lake = lake(&[
        ticket("t1", "opened", "2026-03-01T00:00:00Z"),
        ticket("t2", "opened", "2026-03-01T00:00:00.000001Z"),
        ticket("t1", "pending", "2026-03-03T12:00:00Z"),
        ticket("t1", "pending", "2026-03-07T12:00:00Z"),
    ])
    .await;
    assert_eq!(
        show(&lake, "time_to_resolution", AGES).await,
        ["2026-03-01 2 1 1 0 0", "2026-03-03 2 0 1 1 0", "2026-03-07 2 0 0 1 1"]
    );
}

#[tokio::test]
async fn an_opening_of_more_than_90_days_ago_is_unknown() {
    // 31 - 1 of March, 30 of April and 30 of May are 90 days
    let lake = lake(
        &[
            opened_and_resolved("t1", "2026-03-01T10:00:00Z", "2026-05-30T10:00:00Z"),
            opened_and_resolved("t2", "2026-02-28T10:00:00Z", "2026-05-30T10:00:00Z"),
        ]
        .concat(),
    )
    .await;
    // 90 * 24 hours
    assert_eq!(
        show(&lake, "time_to_resolution", TIMES).await[2],
        "2026-05-30 1 2160.0 2160.0 2160.0 1 0"
    );
}
