"""Reads a Kinesis stream from its very beginning, all shards, and forgets nothing on the way."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LOG = logging.getLogger(__name__)

_RECORDS_PER_CALL = 1000


@dataclass(frozen=True)
class Record:
    """One record of a stream and when it arrived there."""

    data: bytes
    arrived: datetime


class KinesisReader:
    """Remembers a position per shard.

    It starts at TRIM_HORIZON: Firehose itself starts at LATEST of the moment at which the delivery
    stream was created, but promises nothing about what is put in the seconds after; a test that
    puts at once must not lose its first records.
    """

    def __init__(self, client: Any, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._iterators: dict[str, str] = {}
        self._positions: dict[str, str] = {}
        self._finished: set[str] = set()
        self._shards_known = False

    def read(self) -> list[Record]:
        """What is new in every shard; an error leaves that shard's position where it was."""
        if not self._shards_known:
            self._find_shards()
        return [record for shard in list(self._iterators) for record in self._read_shard(shard)]

    def _read_shard(self, shard: str) -> list[Record]:
        try:
            answer = self._client.get_records(
                ShardIterator=self._iterators[shard], Limit=_RECORDS_PER_CALL
            )
        except (
            Exception
        ) as error:  # expired, throttled, server restarted: a fresh iterator answers all of them
            LOG.info("reading %s of %s again: %s", shard, self._stream, error)
            del self._iterators[shard]
            self._shards_known = False
            return []
        if answer["Records"]:
            self._positions[shard] = answer["Records"][-1]["SequenceNumber"]
        if following := answer.get("NextShardIterator"):
            self._iterators[shard] = following
        else:  # the shard was split or merged and is read to its end: its children come next
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
