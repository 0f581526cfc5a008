"""Runs one job document on Spark, as functions/transform does with DataFusion, for jobs that do not
fit into a Lambda.

    run_job.py --job KEY --lake_bucket NAME [--event_bus NAME] [--aws_region REGION]

It runs on Glue 5 (Spark 3.5, Python 3.11, with boto3 and pyarrow), with the modules beside it as
`--extra-py-files`. The protocol is that of functions/transform/src/handler.rs, step by step: either
of them continues a partition that the other has committed. The JobResult is printed, and written
beside the document as `<id>.result.json`. The last line of a failure has `Shoplake.Permanent` or
`Shoplake.Retryable`, which Glue passes on.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from job_engine import (
    MAX_FAILED_SHOPS,
    Gold,
    check_runs,
    commit_metadata,
    compute,
    days_of,
    portable,
    withheld,
)
from job_lake import (
    CONCURRENT_READS,
    Conflict,
    InputGone,
    JobError,
    Json,
    Lake,
    LocalWorkspace,
    Object,
    Outbox,
    RetryableError,
    Workspace,
    to_json,
)
from job_state import end, note_dirty, read
from pyspark.sql import SparkSession

JOB_VERSION = 3
JOB_FIELDS = {
    "version",
    "id",
    "model",
    "partition",
    "inputs",
    "views",
    "sql",
    "key",
    "sort",
    "checks",
    "downstream",
    "output",
    "warehouse",
    "alert",
}
OPTIONAL_JOB_FIELDS = {"personal"}
# Names of fields and of severities in job documents from before 2026-11-30.
FORMER_JOB_FIELDS = {"notice": "alert"}
FORMER_SEVERITIES = {"stop": "error"}

# The name of the time of planning in the metadata of a commit.
PLANNED_AT = "planned-at"

# Step Functions and SNS pass on 256 KB, and an alert on failed checks has them twice.
RESULT_BYTES = 50_000


class Transform:
    """Runs jobs."""

    def __init__(self, spark: SparkSession, lake: Lake, outbox: Outbox) -> None:
        self._spark, self._lake, self._outbox = spark, lake, outbox

    def handle(self, key: str) -> Json:
        """Runs the job, commits its rows if they or the failed checks changed, records its end in
        the state of its partition, and returns the JobResult.

        After an error the job keeps its lease: the state machine starts it again, or records its
        failure.
        """
        job, planned_at = self._job(key)
        folder = key.removesuffix(".json")
        result = shortened({**_result(job, planned_at), **self._run(job, planned_at, folder)})
        self._lake.put(f"{folder}.result.json", to_json(result).encode())
        return result

    def _job(self, key: str) -> tuple[Json, str]:
        found = self._lake.get(key)
        if found is None:
            raise JobError(
                f'the job document "{key}" is missing in the lake; plan the partition again'
            )
        again = "it was written by another version, so plan the partition again"
        try:
            document = json.loads(found.body)
            job = {FORMER_JOB_FIELDS.get(name, name): value for name, value in document.items()}
            unknown = job.keys() - JOB_FIELDS - OPTIONAL_JOB_FIELDS
            for what, names in (("missing", JOB_FIELDS - job.keys()), ("unknown", unknown)):
                if names:
                    raise ValueError(f"{what} field `{min(names)}`")
            for check in job["checks"]:
                check["severity"] = FORMER_SEVERITIES.get(check["severity"], check["severity"])
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise JobError(f'the job document "{key}" cannot be read: {error}; {again}') from error
        if job["version"] != JOB_VERSION:
            version = f"has version {job['version']}, expected {JOB_VERSION}"
            raise JobError(f'the job document "{key}" {version}; plan the partition again')
        return job, found.last_modified.astimezone(UTC).isoformat().replace("+00:00", "Z")

    def _run(self, job: Json, planned_at: str, folder: str) -> Json:
        key, expected = job["output"]["key"], job["output"]["expected_etag"]
        current = self._lake.get(key)
        # An older job has committed what is in gold. If it ended before it published, this job
        # publishes in its place.
        published = read(self._lake, job).get("published", 0) if current else 0
        if current and _committed_by(job, current):
            # An earlier attempt ended after its commit, which has everything for the next steps.
            gold = Gold.decode(key, current.body)
            if published < job["output"]["version"]:
                self._publish(job, gold.dirtied)
            return {**self._committed(job, gold), **_planned(current)}
        if (current and current.etag) != expected:
            return self._conflict(job, "another job has committed since it was planned")
        before = Gold.decode(key, current.body) if current else None
        version_before = int(current.metadata.get("version", 0)) if current else 0
        if before and published < version_before:
            self._publish(job, before.dirtied)

        alone = self._spark.sparkContext.master.startswith("local")
        workspace = LocalWorkspace(self._lake) if alone else Workspace(self._lake, folder)
        try:
            gold, changed = compute(self._spark, job, before, workspace)
        except InputGone as error:
            return self._conflict(job, str(error))
        finally:
            workspace.clear()
        # A commit records which checks fail for which shops. So the same rows are committed again
        # when that changes.
        failed_before = before.failed_checks if before else []
        if not changed and _shops(gold.failed_checks) == _shops(failed_before):
            failed = _failed(gold.failed_checks)
            self._end(job, "unchanged", version_before, "a change arrived", failed["withheld"], [])
            return {"outcome": "unchanged", "rows": gold.rows.num_rows, **failed}

        body = gold.encode(job)
        condition = {"If-Match": expected} if expected else {"If-None-Match": "*"}
        planned: Json = {}
        try:
            metadata = {**commit_metadata(job, gold.rows), PLANNED_AT: planned_at}
            self._lake.put(key, body, metadata, condition)
        except Conflict:
            # The client repeats a write whose answer is lost, which then conflicts with itself.
            head = self._lake.head(key)
            if not (head and _committed_by(job, head)):
                return self._conflict(job, "another job committed while it ran")
            planned = _planned(head)
        measure({"written_gold_rows_count": gold.rows.num_rows, "written_parquet_bytes": len(body)})
        self._publish(job, gold.dirtied)
        return {**self._committed(job, gold), **planned}

    def _publish(self, job: Json, dirtied: list[Json]) -> None:
        """Publishes the partitions that a commit dirtied. Days that are read by column are noted in
        their states first, as functions/transform does.
        """
        by_column = {
            downstream["model"]
            for downstream in job["downstream"]
            if "by_column" in downstream["correspondence"]
        }
        days = [
            (dirty["model"], day)
            for dirty in dirtied
            if dirty["model"] in by_column
            for day in days_of(dirty)
        ]
        now = datetime.now(UTC)
        with ThreadPoolExecutor(CONCURRENT_READS) as pool:
            list(pool.map(lambda day: note_dirty(self._lake, *day, now), days))
        self._outbox.publish(dirtied)

    def _committed(self, job: Json, gold: Gold) -> Json:
        """Records the end of a job whose commit is published. Returns the result with the requests
        to load and to notify. control sends the alert only if the state still has it.
        """
        alert, failed = gold.alert, _failed(gold.failed_checks)
        version = job["output"]["version"]
        self._end(job, "committed", version, "a change arrived", failed["withheld"], alert)
        own = {"model": job["model"], "key": job["output"]["key"]}
        load = job["warehouse"] and {
            **own,
            "warehouse": job["warehouse"],
            "partition": job["partition"],
            "version": version,
            "columns": [
                {"name": field.name, "type": portable(str(field.type))}
                for field in gold.rows.schema
            ],
            "sort": job["sort"],
        }
        notify = job["alert"] and {
            **own,
            "partition": job["partition"]["value"],
            "version": version,
            "identity": job["key"],
            "alert": job["alert"],
        }
        committed = {"outcome": "committed", "rows": gold.rows.num_rows, **failed}
        return {**committed, "alert": _capped(alert) or None, "load": load, "notify": notify}

    def _conflict(self, job: Json, reason: str) -> Json:
        """Gives the work of the job back, so that its partition is planned again."""
        self._end(job, "conflict", 0, reason, withheld([]), [])
        return {"outcome": "conflict", "checks": []}

    def _end(
        self, job: Json, outcome: str, version: int, reason: str, shops: Json, alert: list[Json]
    ) -> None:
        """Records the end of the job, which has withheld these shops and owes this alert, and
        publishes its partition if it is dirty again, because of `reason`.
        """
        if end(self._lake, job, outcome, version, shops, alert, datetime.now(UTC)):
            day = job["partition"]["value"]
            why = f"job {job['id']} of {job['model']} {day}: {reason}"
            try:
                self._outbox.publish([{"model": job["model"], "partition": day, "reason": why}])
            except RetryableError as error:
                log("WARN", "the sweep sends the partition again", error=str(error))


def _committed_by(job: Json, found: Object) -> bool:
    """Whether the job committed the object."""
    return found.metadata.get("job") == job["id"]


def _planned(commit: Object) -> Json:
    """Returns the time of planning of a commit that an earlier attempt made: the document may have
    been written again since, and every load of a commit needs the same place in the order of loads.
    """
    planned_at = commit.metadata.get(PLANNED_AT)
    return {"planned_at": planned_at} if planned_at else {}


def _result(job: Json, planned_at: str) -> Json:
    return {
        "outcome": None,
        "model": job["model"],
        "partition": job["partition"]["value"],
        "job": job["id"],
        "version": job["output"]["version"],
        "planned_at": planned_at,
        "rows": 0,
        "checks": check_runs(job),
        **_failed([]),
        "alert": None,
        "load": None,
        "notify": None,
    }


def _shops(failed_checks: list[Json]) -> Json:
    """Returns the severity and the shops of each failed check."""
    return {failed["name"]: (failed["severity"], failed.get("shops")) for failed in failed_checks}


def _failed(failed_checks: list[Json]) -> Json:
    """Returns the failed checks for a result, and the shops that they withhold."""
    return {"failed_checks": _capped(failed_checks), "withheld": withheld(failed_checks)}


def _capped(checks: list[Json]) -> list[Json]:
    """Returns failed checks or alerts for a result, which has room for some of their shops. The
    state of the partition has all shops of its alerts.
    """
    return [{**check, "shops": check.get("shops", [])[:MAX_FAILED_SHOPS]} for check in checks]


def shortened(result: Json) -> Json:
    """Returns the result with fewer sample rows of failed checks, if it is too large to pass on."""
    failed_checks = [{**check} for check in result["failed_checks"]]
    while len(to_json(result).encode()) > RESULT_BYTES and any(
        check["sample"] for check in failed_checks
    ):
        longest = max(failed_checks, key=lambda check: len(to_json(check["sample"])))
        longest["sample"] = longest["sample"][:-1]
        result = {**result, "failed_checks": failed_checks}
    return result


def log(level: str, message: str, **fields: Any) -> None:
    """Logs one JSON object per line, as the functions do."""
    print(
        to_json(
            {
                "timestamp": datetime.now(UTC).isoformat(),
                "level": level,
                "message": message,
                **fields,
            }
        ),
        flush=True,
    )


def measure(values: dict[str, float]) -> None:
    """Writes metrics in the embedded format of CloudWatch, as crates/platform does."""
    units = {"count": "Count", "bytes": "Bytes", "seconds": "Seconds"}
    metrics = [{"Name": name, "Unit": units[name.rpartition("_")[2]]} for name in values]
    directive = {"Namespace": "Shoplake", "Dimensions": [["function"]], "Metrics": metrics}
    line = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]},
        "function": "run_job",
        **values,
    }
    print(to_json(line), flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    required = {
        "job": "key of the job document",
        "lake_bucket": "the lake",
    }
    for name, about in required.items():
        parser.add_argument(f"--{name}", required=True, help=about)
    parser.add_argument("--event_bus", default="default", help="event bus for dirty partitions")
    parser.add_argument("--aws_region", help="region of the services; default: that of boto3")
    arguments, _ = parser.parse_known_args()  # Glue adds arguments of its own

    began = time.monotonic()
    # A local cloud sets an endpoint and has no host names for buckets.
    style = {"addressing_style": "path" if "AWS_ENDPOINT_URL" in os.environ else "auto"}
    config = Config(
        max_pool_connections=CONCURRENT_READS,
        retries={"mode": "standard", "max_attempts": 5},
        s3=style,
    )
    s3, events = (
        boto3.client(name, region_name=arguments.aws_region, config=config)
        for name in ("s3", "events")
    )
    outbox = Outbox(events, arguments.event_bus)
    spark = SparkSession.builder.appName("shoplake").getOrCreate()
    try:
        result = Transform(spark, Lake(s3, arguments.lake_bucket), outbox).handle(arguments.job)
    except JobError as error:
        log("ERROR", str(error), error_type=error.kind, job=arguments.job)
        # Some runners take SystemExit as a success, and an error as an error.
        raise RuntimeError(f"{error.kind}: {error}") from error
    finally:
        measure({"ran_job_seconds": round(time.monotonic() - began, 3)})
    log(
        "INFO",
        "ran a job",
        **{name: result[name] for name in ("job", "model", "partition", "outcome", "rows")},
    )
    print(to_json(result), flush=True)


if __name__ == "__main__":
    main()
