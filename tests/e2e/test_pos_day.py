"""`shoplake pos-day` on the deployed pipeline waits for the day that it sent, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb

from dev.pipeline import Pipeline, Shop

from .test_pos import DAYS, expected, read

DAY = DAYS[0]


def lines(folder: Path, *, kept: bool) -> int:
    """How many lines of the day are sales, or are rejected."""
    return duckdb.sql(f"select count(*) from {read(folder, DAY, kept=kept)}").fetchall()[0][0]


def test_pos_day_sees_its_own_day_arrive(pipeline: Pipeline, shop: Shop, sales_days: Path) -> None:
    kept, rejected = lines(sales_days, kept=True), lines(sales_days, kept=False)
    command = ("pos-day", "--data", sales_days, "--date", DAY, "--shop", shop.shop_id, "--json")
    for _ in range(2):  # a day that is delivered again is waited for again
        balance = json.loads(pipeline.shoplake(*command, "--timeout", "120"))
        assert (balance["received"], balance["silver"], balance["quarantined"]) == (
            kept + rejected,
            kept,
            rejected,
        )
        assert pipeline.totals(DAY, shop.shop_id) == expected(sales_days, DAY)
