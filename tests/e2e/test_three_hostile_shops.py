"""Three hostile shops beside a good one, for ten minutes: the good shop's tables are right at every
check, and each turn of a failing check alerts once.

HOSTILE_SECONDS sets how long the hostile shops send.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dev.pipeline import Pipeline, Shop, wait_until

from .hostile_shops import Contradictions, FarDates, InvalidValues
from .kpis import report, wait_until_right
from .measure import Stages
from .oracle import TABLES
from .reconcile import reconcile
from .sources import ShopSources, expected_from
from .test_hostile_shop import FIRST, SECOND, deliver
from .topics import Subscription

HOSTILE_SECONDS = int(os.environ.get("HOSTILE_SECONDS", "600"))
CHECK_SECONDS = 30
SEED, PRODUCTS = 37, 8
RIGHT_SECONDS = 300
"""The time until a day of the good shop is right while the hostile ones send."""
SETTLE_SECONDS = 1_800
CHECK_ALERTS = {
    "Shoplake: a data check failed with an error",
    "Shoplake: a data check failed with a warning",
}
FAILURE_ALERTS = {
    "Shoplake: a bronze object did not reach silver",
    "Shoplake: a gold partition was not computed",
    "Shoplake: a gold partition was not loaded",
    "Shoplake: notifications were not published",
}


@dataclass
class Neighbours:
    """All shops after the hostile ones have sent."""

    good: Shop
    folder: Path
    values: InvalidValues
    dates: FarDates
    contradictions: Contradictions
    reports: list[str] = field(default_factory=list)
    """The differences of the good shop's tables at each check."""
    alerts: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Subject and content of each alert."""


@pytest.fixture(scope="module")
def neighbours(
    pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Neighbours]:
    """Sends a good day, then hostile data with checks of the good shop and another good day."""
    stages = Stages(request.config)
    folder = tmp_path_factory.mktemp("good")
    good = pipeline.add_shop("beside-three")
    values = InvalidValues(pipeline, pipeline.add_shop("hostile-values"))
    dates = FarDates(pipeline, pipeline.add_shop("hostile-dates"))
    contradictions = Contradictions(pipeline, pipeline.add_shop("hostile-contradictions"))
    hostile = (values, dates, contradictions)
    found = Neighbours(good, folder, *hostile)
    sources = ShopSources(pipeline, good, folder, SEED, PRODUCTS)
    deliver(sources, FIRST)
    wait_until_right(pipeline, expected_from(folder))
    topic = pipeline.outputs["alerts_topic_arn"]
    subscription = Subscription(pipeline, topic, "alerts-beside-three-hostile-shops")

    began = time.monotonic()
    with ThreadPoolExecutor(3) as background, stages.stage("three hostile shops send"):
        until = began + HOSTILE_SECONDS
        sending = [background.submit(shop.send_until, until) for shop in hostile]
        check_until(pipeline, found, began + HOSTILE_SECONDS / 2)
        deliver(sources, SECOND)
        expected = expected_from(folder)
        with stages.stage("wait until the good shop's second day is right"):
            wait_until(
                "the good shop's second day is right",
                lambda: not report(pipeline, expected, TABLES),
                RIGHT_SECONDS,
                every=2,
            )
        check_until(pipeline, found, until)
        for each in sending:
            each.result()
    with stages.stage("wait until everything is computed"):
        pipeline.wait_until_idle(SETTLE_SECONDS)
    read = subscription.read()
    found.alerts += [(alert["Subject"], json.loads(alert["Message"])) for alert in read]
    stages.say(
        f"{values.rounds} rounds of invalid values, {contradictions.turns} contradictions,"
        f" {dict(dates.statuses)}, {len(found.alerts)} alerts"
    )
    yield found
    subscription.close()


def check_until(pipeline: Pipeline, found: Neighbours, until: float) -> None:
    """Compares the good shop's tables with the oracle until the time."""
    expected = expected_from(found.folder)
    while time.monotonic() < until:
        next_check = time.monotonic() + CHECK_SECONDS
        found.reports.append(report(pipeline, expected, TABLES))
        time.sleep(max(0, min(next_check, until) - time.monotonic()))


def test_the_good_shop_is_right_at_every_check(neighbours: Neighbours) -> None:
    assert len(neighbours.reports) >= HOSTILE_SECONDS / CHECK_SECONDS / 2
    assert [text for text in neighbours.reports if text] == []


def test_the_good_shop_is_right_at_the_end(pipeline: Pipeline, neighbours: Neighbours) -> None:
    expected = expected_from(neighbours.folder)
    tables = expected.tables_with_inputs()
    assert tables and all(expected.table(table).rows for table in tables)
    assert report(pipeline, expected, TABLES) == ""


def test_every_event_is_accounted_for(pipeline: Pipeline, neighbours: Neighbours) -> None:
    for shop in (
        neighbours.good,
        neighbours.values.shop,
        neighbours.dates.shop,
        neighbours.contradictions.shop,
    ):
        balances = reconcile(pipeline, shop.shop_id)
        assert balances and [each for each in balances if not each.holds] == [], shop.shop_id


def test_each_kind_of_hostile_data_was_sent(neighbours: Neighbours) -> None:
    assert neighbours.values.rounds > 0
    assert neighbours.contradictions.turns > 1
    statuses = neighbours.dates.statuses
    assert statuses["old", 202] > 1 and statuses["outside", 422] > 1, statuses
    assert statuses["many", 202] == 0 < statuses["many", 429], statuses


def test_each_turn_of_a_failing_check_alerts_once(neighbours: Neighbours) -> None:
    contradictions = neighbours.contradictions
    key = (contradictions.MODEL, str(contradictions.day))
    alerts = [
        body["version"]
        for _, body in neighbours.alerts
        if (body.get("model"), body.get("partition")) == key
        for check in body["checks"]
        if check["check"] == contradictions.CHECK and contradictions.shop.shop_id in check["shops"]
    ]
    assert len(alerts) == contradictions.turns, "one alert each time that the check begins to fail"
    assert len(set(alerts)) == len(alerts)


def test_sales_that_their_control_total_contradicts_never_count(neighbours: Neighbours) -> None:
    contradictions = neighbours.contradictions
    assert max(contradictions.units) == contradictions.RECEIPTS, contradictions.units


def test_no_alert_is_sent_twice(neighbours: Neighbours) -> None:
    alerts = Counter(
        (body["model"], body["partition"], body["version"])
        for subject, body in neighbours.alerts
        if subject in CHECK_ALERTS
    )
    assert alerts and {alert: count for alert, count in alerts.items() if count > 1} == {}


def test_no_step_failed(neighbours: Neighbours) -> None:
    assert FAILURE_ALERTS.isdisjoint(subject for subject, _ in neighbours.alerts)


def test_no_alert_names_the_good_shop(neighbours: Neighbours) -> None:
    """Its first day was complete. The second day may lack rows while it arrives."""
    named = [
        body
        for _, body in neighbours.alerts
        if body.get("partition") == str(FIRST) and neighbours.good.shop_id in json.dumps(body)
    ]
    assert named == []
