"""Every path through silver_to_gold, with mocked task results."""

from __future__ import annotations

import pytest

from .machine import PERMANENT, PUBLISHED, Json, Machine, Route

NAME = "silver_to_gold"
INPUT: Json = {"job": "jobs/m/p/1.json"}

CUSTOMER = "customer-4711"
"""Personal data: allowed in a sample, forbidden in a message."""

DONE: Json = {"Return": {"StatusCode": 200, "Payload": {}}}


def result(
    outcome: str, load: object = None, notify: object = None, failed: tuple[str, ...] = ()
) -> Json:
    """Returns a job's result."""
    common = {
        "severity": "warn" if outcome == "committed" else "error",
        "rows": 1,
        "shops": ["acme"],
    }
    checks = [common | {"name": name, "sample": [{"customer_id": CUSTOMER}]} for name in failed]
    alert = [common | {"check": name, "description": "totals match"} for name in failed] or None
    payload = {
        "outcome": outcome,
        "model": "m",
        "partition": "p",
        "checks": [],
        "failed_checks": checks,
    }
    return payload | {"alert": alert, "load": load, "notify": notify}


def answered(payload: Json) -> Json:
    """Returns transform's mocked result."""
    return {"Return": {"StatusCode": 200, "Payload": payload}}


REFUSED: Json = {"Throw": {"Error": "SNS.InternalErrorException", "Cause": "not now"}}

COMMITTED = result("committed", load={"version": 1}, notify={"identity": ["shop_id"]})
CHECKS_FAILED = result("checks_failed", failed=("reconciles",))

CHECKS_WARNED = result("committed", load={"version": 1}, failed=("reconciles",))

WARNED_ALERT = "Shoplake: a data check failed with a warning"
CHECKS_ALERT = "Shoplake: a data check failed with an error"
LOAD_ALERT = "Shoplake: a gold partition was not loaded"
NOTIFY_ALERT = "Shoplake: notifications were not published"
TRANSFORM_ALERT = "Shoplake: a gold partition was not computed"

# By the job's result: the mocked results of load and notify, and the expected end.
AFTERWARDS = {
    "committed": (COMMITTED, Route({"Load": DONE, "Notify": DONE})),
    "committed_without_notification": (
        result("committed", load={"version": 1}),
        Route({"Load": DONE}),
    ),
    "unchanged": (result("unchanged"), Route({"Load": DONE})),
    "conflict": (result("conflict"), Route({})),
    "checks_warned": (
        CHECKS_WARNED,
        Route({"Load": DONE, "AlertChecksWarned": PUBLISHED}, None, {WARNED_ALERT}),
    ),
    "checks_warned_and_load_fails": (
        CHECKS_WARNED,
        Route(
            {"Load": PERMANENT, "AlertLoadFailed": PUBLISHED, "AlertChecksWarned": PUBLISHED},
            "Shoplake.LoadFailed",
            {LOAD_ALERT, WARNED_ALERT},
        ),
    ),
    "checks_warned_and_alert_fails": (
        CHECKS_WARNED,
        Route(
            {"Load": DONE, "AlertChecksWarned": [REFUSED] * 4},
            "Shoplake.AlertFailed",
            {WARNED_ALERT},
        ),
    ),
    "checks_failed": (
        CHECKS_FAILED,
        Route(
            {"Load": DONE, "AlertChecksFailed": PUBLISHED}, "Shoplake.ChecksFailed", {CHECKS_ALERT}
        ),
    ),
    "checks_failed_and_load_fails": (
        CHECKS_FAILED,
        Route(
            {"Load": PERMANENT, "AlertLoadFailed": PUBLISHED, "AlertChecksFailed": PUBLISHED},
            "Shoplake.ChecksFailed",
            {CHECKS_ALERT, LOAD_ALERT},
        ),
    ),
    "load_fails": (
        COMMITTED,
        Route(
            {"Load": PERMANENT, "AlertLoadFailed": PUBLISHED, "Notify": DONE},
            "Shoplake.LoadFailed",
            {LOAD_ALERT},
        ),
    ),
    "notify_fails": (
        COMMITTED,
        Route(
            {"Load": DONE, "Notify": PERMANENT, "AlertNotifyFailed": PUBLISHED},
            "Shoplake.NotifyFailed",
            {NOTIFY_ALERT},
        ),
    ),
    "load_and_notify_fail": (
        COMMITTED,
        Route(
            {
                "Load": PERMANENT,
                "AlertLoadFailed": PUBLISHED,
                "Notify": PERMANENT,
                "AlertNotifyFailed": PUBLISHED,
            },
            "Shoplake.LoadFailed",
            {LOAD_ALERT, NOTIFY_ALERT},
        ),
    ),
}


def with_transform(payload: Json, route: Route) -> Route:
    """Returns the route of a job that transform runs."""
    return Route({"Transform": answered(payload), **route.answers}, route.error, route.alerts)


def with_result(payload: Json, route: Route) -> Route:
    """Returns the route of a job whose result is in the input: transform is not invoked."""
    return Route(
        route.answers, route.error, route.alerts, INPUT | {"transform": {"result": payload}}
    )


ROUTES = {
    **{case: with_transform(*route) for case, route in AFTERWARDS.items()},
    **{f"{case}_with_result": with_result(*route) for case, route in AFTERWARDS.items()},
    "transform_fails": Route(
        {"Transform": PERMANENT, "AlertTransformFailed": PUBLISHED},
        "Shoplake.TransformFailed",
        {TRANSFORM_ALERT},
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
def test_route_has_expected_tasks_alerts_and_status(tested: Machine, case: str) -> None:
    """Exactly the tasks that have a mocked result here are called."""
    route = ROUTES[case]
    end = tested.execute(case)

    assert (end.status, end.error) == ("FAILED" if route.error else "SUCCEEDED", route.error)
    assert end.tried == route.times()
    assert {alert["Subject"] for alert in end.alerts} == route.alerts
    for alert in end.alerts:
        message = alert["Message"]
        assert message.get("input", {"job": message.get("job")}) == INPUT
        assert message["next"], "the next step"
        assert CUSTOMER not in str(alert), "samples belong in the warehouse only"
        if alert["Subject"] in (WARNED_ALERT, CHECKS_ALERT):
            [check] = alert["Message"]["checks"]
            assert (check["check"], check["shops"], check["rows"]) == ("reconciles", ["acme"], 1)
        if alert["Subject"] == LOAD_ALERT:
            assert (alert["Message"]["model"], alert["Message"]["partition"]) == ("m", "p"), (
                "the partition to reload"
            )
