"""A delivery stream: a thread that reads records and writes objects.

The object holds the whole state of a stream, so two streams share nothing, nor do a deleted stream
and its successor.
"""

from __future__ import annotations

import gzip
import logging
import queue
import threading
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from .buffer import Batch, Buffer
from .kinesis import Record
from .prefix import object_key
from .settings import Settings

LOG = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 10.0


class Source(Protocol):
    """A source that the stream reads."""

    def read(self) -> list[Record]:
        """Returns the new records."""


class Delivery:
    """Buffers records by the settings and writes each batch to S3, with retries."""

    def __init__(
        self, name: str, version: str, settings: Settings, s3: Any, source: Source | None = None
    ) -> None:
        self._name = name
        self._version = version
        self._settings = settings
        self._buffer = Buffer(settings.max_bytes, settings.max_seconds)
        self._s3 = s3
        self._source = source
        self._direct: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"firehose-{name}")

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def change(self, version: str, settings: Settings) -> None:
        """Changes the settings; keeps buffered records and the position in the source."""
        self._version, self._settings = version, settings
        self._buffer.max_bytes, self._buffer.max_seconds = settings.max_bytes, settings.max_seconds

    def stop(self) -> None:
        """Ends the thread and drops buffered records, as AWS does with a deleted stream."""
        self._stopped.set()
        self._direct.put(None)

    def put(self, data: bytes) -> None:
        """Adds a record of a direct put."""
        self._direct.put(Record(data, datetime.now(UTC)))

    def _run(self) -> None:
        while not self._stopped.is_set():
            for record in self._take():
                if full := self._buffer.add(record.data, record.arrived, time.monotonic()):
                    self._deliver(full)
            if due := self._buffer.due(time.monotonic()):
                self._deliver(due)

    def _take(self) -> list[Record]:
        """Returns new records; waits for them at most until the next batch is due."""
        records = self._read_source()
        left = self._buffer.seconds_left(time.monotonic())
        timeout = _POLL_SECONDS if left is None else min(_POLL_SECONDS, left)
        try:
            record = (
                self._direct.get_nowait()
                if records
                else self._direct.get(timeout=max(timeout, 0.01))
            )
            while record is not None:
                records.append(record)
                record = self._direct.get_nowait()
        except queue.Empty:
            pass
        return records

    def _read_source(self) -> list[Record]:
        if self._source is None:
            return []
        try:
            return self._source.read()
        except Exception as error:
            # The stream may not exist yet, or the server restarts: the next round reads again.
            LOG.info("%s cannot read its source: %s", self._name, error)
            return []

    def _deliver(self, batch: Batch) -> None:
        """Writes one object and retries until the stream is deleted, as Firehose does for a day."""
        settings = self._settings
        body = (
            gzip.compress(batch.body(), compresslevel=6, mtime=0) if settings.gzip else batch.body()
        )
        key = object_key(
            settings.prefix, self._name, self._version, batch.oldest, settings.extension
        )
        wait = 0.2
        while not self._stopped.is_set():
            try:
                self._s3.put_object(Bucket=settings.bucket, Key=key, Body=body)
                return
            except Exception as error:
                LOG.warning(
                    "cannot write s3://%s/%s, retry in %.1f s: %s",
                    settings.bucket,
                    key,
                    wait,
                    error,
                )
                self._stopped.wait(wait)
                wait = min(wait * 2, _LONGEST_RETRY_SECONDS)
