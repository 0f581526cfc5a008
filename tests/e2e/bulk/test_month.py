"""A month of three shops through the deployed pipeline: every KPI's row equals the oracle's."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from dev.pipeline import Pipeline, Shop, wait_until

from ..kpis import report, wait_until_right
from ..measure import Stages
from ..oracle import TABLES
from ..sources import ShopSources, expected_from
from ..webhook import send

FIRST_DAY = date(2025, 11, 1)
"""A month that no other test writes to, too old for alerts about its stockouts."""
DAYS = [FIRST_DAY + timedelta(days=number) for number in range(30)]
BACKFILL = "history"
"""Needed because the webhook limits a shop's days per hour, and the days are soon too old."""
SETTLE_SECONDS = 900
REQUEST = ("--batch", "500", "--concurrency", "4")


@dataclass(frozen=True)
class Size:
    """The events and rows of a shop on a day."""

    web_events: int
    crm_interactions: int
    pos_lines: int
    products: int
    locations: int


# Together and in 30 days: 200,000 web events, 20,000 CRM interactions and 60,000 POS lines (rounded
# up to whole days), and (200 * 4 + 10 * 2 + 5 * 2) * 24 * 30 = 597,600 inventory levels.
SIZES = {
    "month-large": Size(4_000, 400, 1_200, 200, 4),
    "month-medium": Size(1_667, 167, 500, 10, 2),
    "month-small": Size(1_000, 100, 300, 5, 2),
}


@dataclass(frozen=True)
class Month:
    """The three shops, and the folder of their data."""

    shops: dict[str, Shop]
    folder: Path


@pytest.fixture(scope="module")
def stages(request: pytest.FixtureRequest) -> Stages:
    """Prints the stages."""
    return Stages(request.config)


@pytest.fixture(scope="module")
def month(pipeline: Pipeline, stages: Stages, tmp_path_factory: pytest.TempPathFactory) -> Month:
    """Sends the month day by day, the shops in parallel."""
    folder = tmp_path_factory.mktemp("month")
    shops = {name: pipeline.add_shop(name) for name in SIZES}
    pipeline.open_backfills(shops, BACKFILL)
    sources_of = {
        name: ShopSources(pipeline, shops[name], folder, seed, SIZES[name].products)
        for seed, name in enumerate(SIZES, start=41)
    }

    def live(name: str, day: date) -> int:
        sources, size = sources_of[name], SIZES[name]
        return sum(
            [
                sources.post("web_traffic", day, size.web_events, *REQUEST),
                sources.post("crm_interactions", day, size.crm_interactions, *REQUEST),
                sources.pos([day], size.pos_lines, BACKFILL=BACKFILL),
                sources.inventory([day], size.locations, PAGE_SIZE="5000", BACKFILL=BACKFILL),
            ]
        )

    with (
        ThreadPoolExecutor(len(SIZES)) as workers,
        stages.stage("post and poll the month", "rows") as done,
    ):
        for day in DAYS:
            with stages.stage(str(day), "rows") as of_day:
                of_day += workers.map(live, SIZES, [day] * len(SIZES))
            done += of_day
    return Month(shops, folder)


def test_every_row_of_every_kpi_is_right(pipeline: Pipeline, month: Month, stages: Stages) -> None:
    with stages.stage("compute the month with the oracle", "rows") as done:
        expected = expected_from(month.folder)
        done.append(sum(len(expected.table(table).rows) for table in TABLES))
    for dataset, least in {
        "web_traffic": 200_000,
        "crm_interactions": 20_000,
        "pos_sales": 59_000,
        "inventory_levels": 590_000,
    }.items():
        raw, valid = expected.count(dataset)
        stages.say(f"{dataset}: {raw:,} rows sent, {valid:,} of them valid and different")
        assert valid >= least
    assert all(expected.table(table).rows for table in expected.tables_with_inputs())
    with stages.stage("wait until the warehouse has it after the last delivery"):
        wait_until_right(pipeline, expected, seconds=SETTLE_SECONDS)


def test_a_late_event_changes_the_kpis(pipeline: Pipeline, month: Month, stages: Stages) -> None:
    pipeline.wait_until_idle()
    shop, day, customer = month.shops["month-large"], DAYS[11], "a-late-customer"
    event = {
        "event_id": str(uuid.uuid4()),
        "session_id": "a-late-session",
        "visitor_id": "a-late-visitor",
        "customer_id": customer,
        "event_type": "purchase",
        "occurred_at": f"{day}T12:00:00Z",
        "page_url": "https://shop.example/thanks",
    }

    posted = time.monotonic()
    send(pipeline, shop, "web_traffic", event)
    query = """select score from marketing.customer_engagement_score
        where shop_id = %s and activity_date = %s and customer_id = %s"""
    score = wait_until(
        "the late event counts",
        lambda: pipeline.query(query, shop.shop_id, day, customer),
        120,
        0.1,
    )
    seconds = time.monotonic() - posted

    stages.say(f"from the post of a late event to the KPI in the warehouse: {seconds:.1f} s")
    assert score == [(13,)], "a purchase weighs 13"
    (month.folder / shop.shop_id / "web_traffic" / "late.ndjson").write_text(
        json.dumps(event) + "\n"
    )
    wait_until_right(pipeline, expected_from(month.folder))


def test_a_shop_has_only_its_own_rows(pipeline: Pipeline, month: Month) -> None:
    """The largest shop's KPIs equal those computed from its inputs alone."""
    alone = expected_from(month.folder, month.shops["month-large"].shop_id)
    assert not (text := report(pipeline, alone, TABLES)), text
