"""Decides when records become an object. Callers pass the time, so tests need no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass
class Batch:
    """Records that make one object."""

    started: float
    oldest: datetime
    records: list[bytes] = field(default_factory=list)
    size: int = 0

    def body(self) -> bytes:
        """Returns the concatenated records. Like Firehose, this adds no newlines."""
        return b"".join(self.records)


class Buffer:
    """Collects records until there are enough of them, or the first has waited long enough."""

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        self.max_bytes = max_bytes
        self.max_seconds = max_seconds
        self._batch: Batch | None = None

    def add(self, record: bytes, arrived: datetime, now: float) -> Batch | None:
        """Adds a record; returns the batch if it is full now."""
        if self._batch is None:
            self._batch = Batch(started=now, oldest=arrived)
        batch = self._batch
        batch.oldest = min(batch.oldest, arrived)
        batch.records.append(record)
        batch.size += len(record)
        return self._take() if batch.size >= self.max_bytes else None

    def due(self, now: float) -> Batch | None:
        """Returns the batch if it has waited long enough."""
        return (
            self._take() if self._batch and now - self._batch.started >= self.max_seconds else None
        )

    def seconds_left(self, now: float) -> float | None:
        """Returns the seconds until the batch is due; None without a batch."""
        return (
            None if self._batch is None else max(0.0, self._batch.started + self.max_seconds - now)
        )

    def _take(self) -> Batch | None:
        batch, self._batch = self._batch, None
        return batch
