"""Every function is killed during work, at random, while all four sources send: the tables are
right.
"""

from __future__ import annotations

import json
import random
import time
import urllib.error
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dev.pipeline import Pipeline, Shop

from .faults import Killer, redelivered_after
from .kpis import wait_until_right
from .measure import Stages
from .reconcile import reconcile
from .sources import ShopSources, expected_from
from .webhook import post, signed

FUNCTIONS = ("webhook", "conform", "dispatch", "transform", "load", "notify")
TIMES = 2
"""Kills of each function during work; twice as many processes end. Fewer than the state machines'
retries, which end with an error if a function fails every time.
"""
SEED = 13
EVENTS, PRODUCTS, LOCATIONS = 300, 10, 2
LEAST_DAYS, MOST_DAYS = 3, 14
"""Days are sent, the last one first, until each function has had its kills."""
REDELIVERY_SECONDS = 20
"""The dirty queue's visibility timeout, shorter than the six minutes that AWS recommends."""
SETTLE_SECONDS = 420


class RetryingShop:
    """Posts as a shop should: repeats a request with the same id until it is accepted."""

    def __init__(self, pipeline: Pipeline, shop: Shop) -> None:
        self._pipeline, self._shop = pipeline, shop
        self.retries = 0

    def post(self, dataset: str, lines: Iterable[str], size: int) -> None:
        """Posts lines of NDJSON in requests of `size` events."""
        lines = list(lines)
        for start in range(0, len(lines), size):
            self._post(dataset, f"[{','.join(lines[start : start + size])}]".encode())

    def _post(self, dataset: str, body: bytes) -> None:
        webhook_id, deadline = f"msg_{uuid.uuid4().hex}", time.monotonic() + 60
        while True:
            status, answer = self._try(dataset, body, webhook_id)
            if status == 202:
                return
            assert status >= 500, f"expected 202 or a failure of the server, got {status}: {answer}"
            assert time.monotonic() < deadline, (
                f"posted for a minute, the last answer was {status}: {answer}"
            )
            self.retries += 1
            time.sleep(0.2)

    def _try(self, dataset: str, body: bytes, webhook_id: str) -> tuple[int, object]:
        try:
            status, answer, _ = post(
                self._pipeline, dataset, body, signed(self._shop, body, webhook_id=webhook_id)
            )
        except (urllib.error.URLError, ConnectionError, json.JSONDecodeError) as error:
            return 599, error
        return status, answer


def test_functions_killed_at_random_leave_the_tables_right(
    pipeline: Pipeline, shop: Shop, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    stages = Stages(request.config)
    sources, sender, sizes = (
        ShopSources(pipeline, shop, tmp_path, SEED, PRODUCTS),
        RetryingShop(pipeline, shop),
        random.Random(SEED),
    )
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    killer = Killer(pipeline, FUNCTIONS, TIMES, SEED)

    with (
        redelivered_after(pipeline, REDELIVERY_SECONDS),
        killer,
        stages.stage("deliver while functions are killed"),
    ):
        for age in range(MOST_DAYS):
            day = yesterday - timedelta(days=age)
            for dataset, count in (("web_traffic", EVENTS), ("crm_interactions", EVENTS // 3)):
                sender.post(
                    dataset,
                    sources.dry_run(dataset, day, count).read_text().splitlines(),
                    sizes.randint(20, 60),
                )
            sources.pos([day], EVENTS // 3, PAGE_SIZE="50")
            sources.inventory([day], LOCATIONS)
            if age + 1 >= LEAST_DAYS and not killer.left:
                break
        assert not killer.left, f"not killed often enough: {killer.left}"
    stages.say(
        f"killed {dict(killer.kills)} processes; the shop repeated {sender.retries} requests"
    )

    expected = expected_from(tmp_path)
    tables = expected.tables_with_inputs()
    assert tables and all(expected.table(table).rows for table in tables)
    with stages.stage("wait until the warehouse has it"):
        wait_until_right(pipeline, expected, seconds=SETTLE_SECONDS)
    assert all(balance.holds for balance in reconcile(pipeline)), reconcile(pipeline)
