"""A lake in memory with the promises of S3, and an outbox that records what is published."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from job_lake import Conflict, Json, Lake, Object, Outbox, RetryableError

PLANNED_AT = datetime(2026, 11, 21, 10, 0, 0, tzinfo=UTC)


class MemoryLake(Lake):
    """Objects by key. As with SSE-KMS, each write has another ETag, whatever its bytes are."""

    def __init__(self) -> None:
        self.bucket = "memory"
        self.writes = 0
        self.objects: dict[str, Object] = {}
        self.meddle: Callable[[], object] | None = None
        """What happens once, just before the next conditional write to gold."""

    @classmethod
    def of(cls, folder: Path) -> MemoryLake:
        """What is in a folder that `simulate` wrote."""
        lake = cls()
        for path in folder.rglob("*"):
            if path.is_file():
                lake.put(str(path.relative_to(folder)), path.read_bytes())
        return lake

    def get(self, key: str) -> Object | None:
        return self.objects.get(key)

    def head(self, key: str) -> Object | None:
        return self.objects.get(key)

    def tail(self, key: str, length: int = 65536) -> bytes | None:
        found = self.objects.get(key)
        return found and found.body[-length:]

    def put(
        self,
        key: str,
        body: bytes,
        metadata: dict[str, str] | None = None,
        condition: dict[str, str] | None = None,
    ) -> None:
        if key.startswith("gold/") and condition and (meddle := self.meddle):
            self.meddle = None
            meddle()
        there = self.objects.get(key)
        match condition or {}:
            case {"If-Match": expected} if not there or there.etag != expected:
                raise Conflict(key)
            case {"If-None-Match": _} if there:
                raise Conflict(key)
        self.writes += 1
        self.objects[key] = Object(body, f'"{self.writes:032x}"', metadata or {}, PLANNED_AT)

    def list(self, prefix: str) -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix))

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)

    def write(self, key: str, table: pa.Table) -> None:
        """Writes rows as a Parquet object."""
        file = io.BytesIO()
        pq.write_table(table, file)
        self.put(key, file.getvalue())


class Sent(Outbox):
    """Records what is published. Fails as often as a test sets."""

    def __init__(self) -> None:
        self.published: list[Json] = []
        self.faults = 0

    def publish(self, dirtied: list[Json]) -> None:
        if self.faults:
            self.faults -= 1
            raise RetryableError("a fault was asked for")
        self.published += dirtied


def partitions(messages: list[Json]) -> list[str]:
    """Who is dirty, in few words."""
    return [
        " ".join(
            [
                message["model"],
                message["partition"],
                *(f"to {last}" for last in [message.get("until")] if last),
            ]
        )
        for message in messages
    ]
