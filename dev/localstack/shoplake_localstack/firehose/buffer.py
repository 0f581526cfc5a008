"""When records become an object. Pure: time is told, not asked."""

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
        """As they are, one after the other: like Firehose, this adds no newline that the producer
        did not write.
        """
        return b"".join(self.records)


class Buffer:
    """Collects records until there are enough of them, or the first has waited long enough."""

    def __init__(self, max_bytes: int, max_seconds: float) -> None:
        self.max_bytes = max_bytes
        self.max_seconds = max_seconds
        self._batch: Batch | None = None

    def add(self, record: bytes, arrived: datetime, now: float) -> Batch | None:
        """Keeps a record; returns the batch that is full because of it."""
        if self._batch is None:
            self._batch = Batch(started=now, oldest=arrived)
        batch = self._batch
        batch.oldest = min(batch.oldest, arrived)
        batch.records.append(record)
        batch.size += len(record)
        return self._take() if batch.size >= self.max_bytes else None

    def due(self, now: float) -> Batch | None:
        """The batch whose time has come."""
        return (
            self._take() if self._batch and now - self._batch.started >= self.max_seconds else None
        )

    def seconds_left(self, now: float) -> float | None:
        """How long until the batch is due; None when there is none."""
        return (
            None if self._batch is None else max(0.0, self._batch.started + self.max_seconds - now)
        )

    def _take(self) -> Batch | None:
        batch, self._batch = self._batch, None
        return batch
