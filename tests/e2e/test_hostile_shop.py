"""A hostile shop does not affect a good one, and each of its items is accounted for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from dev.hostile import HostileShop, Sent, has_arrived, unaccounted
from dev.pipeline import Pipeline, Shop, wait_until

from .kpis import report, wait_until_right
from .oracle import TABLES
from .reconcile import Balance, reconcile
from .sources import ShopSources, expected_from
from .test_stockouts import Inbox
from .topics import Subscription

TODAY = datetime.now(UTC).date()
FIRST, SECOND = TODAY - timedelta(days=2), TODAY - timedelta(days=1)
SEED, PRODUCTS, EVENTS, LINES, LOCATIONS = 23, 8, 300, 100, 2
CHECK_SECONDS = 3
SETTLE_SECONDS = 600
DEAD_LETTER_QUEUES = ("dirty_dlq_url", "conform_failed_queue_url")


@dataclass
class Sides:
    """Both shops after all data was sent."""

    good: Shop
    hostile: Shop
    folder: Path
    sent: Sent
    inbox: Inbox
    alerts: list[str]
    dead_letter_messages: dict[str, int]
    """New dead-letter messages by queue."""
    reports: list[str] = field(default_factory=list)
    """The differences of the good shop's tables at each check while the hostile one sent."""


def deliver(sources: ShopSources, day: date) -> None:
    """Sends a good day from all four sources."""
    sources.post("web_traffic", day, EVENTS)
    sources.post("crm_interactions", day, EVENTS // 4)
    sources.pos([day], LINES)
    sources.inventory([day], LOCATIONS, PAGE_SIZE="5000")


@pytest.fixture(scope="module")
def sides(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Sends a good day, the hostile data while checking the good shop, and another good day."""
    folder = tmp_path_factory.mktemp("good")
    good, hostile = pipeline.add_shop("neighbour"), pipeline.add_shop("hostile")
    sources = ShopSources(pipeline, good, folder, SEED, PRODUCTS)
    deliver(sources, FIRST)
    wait_until_right(pipeline, expected_from(folder))
    before = {name: pipeline.messages(pipeline.outputs[name]) for name in DEAD_LETTER_QUEUES}
    inbox = Inbox(pipeline, hostile)
    alerts = Subscription(
        pipeline, pipeline.outputs["alerts_topic_arn"], "alerts-beside-a-hostile-shop"
    )
    expected, reports = expected_from(folder), []
    with ThreadPoolExecutor(1) as background:
        sending = background.submit(HostileShop(pipeline, hostile, TODAY).send)
        while not sending.done():
            reports.append(report(pipeline, expected, TABLES))
            wait_for_next_check(sending)
        sent = sending.result()
    # The hostile data has not reached the warehouse yet.
    deliver(sources, SECOND)
    wait_until_right(pipeline, expected_from(folder), seconds=SETTLE_SECONDS)
    wait_until(
        "what the hostile shop sent has arrived",
        lambda: has_arrived(pipeline, hostile, sent),
        SETTLE_SECONDS,
        every=2,
    )
    pipeline.wait_until_idle(SETTLE_SECONDS)
    after = {
        name: pipeline.messages(pipeline.outputs[name]) - count for name, count in before.items()
    }
    texts = [f"{alert.get('Subject')}\n{alert['Message']}" for alert in alerts.read()]
    yield Sides(good, hostile, folder, sent, inbox, texts, after, reports)
    inbox.close()
    alerts.close()


def wait_for_next_check(sending: Future[Sent]) -> None:
    """Waits for the next check, at most until the hostile shop has sent its data."""
    with suppress(TimeoutError):
        sending.exception(CHECK_SECONDS)


def test_the_good_shop_is_right_at_every_check(sides: Sides) -> None:
    assert len(sides.reports) > 5
    assert [text for text in sides.reports if text] == []


def test_the_good_shop_is_right_at_the_end(pipeline: Pipeline, sides: Sides) -> None:
    expected = expected_from(sides.folder)
    tables = expected.tables_with_inputs()
    assert tables and all(expected.table(table).rows for table in tables)
    assert report(pipeline, expected, TABLES) == ""


def test_every_request_is_answered_as_expected(sides: Sides) -> None:
    assert len(sides.sent.requests) > 250
    assert [request for request in sides.sent.requests if not request["as_expected"]] == []


def test_every_hostile_row_is_accounted_for(pipeline: Pipeline, sides: Sides) -> None:
    assert sum(sides.sent.received().values()) > 700
    assert unaccounted(pipeline, sides.hostile, sides.sent) == []


@pytest.mark.parametrize("side", ["good", "hostile"])
def test_the_balance_of_each_shop_holds(pipeline: Pipeline, sides: Sides, side: str) -> None:
    balances: list[Balance] = reconcile(pipeline, getattr(sides, side).shop_id)
    assert {balance.dataset for balance in balances} >= {
        "web_traffic",
        "crm_interactions",
        "pos_sales",
        "inventory_levels",
    }
    assert [balance for balance in balances if not balance.holds] == []
    shop = getattr(sides, side).shop_id
    counted = json.loads(pipeline.shoplake("reconcile", "--shop", shop, "--json"))
    assert [Balance(**balance) for balance in counted] == balances


def test_batches_have_arrived_as_often_as_they_were_sent(pipeline: Pipeline, sides: Sides) -> None:
    balances = {
        balance.dataset: balance.received for balance in reconcile(pipeline, sides.hostile.shop_id)
    }
    for dataset, rows in sides.sent.rows.items():
        assert balances[dataset] == len(rows), dataset


def test_neither_shop_has_dead_letter_messages(sides: Sides) -> None:
    assert sides.dead_letter_messages == dict.fromkeys(DEAD_LETTER_QUEUES, 0)


def test_no_alert_about_a_complete_day_names_the_good_shop(sides: Sides) -> None:
    """The first day was complete before the hostile shop began, and its rows in the same partitions
    do not concern the good shop. The second day may lack rows while it arrives.
    """
    assert [
        text for text in sides.alerts if sides.good.shop_id in text and str(FIRST) in text
    ] == []
    assert [text for text in sides.alerts if sides.hostile.shop_id in text] != []


def test_a_late_stockout_at_midnight_is_one_message(sides: Sides) -> None:
    assert sides.inbox.alerts()["out-at-midnight", "out"] == 1


def test_the_hostile_shop_is_in_the_tables_too(pipeline: Pipeline, sides: Sides) -> None:
    """Its valid rows count, the largest amounts to the last digit."""
    table = "sales.total_sales_by_region_product"
    query = f"""select units_sold, net_sales from {table}
        where shop_id = %s and business_date = %s and region = 'Hostile'"""
    [(units, net)] = pipeline.query(query, sides.hostile.shop_id, SECOND)
    assert units >= 3 * 1_000_000 + 25
    assert net > 3 * 99_999_999_999_999 * 1_000_000
