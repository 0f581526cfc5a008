"""Poison in the stream and processes killed in mid-work: nothing is lost, nothing is doubled."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tests.pipeline.pipeline import Pipeline, wait_until
from tests.pipeline.reconcile import reconcile

from .test_web import SESSIONS, TABLE, equal, kpis
from .webhook import page_view

TODAY = datetime.now(UTC).date()


def test_poison_is_quarantined_and_the_records_around_it_arrive(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("poison")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    def envelope(name: str, data: object) -> bytes:
        fields = {"specversion": "1.0", "id": name, "source": f"/shops/{shop.shop_id}/web", "type": "web_traffic.received",
                  "shopid": shop.shop_id, "dataset": "web_traffic", "receivedat": now, "data": data}
        return json.dumps(fields).encode() + b"\n"

    good = [envelope(f"good-{n}", page_view(f"poisoned-{n}", f"{TODAY}T00:00:00Z")) for n in range(2)]
    records = [good[0], b"\x00\xffpoison\n", envelope("bad-1", {"event_type": "dance"}), good[1]]
    pipeline.cloud.client("kinesis").put_records(
        StreamName=pipeline.outputs["streams"]["web"], Records=[{"Data": record, "PartitionKey": "poison"} for record in records]
    )

    wait_until("the good records count", lambda: [row[1] for row in kpis(pipeline, shop)] == [2])
    s3 = pipeline.cloud.client("s3")

    def failures() -> list[dict]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=pipeline.lake_bucket, Prefix="quarantine/")
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        bodies = [s3.get_object(Bucket=pipeline.lake_bucket, Key=key)["Body"].read() for key in keys]
        return [json.loads(line) for body in bodies for line in gzip.decompress(body).splitlines()]

    violations = [f for f in failures() if "bad-1" in f["envelope"]]
    assert len(violations) == 1
    reasons = violations[0]["failure"]["reasons"]
    assert {"event_type", "event_id", "occurred_at"} <= {reason["field"] for reason in reasons}
    assert violations[0]["origin"]["sequence"] and violations[0]["processor"]["version"]
    assert [f["failure"]["kind"] for f in failures() if f["origin"].get("stream", "").endswith("web") and "bad-1" not in f["envelope"]]


@pytest.mark.parametrize("function", ["conform", "transform"])
def test_a_function_killed_again_and_again_loses_and_doubles_nothing(pipeline: Pipeline, function: str, tmp_path: Path) -> None:
    shop = pipeline.add_shop(f"killed-{function}")
    name = pipeline.outputs["functions"][function]
    over, kills = threading.Event(), []

    def kill() -> None:
        while not over.wait(0.3):
            for pid in pipeline.cloud.function_pids(name):
                try:
                    os.kill(pid, signal.SIGKILL)
                    kills.append(pid)
                except ProcessLookupError:
                    pass

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    file = tmp_path / "accepted.ndjson"
    try:
        pipeline.send_web_events(shop, "--seed", "5", "--events", "1500", "--date", str(TODAY), "--out", str(file))
        deadline = time.monotonic() + 15
        wait_until("it was killed some times", lambda: len(kills) >= 3 and time.monotonic() > deadline, 60)
    finally:
        over.set()
        killer.join()

    want = duckdb.sql(SESSIONS.format(file=file)).fetchall()
    wait_until(f"{TABLE} equals {want} after {len(kills)} kills", lambda: equal(kpis(pipeline, shop), want), 240)
    wait_until("everything is accounted for", lambda: all(balance.holds for balance in reconcile(pipeline)))
