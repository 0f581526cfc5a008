"""`make pos-day DATA=<folder of CSV days> DATE=YYYY-MM-DD`: one real day of sales through the
running demo.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pyarrow.parquet as pq

from .demo import SHOP_ID, running_demo
from .errors import Arguments, CommandError
from .progress import step
from .reconcile import Balance
from .show import print_balances, print_table

DATASET = "pos_sales"
BACKFILL = "pos-day"
"""The name under which days older than the contract's time window are sent."""
SECONDS = 240
KEY = ("transaction_id", "line_no")
Event = tuple[str, str]
"""The id of an envelope and the time of its receipt: with the shop they identify an event."""


class Lake(Protocol):
    """What is asked of the pipeline."""

    def lines(self, prefix: str) -> Any: ...
    def objects(self, prefix: str) -> list[tuple[str, str]]: ...
    def bodies(self, versions: Any) -> list[bytes]: ...
    def has_table(self, table: str) -> bool: ...
    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class Delivery:
    """One shop's day as one run of the connector sends it: what there is of it at each station."""

    shop_id: str
    day: str
    started: datetime
    rows_since: datetime
    """Earlier than the start where the run resumes another one: its control total counts both."""

    @classmethod
    def begin(cls, lake: Lake, shop_id: str, day: str) -> Delivery:
        """The delivery of a connector that starts now."""
        now = datetime.now(UTC)
        checkpoints = lake.bodies(lake.objects(f"state/connectors/pos/{shop_id}/{day}.json"))
        resumes = any(
            json.loads(checkpoint).get("completed_at") is None for checkpoint in checkpoints
        )
        return cls(shop_id, day, now, datetime.min.replace(tzinfo=UTC) if resumes else now)

    def look(self, lake: Lake) -> Progress:
        """Counts the day's events from the lake and the warehouse alone."""
        progress = Progress()
        for line in lake.lines("bronze/pos/"):
            envelope = self._own(line)
            if envelope is None:
                continue
            if (
                envelope["dataset"] == "control_totals"
                and moment(envelope["receivedat"]) >= self.started
            ):
                progress.announced = envelope["data"]["row_count"]
            elif envelope["dataset"] == DATASET:
                progress.received.add(event_of(envelope))
        for line in lake.lines(f"quarantine/{DATASET}/"):
            if envelope := self._own(json.loads(line)["envelope"]):
                progress.quarantined.add(event_of(envelope))
        self._read_silver(lake, progress)
        table = "sales.total_sales_by_region_product"
        if lake.has_table(table):
            progress.shown = dict(
                lake.query(
                    f"select currency, sum(net_sales) from {table}"
                    " where business_date = %s and shop_id = %s group by 1",
                    self.day,
                    self.shop_id,
                )
            )
        return progress

    def _own(self, line: bytes | str) -> dict[str, Any] | None:
        """The envelope, if it is one of this delivery. A line of another source may be anything."""
        try:
            envelope = json.loads(line)
            is_own = envelope["shopid"] == self.shop_id and envelope.get("subject") == self.day
            return (
                envelope if is_own and moment(envelope["receivedat"]) >= self.rows_since else None
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            return None

    def _read_silver(self, lake: Lake, progress: Progress) -> None:
        newest: dict[tuple[Any, ...], dict[str, Any]] = {}
        columns = [
            *KEY,
            "shop_id",
            "currency",
            "quantity",
            "unit_price",
            "discount",
            "_envelope_id",
            "_received_at",
        ]
        for body in lake.bodies(lake.objects(f"silver/{DATASET}/dt={self.day}/")):
            rows = pq.read_table(
                io.BytesIO(body), columns=columns, filters=[("shop_id", "=", self.shop_id)]
            )
            for row in rows.to_pylist():
                key = tuple(row[column] for column in KEY)
                received = (
                    row["_received_at"]
                    if row["_received_at"].tzinfo
                    else row["_received_at"].replace(tzinfo=UTC)
                )
                if received >= self.rows_since:
                    progress.silver[row["_envelope_id"], received] = key
                if key not in newest or newest[key]["_received_at"] <= row["_received_at"]:
                    newest[key] = row
        for row in newest.values():
            amount = row["quantity"] * row["unit_price"] - row["discount"]
            progress.sold[row["currency"]] = progress.sold.get(row["currency"], Decimal(0)) + amount


@dataclass
class Progress:
    """How far a delivery got."""

    announced: int | None = None
    """Rows that the connector says it sent; unknown until its control total is in bronze."""
    received: set[Event] = field(default_factory=set)
    quarantined: set[Event] = field(default_factory=set)
    silver: dict[Event, tuple[Any, ...]] = field(default_factory=dict)
    """The key of each event that is in silver."""
    sold: dict[str, Decimal] = field(default_factory=dict)
    """Net sales by currency that follow from the shop's rows in silver."""
    shown: Mapping[str, Decimal] = field(default_factory=dict)
    """Net sales by currency that the warehouse shows."""

    @property
    def balance(self) -> Balance:
        """What became of the delivery's rows."""
        keys, quarantined = set(self.silver.values()), self.quarantined - self.silver.keys()
        return Balance(
            DATASET, len(self.received), len(keys), len(quarantined), len(self.silver) - len(keys)
        )

    def missing(self) -> list[str]:
        """What is not there yet, in the order of the stations; empty when the day is complete."""
        if self.announced is None:
            return ["bronze has not got the connector's control total"]
        lacking = []
        if (ids := len({name for name, _ in self.received})) != self.announced:
            lacking.append(f"bronze has {ids} of {self.announced} rows")
        if not self.balance.holds:
            settled = len(self.silver.keys() | self.quarantined)
            lacking.append(f"{settled} of {len(self.received)} rows are in silver or in quarantine")
        if self.shown != self.sold:
            lacking.append(
                f"the warehouse shows net sales of {said(self.shown)}, expected {said(self.sold)}"
            )
        return lacking


def event_of(envelope: Mapping[str, Any]) -> Event:
    """What tells an envelope from others of its shop."""
    return envelope["id"], moment(envelope["receivedat"])


def moment(text: str) -> datetime:
    """A time of an envelope."""
    return datetime.fromisoformat(text).astimezone(UTC)


def said(amounts: Mapping[str, Decimal]) -> str:
    """Amounts by currency, in words."""
    return (
        ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(amounts.items()))
        or "nothing"
    )


def wait_until_complete(
    lake: Lake, delivery: Delivery, seconds: float = SECONDS, every: float = 1
) -> Balance:
    """Waits until the warehouse has this delivery, whatever else is under way in the demo."""
    deadline = time.monotonic() + seconds
    while True:
        progress = delivery.look(lake)
        if not (lacking := progress.missing()):
            return progress.balance
        if time.monotonic() >= deadline:
            raise CommandError(
                f"the sales of {delivery.day} of shop {delivery.shop_id}"
                f" are not complete after {seconds:.0f} s: "
                f"{'; '.join(lacking)}. Look at .local/demo/logs, run `make redrive`,"
                " then run `make pos-day` again: "
                "sending a day twice changes nothing"
            )
        time.sleep(every)


def find_day(folder: str, day: str) -> Path:
    """The folder, once it is sure that it has the day."""
    usage = "make pos-day DATA=<folder> DATE=YYYY-MM-DD"
    if not folder:
        raise CommandError(f"DATA is empty, expected the folder with the CSV days: {usage}")
    if not day:
        raise CommandError(f"DATE is empty, expected the business date: {usage}")
    try:
        is_day = date.fromisoformat(day).isoformat() == day
    except ValueError:
        is_day = False
    if not is_day:
        raise CommandError(
            f'invalid DATE "{day}": expected a day as YYYY-MM-DD, such as 2010-12-01'
        )
    path = Path(folder)
    if not path.is_dir():
        raise CommandError(
            f'invalid DATA "{folder}": expected a folder,'
            f" found {'a file' if path.exists() else 'nothing'}"
        )
    if not any((path / f"{day}.csv{ending}").is_file() for ending in ("", ".gz")):
        days = sorted({file.name[:10] for file in path.glob("????-??-??.csv*")})
        has = (
            f"it has {len(days)} days from {days[0]} to {days[-1]}"
            if days
            else "it has no files YYYY-MM-DD.csv[.gz]"
        )
        raise CommandError(f"{path} has neither {day}.csv nor {day}.csv.gz; {has}")
    return path


def main() -> int:
    """Polls the day, waits until it is in the warehouse, and shows it."""
    parser = Arguments(description=__doc__)
    parser.add_argument("--data", default="", help="folder with YYYY-MM-DD.csv or .csv.gz files")
    parser.add_argument("--date", default="", help="the business date")
    parser.add_argument("--shop", default=SHOP_ID)
    options = parser.parse_args()
    folder = find_day(options.data, options.date)
    pipeline = running_demo()

    delivery = Delivery.begin(pipeline, options.shop, options.date)
    with pipeline.pos_api("--csv", str(folder)) as api, step(f"poll the sales of {options.date}"):
        pipeline.run_pos_connector(options.shop, api, options.date, BACKFILL=BACKFILL)
    with step("wait until the warehouse has the day"):
        balance = wait_until_complete(pipeline, delivery)
    print_table(
        pipeline,
        f"net sales of {options.shop} by region on {options.date}",
        "select region, currency, sum(net_sales) net_sales, sum(units_sold) units_sold,"
        " sum(units_returned) units_returned from sales.total_sales_by_region_product"
        " where business_date = %s and shop_id = %s group by 1, 2 order by 3 desc",
        options.date,
        options.shop,
    )
    print_balances([balance])
    return 0


if __name__ == "__main__":
    sys.exit(main())
