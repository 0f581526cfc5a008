"""An inventory API with the stock of a test."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from dev.http_stub import Stub, serve

TOKEN = "a-token"
Stock = Mapping[datetime, list[dict[str, Any]]]
"""The levels of each hour."""


def level(
    product_id: str,
    on_hand: int,
    reserved: int = 0,
    reorder_point: int = 5,
    location_id: str = "l1",
) -> dict[str, Any]:
    """Returns the level of a product; the API adds the hour."""
    return {
        "location_id": location_id,
        "product_id": product_id,
        "on_hand": on_hand,
        "reserved": reserved,
        "reorder_point": reorder_point,
        "unit_cost": "1.50",
        "currency": "GBP",
        "restocked_quantity": 0,
    }


def hour_name(hour: datetime) -> str:
    """Returns an hour in the format of the connector's settings."""
    return f"{hour:%Y-%m-%dT%H}"


@contextmanager
def inventory_api(stock: Stock) -> Iterator[tuple[str, str]]:
    """Serves `GET /v1/inventory?snapshot_at=&limit=&cursor=`; yields its URL and token. The test
    may change the stock.
    """

    class Handler(Stub):
        def do_GET(self) -> None:
            address = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(address.query))
            if (
                address.path != "/v1/inventory"
                or self.headers["authorization"] != f"Bearer {TOKEN}"
            ):
                return self._answer(401, {})
            hour = datetime.fromisoformat(query["snapshot_at"])
            if hour not in stock:
                return self._answer(404, {})
            rows = [{**row, "snapshot_at": query["snapshot_at"]} for row in stock[hour]]
            start = int(query.get("cursor", 0))
            end = start + int(query["limit"])
            return self._answer(
                200, {"data": rows[start:end], "next_cursor": str(end) if end < len(rows) else None}
            )

        def _answer(self, status: int, answer: dict[str, Any]) -> None:
            headers = {"content-type": "application/json"}
            self.answer(status, json.dumps(answer).encode(), headers)

    with serve(Handler) as url:
        yield url, TOKEN
