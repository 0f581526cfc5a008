"""The webhook rejects invalid requests and says what it expected."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dev.pipeline import Pipeline, Shop

from .webhook import page_view, post, signed

EVENT = json.dumps(page_view("s-1", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")).encode()
WRONG = json.dumps(
    {
        **json.loads(EVENT),
        "event_type": "dance",
        "occurred_at": 5,
        "device": {"type": "desktop", "os": 1, "browser": "x"},
    }
).encode()


def ordinary(shop: Shop, body: bytes) -> dict[str, str]:
    """Returns valid headers."""
    return signed(shop, body)


CASES: dict[str, tuple[int, str, bytes, Callable[[Shop, bytes], dict[str, str]], str]] = {
    "wrong signature": (
        401,
        "web_traffic",
        EVENT,
        lambda shop, body: signed(shop, body + b" "),
        "signature",
    ),
    "stale timestamp": (
        401,
        "web_traffic",
        EVENT,
        lambda shop, body: signed(shop, body, timestamp=int(time.time()) - 301),
        "timestamp",
    ),
    "unknown shop": (
        401,
        "web_traffic",
        EVENT,
        lambda shop, body: signed(replace(shop, shop_id="unknown"), body),
        "x-shop-id",
    ),
    "no credentials": (
        401,
        "web_traffic",
        EVENT,
        lambda shop, body: {"content-type": "application/json"},
        "webhook-id",
    ),
    "unknown dataset": (404, "no_such_dataset", EVENT, ordinary, "web_traffic"),
    "wrong field types": (422, "web_traffic", WRONG, ordinary, "event_type"),
    "another shop's event": (
        422,
        "web_traffic",
        json.dumps({**json.loads(EVENT), "shop_id": "other"}).encode(),
        ordinary,
        "shop_id",
    ),
    "more than 500 events": (
        413,
        "web_traffic",
        b"[" + b",".join([EVENT] * 501) + b"]",
        ordinary,
        "500",
    ),
    "more than 3 MB": (413, "web_traffic", b'"' + b"x" * 3_100_000 + b'"', ordinary, "3"),
    "not JSON": (400, "web_traffic", b"event=page_view", ordinary, "JSON"),
    "not application/json": (
        415,
        "web_traffic",
        EVENT,
        lambda shop, body: {**signed(shop, body), "content-type": "text/plain"},
        "application/json",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_rejection_says_what_was_expected(pipeline: Pipeline, shop: Shop, case: str) -> None:
    status, dataset, body, headers, mentions = CASES[case]
    got, problem, content_type = post(pipeline, dataset, body, headers(shop, body))
    assert got == status, problem
    assert content_type.startswith("application/problem+json")
    assert problem["status"] == status and problem["title"] and problem["detail"]
    assert mentions in json.dumps(problem)


def test_every_wrong_field_is_named(pipeline: Pipeline, shop: Shop) -> None:
    body = b"[" + EVENT + b"," + WRONG + b"]"
    status, problem, _ = post(pipeline, "web_traffic", body, signed(shop, body))
    assert status == 422
    assert {(error["index"], error["field"]) for error in problem["errors"]} == {
        (1, "event_type"),
        (1, "occurred_at"),
        (1, "device.os"),
    }
    for error in problem["errors"]:
        assert error["expected"] and error["actual"] and error["code"]
