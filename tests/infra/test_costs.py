"""The cost estimate: each billing rule against numbers computed by hand, and the estimate's inputs
against the plans.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from dev.images import CONNECTORS

ROOT = Path(__file__).resolve().parents[2]
COSTS = ROOT / "infra" / "costs"
sys.path.insert(0, str(COSTS))

import billing  # noqa: E402
import calls  # noqa: E402
import estimate  # noqa: E402
import shape  # noqa: E402
from calls import Calls  # noqa: E402
from month import GLUE_TRANSITIONS, Month, models, read, values  # noqa: E402

from .limits import limits_exceed_normal_use  # noqa: E402
from .stack import Stack  # noqa: E402

PRICES = values("prices.toml", "usd")
RENEW = (
    "the billed resources have changed; run: "
    "make plan && python3 infra/costs/estimate.py --plans .local/plan"
)
PAGE = (ROOT / "docs" / "operations" / "COSTS.md").read_text("utf-8")
GROWING = {"streams", "event_streams", "alarm_metrics", "repositories", "insights_groups"}
"""Numbers that grow with a new dataset or connector: they are compared with a tolerance."""


def month(events_per_second: float = 1, **changed: Any) -> Month:
    """Returns a month in prod with other settings or numbers."""
    fields = {
        name: changed.pop(name)
        for name in ("assumed", "measured", "every_seconds")
        if name in changed
    }
    return Month(events_per_second, {**read("environments.toml")["prod"], **changed}, **fields)


def assumed(**changed: float) -> dict[str, float]:
    """Returns the assumptions with some changes."""
    return {**values("assumed.toml", "value"), **changed}


# ---- billing rules -------------------------------------------------------------------------------


def test_on_demand_records_count_in_whole_kilobytes() -> None:
    # 1,048,576 records of 4.5 KB are 5 GB in, and as much out for each of two consumers: 5 x 0.08 +
    # 10 x 0.04. The stream: 730 x 0.04.
    assert billing.kinesis_on_demand(1, 1024 * 1024, 4.5 * 1024, 2, 24, PRICES) == pytest.approx(
        0.40 + 0.40 + 29.20
    )


def test_first_day_of_retention_is_free() -> None:
    more = billing.kinesis_on_demand(
        1, 1024 * 1024, 1024, 0, 72, PRICES
    ) - billing.kinesis_on_demand(1, 1024 * 1024, 1024, 0, 24, PRICES)
    assert more == pytest.approx(0.10 * 48 / 730)


def test_provisioned_records_count_in_units_of_25_kb() -> None:
    # A record of 45 KB is two units, as in AWS's example: 2 million x 0.014 a million, and 2 shards
    # x 730 x 0.015.
    assert billing.kinesis_provisioned(2, 1_000_000, 45 * 1024, 24, PRICES) == pytest.approx(
        0.028 + 21.90
    )
    assert billing.kinesis_provisioned(2, 0, 1, 72, PRICES) == pytest.approx(2 * 730 * 0.035)


def test_firehose_records_count_in_steps_of_5_kb() -> None:
    # 1,048,576 records of 12 KB are 15 GB, not 12.
    assert billing.firehose(1024 * 1024, 12 * 1024, PRICES) == pytest.approx(15 * 0.029)
    # 2^31 of 1 KB are 10 TB; fifty times that is the end of the first tier.
    assert billing.firehose(2**31 * 100, 1024, PRICES) == pytest.approx(
        500 * 1024 * 0.029 + 500 * 1024 * 0.025
    )


def test_function_is_billed_by_memory_and_milliseconds() -> None:
    # AWS's unit: a million times 100 ms at 512 MB are 50,000 GB-seconds. 99.2 ms are billed as 100.
    assert billing.lambda_gb_seconds(1_000_000, 99.2, 512) == pytest.approx(50_000)
    assert billing.lambda_function(1_000_000, 99.2, 512, PRICES) == pytest.approx(
        0.20 + 50_000 * 0.0000133334
    )


def test_api_requests_have_price_tiers() -> None:
    assert billing.api_gateway(1_000_000_000, PRICES) == pytest.approx(333 * 3.50 + 667 * 2.80)
    assert billing.api_gateway(1_100_000_000, PRICES) == pytest.approx(
        333 * 3.50 + 667 * 2.80 + 100 * 2.38
    )


def test_express_execution_is_billed_by_100_ms_and_64_mb() -> None:
    # AWS's example: 100 million of 10 s at 64 MB are 17,361.11 GB-hours and 100 dollars of
    # requests.
    hours = (billing.step_functions_express(100_000_000, 10_000, 62.85, PRICES) - 100) / PRICES[
        "step_functions_gb_hour"
    ]
    assert hours == pytest.approx(17_361.11, rel=1e-4)
    assert billing.step_functions_express(1000, 101, 65, PRICES) == pytest.approx(
        billing.step_functions_express(1000, 200, 128, PRICES)
    )


def test_redshift_bills_a_minute_at_least_and_overlaps_once() -> None:
    assert billing.redshift_busy_seconds(10, 5) == 600
    assert billing.redshift_busy_seconds(10, 90) == 900
    assert billing.redshift_busy_seconds(1_000_000, 5) == 730 * 3600
    # An hour of 8 RPUs, 10 GB, and 140 GB of snapshots.
    assert billing.redshift(3600, 8, 10, 140, 1000, PRICES) == pytest.approx(
        8 * 0.375 + 10 * 0.024 + 140 * 0.023
    )
    assert billing.redshift(730 * 3600, 8, 0, 0, 487, PRICES) == pytest.approx(487 * 0.375)


def test_messages_and_events_count_in_chunks_of_64_kb() -> None:
    idle = billing.sqs(0, 1024, PRICES)
    assert idle == pytest.approx(5 * 730 * 3600 / 20 / 1_000_000 * 0.40)
    assert billing.sqs(1_000_000, 65 * 1024, PRICES) - idle == pytest.approx((2 + 0.2) * 0.40)
    # A message that waits: a change of its visibility, and a tenth of a receive.
    waits = billing.sqs(0, 1024, PRICES, deferred=1_000_000) - idle
    assert waits == pytest.approx(1.1 * 0.40)
    assert billing.eventbridge(1_000_000, 0, 256 * 1024, PRICES) == pytest.approx(4.00)


def test_glue_and_fargate_bill_a_minute_at_least() -> None:
    assert billing.glue(1, 10, 20, PRICES) == pytest.approx(10 / 60 * 0.44)
    assert billing.fargate(60, 5, 1, 2, PRICES) == pytest.approx(0.03238 + 2 * 0.00356)
    assert billing.athena(1024 * 1024, 1, PRICES) == pytest.approx(10 * 5.00)  # 10 MB each


def test_x_ray_samples_one_a_second_and_5_percent() -> None:
    assert billing.xray_traces(0.5) == pytest.approx(0.5 * 730 * 3600)
    assert billing.xray_traces(101) == pytest.approx(6 * 730 * 3600)


# ---- the month -----------------------------------------------------------------------------------


def test_batch_ends_with_its_window_or_when_full() -> None:
    # One record a second on one shard: a window of 10 s begins with a record, so there is a batch
    # every 11 s.
    slow = month(
        1, shards=1, conform_seconds=10, assumed=assumed(events_per_request=1, crm_share=0)
    )
    assert slow.batches_per_second(1.0) == pytest.approx(1 / 11)
    # 400 records of 25,000 bytes a second need 10 shards, on each of which 4.5 MB are there sooner
    # than the window is over.
    full = month(
        25_000 / 880 * 400,
        shards=1,
        conform_seconds=10,
        assumed=assumed(events_per_request=25_000 / 880, crm_share=0),
    )
    assert full.stream_shards(1.0) == 10
    assert full.batches_per_second(1.0) == pytest.approx(400 * 25_000 / (6 * 1024**2 * 0.75))


def of_model(estimated: Month, name: str) -> Any:
    """Returns the jobs of the newest partition of a model."""
    return next(jobs for jobs in estimated.jobs if jobs.model.name == name)


def test_next_job_starts_every_seconds_after_the_last_one() -> None:
    # Without waiting: a change arrives less often than every 20 s and a job.
    quiet = month(0.1, conform_seconds=1)
    feedback = of_model(quiet, "feedback_score")
    between = quiet.flows["crm_interactions"].seconds_between
    assert feedback.count == pytest.approx(billing.SECONDS / between)
    busy = of_model(month(100), "feedback_score")
    assert busy.count == pytest.approx(billing.SECONDS / (busy.seconds + 20))
    assert all(jobs.count * jobs.seconds <= billing.SECONDS * 1.0001 for jobs in month(100).jobs)


def test_messages_wait_for_the_job_and_its_interval() -> None:
    quiet = of_model(month(0.1), "feedback_score")
    assert quiet.waits == pytest.approx(quiet.count * (quiet.seconds + 20) / quiet.change)
    # With a change every 3.5 s, each job has one message that waits and one that it sends.
    busy = of_model(month(100), "feedback_score")
    assert busy.waits == pytest.approx(busy.count)
    assert busy.dirty_again == pytest.approx(busy.count * min(1, busy.seconds / busy.change))


def test_polled_partition_writes_its_marker_for_each_job() -> None:
    # An hour passes between two snapshots, and the sweep runs ten minutes after the last change.
    stock = of_model(month(), "daily_stock")
    assert stock.marked == pytest.approx(stock.count)
    assert of_model(month(100), "feedback_score").marked == 0


def test_requests_of_a_job_are_counted_by_step() -> None:
    measured = {**values("measured.toml", "value"), "committed_share": 1}
    estimated = month(100, measured=measured, dispatch_seconds=1)
    jobs = of_model(estimated, "feedback_score")
    asked = estimated.asked(jobs)
    found = estimated.calls_of(jobs)
    # Document, slot, lease, gold, end, load; and two notes in the state.
    assert found.puts == pytest.approx(6 * jobs.count + jobs.waits + jobs.dirty_again)
    # Free slots, and the objects of half a day.
    assert found.lists == pytest.approx(jobs.count * (1 + max(1, jobs.objects / 1000)))
    # The head of gold; document, gold, state; state and slot at the end; the state of the load.
    missed = estimated.missed_slots
    assert found.gets == pytest.approx(asked + jobs.count * (7 + jobs.objects + missed))
    assert (found.deletes, found.conflicts) == pytest.approx((jobs.count, missed * jobs.count))
    unchanged = month(100, measured={**measured, "committed_share": 0}, dispatch_seconds=1)
    # It writes no gold. Its load notes in the state that its check results are recorded.
    assert unchanged.calls_of(jobs).puts == pytest.approx(found.puts - jobs.count)


def test_empty_later_days_are_listed_at_once() -> None:
    # A single one: its state, its gold object and its input, which has no objects.
    assert calls.look_for_empty(1, 1, 1) == Calls(lists=1, gets=2)
    # Four days or more: the days of each input that have objects and its end, gold and states.
    assert calls.look_for_empty(2, 2, 1) == Calls(lists=3 + 2)
    assert calls.look_for_empty(364, 1, 2) == Calls(lists=2 * 2 + 2)


def test_sweep_lists_by_schedule_and_all_days_once_a_day() -> None:
    quiet = month(estimate.QUIET)
    assert quiet.sweeps == pytest.approx(730 * 12)
    names = len(set(quiet.compared))
    assert names == len(quiet.compared)
    sources = {"web_traffic", "crm_interactions", "pos_sales", "inventory_levels"}
    assert {*sources, "control_totals", "quarantined", *models()} <= set(quiet.compared)
    # Three days of each, the states of each model, the markers twice, bronze of three sources.
    assert quiet.sweep.lists == pytest.approx(3 * names + len(models()) + 2 + 2 * 3)
    assert (quiet.sweep.puts, quiet.comparison.lists) == pytest.approx((1, 365 * 2 * names))
    seldom = month(estimate.QUIET, sweep_minutes=730 * 60)
    assert quiet.s3_requests() > seldom.s3_requests()
    assert quiet.control_and_notify() > seldom.control_and_notify()


@pytest.mark.parametrize(
    ("file", "constant", "value"),
    [
        ("functions/dispatch/src/handler.rs", "MANY_PARTITIONS", calls.MANY_PARTITIONS),
        ("crates/engine/src/inputs.rs", "CONCURRENT_READS", calls.CONCURRENT_READS),
        ("crates/operations/src/sweep.rs", "NEWEST_DAYS", calls.NEWEST_DAYS),
        ("crates/operations/src/sweep.rs", "OTHER_DAYS", calls.OTHER_DAYS),
        ("crates/operations/src/sweep.rs", "CONCURRENCY", calls.SWEEP_AT_ONCE),
        ("crates/operations/src/sweep.rs", "QUIET", calls.QUIET_SECONDS / 60),
        ("functions/notify/src/handler.rs", "AT_ONCE", calls.CLAIMS_AT_ONCE),
    ],
)
def test_constants_are_those_of_the_functions(file: str, constant: str, value: float) -> None:
    found = re.search(
        rf"^const {constant}: \w+ = (?:TimeDelta::minutes\()?(\d+)\)?;$",
        (ROOT / file).read_text("utf-8"),
        re.MULTILINE,
    )
    assert found and int(found[1]) == value


def test_named_functions_exist() -> None:
    """Every comment of calls.py names the function that makes the requests."""
    named = re.findall(r"\b(\w+)::(\w+)", (COSTS / "calls.py").read_text("utf-8"))
    folders = (ROOT / "crates", ROOT / "functions")
    sources = "".join(
        path.read_text("utf-8") for folder in folders for path in folder.rglob("src/**/*.rs")
    )
    missing = [
        f"{of}::{name}"
        for of, name in named
        if not re.search(rf"\bfn {name}\b|^    {name},$", sources, re.MULTILINE)
    ]
    assert (len(named) > 20, missing) == (True, [])


def test_glue_transitions_are_the_states_to_success() -> None:
    definition = json.loads((ROOT / "statemachines/silver_to_gold_glue.asl.json").read_text())
    path = [definition["StartAt"]]
    while following := definition["States"][path[-1]].get("Next"):
        path.append(following)
    # The start of the execution counts as well.
    assert (path[-1], len(path) + 1) == ("Done", GLUE_TRANSITIONS)


def test_sessions_recompute_yesterday() -> None:
    today, yesterday = [
        jobs for jobs in month().jobs if jobs.model.name == "session_duration_bounce_rate"
    ]
    objects_per_day = month().flows["web_traffic"].objects_per_day
    # Today: half of today and the two days before. Yesterday: the whole day, the two days before,
    # and half of today.
    assert today.objects == pytest.approx(2.5 * objects_per_day)
    assert yesterday.objects == pytest.approx(3.5 * objects_per_day)


def test_control_checks_by_schedule_and_lists_by_1000() -> None:
    # Every quarter of an hour. The two streamed datasets have more than 1,000 objects in two days.
    assert month().freshness_checks == pytest.approx(730 * 4)
    assert month(freshness_minutes=60).freshness_checks == pytest.approx(730)
    assert month(estimate.QUIET).lists_per_check == 4
    web = month().flows["web_traffic"].objects_per_day
    crm = month().flows["crm_interactions"].objects_per_day
    assert month().lists_per_check == pytest.approx(2 * (web + crm) / 1000 + 2)
    # Four lists and four reads of 50 ms at 256 MB, 2920 times.
    quiet, seldom = month(estimate.QUIET), month(estimate.QUIET, freshness_minutes=730 * 60)
    looks = billing.lambda_function(2919, 400, 256, PRICES)
    assert quiet.control_and_notify() - seldom.control_and_notify() == pytest.approx(looks)


def test_notify_runs_for_models_with_notifications() -> None:
    stockouts = [jobs for jobs in month().jobs if jobs.model.name == "stockout_alerts"]
    assert all(jobs.model.has_notifications for jobs in stockouts)
    assert len(stockouts) == 31  # today's partition, and 30 days before
    unchanged = month(measured={**values("measured.toml", "value"), "committed_share": 0})
    assert unchanged.control_and_notify() < month().control_and_notify()


def test_unknown_dataset_counts_as_a_daily_delivery(tmp_path: Path) -> None:
    model = tmp_path / "sales" / "returns.sql"
    model.parent.mkdir()
    model.write_text('-- inputs = ["silver.returns"]\n-- every_seconds = 60\n\nselect 1\n')
    assert models(tmp_path)["returns"].inputs == ("returns",)
    assert "returns" not in month().flows
    assert month().daily_delivery == month().flows["pos_sales"]


def test_models_read_the_model_of_the_rows_that_they_leave_out() -> None:
    assert models()["feedback_score"].inputs == ("crm_interactions", "moved_interactions")
    assert models()["moved_interactions"].inputs == ("interaction_ids",)
    assert models()["interaction_ids"].inputs == ("crm_interactions",)


def test_ids_of_events_are_rows_for_each_event() -> None:
    # Half of today and the seven days before: a week of events, of which each has an id.
    (repeated,) = [jobs for jobs in month().jobs if jobs.model.name == "repeated_web_events"]
    assert repeated.rows == pytest.approx(7.5 * month().flows["web_traffic"].rows_per_day)
    assert repeated.objects == pytest.approx(7.5)
    reader = next(jobs for jobs in month().jobs if jobs.model.name == "loyalty_activity_rate")
    flows = [month().flows[name] for name in ("web_traffic", "crm_interactions")]
    assert reader.rows == pytest.approx(0.5 * sum(flow.rows_per_day for flow in flows))


def test_container_insights_are_billed_as_metrics() -> None:
    assert month(insights_groups=3).cloudwatch() - month(
        insights_groups=0
    ).cloudwatch() == pytest.approx(3 * 10 * 0.30)


def test_each_kept_snapshot_is_billed() -> None:
    assert month(snapshot_days=14).redshift() - month(snapshot_days=0).redshift() == pytest.approx(
        14 * 10 * 0.023
    )


def test_requests_above_the_throttle_are_marked() -> None:
    assert not month(10_000).exceeds_throttle  # 1,000 requests a second, as the throttle
    assert month(10_000, assumed=assumed(events_per_request=1)).exceeds_throttle
    dials = {
        row.split("|")[1].strip(): row
        for row in estimate.dials(read("environments.toml")["prod"])
        if row.startswith("|")
    }
    assert [name for name, row in dials.items() if estimate.THROTTLED in row] == [
        "1 event a request"
    ]
    assert any(
        "exceed `api_throttle`" in note
        for note in estimate.notes([month(10_000, requests_per_second=999)])
    )
    assert not any("exceed `api_throttle`" in note for note in estimate.notes([month(10_000)]))


def test_costs_of_scaling_are_printed() -> None:
    # A month at 64 RPUs: 46,720 hours at 0.375, or less with a limit.
    (free,) = estimate.capacity(
        month(warehouse_max_rpus=64, warehouse_limit_rpu_hours_month=0).environment, PRICES
    )
    assert "17,520 USD" in free
    (limited,) = estimate.capacity(
        month(warehouse_max_rpus=64, warehouse_limit_rpu_hours_month=1000).environment, PRICES
    )
    assert "375 USD" in limited
    assert estimate.capacity(month(warehouse_max_rpus=8).environment, PRICES) == []


# ---- limits and normal use -----------------------------------------------------------------------


def normal(environment: str) -> tuple[float, float]:
    """Returns RPU hours a day and dollars a month of an environment's normal use without limits."""
    rate = read("normal.toml")[environment]["events_per_second"] or estimate.QUIET
    use = Month(
        rate, {**read("environments.toml")[environment], "warehouse_limit_rpu_hours_month": 0}
    )
    return use.warehouse_seconds / 3600 * use.environment["warehouse_rpus"] / (730 / 24), use.total


@pytest.mark.parametrize("environment", list(read("environments.toml")))
def test_limits_are_above_normal_use_and_reachable(environment: str, documents: Any) -> None:
    assert (
        list(
            limits_exceed_normal_use(
                Stack(environment, documents(environment)), *normal(environment)
            )
        )
        == []
    )


def test_normal_use_keeps_the_base_capacity_busy() -> None:
    # A load a minute keeps 8 RPUs busy all day; dev has polled sources and an hour of queries.
    assert normal("prod")[0] == pytest.approx(8 * 24, rel=0.01)
    assert normal("dev")[0] < 16


@pytest.mark.parametrize(
    ("kind", "values", "finding"),
    [
        (
            "aws_redshiftserverless_usage_limit",
            {"amount": 192, "period": "daily"},
            "not above normal use",
        ),
        (
            "aws_redshiftserverless_usage_limit",
            {"amount": 240, "period": "daily"},
            "not above normal use",
        ),
        (
            "aws_redshiftserverless_usage_limit",
            {"amount": 10752, "period": "weekly"},
            "cannot be reached",
        ),
        (
            "aws_redshiftserverless_usage_limit",
            {"breach_action": "log"},
            "no limit with the action deactivate",
        ),
        ("aws_budgets_budget", {"limit_amount": "4000"}, "not above normal use"),
    ],
)
def test_limit_at_normal_use_or_unreachable_is_found(
    kind: str, values: dict[str, Any], finding: str, documents: Any
) -> None:
    stack = copy.deepcopy(Stack("prod", documents("prod")))
    for resource in stack.of(kind):
        resource.values.update(values)
    assert any(finding in found for found in limits_exceed_normal_use(stack, *normal("prod")))


@pytest.mark.parametrize("rate", estimate.RATES)
def test_settings_change_the_total_as_expected(rate: int) -> None:
    base = month(rate).total
    assert month(rate, every_seconds=3600).total < base
    assert month(rate, conform_seconds=300).total < base
    assert (
        month(rate, assumed=assumed(events_per_request=100)).total
        < base
        < month(rate, assumed=assumed(events_per_request=1)).total
    )
    assert month(rate, nat_gateways=1).total > base


# ---- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", list(read("environments.toml")))
def test_environments_toml_has_the_planned_resources(environment: str, documents: Any) -> None:
    recorded, planned = read("environments.toml")[environment], shape.shape(documents(environment))
    assert {name: value for name, value in recorded.items() if name not in GROWING} == {
        name: value for name, value in planned.items() if name not in GROWING
    }, RENEW
    for name in GROWING:
        assert planned[name] == pytest.approx(recorded[name], rel=0.5), RENEW


def test_shape_reads_the_relevant_resources_of_a_plan(documents: Any) -> None:
    plan = copy.deepcopy(documents("prod"))

    def change(kind: str, **values: Any) -> None:
        """Changes the first planned resource of a type."""
        found = next(
            each
            for each in plan["resource_changes"]
            if each["type"] == kind and each["mode"] == "managed"
        )
        found["change"]["after"] |= values

    before = shape.shape(plan)
    change(
        "aws_cloudwatch_log_group",
        name="/aws/ecs/containerinsights/somewhere/performance",
        retention_in_days=3653,
    )
    assert shape.shape(plan)["log_days"] == before["log_days"]  # only functions count
    change("aws_ecs_cluster", setting=[{"name": "containerInsights", "value": "disabled"}])
    assert (before["insights_groups"], shape.shape(plan)["insights_groups"]) == (
        1 + len(CONNECTORS),
        0,
    )
    plan["variables"]["warehouse_snapshot_days"] = {}  # null, as Terraform writes it
    assert (before["snapshot_days"], shape.shape(plan)["snapshot_days"]) == (14, 0)


def test_schedule_other_than_a_rate_is_rejected() -> None:
    assert [
        shape.minutes(f"rate({every})") for every in ("1 minute", "15 minutes", "2 hours", "1 day")
    ] == [1, 15, 120, 1440]
    with pytest.raises(ValueError, match="cron"):
        shape.minutes("cron(0 * * * ? *)")


@pytest.mark.parametrize("environment", list(read("environments.toml")))
def test_page_totals_are_near_the_estimate(environment: str) -> None:
    """The tolerance is for new models and datasets."""
    (row,) = re.findall(rf"^\| {environment} \|(.+)\|$", PAGE, re.MULTILINE)
    totals = [float(cell.replace(",", "")) for cell in row.split("|")]
    settings = read("environments.toml")[environment]
    estimated = [Month(rate, settings).total for rate in (estimate.QUIET, *estimate.RATES)]
    assert totals == pytest.approx(estimated, rel=0.25), "update docs/operations/COSTS.md"


def test_printed_tables_have_short_lines() -> None:
    lines = [line for line in estimate.section().splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > 100] == []


def test_every_price_has_page_source_and_date() -> None:
    for name, price in read("prices.toml").items():
        assert price["page"].startswith("https://aws.amazon.com/"), name
        for read_in in (price, price.get("eu_central_1", price)):
            assert float(read_in["usd"]) > 0, name
            assert isinstance(read_in["date"], date), name
            assert read_in["source"].startswith(("https://", "infracost:")), name


def test_every_number_is_used() -> None:
    code = "".join((COSTS / name).read_text() for name in ("billing.py", "month.py"))
    names = [
        name for file in ("prices.toml", "measured.toml", "assumed.toml") for name in read(file)
    ]
    assert [name for name in names if f'"{name}"' not in code] == []


def test_measured_and_assumed_values_have_a_reason() -> None:
    assert all(entry["how"] for entry in read("measured.toml").values())
    assert all(entry["why"] for entry in read("assumed.toml").values())
