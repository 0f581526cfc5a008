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

from .webhook import page_view, post, send, signed


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
class Contradictions:
    """Contradicts itself, and then corrects what it sent, again and again: the control total of a
    day of sales does not agree with its rows, and a ticket is resolved that was not opened. In each
    delivery another receipt is voided, and one moves to the day before.
    """

    pipeline: Pipeline
    shop: Shop
    turns: int = 0
    """How often the check of the tickets has begun to fail."""
    units: set[int] = field(default_factory=set)
    """The units of the day that the warehouse showed."""

    MODEL = "time_to_resolution"
    CHECK = "resolved_tickets_were_opened"
    RECEIPTS = 4
    """The most receipts of a day that count, each of one unit."""
    PHASE_SECONDS = 300

    def __post_init__(self) -> None:
        self.day = today() - timedelta(days=1)

    def send_until(self, until: float) -> None:
        """Sends until the time, and ends with what is right."""
        for number in itertools.count():
            if time.monotonic() >= until:
                return
            for is_wrong in (True, False):
                self._deliver(number, is_wrong)
                self._send_ticket(number, is_wrong)
                wait_until(
                    f"contradiction {number} is {'sent' if is_wrong else 'corrected'}",
                    lambda number=number, is_wrong=is_wrong: self._shows(number, is_wrong),
                    self.PHASE_SECONDS,
                    every=2,
                )
                self.turns += is_wrong

    def _shows(self, number: int, is_wrong: bool) -> bool:
        """Returns whether the check fails or has passed, and the sales are right if they should
        be. A delivery that its control total contradicts changes no table.
        """
        sold = self._sold("sales.total_sales_by_region_product", "sum(units_sold)")
        earned = self._sold("finance.revenue_by_region", "sum(gross_sales) / 2.5")
        self.units |= {units.get(self.day, 0) for units in (sold, earned)}
        days = self._days()
        right = {day: len(receipts) for day, receipts in self._receipts(number).items() if receipts}
        are_right = all(
            {day: units[day] for day in days if day in units} == right for units in (sold, earned)
        )
        return self._fails() == is_wrong and (is_wrong or are_right)

    def _sold(self, table: str, units: str) -> dict[date, int]:
        if not self.pipeline.has_table(table):
            return {}
        query = f"select business_date, {units} from {table} where shop_id = %s group by 1"
        return {day: int(sold) for day, sold in self.pipeline.query(query, self.shop.shop_id)}

    def _fails(self) -> bool:
        failed = self.pipeline.query(
            "select shops from shoplake.check_results where model = %s and partition_value = %s"
            " and check_name = %s and status = 'failed'",
            self.MODEL,
            str(self.day),
            self.CHECK,
        )
        return any(self.shop.shop_id in (shops or "").split(", ") for (shops,) in failed)

    def _days(self) -> tuple[date, date]:
        return self.day, self.day - timedelta(days=1)

    def _receipts(self, number: int) -> dict[date, list[str]]:
        """Returns the receipts of each day after this many turns."""
        days = self._days()
        receipts = {days[0]: [f"receipt-{each}" for each in range(self.RECEIPTS)], days[1]: []}
        receipts[self.day].remove(f"receipt-{number % self.RECEIPTS}")
        receipts[days[number % 2]].append("moved")
        return receipts

    def _send_ticket(self, number: int, is_wrong: bool) -> None:
        """Resolves a ticket, or opens it at an earlier hour."""
        status, hour = ("resolved", 11) if is_wrong else ("opened", 10)
        event = {
            "interaction_id": f"{status}-{number}",
            "customer_id": "c1",
            "channel": "email",
            "interaction_type": "support_ticket",
            "ticket_id": f"ticket-{number}",
            "ticket_status": status,
            "occurred_at": f"{self.day}T{hour}:00:00Z",
        }
        send(self.pipeline, self.shop, "crm_interactions", [event])

    def _deliver(self, number: int, is_wrong: bool) -> None:
        run = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        receipts_of = self._receipts(number)
        if is_wrong:
            receipts_of[self.day].append("contradicted")
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
