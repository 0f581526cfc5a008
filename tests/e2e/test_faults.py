"""Invalid records in the stream and killed processes: no event is lost or counted twice."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from dev.pipeline import Pipeline, wait_until

from .faults import Killer
from .reconcile import reconcile
from .test_web import SESSIONS, TABLE, equal, kpis
from .webhook import page_view

TODAY = datetime.now(UTC).date()


def test_poison_is_quarantined_and_the_records_around_it_arrive(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("poison")
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    def envelope(name: str, data: object) -> bytes:
        fields = {
            "specversion": "1.0",
            "id": name,
            "source": f"/shops/{shop.shop_id}/web",
            "type": "web_traffic.received",
            "shopid": shop.shop_id,
            "dataset": "web_traffic",
            "receivedat": now,
            "data": data,
        }
        return json.dumps(fields).encode() + b"\n"

    good = [
        envelope(f"good-{n}", page_view(f"poisoned-{n}", f"{TODAY}T00:00:00Z")) for n in range(2)
    ]
    records = [good[0], b"\x00\xffpoison\n", envelope("bad-1", {"event_type": "dance"}), good[1]]
    pipeline.cloud.client("kinesis").put_records(
        StreamName=pipeline.outputs["streams"]["web"],
        Records=[{"Data": record, "PartitionKey": "poison"} for record in records],
    )

    wait_until("the good records count", lambda: [row[1] for row in kpis(pipeline, shop)] == [2])
    violations = [f for f in pipeline.quarantined() if "bad-1" in f["envelope"]]
    assert len(violations) == 1
    reasons = violations[0]["failure"]["reasons"]
    assert {"event_type", "event_id", "occurred_at"} <= {reason["field"] for reason in reasons}
    assert violations[0]["origin"]["sequence"] and violations[0]["processor"]["version"]
    assert [
        f["failure"]["kind"]
        for f in pipeline.quarantined()
        if f["origin"].get("stream", "").endswith("web") and "bad-1" not in f["envelope"]
    ]


KILLS = 3


@pytest.mark.parametrize("function", ["conform", "transform"])
def test_a_killed_function_loses_and_doubles_nothing(
    pipeline: Pipeline, function: str, tmp_path: Path
) -> None:
    shop = pipeline.add_shop(f"killed-{function}")
    killer, files = Killer(pipeline, [function], KILLS, seed=11), []
    with killer:
        while killer.left:
            kills = killer.kills[function]
            assert len(files) < 20, f"killed {kills} times only"
            files.append(str(tmp_path / f"accepted-{len(files)}.ndjson"))
            seed = str(100 + len(files))
            pipeline.send_web_events(
                shop, "--seed", seed, "--events", "200", "--date", str(TODAY), "--out", files[-1]
            )
            with suppress(TimeoutError):
                wait_until("it was killed", lambda n=kills: killer.kills[function] > n, 10)

    want = duckdb.sql(SESSIONS.format(file=str(tmp_path / "accepted-*.ndjson"))).fetchall()
    wait_until(f"{TABLE} equals {want}", lambda: equal(kpis(pipeline, shop), want), 240)
    wait_until(
        "everything is accounted for", lambda: all(balance.holds for balance in reconcile(pipeline))
    )
