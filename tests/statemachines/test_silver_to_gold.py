"""Every path through silver_to_gold, with mocked task results."""

from __future__ import annotations

import pytest

from .machine import PERMANENT, RECORDED, Json, Machine, Route

NAME = "silver_to_gold"
INPUT: Json = {"job": "jobs/m/p/1.json"}

CUSTOMER = "customer-4711"
"""Personal data: allowed in a sample, forbidden in a message."""

DONE: Json = {"Return": {"StatusCode": 200, "Payload": {}}}


def result(
    outcome: str, load: object = None, notify: object = None, failed: tuple[str, ...] = ()
) -> Json:
    """Returns a job's result, with a failed check of each of these severities."""
    common = {"rows": 1, "shops": ["acme"]}
    checks = [
        common | {"name": "reconciles", "severity": severity, "sample": [{"customer_id": CUSTOMER}]}
        for severity in failed
    ]
    alert = [
        common | {"check": "reconciles", "severity": severity, "description": "totals match"}
        for severity in failed
    ] or None
    payload = {
        "outcome": outcome,
        "model": "m",
        "partition": "p",
        "version": 1,
        "checks": [],
        "failed_checks": checks,
    }
    return payload | {"alert": alert, "load": load, "notify": notify}


def answered(payload: Json) -> Json:
    """Returns transform's mocked result."""
    return {"Return": {"StatusCode": 200, "Payload": payload}}


NOT_RECORDED: Json = {"Throw": {"Error": "Shoplake.Retryable", "Cause": "the lake is away"}}
SENT: Json = {"Return": {"StatusCode": 200, "Payload": {"sent": 1}}}

COMMITTED = result("committed", load={"version": 1}, notify={"identity": ["shop_id"]})
CHECKS_FAILED = result("committed", load={"version": 1}, failed=("error", "warn"))
CHECKS_WARNED = result("committed", load={"version": 1}, failed=("warn",))
# The result of a Glue job that started before an upgrade.
CHECKS_FAILED_BEFORE = result("checks_failed", failed=("error",))

# By the job's result: the mocked results of load and notify, and the expected end.
AFTERWARDS = {
    "committed": (COMMITTED, Route({"Load": DONE, "Notify": DONE})),
    "committed_without_notification": (
        result("committed", load={"version": 1}),
        Route({"Load": DONE}),
    ),
    "unchanged": (result("unchanged"), Route({"Load": DONE})),
    "conflict": (result("conflict"), Route({})),
    "checks_warned": (CHECKS_WARNED, Route({"Load": DONE, "SendCheckAlert": SENT})),
    "checks_failed": (CHECKS_FAILED, Route({"Load": DONE, "SendCheckAlert": SENT})),
    "checks_failed_and_load_fails": (
        CHECKS_FAILED,
        Route(
            {
                "Load": PERMANENT,
                "RecordLoadFailed": RECORDED,
                "SendCheckAlert": SENT,
            },
            "Shoplake.LoadFailed",
        ),
    ),
    "checks_failed_and_alert_fails": (
        CHECKS_FAILED,
        Route({"Load": DONE, "SendCheckAlert": [NOT_RECORDED] * 4}, "Shoplake.AlertFailed"),
    ),
    "checks_failed_before_an_upgrade": (
        CHECKS_FAILED_BEFORE,
        Route({"Load": DONE, "SendCheckAlert": SENT}),
    ),
    "load_fails": (
        COMMITTED,
        Route(
            {
                "Load": PERMANENT,
                "RecordLoadFailed": RECORDED,
                "Notify": DONE,
            },
            "Shoplake.LoadFailed",
        ),
    ),
    "load_fails_and_is_not_recorded": (
        COMMITTED,
        Route(
            {
                "Load": PERMANENT,
                "RecordLoadFailed": [NOT_RECORDED] * 3,
                "Notify": DONE,
            },
            "Shoplake.LoadFailed",
        ),
    ),
    "checks_keep_failing": (CHECKS_FAILED | {"alert": None}, Route({"Load": DONE})),
    "notify_fails": (
        COMMITTED,
        Route(
            {
                "Load": DONE,
                "Notify": PERMANENT,
                "RecordNotifyFailed": RECORDED,
            },
            "Shoplake.NotifyFailed",
        ),
    ),
    "load_and_notify_fail": (
        COMMITTED,
        Route(
            {
                "Load": PERMANENT,
                "RecordLoadFailed": RECORDED,
                "Notify": PERMANENT,
                "RecordNotifyFailed": RECORDED,
            },
            "Shoplake.LoadFailed",
        ),
    ),
}


def with_transform(payload: Json, route: Route) -> Route:
    """Returns the route of a job that transform runs."""
    return Route({"Transform": answered(payload), **route.answers}, route.error)


def with_result(payload: Json, route: Route) -> Route:
    """Returns the route of a job whose result is in the input: transform is not invoked."""
    return Route(route.answers, route.error, input=INPUT | {"transform": {"result": payload}})


ROUTES = {
    **{case: with_transform(*route) for case, route in AFTERWARDS.items()},
    **{f"{case}_with_result": with_result(*route) for case, route in AFTERWARDS.items()},
    "transform_fails": Route(
        {
            "Transform": PERMANENT,
            "RecordTransformFailed": RECORDED,
        },
        "Shoplake.TransformFailed",
    ),
    "transform_fails_and_is_not_recorded": Route(
        {
            "Transform": PERMANENT,
            "RecordTransformFailed": [NOT_RECORDED] * 3,
        },
        "Shoplake.TransformFailed",
    ),
    "transform_is_throttled_once": Route(
        {
            "Transform": [
                {"Throw": {"Error": "Lambda.TooManyRequestsException", "Cause": "later"}},
                answered(result("conflict")),
            ]
        }
    ),
}


@pytest.mark.parametrize("case", ROUTES)
def test_route_has_expected_tasks_and_status(tested: Machine, case: str) -> None:
    """Exactly the tasks that have a mocked result here are called."""
    route = ROUTES[case]
    end = tested.execute(case)

    assert (end.status, end.error) == ("FAILED" if route.error else "SUCCEEDED", route.error)
    assert end.tried == route.times()
    assert end.alerts == [], "control alerts"
    requests = [call["Payload"] for call in end.called("lambda") if "action" in call["Payload"]]
    assert CUSTOMER not in str(requests), "samples belong in the warehouse only"


def test_a_failed_step_is_recorded_with_its_job(tested: Machine) -> None:
    failures = tested.execute("load_and_notify_fail_with_result").failures
    failures += tested.execute("transform_fails").failures
    common = {
        "action": "record_failure",
        "job": INPUT["job"],
        "error": "Shoplake.Permanent",
        "cause": "it cannot",
    }
    assert sorted(failures, key=lambda failure: str(failure["step"])) == [
        common | {"step": step} for step in ("compute", "load", "notify")
    ]


def test_an_alert_is_sent_by_the_version_of_its_commit(tested: Machine) -> None:
    end = tested.execute("checks_failed_with_result")
    calls = (call["Payload"] for call in end.called("lambda"))
    [sent] = [call for call in calls if call.get("action") == "send_alert"]
    assert sent == {"action": "send_alert", "job": INPUT["job"], "version": 1}
