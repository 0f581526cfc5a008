"""The report of the deployed pipeline in a browser equals the warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.pipeline import Pipeline, Shop, wait_until
from tests.browser.chromium import Browser
from tests.report.page_checks import check_report

from .reconcile import received, wait_until_settled

TODAY = datetime.now(UTC).date()
DAYS = [str(TODAY - timedelta(days=age)) for age in (2, 1)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Starts a headless Chromium."""
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def traded(pipeline: Pipeline, shop: Shop) -> Shop:
    """Sends two days of sales and some traffic; waits until they are in the warehouse."""
    before = received(pipeline)
    sent = pipeline.send_web_events(
        shop, "--seed", "5", "--events", "500", "--date", str(TODAY - timedelta(days=1))
    )
    with pipeline.pos_api("--seed", "5") as api:
        for day in DAYS:
            pipeline.run_pos_connector(shop.shop_id, api, day)
    tables = {
        "sales.total_sales_by_region_product": 2,
        "finance.revenue_by_region": 2,
        "marketing.session_duration_bounce_rate": 1,
    }
    for table, days in tables.items():
        wait_until(
            f"{table} has {days} days",
            lambda table=table, days=days: days_of(pipeline, table, shop) >= days,
            180,
        )
    # The page and the queries must read the same state of the warehouse.
    wait_until_settled(
        pipeline,
        {
            "web_traffic": before.get("web_traffic", 0) + sent["accepted"],
            "control_totals": before.get("control_totals", 0) + len(DAYS),
        },
    )
    return shop


def days_of(pipeline: Pipeline, table: str, shop: Shop) -> int:
    """Counts the days of a shop in a table."""
    column = "session_date" if "session" in table else "business_date"
    return (
        pipeline.query(
            f"select count(distinct {column}) from {table} where shop_id = %s", shop.shop_id
        )[0][0]
        if pipeline.has_table(table)
        else 0
    )


def test_the_report_shows_what_the_warehouse_has(
    pipeline: Pipeline,
    traded: Shop,
    browser: Browser,
    tmp_path: Path,
) -> None:
    file = tmp_path / "report.html"
    said = pipeline.shoplake("report", "--out", file)
    assert traded.shop_id in said and "Net sales, " in said and "Net revenue, " in said
    assert check_report(browser, file, pipeline.cloud.warehouse_url) > 10
