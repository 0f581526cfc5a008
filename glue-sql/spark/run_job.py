"""Runs one job document on Spark, as functions/transform does with DataFusion, for jobs that do not
fit into a Lambda.

    run_job.py --job KEY --lake_bucket NAME --dirty_queue_url URL
               [--event_bus NAME] [--aws_region REGION]

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
from datetime import UTC, date, datetime
from typing import Any

import boto3
from botocore.config import Config
from job_engine import Gold, commit_metadata, compute, portable, read_by, runs
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
from pyspark.sql import SparkSession

JOB_VERSION = 2
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
    "notice",
}
OPTIONAL_JOB_FIELDS = {"personal"}

# Step Functions and SNS pass on 256 KB, and an alert on failed checks has them twice.
RESULT_BYTES = 100_000


class Transform:
    """Runs jobs."""

    def __init__(self, spark: SparkSession, lake: Lake, outbox: Outbox) -> None:
        self._spark, self._lake, self._outbox = spark, lake, outbox

    def handle(self, key: str) -> Json:
        """Runs the job, commits its rows if they changed and pass the checks, and returns the
        JobResult.
        """
        job, planned_at = self._job(key)
        try:
            result = shortened(
                {**_result(job, planned_at), **self._run(job, key.removesuffix(".json"))}
            )
            self._lake.put(f"{key.removesuffix('.json')}.result.json", to_json(result).encode())
        except JobError as error:
            # The job keeps its lease for a retry.
            if not isinstance(error, RetryableError):
                self._release(job)
            raise
        self._release(job)
        return result

    def _job(self, key: str) -> tuple[Json, str]:
        found = self._lake.get(key)
        if found is None:
            raise JobError(
                f'the job document "{key}" is missing in the lake; plan the partition again'
            )
        again = "it was written by another version, so plan the partition again"
        try:
            job = json.loads(found.body)
            unknown = job.keys() - JOB_FIELDS - OPTIONAL_JOB_FIELDS
            for what, names in (("missing", JOB_FIELDS - job.keys()), ("unknown", unknown)):
                if names:
                    raise ValueError(f"{what} field `{min(names)}`")
        except (ValueError, AttributeError) as error:
            raise JobError(f'the job document "{key}" cannot be read: {error}; {again}') from error
        if job["version"] != JOB_VERSION:
            version = f"has version {job['version']}, expected {JOB_VERSION}"
            raise JobError(f'the job document "{key}" {version}; plan the partition again')
        return job, found.last_modified.astimezone(UTC).isoformat().replace("+00:00", "Z")

    def _run(self, job: Json, folder: str) -> Json:
        key, expected = job["output"]["key"], job["output"]["expected_etag"]
        current = self._lake.get(key)
        if current and _committed_by(job, current):
            # An earlier attempt ended after its commit, which has everything for the next steps.
            names = current.metadata.get("new-failures")
            new = names.split(",") if names else []
            return self._finish(job, Gold.decode(key, current.body), new)
        if (current and current.etag) != expected:
            return self._conflict(job, "another job has committed since it was planned")
        before = Gold.decode(key, current.body) if current else None

        alone = self._spark.sparkContext.master.startswith("local")
        workspace = LocalWorkspace(self._lake) if alone else Workspace(self._lake, folder)
        try:
            gold, changed = compute(self._spark, job, before, workspace)
        except InputGone as error:
            return self._conflict(job, str(error))
        finally:
            workspace.clear()
        # Job documents of earlier releases have `stop` instead of `error`.
        stopped = any(check["severity"] != "warn" for check in gold.failed_checks)
        failed_before = before.failed_checks if before else []
        known = {failed["name"]: failed.get("shops", []) for failed in failed_before}
        failing = {failed["name"]: failed["shops"] for failed in gold.failed_checks}
        # A commit records which checks fail for which shops. So the same rows are committed again
        # when that changes.
        if stopped or not (changed or failing != known):
            outcome = "checks_failed" if stopped else "unchanged"
            failed_checks = gold.failed_checks
            alerts = alert(job, failed_checks, list(failing)) if stopped else None
            result = {"outcome": outcome, "rows": gold.rows.num_rows}
            return {**result, "failed_checks": failed_checks, "alert": alerts}

        new = [name for name in failing if name not in known or {*failing[name]} - {*known[name]}]
        body = gold.encode(job)
        condition = {"If-Match": expected} if expected else {"If-None-Match": "*"}
        try:
            metadata = commit_metadata(job, gold.rows)
            if new:
                metadata["new-failures"] = ",".join(new)
            self._lake.put(key, body, metadata, condition)
        except Conflict:
            # The client repeats a write whose answer is lost, which then conflicts with itself.
            head = self._lake.head(key)
            if not (head and _committed_by(job, head)):
                return self._conflict(job, "another job committed while it ran")
        measure({"written_gold_rows_count": gold.rows.num_rows, "written_parquet_bytes": len(body)})
        return self._finish(job, gold, new)

    def _finish(self, job: Json, gold: Gold, new_failures: list[str]) -> Json:
        """Publishes the partitions that the commit made dirty. Returns the result with the requests
        to load and to notify.
        """
        self._outbox.publish(gold.dirtied)
        own = {"model": job["model"], "key": job["output"]["key"]}
        load = job["warehouse"] and {
            **own,
            "warehouse": job["warehouse"],
            "partition": job["partition"],
            "version": job["output"]["version"],
            "columns": [
                {"name": field.name, "type": portable(str(field.type))}
                for field in gold.rows.schema
            ],
            "sort": job["sort"],
        }
        notify = job["notice"] and {
            **own,
            "partition": job["partition"]["value"],
            "identity": job["key"],
            "notice": job["notice"],
        }
        committed = {
            "outcome": "committed",
            "rows": gold.rows.num_rows,
            "failed_checks": gold.failed_checks,
        }
        alerts = alert(job, gold.failed_checks, new_failures)
        return {**committed, "alert": alerts, "load": load, "notify": notify}

    def _conflict(self, job: Json, reason: str) -> Json:
        """Sends a dirty-partition message, so that the partition is planned again.

        An earlier attempt may have ended between its commit and its publishing, and another job may
        have committed since. So all partitions that read this one are published, too. One that is
        up to date costs a listing.
        """
        day = job["partition"]["value"]
        why = f"job {job['id']} of {job['model']} {day}: {reason}"
        dirty = [
            message
            for downstream in job["downstream"]
            for message in runs(
                downstream["model"], read_by(downstream, date.fromisoformat(day)), why
            )
        ]
        self._outbox.publish(dirty)
        self._outbox.send({"model": job["model"], "partition": day, "reason": why})
        return {"outcome": "conflict", "checks": []}

    def _release(self, job: Json) -> None:
        """Releases the lease if the job holds it, as crates/lake/src/lease.rs does."""
        key = f"jobs/{job['model']}/{job['partition']['value']}/running.json"
        released = {"job": job["id"], "until": "1970-01-01T00:00:00Z"}
        try:
            found = self._lake.get(key)
            if (
                found
                and (lease := json.loads(found.body))["job"] == job["id"]
                and lease != released
            ):
                self._lake.put(key, to_json(released).encode(), condition={"If-Match": found.etag})
        except (JobError, Conflict, ValueError, KeyError, TypeError) as error:
            log("WARN", "a lease was not released; it expires", error=str(error))


def _committed_by(job: Json, found: Object) -> bool:
    """Whether the job committed the object."""
    return found.metadata.get("job") == job["id"]


def _result(job: Json, planned_at: str) -> Json:
    checks = [
        {name: check[name] for name in ("name", "severity", "description")}
        for check in job["checks"]
    ]
    return {
        "outcome": None,
        "model": job["model"],
        "partition": job["partition"]["value"],
        "job": job["id"],
        "version": job["output"]["version"],
        "planned_at": planned_at,
        "rows": 0,
        "checks": checks,
        "failed_checks": [],
        "alert": None,
        "load": None,
        "notify": None,
    }


def alert(job: Json, failed_checks: list[Json], names: list[str]) -> list[Json] | None:
    """Returns the alerts for people, without rows, which may hold personal data."""
    descriptions = {check["name"]: check["description"] for check in job["checks"]}
    alerts = [
        {
            "check": failed["name"],
            "severity": failed["severity"],
            "description": descriptions.get(failed["name"], ""),
            "rows": failed["rows"],
            "shops": failed["shops"],
        }
        for failed in failed_checks
        if failed["name"] in names
    ]
    return alerts or None


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
        "dirty_queue_url": "of dispatch's queue",
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
    s3, events, sqs = (
        boto3.client(name, region_name=arguments.aws_region, config=config)
        for name in ("s3", "events", "sqs")
    )
    outbox = Outbox(events, arguments.event_bus, sqs, arguments.dirty_queue_url)
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
