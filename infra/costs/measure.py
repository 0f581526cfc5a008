#!/usr/bin/env python3
"""Measures the functions' processor time per invocation: the milliseconds in measured.toml.

    measure.py <folder of built binaries>      transform and conform, by the size of their input
    measure.py --cloud .local/demo             all functions of a running local cloud

It measures processor time instead of duration: duration depends on S3 and on the load of the
machine.

With binaries, each function runs through the Lambda Runtime API over a lake that `simulate` fills
with a day of web events in batches of different sizes, with a stub of AWS. Then
`cpu = fixed + per object * objects + per row * rows` is fitted to the measurements (least
squares). With a local cloud, it reads the functions' processes and logs, starts included.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "dev" / "localstack")]

from shoplake_localstack.functions.invocation import Invocation  # noqa: E402
from shoplake_localstack.functions.sandbox import Sandbox  # noqa: E402

from dev.http_stub import Stub, serve  # noqa: E402

DAY = "2026-11-20"
LAKES = ((500, 10), (2000, 10), (5000, 500), (40_000, 500))
"""(web events of the day, events per silver object)"""
REPEATS = 2
CONFORM_EVENTS = (1, 10, 100, 1000, 5000)
TICKS = os.sysconf("SC_CLK_TCK")


def processor(pid: int) -> float:
    """Returns the processor milliseconds of a process; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) * 1000 / TICKS


class AwsStub(Stub):
    """A stub of S3 and EventBridge for transform and conform. Gold is always missing, so that
    every job computes.
    """

    protocol_version = "HTTP/1.1"
    lake: Path
    written: list[int]

    def _answer(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.answer(status, body, {"ETag": '"0"', **(headers or {})})

    def do_GET(self) -> None:
        key = unquote(urlsplit(self.path).path).removeprefix("/lake/")
        file = self.lake / key
        if key.startswith("gold/") or not file.is_file():
            self._answer(
                404, b"<Error><Code>NoSuchKey</Code></Error>", {"Content-Type": "application/xml"}
            )
        else:
            self._answer(200, file.read_bytes(), {"Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"})

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        self.written.append(len(self.body()))
        self._answer(200)

    def do_POST(self) -> None:
        request = json.loads(self.body())
        entries = [{"EventId": str(number)} for number, _ in enumerate(request.get("Entries", []))]
        answer = {"FailedEntryCount": 0, "Entries": entries}
        self._answer(
            200, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.1"}
        )


@contextmanager
def aws(lake: Path) -> Iterator[tuple[str, list[int]]]:
    """Runs the stub over a folder; yields its URL and the sizes of written objects."""
    written: list[int] = []
    with serve(type("Lake", (AwsStub,), {"lake": lake, "written": written})) as endpoint:
        yield endpoint, written


@contextmanager
def function(binary: Path, endpoint: str, memory_mb: int, **environment: str) -> Iterator[Any]:
    """Runs the function as a process; yields a function that invokes it and returns the processor
    milliseconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "code")
        code.mkdir()
        shutil.copy(binary, code / "bootstrap")
        sandbox = Sandbox(
            code,
            Path(folder, "sandbox"),
            {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": "us-east-1",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
                "AWS_LAMBDA_FUNCTION_NAME": binary.name,
                "AWS_LAMBDA_FUNCTION_VERSION": "1",
                "LAKE_BUCKET": "lake",
                "EVENT_BUS": "bus",
                "DEFINITIONS_DIR": str(Path(folder, "definitions")),
                "RUST_LOG": "info",
                **environment,
            },
        )
        definitions = Path(folder, "definitions")
        shutil.copytree(ROOT / "crates" / "contracts" / "schemas", definitions / "schemas")
        shutil.copytree(ROOT / "glue-sql", definitions / "glue-sql")

        def invoke(payload: Any) -> float:
            pid = int(Path(folder, "sandbox", "pid").read_text())
            before = processor(pid)
            body = json.dumps(payload).encode()
            response = sandbox.invoke(
                Invocation(
                    request_id=f"{time.time_ns():032x}",
                    payload=body,
                    function_arn="arn:aws:lambda:us-east-1:0:function:f",
                    trace_id="Root=1-00000000-000000000000000000000000",
                    timeout=600.0,
                )
            )
            if response.is_error:
                raise SystemExit(f"{binary.name}: {response.body!r}\n{sandbox.new_log()}")
            return processor(pid) - before

        try:
            sandbox.start(60)
            yield invoke
        finally:
            sandbox.close()


def web_events(binaries: Path, folder: Path, events: int) -> list[dict[str, Any]]:
    """Returns a day of the sample source's web traffic."""
    file = folder / "web.ndjson"
    subprocess.run(
        [
            binaries / "sample-source",
            "web",
            "--events",
            str(events),
            "--date",
            DAY,
            "--dry-run",
            file,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return [json.loads(line) for line in file.read_text().splitlines()]


def web_models(folder: Path) -> Path:
    """Copies the models that read only web events, with their checks and reference tables."""
    sql = ROOT / "glue-sql"
    texts = {path: path.read_text() for path in sql.rglob("*.sql")}
    models = {
        path.stem
        for path, text in texts.items()
        if re.search(r"^-- inputs = .*silver\.web_traffic", text, re.MULTILINE)
    }
    for path, text in texts.items():
        checked = re.search(r'^-- model = "(.+)"', text, re.MULTILINE)
        if (checked[1] if checked else path.stem) in models:
            copy = folder / path.relative_to(sql)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    shutil.copytree(sql / "reference", folder / "reference")
    return folder


def transform_jobs(
    binaries: Path, events: int, batch: int
) -> Iterator[tuple[str, int, int, float]]:
    """Yields model and partition, silver objects, rows and processor milliseconds of each job over
    the day's web events.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = [
            {"dataset": "web_traffic", "shop_id": "acme", "data": event}
            for event in web_events(binaries, folder, events)
        ]
        (folder / "events.ndjson").write_text("\n".join(map(json.dumps, lines)))
        rows = Counter(line["data"]["occurred_at"][:10] for line in lines)
        lake = folder / "lake"
        subprocess.run(
            [
                binaries / "simulate",
                "--events",
                folder / "events.ndjson",
                "--out",
                lake,
                "--batch",
                str(batch),
                "--sql",
                web_models(folder / "sql"),
            ],
            cwd=ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        results = [json.loads(line) for line in (lake / "results.ndjson").read_text().splitlines()]
        with aws(lake) as (endpoint, _), function(binaries / "transform", endpoint, 3008) as invoke:
            for result in results:
                document = json.loads((lake / result["job"]).read_text())
                objects = [
                    key
                    for each in document["inputs"]
                    for key in each["objects"]
                    if key.startswith("silver/web_traffic/")
                ]
                if not objects:
                    continue
                document["output"]["expected_etag"] = (
                    None  # the partition is computed for the first time, again and again
                )
                (lake / result["job"]).write_text(json.dumps(document))
                times = sorted(invoke({"job": result["job"]}) for _ in range(REPEATS))
                days = {key.split("dt=")[1][:10] for key in objects}
                yield (
                    f"{result['model']} {result['partition']}",
                    len(objects),
                    sum(rows[day] for day in days),
                    times[0],
                )


def conform_batches(binaries: Path) -> Iterator[tuple[int, float, int]]:
    """Yields events, processor milliseconds and written bytes of a Kinesis batch with ten events a
    record.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = web_events(binaries, folder, max(CONFORM_EVENTS))
        with (
            aws(folder) as (endpoint, written),
            function(binaries / "conform", endpoint, 1769) as invoke,
        ):
            for size in CONFORM_EVENTS:
                payload = kinesis(events[:size])
                invoke(payload)
                written.clear()
                repeats = max(5, 500 // size)
                total = sum(invoke(payload) for _ in range(repeats))
                yield size, total / repeats, sum(written) // repeats


def kinesis(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a Lambda event of a stream with ten envelopes in each record."""
    lines = [
        json.dumps(
            {
                "specversion": "1.0",
                "id": f"message-{number}",
                "source": "web",
                "type": f"web_traffic.{event['event_type']}",
                "time": event["occurred_at"],
                "shopid": "acme",
                "dataset": "web_traffic",
                "receivedat": event["occurred_at"],
                "data": event,
            }
        )
        + "\n"
        for number, event in enumerate(events)
    ]
    stream = "arn:aws:kinesis:us-east-1:000000000000:stream/shoplake-dev-web"
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": str(start),
                    "sequenceNumber": f"{start + 1:056d}",
                    "data": base64.b64encode("".join(lines[start : start + 10]).encode()).decode(),
                    "approximateArrivalTimestamp": 1795170000.0,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000000:{start + 1:056d}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::0:role/r",
                "awsRegion": "us-east-1",
                "eventSourceARN": stream,
            }
            for start in range(0, len(lines), 10)
        ]
    }


def fit(rows: Iterable[tuple[float, ...]], values: Iterable[float]) -> list[float]:
    """Returns the least-squares fit by the normal equations, weighted by 1/value: relative errors
    count equally.
    """
    weighted = [([x / value for x in row], 1.0) for row, value in zip(rows, values, strict=True)]
    size = len(weighted[0][0])
    columns = range(size)
    matrix = [
        [sum(row[i] * row[j] for row, _ in weighted) for j in columns]
        + [sum(row[i] * y for row, y in weighted)]
        for i in columns
    ]
    for i in range(size):
        pivot = matrix[i][i]
        matrix[i] = [value / pivot for value in matrix[i]]
        for j in range(size):
            if j != i:
                matrix[j] = [
                    a - matrix[j][i] * b for a, b in zip(matrix[j], matrix[i], strict=True)
                ]
    return [row[size] for row in matrix]


def measure_cloud(cloud: Path) -> None:
    """Prints the processor time of the functions of a running local cloud, and their jobs."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for environment in (cloud / "functions").glob("*/*"):
        milliseconds = processor(int((environment / "pid").read_text()))
        if not milliseconds:
            continue  # The process has ended, and its times with it.
        log = (environment / "log").read_text()
        totals[environment.parent.name.rsplit("-", 1)[1]].update(
            {
                "requests": len(set(re.findall(r'"requestId":"([0-9a-f-]{36})"', log))),
                "log": len(log),
                "milliseconds": round(milliseconds),
                **{
                    message: log.count(f'"message":"{message}"') for message in ("started", "waits")
                },
                **{
                    outcome: log.count(f'"outcome":"{outcome}"')
                    for outcome in ("Committed", "Unchanged")
                },
            }
        )
    for name, total in sorted(totals.items()):
        requests = max(1, total["requests"])
        milliseconds, log = total["milliseconds"] / requests, total["log"] / requests
        print(
            f"{name}: {total['requests']} requests, {milliseconds:.1f} ms, {log:.0f} bytes of log"
        )
    planned, ran = totals["dispatch"], totals["transform"]
    print(f"jobs: {planned['started']} started, {planned['waits']} waited")
    print(f"jobs: {ran['Committed']} committed, {ran['Unchanged']} unchanged")


def main() -> None:
    """Prints the measurements and the fit."""
    if sys.argv[1] == "--cloud":
        measure_cloud(Path(sys.argv[2]))
        return
    binaries = Path(sys.argv[1]).resolve()
    batches = list(conform_batches(binaries))
    for size, milliseconds, size_bytes in batches:
        print(
            f"conform: {size} events: {milliseconds:.2f} ms, {size_bytes} bytes of silver",
            flush=True,
        )
    fixed, per_event = fit(
        [(1, size) for size, _, _ in batches], [milliseconds for _, milliseconds, _ in batches]
    )
    print(f"conform: {fixed:.2f} ms + {per_event * 1000:.3f} us an event")
    fixed, per_event = fit(
        [(1, size) for size, _, _ in batches], [size_bytes for _, _, size_bytes in batches]
    )
    print(f"silver: {fixed:.0f} bytes an object + {per_event:.1f} bytes an event")

    jobs = []
    for events, batch in LAKES:
        for job in transform_jobs(binaries, events, batch):
            print("transform: {}: {} objects, {} rows: {:.0f} ms".format(*job), flush=True)
            jobs.append(job)
    fixed, per_object, per_row = fit(
        [(1, objects, rows) for _, objects, rows, _ in jobs], [max(each[-1], 1.0) for each in jobs]
    )
    print(
        f"transform: {fixed:.1f} ms + {per_object:.3f} ms an object + {per_row * 1000:.3f} us a row"
    )


if __name__ == "__main__":
    main()
