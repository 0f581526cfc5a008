"""Every path through the state machine, with the tasks' answers given."""

from __future__ import annotations

import pytest

from .machine import PERMANENT, PUBLISHED, Json, Machine, Route

NAME = "silver_to_gold"
INPUT: Json = {"job": "jobs/m/p/1.json"}

CUSTOMER = "customer-4711"
"""What a sample may hold, and no message."""

DONE: Json = {"Return": {"StatusCode": 200, "Payload": {}}}


def result(
    outcome: str, load: object = None, notify: object = None, failed: tuple[str, ...] = ()
) -> Json:
    """What a job comes to."""
    common = {
        "severity": "warn" if outcome == "committed" else "error",
        "rows": 1,
        "shops": ["acme"],
    }
    checks = [common | {"name": name, "sample": [{"customer_id": CUSTOMER}]} for name in failed]
    alert = [common | {"check": name, "description": "it adds up"} for name in failed] or None
    payload = {
        "outcome": outcome,
        "model": "m",
        "partition": "p",
        "checks": [],
        "failed_checks": checks,
    }
    return payload | {"alert": alert, "load": load, "notify": notify}


def answered(payload: Json) -> Json:
    """What transform answers."""
    return {"Return": {"StatusCode": 200, "Payload": payload}}


REFUSED: Json = {"Throw": {"Error": "SNS.InternalErrorException", "Cause": "not now"}}

COMMITTED = result("committed", load={"version": 1}, notify={"identity": ["shop_id"]})
CHECKS_FAILED = result("checks_failed", failed=("adds_up",))

CHECKS_WARNED = result("committed", load={"version": 1}, failed=("adds_up",))

WARNED_ALERT = "Shoplake: a check found wrong rows"
CHECKS_ALERT = "Shoplake: a check stopped a gold partition"
LOAD_ALERT = "Shoplake: the warehouse misses a gold partition"
NOTIFY_ALERT = "Shoplake: people were not told of new rows"
TRANSFORM_ALERT = "Shoplake: a gold partition was not computed"

# By what the job came to: what load and notify answer, and what has to come of it.
AFTERWARDS = {
    "committed": (COMMITTED, Route({"Load": DONE, "Notify": DONE})),
    "committed_without_notice": (result("committed", load={"version": 1}), Route({"Load": DONE})),
    "unchanged": (result("unchanged"), Route({"Load": DONE})),
    "conflict": (result("conflict"), Route({})),
    "checks_warned": (
        CHECKS_WARNED,
        Route({"Load": DONE, "NotifyChecksWarned": PUBLISHED}, None, {WARNED_ALERT}),
    ),
    "checks_warned_and_the_warehouse_is_down": (
        CHECKS_WARNED,
        Route(
            {"Load": PERMANENT, "NotifyLoadFailed": PUBLISHED, "NotifyChecksWarned": PUBLISHED},
            "Shoplake.LoadFailed",
            {LOAD_ALERT, WARNED_ALERT},
        ),
    ),
    "checks_warned_and_the_alert_is_refused": (
        CHECKS_WARNED,
        Route(
            {"Load": DONE, "NotifyChecksWarned": [REFUSED] * 4},
            "Shoplake.AlertFailed",
            {WARNED_ALERT},
        ),
    ),
    "checks_failed": (
        CHECKS_FAILED,
        Route(
            {"Load": DONE, "NotifyChecksFailed": PUBLISHED}, "Shoplake.ChecksFailed", {CHECKS_ALERT}
        ),
    ),
    "checks_failed_and_the_warehouse_is_down": (
        CHECKS_FAILED,
        Route(
            {"Load": PERMANENT, "NotifyLoadFailed": PUBLISHED, "NotifyChecksFailed": PUBLISHED},
            "Shoplake.ChecksFailed",
            {CHECKS_ALERT, LOAD_ALERT},
        ),
    ),
    "the_warehouse_is_down": (
        COMMITTED,
        Route(
            {"Load": PERMANENT, "NotifyLoadFailed": PUBLISHED, "Notify": DONE},
            "Shoplake.LoadFailed",
            {LOAD_ALERT},
        ),
    ),
    "people_cannot_be_told": (
        COMMITTED,
        Route(
            {"Load": DONE, "Notify": PERMANENT, "NotifyNoticesFailed": PUBLISHED},
            "Shoplake.NotifyFailed",
            {NOTIFY_ALERT},
        ),
    ),
    "neither_works": (
        COMMITTED,
        Route(
            {
                "Load": PERMANENT,
                "NotifyLoadFailed": PUBLISHED,
                "Notify": PERMANENT,
                "NotifyNoticesFailed": PUBLISHED,
            },
            "Shoplake.LoadFailed",
            {LOAD_ALERT, NOTIFY_ALERT},
        ),
    ),
}


def computed_here(payload: Json, route: Route) -> Route:
    """The job runs in transform first."""
    return Route({"Transform": answered(payload), **route.answers}, route.error, route.alerts)


def computed_on_glue(payload: Json, route: Route) -> Route:
    """The job comes with its result, and transform is not called."""
    return Route(
        route.answers, route.error, route.alerts, INPUT | {"transform": {"result": payload}}
    )


ROUTES = {
    **{case: computed_here(*route) for case, route in AFTERWARDS.items()},
    **{f"{case}_on_glue": computed_on_glue(*route) for case, route in AFTERWARDS.items()},
    "transform_fails": Route(
        {"Transform": PERMANENT, "NotifyTransformFailed": PUBLISHED},
        "Shoplake.TransformFailed",
        {TRANSFORM_ALERT},
    ),
    "transform_fails_and_then_works": Route(
        {
            "Transform": [
                {"Throw": {"Error": "Lambda.TooManyRequestsException", "Cause": "later"}},
                answered(result("conflict")),
            ]
        }
    ),
}


@pytest.mark.parametrize("case", ROUTES)
def test_given_what_the_tasks_answer_then_people_hear_of_it_and_the_end_is_right(
    tested: Machine, case: str
) -> None:
    """No task is called that has no answer here, and none that has one is left out."""
    route = ROUTES[case]
    end = tested.execute(case)

    assert (end.status, end.error) == ("FAILED" if route.error else "SUCCEEDED", route.error)
    assert end.tried == route.times()
    assert {alert["Subject"] for alert in end.alerts} == route.alerts
    for alert in end.alerts:
        message = alert["Message"]
        assert message.get("input", {"job": message.get("job")}) == INPUT
        assert message["next"], "what to do about it"
        assert CUSTOMER not in str(alert), "rows are for the warehouse only"
        if alert["Subject"] in (WARNED_ALERT, CHECKS_ALERT):
            [check] = alert["Message"]["checks"]
            assert (check["check"], check["shops"], check["rows"]) == ("adds_up", ["acme"], 1)
        if alert["Subject"] == LOAD_ALERT:
            assert (alert["Message"]["model"], alert["Message"]["partition"]) == ("m", "p"), (
                "what to reload"
            )
