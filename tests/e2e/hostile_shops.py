"""Three shops that send hostile data, each of another kind, until a time of `time.monotonic()`."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from dev.hostile import HostileShop
from dev.pipeline import Pipeline, Shop, wait_until

from .webhook import page_view, post, signed


def today() -> date:
    """Returns the day (UTC)."""
    return datetime.now(UTC).date()


@dataclass
class InvalidValues:
    """Sends values that fail checks, break contracts or have the largest size."""

    pipeline: Pipeline
    shop: Shop
    rounds: int = 0

    def send_until(self, until: float) -> None:
        """Sends every item again and again, each time with other ids."""
        while time.monotonic() < until:
            HostileShop(self.pipeline, self.shop, today(), seed=self.rounds + 1).send()
            self.rounds += 1


@dataclass
class FarDates:
    """Makes old partitions dirty again and again, and sends dates that are refused: more old days
    than a shop may send in an hour, and days outside the time window.
    """

    pipeline: Pipeline
    shop: Shop
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    """The answers of the webhook, by kind of request."""

    AGES = range(10, 370, 15)
    """The ages in days of accepted web events: fewer days than the limit of an hour."""
    MANY_AGES = range(5, 395, 5)
    """More days than the limit, in one request."""
    SALES_AGES = range(30, 330, 30)
    PAUSE_SECONDS = 3

    def send_until(self, until: float) -> None:
        """Sends an event of each old day and a day of sales, again and again."""
        for number in itertools.count():
            if time.monotonic() >= until:
                return
            self._web(number)
            self._sales(number)
            time.sleep(self.PAUSE_SECONDS)

    def _web(self, number: int) -> None:
        self._post("old", number, self.AGES)
        self._post("many", number, self.MANY_AGES)
        self._post("outside", number, [500])
        self._post("outside", number, [-500])

    def _post(self, kind: str, number: int, ages: Iterable[int]) -> None:
        days = [today() - timedelta(days=age) for age in ages]
        events = [page_view(f"far-{number}-{day}", f"{day}T12:00:00Z") for day in days]
        body = json.dumps(events).encode()
        status, _, _ = post(self.pipeline, "web_traffic", body, signed(self.shop, body))
        self.statuses[kind, status] += 1

    def _sales(self, number: int) -> None:
        day = today() - timedelta(days=self.SALES_AGES[number % len(self.SALES_AGES)])
        with self.pipeline.pos_api("--seed", str(number), "--rows-per-day", "20") as api:
            self.pipeline.run_pos_connector(self.shop.shop_id, api, str(day))


@dataclass
class WrongTotals:
    """Delivers a day of sales again and again: with a control total that does not agree, then with
    one that does. In each delivery another receipt is voided, and one moves to the day before.
    """

    pipeline: Pipeline
    shop: Shop
    turns: int = 0
    """How often the check of the control total has begun to fail."""

    MODEL = "total_sales_by_region_product"
    CHECK = "control_totals_pos_sales"
    RECEIPTS = 4
    PHASE_SECONDS = 300

    def __post_init__(self) -> None:
        self.day = today() - timedelta(days=1)

    def send_until(self, until: float) -> None:
        """Delivers until the time, and ends with a control total that agrees."""
        for number in itertools.count():
            if time.monotonic() >= until:
                return
            for is_wrong in (True, False):
                self._deliver(number, is_wrong)
                wait_until(
                    f"control total {number} is {'wrong' if is_wrong else 'right'}",
                    lambda is_wrong=is_wrong: self._fails() == is_wrong,
                    self.PHASE_SECONDS,
                    every=2,
                )
                self.turns += is_wrong

    def _fails(self) -> bool:
        failed = self.pipeline.query(
            "select shops from shoplake.check_results where model = %s and partition_value = %s"
            " and check_name = %s and status = 'failed'",
            self.MODEL,
            str(self.day),
            self.CHECK,
        )
        return any(self.shop.shop_id in (shops or "").split(", ") for (shops,) in failed)

    def _deliver(self, number: int, is_wrong: bool) -> None:
        run = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        days = (self.day, self.day - timedelta(days=1))
        receipts_of = {days[0]: [f"receipt-{each}" for each in range(self.RECEIPTS)], days[1]: []}
        receipts_of[self.day].remove(f"receipt-{number % self.RECEIPTS}")
        receipts_of[days[number % 2]].append("moved")
        records = []
        for day, receipts in receipts_of.items():
            records += [
                self._envelope("pos_sales", day, run, f"{receipt}/1", sale(receipt, day))
                for receipt in receipts
            ]
            total = {
                "dataset": "pos_sales",
                "batch": str(day),
                "business_date": str(day),
                "run": run,
                "row_count": len(receipts),
                "quantity_sum": len(receipts) + (is_wrong and day == self.day),
                "completed_at": run,
            }
            records.append(self._envelope("control_totals", day, run, f"total/{run}", total))
        answer = self.pipeline.cloud.client("kinesis").put_records(
            StreamName=self.pipeline.outputs["streams"]["pos"],
            Records=[{"Data": record, "PartitionKey": self.shop.shop_id} for record in records],
        )
        assert not answer["FailedRecordCount"], answer

    def _envelope(self, dataset: str, day: date, run: str, key: str, data: dict[str, Any]) -> bytes:
        """Returns a line as the POS connector sends it."""
        fields = {
            "specversion": "1.0",
            "id": f"pos/{day}/{key}",
            "source": f"/shops/{self.shop.shop_id}/pos",
            "type": f"{dataset}.received",
            "subject": str(day),
            "run": run,
            "shopid": self.shop.shop_id,
            "dataset": dataset,
            "receivedat": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            "datacontenttype": "application/json",
            "data": data,
        }
        return json.dumps(fields).encode() + b"\n"


def sale(receipt: str, day: date) -> dict[str, Any]:
    """Returns a receipt's only line, of one unit."""
    return {
        "transaction_id": receipt,
        "line_no": 1,
        "store_id": "s1",
        "region": "Hostile",
        "product_id": "p000",
        "quantity": 1,
        "unit_price": "2.50",
        "discount": "0",
        "currency": "GBP",
        "sold_at": f"{day}T10:00:00Z",
        "business_date": str(day),
    }
