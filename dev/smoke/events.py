"""Events, signed requests, and unusual bodies.

Standard Webhooks: https://www.standardwebhooks.com
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

MOST_EVENTS = 500
TIMEOUT_SECONDS = 60

# Valid texts that a firewall may take for an attack.
SUSPICIOUS = (
    "<script>alert(document.cookie)</script>",
    "${jndi:ldap://example.com/a}",
    "../../../../etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "https://example.com/shell.php?cmd=id",
    "rO0ABXNyABdqYXZhLnV0aWwuUHJpb3JpdHlRdWV1ZQ==",
    '{"then":"$1:__proto__:then","_response":{"_prefix":"process.mainModule.require"}}',
    "' or 1=1; drop table orders --",
)


@dataclass(frozen=True)
class Answer:
    """An answer of the API."""

    status: int
    body: str

    def __str__(self) -> str:
        return f"{self.status} {self.body[:200]}"


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Returns the signature of a request: `v1,` and the base64 of the HMAC-SHA256 of id, time and
    body.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def page_view(at: datetime, **more: Any) -> dict[str, Any]:
    """Returns a valid event of web_traffic."""
    return {
        "event_id": str(uuid.uuid4()),
        "session_id": "smoke",
        "visitor_id": "smoke",
        "event_type": "page_view",
        "occurred_at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "page_url": "https://shop.example/smoke",
        **more,
    }


def suspicious_events(at: datetime) -> list[dict[str, Any]]:
    """Returns an event for each text that a firewall may take for an attack."""
    return [
        page_view(at, event_type="search", search_term=text, page_title=text, user_agent=text)
        for text in SUSPICIOUS
    ]


def body_of_quotes(size: int, at: datetime) -> bytes:
    """Returns valid events of exactly `size` bytes, most of them escaped quotes: the body that
    grows most when Lambda gets it as a string in JSON.
    """
    events = [page_view(at, page_title='"' * 512, referrer='"' * 2048) for _ in range(MOST_EVENTS)]
    # All events have one length, with a bracket or comma after each.
    each = len(json.dumps(events[0], separators=(",", ":"))) + 1
    if size < each + 1:
        raise ValueError(f"{size} bytes are too few for one event, which has {each}")
    body = json.dumps(events[: (size - 1) // each], separators=(",", ":")).encode()
    # JSON allows white space at the end.
    return body + b"\n" * (size - len(body))


def title_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers as many HTTP/1.1 clients write them: `Webhook-Id`."""
    return {
        "-".join(word.capitalize() for word in name.split("-")): value
        for name, value in headers.items()
    }


class Sender:
    """A shop that sends events."""

    def __init__(self, url: str, shop: str, secret: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SystemExit(f"invalid --url {url!r}: expected https://<host>/<stage>")
        self._parts = parts
        self._shop = shop
        self._secret = secret

    def headers(self, body: bytes, now: datetime) -> dict[str, str]:
        """Returns the headers of a signed request."""
        message_id, timestamp = f"smoke_{uuid.uuid4().hex}", int(now.timestamp())
        return {
            "content-type": "application/json",
            "x-shop-id": self._shop,
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(self._secret, message_id, timestamp, body),
        }

    def post(
        self, body: bytes, *, in_title_case: bool = False, without: str | None = None
    ) -> Answer:
        """Sends a body over HTTP/1.1, with the names of headers unchanged."""
        headers = {
            name: value
            for name, value in self.headers(body, datetime.now(UTC)).items()
            if name != without
        }
        kind = (
            http.client.HTTPSConnection
            if self._parts.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(self._parts.hostname or "", self._parts.port, timeout=TIMEOUT_SECONDS)
        try:
            path = f"{self._parts.path.rstrip('/')}/v1/events/web_traffic"
            connection.request(
                "POST", path, body, title_case(headers) if in_title_case else headers
            )
            response = connection.getresponse()
            return Answer(response.status, response.read().decode("utf-8", "replace"))
        finally:
            connection.close()

    def send(self, events: list[dict[str, Any]], *, in_title_case: bool = False) -> Answer:
        """Sends events."""
        return self.post(json.dumps(events).encode(), in_title_case=in_title_case)
