"""The same protocol with a real S3, EventBridge and SQS in between: those of the local cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import pyarrow as pa
import pytest
from job_engine import Gold
from job_lake import Conflict, Json, Lake, Outbox, RetryableError, Workspace
from pyspark.sql import SparkSession
from run_job import Transform

from dev.pipeline import Cloud, free_port, wait_until

from .conftest import ROOT
from .job import DAY, GOLD, STATE, lines, plan
from .lake import MemoryLake, partitions


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A cloud of its own."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"), free_port(), free_port())
    cloud.up()
    yield cloud
    cloud.down()


class Remote:
    """A bucket, a queue, and a rule that sends published events to the queue."""

    def __init__(self, cloud: Cloud) -> None:
        self.bucket = f"lake-{uuid4().hex[:8]}"
        self.s3, self.sqs, self.events = (cloud.client(name) for name in ("s3", "sqs", "events"))
        self.s3.create_bucket(Bucket=self.bucket)
        self.queue = self.sqs.create_queue(QueueName=self.bucket)["QueueUrl"]
        self.bus = f"bus-{self.bucket}"
        self.events.create_event_bus(Name=self.bus)
        arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])[
            "Attributes"
        ]["QueueArn"]
        self.events.put_rule(
            Name=self.bucket, EventBusName=self.bus, EventPattern='{"source": ["shoplake"]}'
        )
        self.events.put_targets(
            Rule=self.bucket, EventBusName=self.bus, Targets=[{"Id": "queue", "Arn": arn}]
        )
        self.lake = Lake(self.s3, self.bucket)
        self.outbox = Outbox(self.events, self.bus)

    def plan(self, memory: MemoryLake) -> str:
        """Plans over what is in a lake in memory, and brings all of it here."""
        key = plan(memory)
        for name in memory.list(""):
            self.lake.put(name, memory.get(name).body)
        return key

    def received(self, count: int) -> list[Json]:
        """What dispatch would find in its queue, once there are so many messages, in order."""
        found: list[Json] = []

        def receive() -> bool:
            for message in self.sqs.receive_message(
                QueueUrl=self.queue, MaxNumberOfMessages=10
            ).get("Messages", ()):
                event = json.loads(message["Body"])
                assert (event["source"], event["detail-type"]) == ("shoplake", "Partition Dirty")
                found.append(event["detail"])
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
            return len(found) >= count

        wait_until(f"{count} messages came", receive, 30)
        return sorted(found, key=lambda dirty: (dirty["model"], dirty["partition"]))


@pytest.fixture
def remote(cloud: Cloud) -> Remote:
    """Of the test's own."""
    return Remote(cloud)


def run_script(cloud: Cloud, remote: Remote, job: str) -> subprocess.CompletedProcess[str]:
    """Starts the script as Glue does, which adds arguments of its own."""
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": cloud.endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    command = [
        sys.executable,
        ROOT / "glue-sql" / "spark" / "run_job.py",
        "--job",
        job,
        "--lake_bucket",
        remote.bucket,
        "--event_bus",
        remote.bus,
        "--aws_region",
        "us-east-1",
        "--JOB_NAME",
        "shoplake",
        "--job-language",
        "python",
    ]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_script_commits_publishes_and_prints_the_result(cloud: Cloud, remote: Remote) -> None:
    memory = MemoryLake()
    memory.write(f"silver/lines/dt={DAY}/a.parquet", lines("2.5000", "0.1000"))
    key = remote.plan(memory)
    job = json.loads(memory.get(key).body)
    lease = {"job": job["id"], "until": "2100-01-01T00:00:00Z", "slot": 3}
    lease |= {"since": "2026-11-21T10:00:00Z", "planned_at": "2026-11-21T10:00:00Z"}
    remote.lake.put(STATE, json.dumps({"lease": lease, "marked": True}).encode())

    done = run_script(cloud, remote, key)

    assert done.returncode == 0, done.stderr[-4000:]
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    result = printed[-1]
    assert (result["outcome"], result["rows"], result["load"]["version"]) == ("committed", 1, 1)
    assert json.loads(remote.lake.get(key.replace(".json", ".result.json")).body) == result
    metrics = {name: value for line in printed if "_aws" in line for name, value in line.items()}
    assert metrics["written_gold_rows_count"] == 1 and metrics["ran_job_seconds"] > 0
    gold = remote.lake.get(GOLD)
    assert gold.metadata == {
        "version": "1",
        "inputs": job["output"]["inputs_digest"],
        "job": job["id"],
        "rows": "1",
        "planned-at": result["planned_at"],
    }
    assert str(Gold.decode(GOLD, gold.body).rows["takings"][0]) == "2.6000"
    assert partitions(remote.received(1)) == ["weekly 2026-11-20 to 2026-11-21"]
    state = json.loads(remote.lake.get(STATE).body)
    assert (state["lease"], state["committed"], state["published"]) == (None, 1, 1)


def test_a_missing_job_is_a_permanent_error(cloud: Cloud, remote: Remote) -> None:
    done = run_script(cloud, remote, "jobs/none.json")
    assert done.returncode == 1
    last = (
        'RuntimeError: Shoplake.Permanent: the job document "jobs/none.json" is missing in the lake'
    )
    assert done.stderr.splitlines()[-1].startswith(last)


def test_a_commit_during_the_run_is_a_conflict_on_s3(
    spark: SparkSession, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = MemoryLake()
    memory.write(f"silver/lines/dt={DAY}/a.parquet", lines("2.5000"))
    key = remote.plan(memory)
    encode = Gold.encode

    def meddle(gold: Gold, job: Json) -> bytes:
        remote.lake.put(GOLD, b"another")
        return encode(gold, job)

    monkeypatch.setattr(Gold, "encode", meddle)
    result = Transform(spark, remote.lake, remote.outbox).handle(key)
    assert result["outcome"] == "conflict"
    assert remote.lake.get(GOLD).body == b"another"
    received = remote.received(1)
    assert partitions(received) == [f"takings {DAY}"]
    assert "another job committed while it ran" in received[0]["reason"]


def test_a_conditional_write_replaces_only_the_expected_version(
    remote: Remote,
) -> None:
    lake = remote.lake
    lake.put("gold/x", b"1", condition={"If-None-Match": "*"})
    with pytest.raises(Conflict):
        lake.put("gold/x", b"1", condition={"If-None-Match": "*"})
    first = lake.head("gold/x").etag
    lake.put("gold/x", b"2", {"version": "2"}, {"If-Match": first})
    with pytest.raises(Conflict):
        lake.put("gold/x", b"3", condition={"If-Match": first})
    with pytest.raises(Conflict):
        lake.put("gold/none", b"3", condition={"If-Match": first})
    assert (lake.get("gold/x").body, lake.head("gold/x").metadata) == (b"2", {"version": "2"})
    lake.put("gold/x", b"4")
    assert lake.get("gold/x").body == b"4", "a condition holds for its own write only"


def test_a_missing_key_is_none_and_a_missing_bucket_an_error(remote: Remote) -> None:
    assert (remote.lake.get("none"), remote.lake.head("none"), remote.lake.tail("none")) == (
        None,
        None,
        None,
    )
    remote.lake.put("empty", b"")
    assert remote.lake.tail("empty") == b""
    remote.lake.delete("none")
    with pytest.raises(
        RetryableError,
        match=r'cannot read "x" in the lake: .*; retry, and if it persists check the bucket',
    ):
        Lake(remote.s3, "no-such-bucket-here").tail("x")


def test_more_partitions_than_one_call_takes_are_published(remote: Remote) -> None:
    dirtied = [
        {"model": "m", "partition": f"2026-11-{day:02}", "reason": "é"} for day in range(1, 24)
    ]
    remote.outbox.publish(dirtied)
    assert remote.received(23) == dirtied


def test_a_workspace_is_a_folder_that_is_deleted_with_the_job(remote: Remote) -> None:
    table = pa.table({f"column_{number}": pa.array([number]) for number in range(200)})
    memory = MemoryLake()
    memory.write("x.parquet", table)
    body = memory.get("x.parquet").body
    remote.lake.put("silver/x.parquet", body)
    workspace = Workspace(remote.lake, "jobs/m/2026-11-20/id")

    uri, footer = workspace.place("silver/x.parquet", "in/000000.parquet", may_change=False)
    assert uri == f"s3://{remote.bucket}/silver/x.parquet" and body.endswith(footer)
    assert (
        body.endswith(remote.lake.tail("silver/x.parquet", 100))
        and len(remote.lake.tail("silver/x.parquet", 100)) > 1000
    )
    uri, whole = workspace.place("silver/x.parquet", "in/000000.parquet", may_change=True)
    assert uri == workspace.uri("in/000000.parquet") and whole == body
    copy = uri.removeprefix(f"s3://{remote.bucket}/")
    assert copy.startswith("jobs/m/2026-11-20/id.") and remote.lake.get(copy).body == body
    assert workspace.place("none", "in/000001.parquet", may_change=True) is None
    assert workspace.place("none", "in/000001.parquet", may_change=False) is None

    remote.lake.put(copy.replace("in/000000.parquet", "rows/part-0.parquet"), b"rows")
    remote.lake.put(copy.replace("in/000000.parquet", "rows/_SUCCESS"), b"")
    remote.lake.put(
        copy.replace("/in/000000.parquet", "_$folder$"), b""
    )  # as Glue's file system does
    assert workspace.files("rows") == [b"rows"]
    workspace.clear()
    assert remote.lake.list("jobs/") == []
