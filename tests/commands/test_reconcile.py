"""The balance of one shop beside others, and of lines that cannot be read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dev.reconcile import Balance, reconcile

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)


def envelope(shop: str, name: str) -> bytes:
    """A line of bronze."""
    fields = {"dataset": "web_traffic", "shopid": shop, "id": name, "receivedat": AT.isoformat()}
    return json.dumps(fields).encode()


class Lake:
    """Two events of a shop, one of them refused; three of another, two of them with one key."""

    def lines(self, prefix: str) -> Iterator[bytes]:
        yield from (envelope("a", name) for name in ("1", "2"))
        yield from (envelope("b", name) for name in ("1", "2", "3"))
        yield b"\xff"

    def quarantined(self) -> list[dict[str, Any]]:
        return [{"envelope": envelope("a", "2").decode()}, {"envelope": "unreadable"}]

    def objects(self, prefix: str) -> list[tuple[str, str]]:
        return [(prefix, "etag")] if prefix == "silver/web_traffic/" else []

    def bodies(self, versions: Iterable[tuple[str, str]]) -> list[bytes]:
        rows = [("a", "k1", "1"), ("b", "k1", "1"), ("b", "k1", "2"), ("b", "k2", "3")]
        columns = dict(
            zip(("shop_id", "event_id", "_envelope_id"), map(list, zip(*rows)), strict=True)
        )
        file = io.BytesIO()
        times = pa.array([AT] * len(rows), pa.timestamp("us", tz="UTC"))
        pq.write_table(pa.table({**columns, "_received_at": times}), file)
        return [file.getvalue() for _ in versions]


def test_a_shop_is_balanced_without_the_others() -> None:
    assert reconcile(Lake(), "a") == [Balance("web_traffic", 2, 1, 1, 0)]
    assert reconcile(Lake(), "b") == [Balance("web_traffic", 3, 2, 0, 1)]


def test_all_shops_include_the_lines_that_cannot_be_read() -> None:
    unreadable, web = reconcile(Lake())
    assert (unreadable.dataset, unreadable.received, unreadable.quarantined) == ("_unknown", 1, 1)
    assert web == Balance("web_traffic", 5, 3, 1, 1)


class OddLake(Lake):
    """The same, with lines that no program of ours writes: their members are anything."""

    def __init__(self) -> None:
        whole = json.loads(envelope("a", "odd"))
        self.odd = [
            {**whole, "receivedat": "0001-01-01T00:00:00+14:00"},
            {**whole, "receivedat": "soon"},
            {**whole, "shopid": ["a"]},
            {**whole, "dataset": {}},
            {**whole, "dataset": None},
        ]

    def lines(self, prefix: str) -> Iterator[bytes]:
        yield from super().lines(prefix)
        yield from (json.dumps(line).encode() for line in self.odd)

    def quarantined(self) -> list[dict[str, Any]]:
        return [*super().quarantined(), *({"envelope": json.dumps(line)} for line in self.odd)]


def test_lines_with_odd_members_are_counted() -> None:
    unreadable, web = reconcile(OddLake())
    assert (unreadable.dataset, unreadable.received, unreadable.quarantined) == ("_unknown", 4, 4)
    assert web == Balance("web_traffic", 7, 3, 3, 1)
