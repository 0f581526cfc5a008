"""Reads all shards of a Kinesis stream from their oldest record, without gaps."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LOG = logging.getLogger(__name__)

_RECORDS_PER_CALL = 1000


@dataclass(frozen=True)
class Record:
    """A record of a stream, with its time of arrival."""

    data: bytes
    arrived: datetime


class KinesisReader:
    """Keeps a position per shard.

    Starts at TRIM_HORIZON. Firehose starts at LATEST and may lose records of the first seconds, but
    a test that writes at once must not.
    """

    def __init__(self, client: Any, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._iterators: dict[str, str] = {}
        self._positions: dict[str, str] = {}
        self._finished: set[str] = set()
        self._shards_known = False

    def read(self) -> list[Record]:
        """Returns the new records of every shard; an error keeps the shard's position."""
        if not self._shards_known:
            self._find_shards()
        return [record for shard in list(self._iterators) for record in self._read_shard(shard)]

    def _read_shard(self, shard: str) -> list[Record]:
        try:
            answer = self._client.get_records(
                ShardIterator=self._iterators[shard], Limit=_RECORDS_PER_CALL
            )
        except Exception as error:
            # Expired, throttled, or the server restarted: a new iterator solves each of them.
            LOG.info("reading %s of %s again: %s", shard, self._stream, error)
            del self._iterators[shard]
            self._shards_known = False
            return []
        if answer["Records"]:
            self._positions[shard] = answer["Records"][-1]["SequenceNumber"]
        if following := answer.get("NextShardIterator"):
            self._iterators[shard] = following
        else:  # the shard was split or merged, and this was its end: its children follow
            del self._iterators[shard]
            self._finished.add(shard)
            self._shards_known = False
        return [
            Record(record["Data"], record["ApproximateArrivalTimestamp"].astimezone(UTC))
            for record in answer["Records"]
        ]

    def _find_shards(self) -> None:
        for shard in self._client.list_shards(StreamName=self._stream)["Shards"]:
            name = shard["ShardId"]
            if name in self._iterators or name in self._finished:
                continue
            position = self._positions.get(name)
            where = {"ShardIteratorType": "TRIM_HORIZON"}
            if position:
                where = {
                    "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                    "StartingSequenceNumber": position,
                }
            iterator = self._client.get_shard_iterator(
                StreamName=self._stream, ShardId=name, **where
            )
            self._iterators[name] = iterator["ShardIterator"]
        self._shards_known = True
