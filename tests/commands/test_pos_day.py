"""`make pos-day` waits for the day that it sent and nothing else, and says what is missing."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dev.errors import CommandError
from dev.pos_day import Delivery, wait_until_complete
from dev.reconcile import Balance

DAY = "2010-12-01"
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
MONEY = pa.decimal128(18, 4)
SCHEMA = pa.schema(
    [
        ("shop_id", pa.string()),
        ("transaction_id", pa.string()),
        ("line_no", pa.int64()),
        ("currency", pa.string()),
        ("quantity", pa.int64()),
        ("unit_price", MONEY),
        ("discount", MONEY),
        ("_envelope_id", pa.string()),
        ("_received_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass
class Lake:
    """A lake and a warehouse in memory, in which every station can be behind."""

    bronze: list[dict[str, Any]] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    silver: list[dict[str, Any]] = field(default_factory=list)
    shown: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    checkpoint: dict[str, Any] | None = None

    def lines(self, prefix: str) -> Iterator[bytes]:
        lines = {"bronze/pos/": self.bronze, "quarantine/pos_sales/": self.quarantine}[prefix]
        yield from (json.dumps(line).encode() for line in lines)
        yield (
            b"\xff not an envelope"
            if prefix.startswith("bronze")
            else json.dumps({"envelope": "[]"}).encode()
        )

    def objects(self, prefix: str) -> list[tuple[str, str]]:
        has = self.silver if prefix == f"silver/pos_sales/dt={DAY}/" else self.checkpoint
        return [(prefix, "etag")] if has else []

    def bodies(self, versions: Iterable[tuple[str, str]]) -> list[bytes]:
        return [
            self._silver() if key.startswith("silver/") else json.dumps(self.checkpoint).encode()
            for key, _ in versions
        ]

    def _silver(self) -> bytes:
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(self.silver, SCHEMA), file)
        return file.getvalue()

    def has_table(self, table: str) -> bool:
        return bool(self.shown)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        day, shop = parameters
        assert day == DAY
        return list(self.shown.get(shop, {}).items())

    def send(
        self, shop: str, number: int, at: datetime, *, price: str = "2.50", quantity: int = 2
    ) -> None:
        """A row that is in bronze and in silver."""
        self.bronze.append(envelope(shop, f"pos/{DAY}/t{number}/1", "pos_sales", at, {}))
        self.silver.append(
            {
                "shop_id": shop,
                "transaction_id": f"t{number}",
                "line_no": 1,
                "currency": "GBP",
                "quantity": quantity,
                "unit_price": Decimal(price),
                "discount": Decimal(0),
                "_envelope_id": f"pos/{DAY}/t{number}/1",
                "_received_at": at,
            }
        )

    def refuse(self, shop: str, number: int, at: datetime) -> None:
        """A row that is in bronze and in quarantine."""
        refused = envelope(shop, f"pos/{DAY}/row-{number}", "pos_sales", at, {})
        self.bronze.append(refused)
        self.quarantine.append({"envelope": json.dumps(refused)})

    def total(self, shop: str, rows: int, at: datetime) -> None:
        """The control total of a run."""
        self.bronze.append(
            envelope(shop, f"pos/{DAY}/control-total", "control_totals", at, {"row_count": rows})
        )


def envelope(
    shop: str, name: str, dataset: str, at: datetime, data: dict[str, Any]
) -> dict[str, Any]:
    """A line of bronze."""
    return {
        "id": name,
        "shopid": shop,
        "dataset": dataset,
        "subject": DAY,
        "receivedat": f"{at:%Y-%m-%dT%H:%M:%S.%fZ}",
        "data": data,
    }


@pytest.fixture
def lake() -> Lake:
    """Three rows of the day, one of them refused; and another shop that is far behind."""
    lake = Lake()
    at = NOW + timedelta(seconds=1)
    lake.send("acme", 1, at)
    lake.send("acme", 2, at, price="10.00", quantity=-1)
    lake.refuse("acme", 3, at)
    lake.total("acme", 3, at)
    lake.shown = {"acme": {"GBP": Decimal("-5.0000")}}
    lake.bronze += [envelope("other", f"o-{n}", "pos_sales", at, {}) for n in range(9)]
    lake.bronze.append(envelope("acme", "web/1", "web_traffic", at, {}))
    for time in ("0001-01-01T00:00:00+14:00", "soon", None, 7):
        odd = envelope("acme", "odd", "pos_sales", at, {})
        lake.bronze.append({**odd, "receivedat": time})
    return lake


DELIVERY = Delivery("acme", DAY, NOW, NOW)


def test_other_shops_and_sources_are_not_waited_for(lake: Lake) -> None:
    assert wait_until_complete(lake, DELIVERY, seconds=0) == Balance("pos_sales", 3, 2, 1, 0)


@pytest.mark.parametrize(
    ("lose", "mention"),
    [
        (lambda lake: lake.bronze.pop(3), "control total"),
        (lambda lake: lake.bronze.pop(0), "bronze has 2 of 3 rows"),
        (lambda lake: lake.quarantine.clear(), "2 of 3 rows are in silver or in quarantine"),
        (
            lambda lake: lake.shown.clear(),
            "the warehouse shows net sales of nothing, expected -5.00 GBP",
        ),
        (
            lambda lake: lake.shown["acme"].update(GBP=Decimal(5)),
            "shows net sales of 5.00 GBP, expected -5.00 GBP",
        ),
    ],
)
def test_what_is_missing_is_named_with_what_to_do(lake: Lake, lose: Any, mention: str) -> None:
    lose(lake)
    with pytest.raises(CommandError) as error:
        wait_until_complete(lake, DELIVERY, seconds=0)
    for word in (mention, "acme", DAY, "make redrive"):
        assert word in str(error.value)


def test_a_day_delivered_again_waits_for_the_new_delivery(lake: Lake) -> None:
    later = NOW + timedelta(hours=1)
    again = Delivery("acme", DAY, later, later)
    assert again.look(lake).missing() == ["bronze has not got the connector's control total"]
    lake.total("acme", 3, later)
    assert again.look(lake).missing() == ["bronze has 0 of 3 rows"]
    for number in (1, 2):
        lake.send("acme", number, later, price="3.00")
    lake.refuse("acme", 3, later)
    # Silver has both deliveries; of each line the newer one counts: 2 * 3.00 + 2 * 3.00.
    assert again.look(lake).missing() == [
        "the warehouse shows net sales of -5.00 GBP, expected 12.00 GBP"
    ]
    lake.shown["acme"]["GBP"] = Decimal(12)
    assert wait_until_complete(lake, again, seconds=0) == Balance("pos_sales", 3, 2, 1, 0)


def test_a_run_that_resumes_a_killed_one_counts_its_rows(lake: Lake) -> None:
    lake.checkpoint = {"rows": 2, "completed_at": None}
    resumed = Delivery.begin(lake, "acme", DAY)
    assert resumed.rows_since < NOW <= resumed.started
    lake.total("acme", 3, resumed.started)
    assert wait_until_complete(lake, resumed, seconds=0).received == 3
    lake.checkpoint = {"rows": 3, "completed_at": "2026-11-29T12:00:00Z"}
    complete = Delivery.begin(lake, "acme", DAY)
    assert complete.rows_since == complete.started


def test_a_day_without_trade_is_complete() -> None:
    lake = Lake()
    lake.total("acme", 0, NOW)
    assert wait_until_complete(lake, DELIVERY, seconds=0) == Balance("pos_sales", 0, 0, 0, 0)
