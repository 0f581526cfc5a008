"""The lake as a job on Spark sees it: conditional writes, who is told of a commit, and where Spark
reads and writes.
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

# Requests under way at once. S3 serves one in tens of milliseconds.
CONCURRENT_READS = 32


class JobError(Exception):
    """A job that neither was run nor is anybody else's turn."""

    kind = "Shoplake.Permanent"


class Passing(JobError):
    """One that another attempt may mend."""

    kind = "Shoplake.Retryable"


class InputGone(Exception):
    """An object of the job's listing is no longer there: the partition has to be planned again."""


class Conflict(Exception):
    """Another writer was there first."""


@dataclass(frozen=True)
class Object:
    """An object, read whole or looked at."""

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
        # Older versions of boto3 (as Glue 5.0 has) do not know the parameters IfMatch and
        # IfNoneMatch of PutObject.
        client.meta.events.register("before-call.s3.PutObject", self._add_condition)

    def get(self, key: str) -> Object | None:
        """Reads an object whole; none if there is none."""
        with _store("read", key):
            answer = self._ask(self._client.get_object, key)
            return answer and _object(answer, answer["Body"].read())

    def head(self, key: str) -> Object | None:
        """What is known of an object; none if there is none."""
        with _store("look at", key):
            answer = self._ask(self._client.head_object, key)
            return answer and _object(answer, b"")

    def tail(self, key: str, length: int = 65536) -> bytes | None:
        """The end of a Parquet file with all of its footer; none if there is no such object."""
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
        """Writes an object whole if the condition holds: none, `If-Match: <etag>` or
        `If-None-Match: *`.
        """
        self._conditions.headers = condition or {}
        with _store("write", key):
            try:
                self._client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, Metadata=metadata or {}
                )
            except ClientError as error:
                # 412: it does not hold. 409: another conditional write is under way. 404: If-Match
                # on what was deleted.
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
        """All keys that start with the prefix, in order."""
        with _store("list", prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def delete(self, key: str) -> None:
        """Removes an object; no error if there is none."""
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
            if code == "InvalidRange":  # an object without a byte has no end to read either
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
        raise Passing(f'could not {action} "{key}" in the lake: {error}; {advice}') from error


class Outbox:
    """EventBridge for what others may want to know, SQS for what dispatch has to do again."""

    def __init__(self, events: Any, bus: str, queue: Any, queue_url: str) -> None:
        self._events, self._bus, self._queue, self._queue_url = events, bus, queue, queue_url

    def announce(self, dirtied: list[Json]) -> None:
        """Tells whoever listens, each partition at least once."""
        with _port("announce dirty partitions on EventBridge"):
            for start in range(0, len(dirtied), 10):  # what one call takes
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

    def mark(self, dirty: Json) -> None:
        """Has a partition planned again."""
        event = {"source": "shoplake", "detail-type": "Partition Dirty", "detail": dirty}
        with _port("mark a partition dirty on SQS"):
            self._queue.send_message(QueueUrl=self._queue_url, MessageBody=to_json(event))


@contextmanager
def _port(action: str) -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ClientError, ConnectionError) as error:
        advice = "retry, and if it persists check the name of the target and the role"
        raise Passing(f"could not {action}: {error}; {advice}") from error


def to_json(value: Any) -> str:
    """As serde_json writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Workspace:
    """Where Spark finds a job's inputs and leaves its rows: below the job's document, so that a
    whole cluster reaches it.
    """

    def __init__(self, lake: Lake, folder: str) -> None:
        self.lake = lake
        self._folder = f"{folder}.{uuid.uuid4().hex}"  # no two attempts share it

    def uri(self, name: str) -> str:
        """How Spark calls a file or folder of it."""
        return f"s3://{self.lake.bucket}/{self._folder}/{name}"

    def place(self, key: str, name: str, may_change: bool) -> tuple[str, bytes] | None:
        """Gives Spark an object, and the caller its footer. What may be replaced while the job runs
        is read only once.
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
