"""Every path through bronze_to_silver, with mocked task results."""

from __future__ import annotations

import pytest

from .machine import PERMANENT, PUBLISHED, Json, Machine, Route

NAME = "bronze_to_silver"
INPUT: Json = {"bucket": "lake", "key": "bronze/pos/dt=2026-11-21/hour=10/a.gz"}
RETRY: Json = INPUT | {"retry": True}

FAILED = "Shoplake.ConformFailed"
ALERT = "Shoplake: a bronze object did not reach silver"

DONE: Json = {"Return": {"StatusCode": 200, "Payload": {"counts": {}}}}
THROTTLED: Json = {"Throw": {"Error": "Lambda.TooManyRequestsException", "Cause": "later"}}

ROUTES = {
    "succeeds": Route({"Conform": DONE}),
    "is_throttled_once": Route({"Conform": [THROTTLED, DONE]}),
    "fails": Route({"Conform": PERMANENT, "AlertConformFailed": PUBLISHED}, FAILED, {ALERT}),
    "retry_succeeds": Route({"Conform": DONE}, input=RETRY),
    "retry_fails": Route({"Conform": PERMANENT}, FAILED, input=RETRY),
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
        assert alert["Message"]["input"] == INPUT and alert["Message"]["next"]
    for call in end.called("lambda"):
        assert call["Payload"] == (route.input or INPUT)
