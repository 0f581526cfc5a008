"""The account of a hostile shop names each lost, unexpected or wrongly rejected row."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dev.hostile import Sent, unaccounted
from dev.pipeline import Shop

SHOP = Shop("hostile", "")
HOUR = datetime(2026, 11, 28, 23, tzinfo=UTC)


class Lake:
    """Silver and quarantine in memory."""

    def __init__(self) -> None:
        self.levels = [("hostile", "l1", "p1", HOUR), ("other", "l9", "p9", HOUR)]
        self.events = [("hostile", "e1"), ("hostile", "e2")]
        self.lines = [quarantined("row-1", "missing", "currency")]

    def objects(self, prefix: str) -> list[tuple[str, str]]:
        return [(prefix, "etag")]

    def bodies(self, versions: Iterable[tuple[str, str]]) -> list[bytes]:
        [(prefix, _)] = versions
        if prefix == "silver/web_traffic/":
            return [parquet(["shop_id", "event_id"], self.events)]
        return [parquet(["shop_id", "location_id", "product_id", "snapshot_at"], self.levels)]

    def quarantined(self, dataset: str, shop: Shop) -> list[dict[str, Any]]:
        return self.lines if dataset == "inventory_levels" else []


def parquet(columns: list[str], rows: list[tuple[Any, ...]]) -> bytes:
    """Returns rows as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(
        pa.table(dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))), file
    )
    return file.getvalue()


def quarantined(name: str, code: str, field: str) -> dict[str, Any]:
    """Returns a line of quarantine."""
    envelope = json.dumps({"id": name, "receivedat": "2026-11-29T00:00:00Z"})
    return {"envelope": envelope, "failure": {"reasons": [{"code": code, "field": field}]}}


@pytest.fixture
def sent() -> Sent:
    """Two events in two requests, a rejected request, and rows: valid, invalid, repeated."""

    def request(name: str, status: int, *keys: str) -> dict[str, Any]:
        expected = {"statuses": [status], "keys": list(keys)}
        return {
            "name": name,
            "dataset": "web_traffic",
            "events": 1,
            "expected": expected,
            "status": status,
            "as_expected": True,
            "detail": "",
        }

    sent = Sent(
        [request("good", 202, "e1"), request("good too", 202, "e2"), request("NUL", 422)],
        defaultdict(list),
    )
    valid = {
        "name": "a level",
        "fate": "tables",
        "key": ["l1", "p1", "2026-11-28T23:00:00Z"],
        "repeated": False,
    }
    invalid = {
        "name": "no currency",
        "fate": "quarantined",
        "code": "missing",
        "field": "currency",
        "repeated": False,
    }
    sent.add("inventory_levels", [valid, invalid, {**valid, "repeated": True}])
    return sent


def test_what_was_sent_is_what_must_arrive(sent: Sent) -> None:
    assert sent.received() == {"web_traffic": 2, "inventory_levels": 2}
    assert unaccounted(Lake(), SHOP, sent) == []


def test_each_deviation_is_named(sent: Sent) -> None:
    def problems(change: Any) -> str:
        lake = Lake()
        change(lake)
        return "\n".join(unaccounted(lake, SHOP, sent))

    assert "web_traffic ('e2',) is not in silver" in problems(lambda lake: lake.events.pop())
    assert "('l1', 'p1', '2026-11-28T23:00:00Z') is not in silver" in problems(
        lambda lake: lake.levels.pop(0)
    )
    assert "('e3',) is in silver, and should not be" in problems(
        lambda lake: lake.events.append(("hostile", "e3"))
    )
    assert "0 rows are in quarantine, expected 1" in problems(lambda lake: lake.lines.clear())
    assert "2 rows are in quarantine, expected 1" in problems(
        lambda lake: lake.lines.append(quarantined("row-2", "type", "x"))
    )
    other = quarantined("row-1", "type", "currency")
    assert "0 rows are in quarantine for ('missing', 'currency')" in problems(
        lambda lake: lake.lines.__setitem__(0, other)
    )


def test_a_line_that_was_delivered_twice_counts_once(sent: Sent) -> None:
    lake = Lake()
    lake.lines *= 2
    assert unaccounted(lake, SHOP, sent) == []


def test_an_unexpected_answer_is_named(sent: Sent) -> None:
    sent.requests[2].update(as_expected=False, status=202)
    assert any(
        "'NUL'" in problem and "got 202" in problem for problem in unaccounted(Lake(), SHOP, sent)
    )
