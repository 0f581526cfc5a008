"""What a fault left behind is brought back by one action of the operator's, and ends in the KPIs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from dev.pipeline import Pipeline, Shop, wait_until

from .faults import misconfigured, redelivered_after, released_with
from .independent import Expected
from .kpis import read, wait_until_right
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
"""How long we look whether what was given up comes back by itself once its cause is gone."""


def rating(name: str, stars: int) -> dict[str, Any]:
    """A valid CRM interaction."""
    return {
        "interaction_id": name,
        "customer_id": "c1",
        "channel": "email",
        "interaction_type": "feedback",
        "rating": stars,
        "occurred_at": f"{TODAY}T00:00:00Z",
    }


def expected(shop: Shop, dataset: str, *events: dict[str, Any]) -> Expected:
    """The KPIs that follow from these events."""
    kpis = Expected()
    kpis.add_rows(dataset, shop.shop_id, map(json.dumps, events))
    return kpis


def test_marks_that_could_not_be_dispatched_are_redriven(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("redriven-marks")
    event = page_view("s-1", f"{TODAY}T00:00:00Z", customer_id="c1")
    dead_letters = pipeline.outputs["dirty_dlq_url"]
    before = pipeline.messages(dead_letters)
    gone = pipeline.outputs["state_machine_arns"]["silver_to_gold"] + "-gone"

    with (
        redelivered_after(pipeline, 1),
        misconfigured(pipeline, "dispatch", SILVER_TO_GOLD_ARN=gone),
    ):
        send(pipeline, shop, "web_traffic", event)
        wait_until(
            "its marks are in the dead letters",
            lambda: pipeline.messages(dead_letters) > before,
            180,
        )
        wait_until("no mark is left in the queue", lambda: not pipeline.dirty_messages(), 180)
    time.sleep(STAYS_AWAY_SECONDS)
    assert not read(pipeline, WEB_TABLES[0], ["shop_id"], [shop.shop_id]), (
        "nothing brings it back by itself"
    )

    assert pipeline.control(action="redrive", queue="dirty")["moved"] > 0

    wait_until_right(pipeline, expected(shop, "web_traffic", event), WEB_TABLES)
    wait_until("no dead letter is left", lambda: not pipeline.messages(dead_letters), 60)


@contextmanager
def given_up_after(pipeline: Pipeline, stream: str, retries: int) -> Iterator[None]:
    """Batches of a stream that cannot be conformed are given up after so few attempts, not twenty."""
    functions = pipeline.cloud.client("lambda")
    mappings = functions.list_event_source_mappings(
        FunctionName=pipeline.outputs["functions"]["conform"]
    )["EventSourceMappings"]
    mapping = next(
        mapping for mapping in mappings if mapping["EventSourceArn"].endswith(f"/{stream}")
    )

    def update(attempts: int) -> None:
        functions.update_event_source_mapping(UUID=mapping["UUID"], MaximumRetryAttempts=attempts)
        wait_until(
            "the stream is read again",
            lambda: functions.get_event_source_mapping(UUID=mapping["UUID"])["State"] == "Enabled",
            60,
        )

    update(retries)
    try:
        yield
    finally:
        update(mapping["MaximumRetryAttempts"])


def test_stream_records_that_conform_gave_up_on_are_redriven(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("redriven-records")
    before, given_up = rating("before", 4), rating("given-up", 5)
    failed = pipeline.outputs["conform_failed_queue_url"]

    # The cause is gone before the mapping is as it was: the local cloud reads a stream from its
    # start where a mapping changes.
    with given_up_after(pipeline, pipeline.outputs["streams"]["crm"], 1):
        send(pipeline, shop, "crm_interactions", before)
        wait_until_right(pipeline, expected(shop, "crm_interactions", before), CRM_TABLES)
        with misconfigured(pipeline, "conform", LAKE_BUCKET="no-such-bucket"):
            letters = pipeline.messages(failed)
            send(pipeline, shop, "crm_interactions", given_up)
            wait_until("conform gave up on it", lambda: pipeline.messages(failed) > letters, 180)
        time.sleep(STAYS_AWAY_SECONDS)
        wait_until_right(pipeline, expected(shop, "crm_interactions", before), CRM_TABLES)

        # Batches are left for the next time while Firehose may not have written all of them to
        # bronze.
        wait_until(
            "every batch has been brought back", lambda: redrive_streams(pipeline), 180, every=5
        )

        wait_until_right(pipeline, expected(shop, "crm_interactions", before, given_up), CRM_TABLES)


def redrive_streams(pipeline: Pipeline) -> bool:
    """Brings back what conform gave up on; says whether that is all."""
    answer = pipeline.control(action="redrive", queue="streams")
    return (
        not any(answer["left"].values())
        and not answer["more"]
        and not pipeline.messages(pipeline.outputs["conform_failed_queue_url"])
    )


def test_quarantined_rows_are_redriven_once_their_contract_takes_them(pipeline: Pipeline) -> None:
    shop = pipeline.add_shop("redriven-rows")
    taken, refused = rating("three-stars", 3), rating("five-stars", 5)

    def too_strict(schema: bytes) -> bytes:
        contract = json.loads(schema)
        contract["properties"]["rating"]["maximum"] = 4
        return json.dumps(contract).encode()

    with released_with(pipeline, "conform", "schemas/crm_interactions.json", too_strict):
        send(pipeline, shop, "crm_interactions", [taken, refused])
        [day] = wait_until("five stars are in quarantine", lambda: quarantine_days(pipeline, shop))
        wait_until_right(pipeline, expected(shop, "crm_interactions", taken), CRM_TABLES)

    assert (
        pipeline.control(action="redrive", quarantine="crm_interactions", day=day)["lines"]["sent"]
        >= 1
    )

    wait_until_right(pipeline, expected(shop, "crm_interactions", taken, refused), CRM_TABLES)


def quarantine_days(pipeline: Pipeline, shop: Shop) -> set[str]:
    """The days whose quarantine has an interaction of a shop."""
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

    # Of tomorrow there is nothing in gold.
    days = {"from": str(TODAY), "to": str(TODAY + timedelta(days=1))}
    answer = pipeline.control(action="reload", model=PARTITION[0], **days)
    assert answer == {"model": PARTITION[0], "started": 1, "absent": 1}
    wait_until("the rows are as they were", lambda: feedback(pipeline) == before)

    # A load records what its checks found, even where it has nothing to bring: so we see that the
    # second one has ended.
    loaded_at, checked_at = times(pipeline)
    pipeline.control(action="reload", model=PARTITION[0], **days)
    wait_until("it has been looked at again", lambda: times(pipeline)[1] > checked_at)
    assert times(pipeline)[0] == loaded_at, "it was not loaded again"
    assert feedback(pipeline) == before


PARTITION = ("feedback_score", str(TODAY))
THIS_PARTITION = "model = %s and partition_value = %s"


class Feedback(NamedTuple):
    """What the warehouse shows of today's feedback, of all shops."""

    rows: list[tuple[Any, ...]]
    loads: list[tuple[Any, ...]]
    checks: list[tuple[Any, ...]]


def feedback(pipeline: Pipeline) -> Feedback:
    """All but the times of it."""
    rows = pipeline.query(
        "select * from support.feedback_score where interaction_date = %s order by shop_id, channel",
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
    """When it was loaded, and when what its checks found was recorded last."""
    [(loaded_at,)] = pipeline.query(
        f"select loaded_at from shoplake.loads where {THIS_PARTITION}", *PARTITION
    )
    [(checked_at,)] = pipeline.query(
        f"select max(checked_at) from shoplake.check_results where {THIS_PARTITION}", *PARTITION
    )
    return loaded_at, checked_at
