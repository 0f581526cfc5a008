"""Every function of the pipeline is killed in mid-work, at random, while all four sources deliver:
the tables are right.
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
from dev.reconcile import reconcile

from .faults import Killer, redelivered_after
from .feed import Feed, expected_from
from .independent import TABLES
from .kpis import wait_until_right
from .measure import Stages
from .webhook import post, signed

FUNCTIONS = ("webhook", "conform", "dispatch", "transform", "load", "notify")
TIMES = 2
"""How often each function is killed in mid-work; twice as many processes die. Less than the state machines' retries, which
would be right to give up on a function that dies every time."""
SEED = 13
EVENTS, PRODUCTS, LOCATIONS = 300, 10, 2
LEAST_DAYS, MOST_DAYS = 3, 14
"""Days are delivered, the last one first, until everything has been killed so often."""
REDELIVERY_SECONDS = 20
"""After which a mark that a killed dispatch had is given to another; the six minutes that AWS advises are only longer."""
SETTLE_SECONDS = 420


class PatientShop:
    """Posts as a shop should: until it is told that its events were taken, always under the same
    id.
    """

    def __init__(self, pipeline: Pipeline, shop: Shop) -> None:
        self._pipeline, self._shop = pipeline, shop
        self.retries = 0

    def post(self, dataset: str, lines: Iterable[str], size: int) -> None:
        """Posts lines of NDJSON, some at a time."""
        lines = list(lines)
        for start in range(0, len(lines), size):
            self._insist(dataset, f"[{','.join(lines[start : start + size])}]".encode())

    def _insist(self, dataset: str, body: bytes) -> None:
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
    feed, patient, sizes = (
        Feed(pipeline, shop, tmp_path, SEED, PRODUCTS),
        PatientShop(pipeline, shop),
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
                patient.post(
                    dataset,
                    feed.rehearse(dataset, day, count).read_text().splitlines(),
                    sizes.randint(20, 60),
                )
            feed.pos([day], EVENTS // 3, PAGE_SIZE="50")
            feed.inventory([day], LOCATIONS)
            if age + 1 >= LEAST_DAYS and not killer.left:
                break
        assert not killer.left, f"not killed often enough: {killer.left}"
    stages.say(
        f"killed {dict(killer.kills)} processes in mid-work; the shop posted {patient.retries} requests again"
    )

    expected = expected_from(tmp_path)
    assert all(expected.table(table).rows for table in TABLES)
    with stages.stage("wait until the warehouse has it"):
        wait_until_right(pipeline, expected, seconds=SETTLE_SECONDS)
    assert all(balance.holds for balance in reconcile(pipeline)), reconcile(pipeline)
