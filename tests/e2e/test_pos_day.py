"""`make pos-day` waits for its own day on the deployed pipeline, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from dev.errors import CommandError
from dev.pipeline import Pipeline, Shop
from dev.pos_day import BACKFILL, Delivery, wait_until_complete

from .test_pos import DAYS, expected, read

DAY = DAYS[0]


def lines(folder: Path, *, kept: bool) -> int:
    """Counts the lines of the day that are sales, or the rejected ones."""
    return duckdb.sql(f"select count(*) from {read(folder, DAY, kept=kept)}").fetchall()[0][0]


def test_pos_day_sees_its_own_day_arrive(pipeline: Pipeline, shop: Shop, sales_days: Path) -> None:
    kept, rejected = lines(sales_days, kept=True), lines(sales_days, kept=False)
    for _ in range(2):  # a day that is delivered again is waited for again
        delivery = Delivery.begin(pipeline, shop.shop_id, DAY)
        with pytest.raises(CommandError, match="control total"):
            wait_until_complete(pipeline, delivery, seconds=0)
        with pipeline.pos_api("--csv", str(sales_days)) as api:
            pipeline.run_pos_connector(shop.shop_id, api, DAY, BACKFILL=BACKFILL)
        balance = wait_until_complete(pipeline, delivery, seconds=120)
        assert (balance.received, balance.silver, balance.quarantined) == (
            kept + rejected,
            kept,
            rejected,
        )
        assert pipeline.totals(DAY, shop.shop_id) == expected(sales_days, DAY)
