"""The cost estimate: each service's billing rule by numbers worked out by hand, and that the page
says what is deployed.
"""

from __future__ import annotations

import copy
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
COSTS = ROOT / "infra" / "costs"
sys.path.insert(0, str(COSTS))

import billing  # noqa: E402
import estimate  # noqa: E402
import shape  # noqa: E402
from month import Month, read, values  # noqa: E402

from .limits import limits_bind_above_normal_use  # noqa: E402
from .stack import Stack  # noqa: E402

PRICES = values("prices.toml", "usd")
RENEW = "Terraform has changed what is billed; run: make plan && python3 infra/costs/estimate.py --plans .local/plan --markdown"


def month(events_per_second: float = 1, **changed: Any) -> Month:
    """A month in prod, with other settings or numbers."""
    fields = {
        name: changed.pop(name)
        for name in ("assumed", "measured", "every_seconds")
        if name in changed
    }
    return Month(events_per_second, {**read("environments.toml")["prod"], **changed}, **fields)


def assumed(**changed: float) -> dict[str, float]:
    """What is assumed, but for some of it."""
    return {**values("assumed.toml", "value"), **changed}


# ---- billing rules
# ---------------------------------------------------------------------------------------------------


def test_a_kinesis_record_counts_in_whole_kilobytes_on_demand() -> None:
    # 1,048,576 records of 4.5 KB are 5 GB in, and as much out for each of two consumers: 5 x 0.08 +
    # 10 x 0.04. The stream: 730 x 0.04.
    assert billing.kinesis_on_demand(1, 1024 * 1024, 4.5 * 1024, 2, 24, PRICES) == pytest.approx(
        0.40 + 0.40 + 29.20
    )


def test_what_is_kept_for_three_days_is_billed_for_two() -> None:
    more = billing.kinesis_on_demand(
        1, 1024 * 1024, 1024, 0, 72, PRICES
    ) - billing.kinesis_on_demand(1, 1024 * 1024, 1024, 0, 24, PRICES)
    assert more == pytest.approx(
        0.10 * 48 / 730
    )  # 1 GB a month, of which two days' worth lies there


def test_a_provisioned_record_counts_in_steps_of_25_kilobytes() -> None:
    # A record of 45 KB is two units, as in AWS's example: 2 million x 0.014 a million, and 2 shards
    # x 730 x 0.015.
    assert billing.kinesis_provisioned(2, 1_000_000, 45 * 1024, 24, PRICES) == pytest.approx(
        0.028 + 21.90
    )
    assert billing.kinesis_provisioned(2, 0, 1, 72, PRICES) == pytest.approx(2 * 730 * 0.035)


def test_a_firehose_record_counts_in_steps_of_5_kilobytes() -> None:
    # 1,048,576 records of 12 KB are 15 GB, not 12.
    assert billing.firehose(1024 * 1024, 12 * 1024, PRICES) == pytest.approx(15 * 0.029)
    # 2^31 of 1 KB are 10 TB; fifty times that is the end of the first tier.
    assert billing.firehose(2**31 * 100, 1024, PRICES) == pytest.approx(
        500 * 1024 * 0.029 + 500 * 1024 * 0.025
    )


def test_a_function_is_billed_by_its_memory_and_whole_milliseconds() -> None:
    # AWS's unit: a million times 100 ms at 512 MB are 50,000 GB-seconds. 99.2 ms are billed as 100.
    assert billing.lambda_gb_seconds(1_000_000, 99.2, 512) == pytest.approx(50_000)
    assert billing.lambda_function(1_000_000, 99.2, 512, PRICES) == pytest.approx(
        0.20 + 50_000 * 0.0000133334
    )


def test_api_requests_become_cheaper_by_tiers() -> None:
    assert billing.api_gateway(1_000_000_000, PRICES) == pytest.approx(333 * 3.50 + 667 * 2.80)
    assert billing.api_gateway(1_100_000_000, PRICES) == pytest.approx(
        333 * 3.50 + 667 * 2.80 + 100 * 2.38
    )


def test_an_express_execution_is_billed_by_100_ms_and_64_mb() -> None:
    # AWS's example: 100 million of 10 s at 64 MB are 17,361.11 GB-hours and 100 dollars of
    # requests.
    hours = (billing.step_functions_express(100_000_000, 10_000, 62.85, PRICES) - 100) / PRICES[
        "step_functions_gb_hour"
    ]
    assert hours == pytest.approx(17_361.11, rel=1e-4)
    assert billing.step_functions_express(1000, 101, 65, PRICES) == pytest.approx(
        billing.step_functions_express(1000, 200, 128, PRICES)
    )


def test_redshift_bills_a_minute_for_the_shortest_load_and_no_second_twice() -> None:
    assert billing.redshift_busy_seconds(10, 5) == 600
    assert billing.redshift_busy_seconds(10, 90) == 900
    assert billing.redshift_busy_seconds(1_000_000, 5) == 730 * 3600
    # An hour of 8 RPUs, 10 GB, and 140 GB of snapshots.
    assert billing.redshift(3600, 8, 10, 140, 1000, PRICES) == pytest.approx(
        8 * 0.375 + 10 * 0.024 + 140 * 0.023
    )
    assert billing.redshift(730 * 3600, 8, 0, 0, 487, PRICES) == pytest.approx(487 * 0.375)


def test_messages_and_events_count_in_chunks_of_64_kilobytes() -> None:
    idle = billing.sqs(0, 1024, PRICES)
    assert idle == pytest.approx(5 * 730 * 3600 / 20 / 1_000_000 * 0.40)
    assert billing.sqs(1_000_000, 65 * 1024, PRICES) - idle == pytest.approx((2 + 0.2) * 0.40)
    assert billing.eventbridge(1_000_000, 0, 256 * 1024, PRICES) == pytest.approx(4.00)


def test_the_short_ones_are_billed_a_minute() -> None:
    assert billing.glue(1, 10, 20, PRICES) == pytest.approx(10 / 60 * 0.44)
    assert billing.fargate(60, 5, 1, 2, PRICES) == pytest.approx(0.03238 + 2 * 0.00356)
    assert billing.athena(1024 * 1024, 1, PRICES) == pytest.approx(10 * 5.00)  # 10 MB each


def test_x_ray_takes_the_first_of_a_second_and_a_twentieth_of_the_others() -> None:
    assert billing.xray_traces(0.5) == pytest.approx(0.5 * 730 * 3600)
    assert billing.xray_traces(101) == pytest.approx(6 * 730 * 3600)


# ---- the month
# -------------------------------------------------------------------------------------------------------


def test_a_batch_ends_with_its_window_or_when_it_is_full() -> None:
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


def test_a_partition_is_computed_as_often_as_its_model_says_and_by_one_job_at_a_time() -> None:
    quick = month(0.1, conform_seconds=1)
    feedback = next(jobs for jobs in quick.jobs if jobs.model.name == "feedback_score")
    between = quick.flows["silver.crm_interactions"].seconds_between
    assert feedback.count == pytest.approx(billing.SECONDS / max(between, 20))
    slow = month(100)
    assert all(jobs.count * jobs.seconds <= billing.SECONDS * 1.0001 for jobs in slow.jobs)


def test_a_mark_is_looked_at_when_it_comes_and_when_it_comes_back() -> None:
    quiet = month(0.1)
    feedback = next(jobs for jobs in quiet.jobs if jobs.model.name == "feedback_score")
    changes = billing.SECONDS / quiet.flows["silver.crm_interactions"].seconds_between
    assert feedback.marks == pytest.approx(changes + feedback.count)


def test_sessions_concern_yesterday_too() -> None:
    today, yesterday = [
        jobs for jobs in month().jobs if jobs.model.name == "session_duration_bounce_rate"
    ]
    objects_per_day = month().flows["silver.web_traffic"].objects_per_day
    # Of today the half that is there, and the two days before. Of yesterday the whole day, the
    # two days before, and the half of today.
    assert today.objects == pytest.approx(2.5 * objects_per_day)
    assert yesterday.objects == pytest.approx(3.5 * objects_per_day)


def test_control_looks_by_its_schedule_and_lists_by_the_thousand() -> None:
    # Every quarter of an hour. Of the two datasets that are streamed there are more than a thousand
    # objects in two days.
    assert month().looks == pytest.approx(730 * 4)
    assert month(freshness_minutes=60).looks == pytest.approx(730)
    assert month(estimate.QUIET).lists_of_a_look == 4
    web = month().flows["silver.web_traffic"].objects_per_day
    crm = month().flows["silver.crm_interactions"].objects_per_day
    assert month().lists_of_a_look == pytest.approx(2 * (web + crm) / 1000 + 2)
    # Four lists and four reads of 50 ms at 256 MB, 2920 times; nothing else of the line depends on
    # the schedule.
    quiet, seldom = month(estimate.QUIET), month(estimate.QUIET, freshness_minutes=730 * 60)
    looks = billing.lambda_function(2919, 400, 256, PRICES)
    assert quiet.looks_and_notices() - seldom.looks_and_notices() == pytest.approx(looks)


def test_people_are_told_of_commits_of_models_with_a_notice() -> None:
    assert [jobs.model.name for jobs in month().jobs if jobs.model.has_notice] == [
        "stockout_alerts"
    ] * 31  # today's, and 30 days before
    untold = month(measured={**values("measured.toml", "value"), "committed_share": 0})
    assert untold.looks_and_notices() < month().looks_and_notices()


def test_container_insights_are_metrics_of_the_cluster_and_of_each_connector() -> None:
    assert month(insights_groups=3).cloudwatch() - month(
        insights_groups=0
    ).cloudwatch() == pytest.approx(3 * 10 * 0.30)


def test_each_daily_snapshot_is_billed_as_long_as_it_is_kept() -> None:
    assert month(snapshot_days=14).redshift() - month(snapshot_days=0).redshift() == pytest.approx(
        14 * 10 * 0.023
    )


def test_more_requests_than_the_api_lets_in_are_marked() -> None:
    assert not month(10_000).refused  # a thousand requests a second, just so many as it lets in
    assert month(10_000, assumed=assumed(events_per_request=1)).refused
    dials = {
        row.split("|")[1].strip(): row
        for row in estimate.dials(read("environments.toml")["prod"])
        if row.startswith("|")
    }
    assert [name for name, row in dials.items() if estimate.REFUSED in row] == ["1 event a request"]
    assert any(
        "lets in" in note for note in estimate.notes([month(10_000, requests_per_second=999)])
    )
    assert not any("lets in" in note for note in estimate.notes([month(10_000)]))


def test_what_the_warehouse_may_scale_to_is_said() -> None:
    # All the month at 64 RPUs are 46,720 hours, at 0.375; a limit ends it before.
    (free,) = estimate.capacity(
        month(warehouse_max_rpus=64, warehouse_limit_rpu_hours_month=0).environment, PRICES
    )
    assert "17,520 USD" in free
    (limited,) = estimate.capacity(
        month(warehouse_max_rpus=64, warehouse_limit_rpu_hours_month=1000).environment, PRICES
    )
    assert "375 USD" in limited
    assert estimate.capacity(month(warehouse_max_rpus=8).environment, PRICES) == []


# ---- limits, and what is normal ------------------------------------------------------------------


def normal(environment: str) -> tuple[float, float]:
    """RPU hours a day and US dollars a month of an environment's normal use, if no limit
    stopped it."""
    rate = read("normal.toml")[environment]["events_per_second"] or estimate.QUIET
    use = Month(
        rate, {**read("environments.toml")[environment], "warehouse_limit_rpu_hours_month": 0}
    )
    return use.warehouse_seconds / 3600 * use.environment["warehouse_rpus"] / (730 / 24), use.total


@pytest.mark.parametrize("environment", list(read("environments.toml")))
def test_limits_and_notices_are_above_normal_use_and_bind(environment: str, documents: Any) -> None:
    assert (
        list(
            limits_bind_above_normal_use(
                Stack(environment, documents(environment)), *normal(environment)
            )
        )
        == []
    )


def test_normal_use_keeps_the_base_busy() -> None:
    # A load a minute keeps 8 RPUs awake all day; nothing at all leaves them to the polled sources
    # and an hour of people's queries.
    assert normal("prod")[0] == pytest.approx(8 * 24, rel=0.01)
    assert normal("dev")[0] < 16


@pytest.mark.parametrize(
    ("kind", "values", "finding"),
    [
        (
            "aws_redshiftserverless_usage_limit",
            {"amount": 192, "period": "daily"},
            "rings at normal use",
        ),
        (
            "aws_redshiftserverless_usage_limit",
            {"amount": 240, "period": "daily"},
            "rings at normal use",
        ),
        (
            "aws_redshiftserverless_usage_limit",
            {"amount": 10752, "period": "weekly"},
            "never reached",
        ),
        ("aws_redshiftserverless_usage_limit", {"breach_action": "log"}, "no limit that stops it"),
        ("aws_budgets_budget", {"limit_amount": "4000"}, "comes at normal use"),
    ],
)
def test_a_limit_at_normal_use_or_out_of_reach_is_found(
    kind: str, values: dict[str, Any], finding: str, documents: Any
) -> None:
    stack = copy.deepcopy(Stack("prod", documents("prod")))
    for resource in stack.of(kind):
        resource.values.update(values)
    assert any(finding in found for found in limits_bind_above_normal_use(stack, *normal("prod")))


@pytest.mark.parametrize("rate", estimate.RATES)
def test_every_dial_turns_the_way_that_the_page_says(rate: int) -> None:
    base = month(rate).total
    assert month(rate, every_seconds=3600).total < base
    assert month(rate, conform_seconds=300).total < base
    assert (
        month(rate, assumed=assumed(events_per_request=100)).total
        < base
        < month(rate, assumed=assumed(events_per_request=1)).total
    )
    assert month(rate, nat_gateways=1).total > base


# ---- the page
# --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", list(read("environments.toml")))
def test_the_estimate_is_of_what_terraform_deploys(environment: str, documents: Any) -> None:
    deployed = shape.shape(documents(environment))
    assert read("environments.toml")[environment] == deployed, RENEW


def test_the_shape_is_what_the_plan_says_and_not_what_stands_beside_it(documents: Any) -> None:
    plan = copy.deepcopy(documents("prod"))

    def change(kind: str, **values: Any) -> None:
        """The first planned resource of a type, with other values."""
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
    assert shape.shape(plan)["log_days"] == before["log_days"]  # of what the functions write
    change("aws_ecs_cluster", setting=[{"name": "containerInsights", "value": "disabled"}])
    assert (before["insights_groups"], shape.shape(plan)["insights_groups"]) == (
        4,
        0,
    )  # the cluster and three connectors
    plan["variables"]["warehouse_snapshot_days"] = {}  # null, as Terraform writes it
    assert (before["snapshot_days"], shape.shape(plan)["snapshot_days"]) == (14, 0)


def test_a_schedule_that_is_no_rate_is_refused() -> None:
    assert [
        shape.minutes(f"rate({every})") for every in ("1 minute", "15 minutes", "2 hours", "1 day")
    ] == [1, 15, 120, 1440]
    with pytest.raises(ValueError, match="cron"):
        shape.minutes("cron(0 * * * ? *)")


def test_the_page_says_what_the_estimate_says() -> None:
    page = estimate.PAGE.read_text()
    assert page == estimate.written(page), (
        "docs/operations/COSTS.md is not up to date; run: python3 infra/costs/estimate.py --markdown"
    )


def test_every_price_says_where_and_when_it_was_read() -> None:
    for name, price in read("prices.toml").items():
        assert price["page"].startswith("https://aws.amazon.com/"), name
        for read_in in (price, price.get("eu_central_1", price)):
            assert float(read_in["usd"]) > 0, name
            assert isinstance(read_in["date"], date), name
            assert read_in["source"].startswith(("https://", "infracost:")), name


def test_no_number_is_there_for_nothing() -> None:
    code = "".join((COSTS / name).read_text() for name in ("billing.py", "month.py"))
    names = [
        name for file in ("prices.toml", "measured.toml", "assumed.toml") for name in read(file)
    ]
    assert [name for name in names if f'"{name}"' not in code] == []


def test_every_number_that_is_not_a_price_says_where_it_comes_from() -> None:
    assert all(entry["how"] for entry in read("measured.toml").values())
    assert all(entry["why"] for entry in read("assumed.toml").values())
