"""The ports of a job on Spark: the lake with conditional writes, the events of a commit, and the
files that Spark reads and writes.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

Json = dict[str, Any]

# Concurrent requests. S3 answers one in tens of milliseconds.
CONCURRENT_READS = 32


class JobError(Exception):
    """Why a job failed."""

    kind = "Shoplake.Permanent"


class RetryableError(JobError):
    """A failure that another attempt may not hit."""

    kind = "Shoplake.Retryable"


class InputGone(Exception):
    """An object of the job's listing was deleted: the partition has to be planned again."""


class Conflict(Exception):
    """Another writer committed first."""


@dataclass(frozen=True)
class Object:
    """An object, or its head."""

    body: bytes
    etag: str
    metadata: dict[str, str]
    last_modified: datetime


class Lake:
    """A bucket, with conditional writes."""

    def __init__(self, client: Any, bucket: str) -> None:
        self.bucket = bucket
        self._client = client
        self._conditions = threading.local()
        # The boto3 of Glue 5.0 lacks the parameters IfMatch and IfNoneMatch of PutObject.
        client.meta.events.register("before-call.s3.PutObject", self._add_condition)

    def get(self, key: str) -> Object | None:
        """Returns an object, or `None`."""
        with _store("read", key):
            answer = self._ask(self._client.get_object, key)
            return answer and _object(answer, answer["Body"].read())

    def head(self, key: str) -> Object | None:
        """Returns an object without its body, or `None`."""
        with _store("read", key):
            answer = self._ask(self._client.head_object, key)
            return answer and _object(answer, b"")

    def tail(self, key: str, length: int = 65536) -> bytes | None:
        """Returns the end of a Parquet file with its whole footer, or `None`."""
        with _store("read", key):
            answer = self._ask(self._client.get_object, key, Range=f"bytes=-{length}")
            if answer is None:
                return None
            end = answer["Body"].read()
        footer = int.from_bytes(end[-8:-4], "little") + 8
        return (
            self.tail(key, footer) if end[-4:] == b"PAR1" and footer > len(end) >= length else end
        )

    def put(
        self,
        key: str,
        body: bytes,
        metadata: dict[str, str] | None = None,
        condition: dict[str, str] | None = None,
    ) -> None:
        """Writes an object if the condition (`If-Match: <etag>` or `If-None-Match: *`) holds."""
        self._conditions.headers = condition or {}
        with _store("write", key):
            try:
                self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, Metadata=metadata or {}
                )
            except ClientError as error:
                # 412: it does not hold. 409: another conditional write is running. 404: If-Match on
                # a deleted object.
                if condition and error.response["ResponseMetadata"]["HTTPStatusCode"] in (
                    404,
                    409,
                    412,
                ):
                    raise Conflict(key) from error
                raise
            finally:
                self._conditions.headers = {}

    def list(self, prefix: str) -> list[str]:
        """Returns all keys with the prefix, sorted."""
        with _store("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def delete(self, key: str) -> None:
        """Deletes an object, if it exists."""
        with _store("delete", key):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def _add_condition(self, params: Json, **_: Any) -> None:
        params["headers"].update(getattr(self._conditions, "headers", {}))

    def _ask(self, operation: Any, key: str, **more: str) -> Json | None:
        try:
            return operation(Bucket=self.bucket, Key=key, **more)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in ("NoSuchKey", "404"):
                return None
            if code == "InvalidRange":  # an empty object
                return {"Body": io.BytesIO()}
            raise


def _object(answer: Json, body: bytes) -> Object:
    return Object(body, answer["ETag"], answer["Metadata"], answer["LastModified"])


@contextmanager
def _store(action: str, key: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        advice = "retry, and if it persists check the bucket's name, its policy and the role"
        raise RetryableError(f'cannot {action} "{key}" in the lake: {error}; {advice}') from error


class Outbox:
    """Publishes dirty partitions on EventBridge."""

    def __init__(self, events: Any, bus: str) -> None:
        self._events, self._bus = events, bus

    def publish(self, dirtied: list[Json]) -> None:
        """Publishes each dirty partition at least once."""
        with _port("publish dirty partitions on EventBridge"):
            for start in range(0, len(dirtied), 10):  # the limit of a call
                entries = [
                    {
                        "EventBusName": self._bus,
                        "Source": "shoplake",
                        "DetailType": "Partition Dirty",
                        "Detail": to_json(dirty),
                    }
                    for dirty in dirtied[start : start + 10]
                ]
                for entry in self._events.put_events(Entries=entries)["Entries"]:
                    if "ErrorCode" in entry:
                        raise ConnectionError(
                            f"{entry['ErrorCode']}: {entry.get('ErrorMessage', '')}"
                        )


@contextmanager
def _port(action: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, ConnectionError) as error:
        advice = "retry, and if it persists check the name of the target and the role"
        raise RetryableError(f"cannot {action}: {error}; {advice}") from error


def to_json(value: Any) -> str:
    """Returns JSON as serde_json writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Workspace:
    """The folder of a job's inputs and rows, beside its document: a whole cluster reaches it."""

    def __init__(self, lake: Lake, folder: str) -> None:
        self.lake = lake
        self._folder = f"{folder}.{uuid.uuid4().hex}"  # each attempt has its own

    def uri(self, name: str) -> str:
        """Returns the URI of a file or folder in it."""
        return f"s3://{self.lake.bucket}/{self._folder}/{name}"

    def place(self, key: str, name: str, may_change: bool) -> tuple[str, bytes] | None:
        """Returns the URI of an object for Spark, and its footer. An object that may be replaced
        while the job runs is read once.
        """
        if may_change:
            return self._copy(key, name)
        footer = self.lake.tail(key)
        return None if footer is None else (f"s3://{self.lake.bucket}/{key}", footer)

    def files(self, name: str) -> list[bytes]:
        """The Parquet files that Spark wrote into a folder."""
        keys = [
            key for key in self.lake.list(f"{self._folder}/{name}/") if key.endswith(".parquet")
        ]
        return [found.body for key in keys if (found := self.lake.get(key))]

    def clear(self) -> None:
        """Leaves nothing behind. Beside a folder, Glue's file system may put an empty object called
        `<folder>_$folder$`.
        """
        for key in self.lake.list(self._folder):
            self.lake.delete(key)

    def _copy(self, key: str, name: str) -> tuple[str, bytes] | None:
        found = self.lake.get(key)
        if found is None:
            return None
        self._write(name, found.body)
        return self.uri(name), found.body

    def _write(self, name: str, body: bytes) -> None:
        self.lake.put(f"{self._folder}/{name}", body)


class LocalWorkspace(Workspace):
    """A folder of this machine, for a Spark that runs on it alone."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._root = Path(tempfile.mkdtemp(prefix="shoplake-job-"))

    def uri(self, name: str) -> str:
        return (self._root / name).as_uri()

    def place(self, key: str, name: str, may_change: bool) -> tuple[str, bytes] | None:
        return self._copy(key, name)

    def files(self, name: str) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self._root / name).glob("*.parquet"))]

    def clear(self) -> None:
        shutil.rmtree(self._root)

    def _write(self, name: str, body: bytes) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
