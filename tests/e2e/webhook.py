"""Signs and posts events by the Standard Webhooks specification, without the project's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

from dev.pipeline import Pipeline, Shop

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def signed(
    shop: Shop, body: bytes, webhook_id: str | None = None, timestamp: int | None = None
) -> dict[str, str]:
    """Returns the signed headers of a body."""
    webhook_id = webhook_id or f"msg_{uuid.uuid4().hex}"
    timestamp = timestamp or int(time.time())
    key = base64.b64decode(shop.webhook_secret.removeprefix("whsec_"))
    mac = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "content-type": "application/json",
        "x-shop-id": shop.shop_id,
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(mac.digest()).decode()}",
    }


def post(
    pipeline: Pipeline, dataset: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, dict[str, Any], str]:
    """Posts a body; returns the status, the JSON answer and its content type."""
    request = urllib.request.Request(
        f"{pipeline.api_url}/v1/events/{dataset}", data=body, headers=dict(headers), method="POST"
    )
    try:
        with _OPENER.open(request, timeout=60) as answer:
            return answer.status, json.load(answer), answer.headers["content-type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}"), error.headers["content-type"]


def send(
    pipeline: Pipeline, shop: Shop, dataset: str, events: Any, **signature: Any
) -> dict[str, Any]:
    """Posts events that must be accepted."""
    body = json.dumps(events).encode()
    status, answer, _ = post(pipeline, dataset, body, signed(shop, body, **signature))
    assert status == 202, (status, answer)
    return answer


def page_view(session_id: str, occurred_at: str, **fields: Any) -> dict[str, Any]:
    """Returns a valid web event."""
    return {
        "event_id": str(uuid.uuid4()),
        "session_id": session_id,
        "visitor_id": f"visitor-of-{session_id}",
        "event_type": "page_view",
        "occurred_at": occurred_at,
        "page_url": "https://shop.example/",
        "device": {"type": "desktop", "os": "Linux", "browser": "Firefox"},
        **fields,
    }
