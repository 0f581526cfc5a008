"""All days of UCI's "Online Retail" through the POS connector: every row of their KPIs is right."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dev.pipeline import Pipeline

from ..kpis import wait_until_right
from ..measure import Memory, Stages
from ..oracle import Expected

TABLES = [
    "sales.total_sales_by_region_product",
    "sales.product_turnover_rate",
    "operations.inventory_turnover",
    "finance.revenue_by_region",
]
FUNCTIONS = ("conform", "transform", "load")
"""Functions whose memory is measured."""
CONNECTORS = 3
"""Days that are polled at the same time."""
SETTLE_SECONDS = 900

pytestmark = pytest.mark.skipif(
    "SHARED_DATA" not in os.environ,
    reason="SHARED_DATA does not name a folder with online-retail/YYYY-MM-DD.csv.gz",
)


class Connectors:
    """Connectors that run in parallel."""

    def __init__(self, pipeline: Pipeline, shop_id: str, api: tuple[str, str]) -> None:
        self._pipeline, self._shop_id, self._api = pipeline, shop_id, api
        self._running: set[int] = set()
        self._lock = threading.Lock()

    def pids(self) -> list[int]:
        """Returns the running processes."""
        with self._lock:
            return list(self._running)

    def run(self, day: str) -> None:
        """Polls a day in the largest pages, because the API parses the day's file for each."""
        process = self._pipeline.start_pos_connector(
            self._shop_id, self._api, day, PAGE_SIZE="5000", RUST_LOG="warn", BACKFILL="real-days"
        )
        with self._running_now(process):
            output, _ = process.communicate()
        assert process.returncode == 0, (
            f"the sales of {day}: the connector ended with {process.returncode}\n{output[-2000:]}"
        )

    @contextmanager
    def _running_now(self, process: subprocess.Popen[str]) -> Iterator[None]:
        with self._lock:
            self._running.add(process.pid)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(process.pid)


def test_every_row_of_all_days_is_right(
    pipeline: Pipeline, sales_days: Path, request: pytest.FixtureRequest
) -> None:
    stages = Stages(request.config)
    shop = pipeline.add_shop("real-data").shop_id
    files = {file.name.partition(".")[0]: file for file in sorted(sales_days.glob("*.csv.gz"))}
    with stages.stage("compute all days with the oracle", "rows") as done:
        expected = Expected()
        expected.add_online_retail(shop, files.values())
        done.append(sum(len(expected.table(table).rows) for table in TABLES))
    lines, valid = expected.count("pos_sales")
    stages.say(f"{len(files)} days, {lines:,} lines, {valid:,} of them sales")
    rates = expected.table("sales.product_turnover_rate")
    assert all(row[rates.columns.index("average_on_hand_30d")] is None for row in rates.rows), (
        "these days have no stock"
    )

    with pipeline.pos_api("--csv", str(sales_days)) as api:
        connectors = Connectors(pipeline, shop, api)
        memory = {name: memory_of(pipeline, name) for name in FUNCTIONS} | {
            "pos-connector": Memory(connectors.pids)
        }
        with ExitStack() as measured:
            for processes in memory.values():
                measured.enter_context(processes)
            measured.enter_context(
                stages.stage("from the first line to the last KPI", "lines")
            ).append(lines)
            with (
                stages.stage(f"poll all days, {CONNECTORS} at a time", "lines") as done,
                ThreadPoolExecutor(CONNECTORS) as workers,
            ):
                list(workers.map(connectors.run, files))
                done.append(lines)
            with stages.stage("wait until the warehouse has the rest"):
                wait_until_right(pipeline, expected, TABLES, SETTLE_SECONDS)
    for name, processes in memory.items():
        stages.say(f"peak memory of {name}: {processes}")
        assert processes.largest > 0


def memory_of(pipeline: Pipeline, function: str) -> Memory:
    """Returns the meter of a function's processes."""
    name = pipeline.outputs["functions"][function]
    return Memory(lambda: pipeline.cloud.function_pids(name))
