"""Stockouts: exactly one message for each new alert, none on recovery, and none for old alerts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.pipeline import Pipeline, Shop, wait_until

from .inventory_api import Stock, hour_name, inventory_api, level
from .kpis import wait_until_right
from .oracle import Expected
from .reconcile import received, wait_until_settled
from .topics import Subscription

TABLES = ["operations.stockout_alerts", "sales.stock_availability"]
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
FIRST, SECOND, THIRD = (NOW - timedelta(hours=age) for age in (3, 2, 1))
LONG_AGO = NOW - timedelta(days=5)

# Stock is low at 5 available or fewer, and out at none. The products:
# - falling: ok, low, out: two alerts
# - returning: ok, out, ok again: one alert, and no message on recovery
# - scarce: low from the first snapshot
# - reserved: plenty on hand, all of it reserved: out
# - plentiful: never an alert
# - forgotten: out five days ago and not reported since: too old for a message
STOCK: Stock = {
    LONG_AGO: [level("forgotten", 0)],
    FIRST: [
        level("falling", 9),
        level("returning", 9),
        level("scarce", 5),
        level("reserved", 50, 10),
        level("plentiful", 99),
    ],
    SECOND: [
        level("falling", 5),
        level("returning", 0),
        level("scarce", 4),
        level("reserved", 50, 50),
        level("plentiful", 98),
    ],
    THIRD: [
        level("falling", 0),
        level("returning", 60),
        level("scarce", 3),
        level("reserved", 50, 50),
        level("plentiful", 97),
    ],
}
ALERTS = {
    ("falling", "low"): SECOND,
    ("falling", "out"): THIRD,
    ("returning", "out"): SECOND,
    ("scarce", "low"): FIRST,
    ("reserved", "out"): SECOND,
}
"""The expected alerts, and their beginnings."""


class Inbox:
    """A subscription to the stock alerts of a shop, as the shop's own system has."""

    def __init__(self, pipeline: Pipeline, shop: Shop) -> None:
        self._subscription = Subscription(
            pipeline,
            pipeline.outputs["stock_alerts_topic_arn"],
            f"stock-alerts-of-{shop.shop_id}",
            {"shop_id": [shop.shop_id]},
        )
        self.messages: list[dict[str, Any]] = []

    def close(self) -> None:
        """Ends the subscription."""
        self._subscription.close()

    def read(self) -> list[dict[str, Any]]:
        """Returns all notifications so far."""
        self.messages += self._subscription.read()
        return self.messages

    def alerts(self) -> Counter[tuple[str, str]]:
        """Counts the notifications by product and state."""
        rows = [json.loads(message["Message"])["row"] for message in self.read()]
        return Counter((row["product_id"], row["state"]) for row in rows)


@dataclass(frozen=True)
class Delivered:
    """A shop with its stock delivered, and its inbox."""

    shop: Shop
    inbox: Inbox


def deliver(pipeline: Pipeline, shop: Shop, stock: Stock, **settings: str) -> None:
    """Runs the connector for every hour of a stock, earliest first."""
    with inventory_api(stock) as api:
        for hour in sorted(stock):
            pipeline.run_inventory_connector(
                shop.shop_id, api, hour_name(hour), hour_name(hour), **settings
            )


def expected(shop: Shop, stock: Stock) -> Expected:
    """Computes the KPIs of a stock."""
    kpis = Expected()
    rows = [
        {**row, "snapshot_at": f"{hour:%Y-%m-%dT%H:%M:%SZ}"}
        for hour, rows in stock.items()
        for row in rows
    ]
    kpis.add_rows("inventory_levels", shop.shop_id, map(json.dumps, rows))
    return kpis


@pytest.fixture(scope="module")
def delivered(pipeline: Pipeline, shop: Shop) -> Iterator[Delivered]:
    """Delivers the stock and waits for its KPIs and alerts."""
    inbox = Inbox(pipeline, shop)
    deliver(pipeline, shop, STOCK)
    wait_until_right(pipeline, expected(shop, STOCK), TABLES)
    wait_until("every alert has been sent", lambda: inbox.alerts().keys() >= ALERTS.keys())
    yield Delivered(shop, inbox)
    inbox.close()


def test_each_new_alert_is_one_message(delivered: Delivered) -> None:
    assert delivered.inbox.alerts() == dict.fromkeys(ALERTS, 1)


def test_a_message_has_the_row_and_its_beginning(delivered: Delivered) -> None:
    for message in delivered.inbox.read():
        body = json.loads(message["Message"])
        row = body["row"]
        assert (
            body["event"] == "started" and body["shop"] == row["shop_id"] == delivered.shop.shop_id
        )
        assert datetime.fromisoformat(body["since"]) == ALERTS[row["product_id"], row["state"]]
        assert message["Subject"] == body["title"] == f"{row['product_id']} is {row['state']} at l1"
        assert row["available"] == row["on_hand"] - row["reserved"] <= row["reorder_point"]
        assert message["MessageAttributes"]["shop_id"]["Value"] == delivered.shop.shop_id
        assert message["MessageAttributes"]["model"]["Value"] == "stockout_alerts"


def test_a_replay_or_backfill_sends_no_message_again(
    pipeline: Pipeline, delivered: Delivered
) -> None:
    rows, before = sum(map(len, STOCK.values())), received(pipeline)
    deliver(pipeline, delivered.shop, STOCK, PAGE_SIZE="2")
    wait_until_settled(pipeline, {"inventory_levels": before["inventory_levels"] + rows})
    for model in ("stock_state_changes", "stockout_alerts"):
        pipeline.control(
            action="backfill", model=model, **{"from": f"{FIRST:%F}", "to": f"{NOW:%F}"}
        )
    pipeline.wait_until_idle()

    # The new alert changes the partitions of the old ones, so messages about those would precede
    # its own.
    late = {
        hour: [*STOCK[hour], level("late", on_hand)]
        for hour, on_hand in ((FIRST, 9), (SECOND, 9), (THIRD, 0))
    }
    deliver(pipeline, delivered.shop, late)
    wait_until_right(pipeline, expected(delivered.shop, STOCK | late), TABLES)
    wait_until("the new alert has been sent", lambda: ("late", "out") in delivered.inbox.alerts())
    pipeline.wait_until_idle()
    assert delivered.inbox.alerts() == dict.fromkeys([*ALERTS, ("late", "out")], 1)
