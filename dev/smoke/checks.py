"""The checks. Each returns a summary, or raises Failed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .events import Answer, Sender, body_of_quotes, page_view, suspicious_events

MODEL = "session_duration_bounce_rate"
"""A model of web events, which a page view makes dirty."""
GLUE_MINUTES = 90


class Failed(Exception):
    """Says what was expected, and what the environment did."""


class Skipped(Exception):
    """Says why a check cannot run."""


class Aws:
    """Uses the environment's resources through the AWS CLI."""

    def __init__(
        self,
        environment: str,
        run: Callable[[list[str], str | None], tuple[int, str, str]] | None = None,
    ) -> None:
        self.prefix = f"shoplake-{environment}"
        self._run = run or _run

    def ask(self, *words: str, stdin: str | None = None) -> Any:
        """Runs a command and returns its answer."""
        code, out, error = self._run(["aws", *words, "--output", "json"], stdin)
        if code:
            raise Failed(f"aws {' '.join(words[:2])} ended with {code}: {error.strip()}")
        return json.loads(out) if out.strip() else None

    def put(self, bucket: str, key: str, content: object) -> None:
        """Writes an object of JSON."""
        code, _, error = self._run(
            ["aws", "s3", "cp", "-", f"s3://{bucket}/{key}"], json.dumps(content)
        )
        if code:
            raise Failed(f"cannot write s3://{bucket}/{key}: {error.strip()}")

    def lake(self) -> str:
        """Returns the lake's bucket."""
        return f"{self.prefix}-lake-{self.ask('sts', 'get-caller-identity')['Account']}"

    def newest_job(self, bucket: str, prefix: str) -> dict[str, Any] | None:
        """Returns the newest job document below a prefix, which results share."""
        answer = self.ask("s3api", "list-objects-v2", "--bucket", bucket, "--prefix", prefix)
        jobs = [found for found in (answer or {}).get("Contents", []) if _is_job(found["Key"])]
        return max(jobs, key=lambda found: str(found["LastModified"]), default=None)

    def dropped(self, since: datetime) -> float:
        """Counts the invocations that Lambda dropped as a recursive loop."""
        function = f"Name=FunctionName,Value={self.prefix}-dispatch"
        window = ("--start-time", since.isoformat(), "--end-time", datetime.now(UTC).isoformat())
        metric = ("--namespace", "AWS/Lambda", "--metric-name", "RecursiveInvocationsDropped")
        statistic = ("--dimensions", function, "--period", "60", "--statistics", "Sum")
        answer = self.ask("cloudwatch", "get-metric-statistics", *metric, *statistic, *window)
        return float(sum(point["Sum"] for point in answer["Datapoints"]))


def _is_job(key: str) -> bool:
    """Returns whether this is the key of a job document, `jobs/<model>/<partition>/<id>.json`."""
    return key.endswith(".json") and not key.endswith(".result.json")


def _run(command: list[str], stdin: str | None) -> tuple[int, str, str]:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@dataclass(frozen=True)
class Target:
    """The environment to test, and the sizes of the checks."""

    sender: Sender
    aws: Aws
    largest: int
    held_minutes: int
    wait: Callable[[float], None] = time.sleep


def expect(answer: Answer, *statuses: int) -> Answer:
    """Returns the answer if it has one of the statuses."""
    if answer.status not in statuses:
        raise Failed(f"expected {' or '.join(map(str, statuses))}, got {answer}")
    return answer


def title_case_headers(target: Target) -> str:
    """Checks that API Gateway and the function accept names of headers in any case."""
    now = datetime.now(UTC)
    for in_title_case in (True, False):
        expect(target.sender.send([page_view(now)], in_title_case=in_title_case), 202)
    missing = expect(target.sender.post(b"[]", without="webhook-id"), 401)
    if "webhook-id" not in missing.body.lower():
        raise Failed(f"expected an answer that names the missing header webhook-id, got {missing}")
    return "Webhook-Id and webhook-id are accepted, a missing one is named"


def largest_body(target: Target) -> str:
    """Checks that the largest body fits into Lambda's limit, even if escaping doubles it, and that
    a larger one gets 413.
    """
    now = datetime.now(UTC)
    expect(target.sender.post(body_of_quotes(target.largest, now)), 202)
    expect(target.sender.post(body_of_quotes(target.largest + 1, now)), 413)
    return f"{target.largest:,} bytes of quotes are accepted, one more is answered 413"


def suspicious_body(target: Target) -> str:
    """Checks that the web ACL accepts texts that look like attacks, alone and in a large body."""
    events = suspicious_events(datetime.now(UTC))
    for event in events:
        expect(target.sender.send([event]), 202)
    expect(
        target.sender.send(
            events * 20 + [page_view(datetime.now(UTC), referrer="x" * 2000) for _ in range(10)]
        ),
        202,
    )
    return f"{len(events)} texts that look like attacks are accepted"


def busy_partition(target: Target) -> str:
    """Checks that a partition whose job is lost is computed in the end: its state says that it is
    dirty, the sweep sends it, and Lambda drops no message as a loop.
    """
    began, lake = datetime.now(UTC), target.aws.lake()
    folder = f"jobs/{MODEL}/{began:%Y-%m-%d}/"
    until = began + timedelta(minutes=target.held_minutes)
    lease = {"job": "smoke"} | {
        name: f"{time:%Y-%m-%dT%H:%M:%SZ}"
        for name, time in (("until", until), ("since", began), ("planned_at", began))
    }
    # All else that the state knows is found again: the commit in gold is published and loaded.
    target.aws.put(lake, f"state/partitions/{MODEL}/{began:%Y-%m-%d}.json", {"lease": lease})
    expect(target.sender.send([page_view(began)]), 202)
    for _ in range(target.held_minutes + 15):
        target.wait(60)
        if dropped := target.aws.dropped(began):
            raise Failed(
                f"Lambda dropped {dropped:.0f} invocations of dispatch as a loop, "
                f"{datetime.now(UTC) - began} after the partition became busy"
            )
        job = target.aws.newest_job(lake, folder)
        if job and datetime.fromisoformat(job["LastModified"]) > until:
            return f"computed after {target.held_minutes} busy minutes, and nothing was dropped"
    raise Failed(
        f"no job below {folder} {target.held_minutes + 15} minutes after the partition became "
        f"busy, which it was for {target.held_minutes}"
    )


def glue(target: Target) -> str:
    """Checks that a job runs on Glue, and that its log groups are declared, encrypted and have a
    retention.
    """
    lake = target.aws.lake()
    found = target.aws.newest_job(lake, f"jobs/{MODEL}/")
    if not found:
        raise Skipped(
            f"no job document below jobs/{MODEL}/: send events, and run this within a week"
        )
    listed = target.aws.ask("stepfunctions", "list-state-machines")["stateMachines"]
    (arn,) = [
        machine["stateMachineArn"]
        for machine in listed
        if machine["name"] == f"{target.aws.prefix}-silver-to-gold-glue"
    ]
    execution = target.aws.ask(
        "stepfunctions",
        "start-execution",
        "--state-machine-arn",
        arn,
        "--input",
        json.dumps(execution_input(found["Key"])),
    )
    for _ in range(GLUE_MINUTES):
        target.wait(60)
        state = target.aws.ask(
            "stepfunctions", "describe-execution", "--execution-arn", execution["executionArn"]
        )
        if state["status"] != "RUNNING":
            break
    if state["status"] != "SUCCEEDED":
        raise Failed(
            f"the execution {execution['executionArn']} ended as {state['status']}: "
            f"{state.get('error')} {state.get('cause')}"
        )
    return f"the job succeeded and logged to {', '.join(logged(target.aws))}"


def execution_input(key: str) -> dict[str, str]:
    """Returns the input of the state machine for a job document."""
    folder, _, name = key.rpartition("/")
    number = name.removesuffix(".json")
    return {
        "job": key,
        "result": f"{folder}/{number}.result.json",
    }


def logged(aws: Aws) -> list[str]:
    """Returns the log groups of the newest run. Fails if one has no retention or no key."""
    job = f"{aws.prefix}-transform-glue"
    run = aws.ask("glue", "get-job-runs", "--job-name", job, "--max-results", "1")["JobRuns"][0][
        "Id"
    ]
    groups = aws.ask("logs", "describe-log-groups", "--log-group-name-prefix", "/aws-glue/jobs/")[
        "logGroups"
    ]
    used = []
    for group in groups:
        streams = aws.ask(
            "logs",
            "describe-log-streams",
            "--log-group-name",
            group["logGroupName"],
            "--log-stream-name-prefix",
            run,
        )["logStreams"]
        if streams:
            used.append(group["logGroupName"])
            if not group.get("retentionInDays") or not group.get("kmsKeyId"):
                raise Failed(
                    f"Glue logs to {group['logGroupName']}, which has no retention or no key: "
                    f"declare it in infra/glue.tf"
                )
    if not used:
        raise Failed(f"no log group below /aws-glue/jobs/ has a stream of the run {run}")
    return used


CHECKS: dict[str, Callable[[Target], str]] = {
    "title-case-headers": title_case_headers,
    "largest-body": largest_body,
    "suspicious-body": suspicious_body,
    "busy-partition": busy_partition,
    "glue": glue,
}
