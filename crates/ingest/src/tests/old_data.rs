//! Events of old days: the limit of partitions, and backfills.

use chrono::TimeDelta;
use shoplake_aws::shops::{Backfill, Shop, Shops};
use shoplake_platform::metrics::REJECTED_EVENTS;

use super::{Fixture, STREAM, events_of_days, now};
use crate::{Rejection, TooManyPartitions};

fn open_backfill(fixture: &Fixture) {
    let until = now() + TimeDelta::hours(1);
    let backfill = Some(Backfill { name: "history-2024".parse().unwrap(), until });
    let shops = [("acme", backfill), ("other", None)];
    let shops = shops.map(|(shop, backfill)| (shop.parse().unwrap(), Shop { backfill }));
    fixture.list.set(Ok(Some(Shops { shops: shops.into() })));
}

#[tokio::test]
async fn a_shop_with_an_open_backfill_may_send_many_old_days() {
    let fixture = Fixture::new();
    open_backfill(&fixture);
    fixture.accept(events_of_days(300..800)).await.unwrap();
    let envelopes = fixture.envelopes();
    assert_eq!(envelopes.len(), 500);
    assert!(envelopes.iter().all(|envelope| envelope["backfill"] == "history-2024"));

    let future = fixture.accept_as("acme", "msg_2", events_of_days(-2..-1)).await;
    assert!(matches!(future, Err(Rejection::InvalidEvents { .. })));
    let other = fixture.accept_as("other", "msg_1", events_of_days(500..501)).await;
    assert!(matches!(other, Err(Rejection::InvalidEvents { .. })));
}

#[tokio::test]
async fn a_backfill_ends_at_its_time() {
    let fixture = Fixture::new();
    open_backfill(&fixture);
    let old = |at| fixture.accept_at(at, "acme", "msg_1", events_of_days(500..501));
    let end = now() + TimeDelta::hours(1);
    assert!(matches!(old(end).await, Err(Rejection::InvalidEvents { .. })));
    old(end - TimeDelta::seconds(1)).await.unwrap();
}

#[tokio::test]
async fn many_old_days_at_once_are_rejected_for_their_shop_only() {
    let fixture = Fixture::new();
    let rejection = fixture
        .accept_at(now() + TimeDelta::seconds(90), "acme", "msg_1", events_of_days(10..110))
        .await
        .unwrap_err();
    let Rejection::TooManyPartitions(partitions) = rejection else { panic!("{rejection}") };
    let TooManyPartitions { requested, new, used, limit, retry_after_seconds, .. } = partitions;
    assert_eq!((requested, new, used), (100, 100, 0));
    assert_eq!((limit, retry_after_seconds), (48, 3_511));
    assert!(fixture.stream.lines(STREAM).is_empty());
    assert_eq!(fixture.metrics.total(REJECTED_EVENTS), 100.0);

    fixture.accept_as("acme", "msg_2", events_of_days(0..51)).await.unwrap();
    fixture.accept_as("other", "msg_2", events_of_days(10..58)).await.unwrap();
    let one_more = fixture.accept_as("acme", "msg_3", events_of_days(51..52)).await;
    assert!(matches!(one_more, Err(Rejection::TooManyPartitions(_))));
    fixture.accept_as("acme", "msg_4", events_of_days(0..3)).await.unwrap();
}
