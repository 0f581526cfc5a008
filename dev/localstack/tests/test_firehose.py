"""Names, buffers, sources and deliveries of Firehose."""

from __future__ import annotations

import gzip
import re
from datetime import UTC, datetime, timedelta

import pytest
from shoplake_localstack.firehose.buffer import Buffer
from shoplake_localstack.firehose.delivery import Delivery
from shoplake_localstack.firehose.kinesis import KinesisReader, Record
from shoplake_localstack.firehose.prefix import PrefixError, evaluate, object_key
from shoplake_localstack.firehose.settings import Settings, SettingsError

AT = datetime(2026, 11, 21, 9, 5, 7, 42_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("bronze/web/", "bronze/web/"),
        (
            "bronze/web/dt=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/",
            "bronze/web/dt=2026-11-21/hour=09/",
        ),
        ("!{timestamp:yyyy/MM/dd}/!{timestamp:HH'h'mm}/", "2026/11/21/09h05/"),
        ("!{timestamp:yyyyMMdd'T'HHmmss.SSS}-", "20261121T090507.042-"),
        ("!{timestamp:d.M.yy}", "21.11.26"),
        ("!{timestamp:'it''s' yyyy}", "it's 2026"),
    ],
)
def test_expressions_are_evaluated(prefix: str, expected: str):
    assert evaluate(prefix, AT) == expected


def test_a_random_string_has_eleven_characters():
    assert re.fullmatch(r"a/[A-Za-z0-9]{11}/", evaluate("a/!{firehose:random-string}/", AT))


def test_only_the_error_prefix_knows_the_kind_of_error():
    prefix = "errors/!{firehose:error-output-type}/!{timestamp:yyyy}/"
    assert evaluate(prefix, AT, error_type="processing-failed") == "errors/processing-failed/2026/"
    with pytest.raises(PrefixError, match="ErrorOutputPrefix only"):
        evaluate(prefix, AT)


@pytest.mark.parametrize(
    "prefix",
    [
        "!{timestamp:QQQ}",
        "!{nothing:x}",
        "!{timestamp:yyyy",
        "!{partitionKeyFromQuery:shop}/",
        "!{timestamp:yyyy'}",
    ],
)
def test_what_cannot_be_evaluated_is_refused(prefix: str):
    with pytest.raises(PrefixError):
        evaluate(prefix, AT)


def test_a_key_has_prefix_stream_version_time_and_uuid():
    key = object_key("bronze/!{timestamp:HH}/", "shoplake-local-web", "1", AT, ".gz")
    assert re.fullmatch(
        r"bronze/09/shoplake-local-web-1-2026-11-21-09-05-07-[0-9a-f-]{36}\.gz", key
    )


def test_a_prefix_without_a_time_gets_the_hours_folder():
    assert object_key("bronze/", "s", "1", AT, "").startswith("bronze/2026/11/21/09/s-1-2026")


def test_a_buffer_gives_a_batch_when_it_is_full():
    buffer = Buffer(max_bytes=10, max_seconds=60)
    assert buffer.add(b"12345", AT, now=0) is None
    assert buffer.add(b"67890", AT, now=1).body() == b"1234567890"
    assert buffer.due(now=1000) is None


def test_a_buffer_gives_a_batch_after_its_interval():
    buffer = Buffer(max_bytes=100, max_seconds=60)
    buffer.add(b"a", AT, now=0)
    buffer.add(b"b", AT - timedelta(seconds=5), now=59)
    assert buffer.seconds_left(now=59) == 1
    assert buffer.due(now=59.9) is None
    batch = buffer.due(now=60)
    assert (batch.body(), batch.oldest) == (b"ab", AT - timedelta(seconds=5))
    assert buffer.seconds_left(now=60) is None


def test_without_an_interval_a_record_is_due_at_once():
    buffer = Buffer(max_bytes=100, max_seconds=0)
    buffer.add(b"a", AT, now=0)
    assert buffer.due(now=0).body() == b"a"


def test_settings_have_firehoses_defaults():
    settings = Settings.of({"BucketARN": "arn:aws:s3:::lake"})
    assert (settings.bucket, settings.max_bytes, settings.max_seconds, settings.extension) == (
        "lake",
        5 << 20,
        300,
        "",
    )


def test_settings_are_taken_as_given():
    settings = Settings.of(
        {
            "BucketARN": "arn:aws:s3:::lake",
            "CompressionFormat": "GZIP",
            "FileExtension": ".ndjson.gz",
            "BufferingHints": {"IntervalInSeconds": 0, "SizeInMBs": 64},
        }
    )
    assert (settings.gzip, settings.extension, settings.max_seconds, settings.max_bytes) == (
        True,
        ".ndjson.gz",
        0,
        64 << 20,
    )


@pytest.mark.parametrize(
    "configuration",
    [
        {"CompressionFormat": "Snappy"},
        {"BufferingHints": {"IntervalInSeconds": 901}},
        {"Prefix": "!{timestamp:QQ}/"},
        {"DynamicPartitioningConfiguration": {"Enabled": True}},
        {"ProcessingConfiguration": {"Enabled": True}},
    ],
)
def test_settings_that_would_not_be_honoured_are_refused(configuration: dict):
    with pytest.raises(SettingsError):
        Settings.of({"BucketARN": "arn:aws:s3:::lake", **configuration})


class Stream:
    """Kinesis, of which the first shard was split into two, as far as a reader sees it."""

    def __init__(self) -> None:
        self.shards = {"parent": [b"1", b"2"], "left": [b"3"], "right": [b"4"]}
        self.expire = False

    def list_shards(self, StreamName: str) -> dict:
        return {"Shards": [{"ShardId": name} for name in self.shards]}

    def get_shard_iterator(
        self,
        StreamName: str,
        ShardId: str,
        ShardIteratorType: str,
        StartingSequenceNumber: str = "-1",
    ) -> dict:
        assert ShardIteratorType in ("TRIM_HORIZON", "AFTER_SEQUENCE_NUMBER")
        return {"ShardIterator": f"{ShardId}:{int(StartingSequenceNumber) + 1}"}

    def get_records(self, ShardIterator: str, Limit: int) -> dict:
        if self.expire:
            self.expire = False
            raise RuntimeError("ExpiredIteratorException")
        shard, position = ShardIterator.split(":")
        found = [
            {"Data": data, "SequenceNumber": str(number), "ApproximateArrivalTimestamp": AT}
            for number, data in enumerate(self.shards[shard])
            if number >= int(position)
        ]
        following = None if shard == "parent" else f"{shard}:{int(position) + len(found)}"
        return {"Records": found, "NextShardIterator": following}


def test_a_stream_is_read_from_its_beginning_and_once():
    reader = KinesisReader(Stream(), "web")
    assert [record.data for _ in range(3) for record in reader.read()] == [b"1", b"2", b"3", b"4"]


def test_reading_continues_after_an_expired_iterator():
    stream = Stream()
    reader = KinesisReader(stream, "web")
    reader.read()
    stream.shards["left"].append(b"5")
    stream.expire = True
    assert sorted(record.data for _ in range(2) for record in reader.read()) == [b"5"]


class Bucket:
    """S3 that fails at first."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.objects: dict[str, bytes] = {}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("try again")
        self.objects[Key] = Body


class Once:
    """A source with something in it the first time."""

    def __init__(self, *records: bytes) -> None:
        self.records = [Record(record, AT) for record in records]

    def read(self) -> list[Record]:
        records, self.records = self.records, []
        return records


def test_a_delivery_retries_a_write_and_adds_no_newline(eventually):
    bucket = Bucket(failures=2)
    settings = Settings(
        "lake",
        "bronze/!{timestamp:yyyy}/",
        max_bytes=1000,
        max_seconds=0,
        gzip=True,
        extension=".gz",
    )
    delivery = Delivery("web", "1", settings, bucket, Once(b"a\n", b"b"))
    delivery.start()
    eventually(lambda: bucket.objects)
    delivery.put(b"c")
    eventually(lambda: len(bucket.objects) == 2)
    delivery.stop()
    assert [gzip.decompress(body) for body in bucket.objects.values()] == [b"a\nb", b"c"]
    assert all(key.startswith("bronze/2026/web-1-2026-") for key in bucket.objects)
