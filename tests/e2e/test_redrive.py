"""After a fault, one action of the operator brings all events into the KPIs."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from dev.pipeline import Pipeline, Shop, wait_until

from .faults import given_up_after, misconfigured, redelivered_after, released_with
from .kpis import wait_until_right
from .oracle import Expected
from .webhook import page_view, send

TODAY = datetime.now(UTC).date()
WEB_TABLES = [
    "marketing.session_duration_bounce_rate",
    "marketing.customer_engagement_score",
    "marketing.loyalty_activity_rate",
]
CRM_TABLES = [
    "support.feedback_score",
    "support.interaction_volume_by_type",
    "marketing.customer_engagement_score",
]
STAYS_AWAY_SECONDS = 5
"""Wait that shows that failed events do not return without the operator."""


def rating(name: str, stars: int) -> dict[str, Any]:
    """Returns a valid CRM interaction."""
    return {
        "interaction_id": name,
        "customer_id": "c1",
        "channel": "email",
        "interaction_type": "feedback",
        "rating": stars,
        "occurred_at": f"{TODAY}T00:00:00Z",
    }


def expected(shop: Shop, dataset: str, *events: dict[str, Any]) -> Expected:
    """Computes the KPIs of these events."""
    kpis = Expected()
    kpis.add_rows(dataset, shop.shop_id, map(json.dumps, events))
    return kpis


def test_failed_dirty_partition_messages_are_redriven(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("redriven-partitions")
    event = page_view("s-1", f"{TODAY}T00:00:00Z", customer_id="c1")
    dead_letter_queue = pipeline.outputs["dirty_dlq_url"]
    before = pipeline.messages(dead_letter_queue)
    gone = pipeline.outputs["state_machine_arns"]["silver_to_gold"] + "-gone"

    with (
        redelivered_after(pipeline, 1),
        misconfigured(pipeline, "dispatch", SILVER_TO_GOLD_ARN=gone),
    ):
        send(pipeline, shop, "web_traffic", event)
        wait_until(
            "its messages are in the dead-letter queue",
            lambda: pipeline.messages(dead_letter_queue) > before,
            180,
        )

    # The states of the partitions say what they owe, so the sweep needs no message.
    wait_until_right(pipeline, expected(shop, "web_traffic", event), WEB_TABLES)
    assert pipeline.control(action="redrive", queue="dirty")["moved"] > 0

    wait_until_right(pipeline, expected(shop, "web_traffic", event), WEB_TABLES)
    wait_until(
        "the dead-letter queue is empty", lambda: not pipeline.messages(dead_letter_queue), 60
    )


def test_stream_records_that_conform_gave_up_on_are_redriven(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("redriven-records")
    before, given_up = rating("before", 4), rating("given-up", 5)
    failed = pipeline.outputs["conform_failed_queue_url"]

    # The fault ends before the mapping is restored, because the local cloud reads a stream from its
    # start after a change of its mapping.
    with given_up_after(pipeline, pipeline.outputs["streams"]["crm"], 1):
        send(pipeline, shop, "crm_interactions", before)
        wait_until_right(pipeline, expected(shop, "crm_interactions", before), CRM_TABLES)
        with misconfigured(pipeline, "conform", LAKE_BUCKET="no-such-bucket"):
            count = pipeline.messages(failed)
            send(pipeline, shop, "crm_interactions", given_up)
            wait_until("conform gave up on it", lambda: pipeline.messages(failed) > count, 180)
        time.sleep(STAYS_AWAY_SECONDS)
        wait_until_right(pipeline, expected(shop, "crm_interactions", before), CRM_TABLES)

        # A redrive skips batches that Firehose may not have written to bronze yet.
        wait_until("every batch is redriven", lambda: redrive_streams(pipeline), 180, every=5)

        wait_until_right(pipeline, expected(shop, "crm_interactions", before, given_up), CRM_TABLES)


def redrive_streams(pipeline: Pipeline) -> bool:
    """Redrives failed batches; returns whether none is left."""
    answer = pipeline.control(action="redrive", queue="streams")
    return (
        not any(answer["left"].values())
        and not answer["more"]
        and not pipeline.messages(pipeline.outputs["conform_failed_queue_url"])
    )


def test_quarantined_rows_are_redriven_when_they_are_valid(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("redriven-rows")
    accepted, rejected = rating("three-stars", 3), rating("five-stars", 5)

    def too_strict(schema: bytes) -> bytes:
        contract = json.loads(schema)
        contract["properties"]["rating"]["maximum"] = 4
        return json.dumps(contract).encode()

    with released_with(pipeline, "conform", "schemas/crm_interactions.json", too_strict):
        send(pipeline, shop, "crm_interactions", [accepted, rejected])
        [day] = wait_until("five stars are in quarantine", lambda: quarantine_days(pipeline, shop))
        wait_until_right(pipeline, expected(shop, "crm_interactions", accepted), CRM_TABLES)

    assert (
        pipeline.control(action="redrive", quarantine="crm_interactions", day=day)["lines"]["sent"]
        >= 1
    )

    want = expected(shop, "crm_interactions", accepted, rejected)
    wait_until_right(pipeline, want, CRM_TABLES)


def quarantine_days(pipeline: Pipeline, shop: Shop) -> set[str]:
    """Returns the days with a quarantined interaction of a shop."""
    prefix = "quarantine/crm_interactions/dt="
    days = {key.removeprefix(prefix)[:10] for key, _ in pipeline.objects(prefix)}
    return {day for day in days if pipeline.quarantined(f"crm_interactions/dt={day}", shop)}


def test_what_the_warehouse_lost_is_loaded_from_gold(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("reloaded")
    event = rating("kept-in-gold", 5)
    send(pipeline, shop, "crm_interactions", event)
    wait_until_right(pipeline, expected(shop, "crm_interactions", event), CRM_TABLES)
    before = feedback(pipeline)
    assert shop.shop_id in {row[0] for row in before.rows} and len(before.loads) == 1

    pipeline.query(
        "delete from support.feedback_score where interaction_date = %s returning 1", TODAY
    )
    pipeline.query(f"delete from shoplake.loads where {THIS_PARTITION} returning 1", *PARTITION)
    pipeline.query(
        f"delete from shoplake.check_runs where {THIS_PARTITION} returning 1", *PARTITION
    )
    pipeline.query(
        f"delete from shoplake.check_results where {THIS_PARTITION} returning 1", *PARTITION
    )
    assert feedback(pipeline) == Feedback([], [], [])

    # Gold has no partition of tomorrow.
    days = {"from": str(TODAY), "to": str(TODAY + timedelta(days=1))}
    answer = pipeline.control(action="reload", model=PARTITION[0], **days)
    assert answer == {"model": PARTITION[0], "started": 1, "restored": 0, "absent": 1}
    wait_until("the rows are restored", lambda: feedback(pipeline) == before)

    # A load records the results of its checks even if it loads nothing, which shows its end.
    loaded_at, checked_at = times(pipeline)
    pipeline.control(action="reload", model=PARTITION[0], **days)
    wait_until("its checks are recorded again", lambda: times(pipeline)[1] > checked_at)
    assert times(pipeline)[0] == loaded_at, "it was not loaded again"
    assert feedback(pipeline) == before


PARTITION = ("feedback_score", str(TODAY))
THIS_PARTITION = "model = %s and partition_value = %s"


class Feedback(NamedTuple):
    """The warehouse's state of today's feedback, of all shops."""

    rows: list[tuple[Any, ...]]
    loads: list[tuple[Any, ...]]
    checks: list[tuple[Any, ...]]


def feedback(pipeline: Pipeline) -> Feedback:
    """Returns the state without times."""
    rows = pipeline.query(
        "select * from support.feedback_score where interaction_date = %s"
        " order by shop_id, channel",
        TODAY,
    )
    loads = pipeline.query(
        f"select version, row_count, gold_key from shoplake.loads where {THIS_PARTITION}",
        *PARTITION,
    )
    columns = "check_name, severity, description, status, failed_rows, sample, job, version"
    checks = pipeline.query(
        f"select {columns} from shoplake.check_results where {THIS_PARTITION} order by check_name",
        *PARTITION,
    )
    return Feedback(rows, loads, checks)


def times(pipeline: Pipeline) -> tuple[datetime, datetime]:
    """Returns the times of the load and of its last check results."""
    [(loaded_at,)] = pipeline.query(
        f"select loaded_at from shoplake.loads where {THIS_PARTITION}", *PARTITION
    )
    [(checked_at,)] = pipeline.query(
        f"select max(checked_at) from shoplake.check_results where {THIS_PARTITION}", *PARTITION
    )
    return loaded_at, checked_at
