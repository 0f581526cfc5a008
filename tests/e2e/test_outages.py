"""A service is away while a shop sends: when it is back, all tables become right without a command.

OUTAGE_SECONDS sets how long each service is away.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from dev.pipeline import Pipeline

from .faults import event_bridge_away, lambda_away, step_functions_away, warehouse_away
from .kpis import wait_until_right
from .measure import Stages
from .reconcile import reconcile
from .sources import ShopSources, expected_from

OUTAGE_SECONDS = int(os.environ.get("OUTAGE_SECONDS", "600"))
ROUND_SECONDS = 20
"""The time between two batches of events during the outage."""
SETTLE_SECONDS = OUTAGE_SECONDS + 1_200
"""The time until the tables are right: a failed step is tried again after as long as it has been
failing, and a bronze object counts as lost after ten minutes.
"""
SEED, PRODUCTS, EVENTS, LINES, LOCATIONS = 29, 8, 200, 60, 2

OUTAGES: dict[str, Callable[[Pipeline], AbstractContextManager[None]]] = {
    "event-bridge": event_bridge_away,
    "step-functions": step_functions_away,
    "lambda": lambda_away,
    "warehouse": warehouse_away,
}


@pytest.mark.parametrize("service", OUTAGES)
def test_tables_become_right_without_a_command(
    pipeline: Pipeline, service: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stages = Stages(request.config)
    shop = pipeline.add_shop(f"without-{service}")
    sources = ShopSources(pipeline, shop, tmp_path, SEED, PRODUCTS)
    today = datetime.now(UTC).date()
    # Each sweep compares tomorrow, today and yesterday with the states, and other days once a day.
    before, yesterday = (today - timedelta(days=age) for age in (2, 1))
    for dataset in ("web_traffic", "crm_interactions"):
        sources.post(dataset, before, EVENTS)
    poll(sources, before)
    wait_until_right(pipeline, expected_from(tmp_path))

    with OUTAGES[service](pipeline), stages.stage(f"{service} is away"):
        until = time.monotonic() + OUTAGE_SECONDS
        sources.post("crm_interactions", today, EVENTS)
        poll(sources, yesterday)
        rounds = itertools.count(1)
        while time.monotonic() < until:
            send(sources, today, next(rounds))
            time.sleep(ROUND_SECONDS)

    expected = expected_from(tmp_path)
    tables = expected.tables_with_inputs()
    assert tables and all(expected.table(table).rows for table in tables)
    with stages.stage("wait until the tables are right"):
        wait_until_right(pipeline, expected, seconds=SETTLE_SECONDS)
    balances = reconcile(pipeline, shop.shop_id)
    assert all(balance.holds for balance in balances), balances


def poll(sources: ShopSources, day: date) -> None:
    """Delivers a day from the batch sources, which reach silver through bronze."""
    sources.pos([day], LINES)
    sources.inventory([day], LOCATIONS)


def send(sources: ShopSources, day: date, number: int) -> None:
    """Posts the web events of a round, and keeps them for the oracle."""
    file = sources.folder / sources.shop.shop_id / "web_traffic" / f"{day}-{number}.ndjson"
    size = ("--products", str(PRODUCTS), "--events", str(EVENTS // 4))
    seed = ("--seed", str(SEED + number))
    sources.pipeline.send_web_events(
        sources.shop, *seed, *size, "--date", str(day), "--out", str(file)
    )
