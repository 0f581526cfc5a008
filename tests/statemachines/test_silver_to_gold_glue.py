"""Every path through silver_to_gold_glue, with mocked results of AWS services."""

from __future__ import annotations

import json

import pytest

from .machine import (
    ACCOUNT,
    RECORDED,
    REGION,
    Json,
    Machine,
    Route,
)

NAME = "silver_to_gold_glue"
INPUT: Json = {
    "job": "jobs/m/2026-11-21/1.json",
    "result": "jobs/m/2026-11-21/1.result.json",
}
RESULT: Json = {"outcome": "committed", "model": "m", "load": {"version": 1}}

SUCCEEDED: Json = {
    "Return": {"Id": "jr_1", "JobRunState": "SUCCEEDED", "Arguments": {"--job": INPUT["job"]}}
}
READ: Json = {"Return": {"Body": json.dumps(RESULT), "ETag": '"1"'}}
STARTED: Json = {
    "Return": {"ExecutionArn": "arn:aws:states:us-east-1:000000000000:express:silver_to_gold:1:1"}
}


def failed(message: str, state: str = "FAILED") -> Json:
    """Returns the error with which Step Functions reports a failed run."""
    run = {
        "Id": "jr_1",
        "JobName": "shoplake-transform",
        "JobRunState": state,
        "ErrorMessage": message,
    }
    return {
        "Throw": {"Error": "States.TaskFailed", "Cause": json.dumps(run, separators=(",", ":"))}
    }


def refused(error: str) -> Json:
    """Returns an error of a service's API."""
    return {"Throw": {"Error": error, "Cause": "not now"}}


PERMANENT_RUN = failed(
    "RuntimeError: Shoplake.Permanent: model m, its query: [DIVIDE_BY_ZERO] Division by zero"
)
TRANSIENT_RUN = failed(
    "RuntimeError: Shoplake.Retryable: model m, its query: Spark did not finish (executor lost)"
)
LOST_DRIVER = failed("Command failed with exit code 137")

COMPUTED = {"RunJob": SUCCEEDED, "ReadResult": READ, "LoadAndNotify": STARTED}
NOT_LOADED = {"RecordResultNotLoaded": RECORDED}

FAILED = "Shoplake.GlueFailed"


def failing(*runs: Json, **more: Json | list[Json]) -> Route:
    """Returns the route of a job that fails after these runs."""
    return Route({"RunJob": list(runs), "RecordGlueFailed": RECORDED, **more}, FAILED)


ROUTES = {
    "succeeds": Route(COMPUTED),
    "concurrency_limit_is_reached": Route(
        {
            **COMPUTED,
            "RunJob": [
                refused("Glue.ConcurrentRunsExceededException"),
                refused("Glue.ConcurrentRunsExceededException"),
                refused("Glue.ResourceNumberLimitExceededException"),
                SUCCEEDED,
            ],
        }
    ),
    "glue_errors_are_transient": Route(
        {
            **COMPUTED,
            "RunJob": [
                refused("Glue.InternalServiceException"),
                refused("Glue.OperationTimeoutException"),
                SUCCEEDED,
            ],
        }
    ),
    "transient_error": Route({**COMPUTED, "RunJob": [TRANSIENT_RUN, SUCCEEDED]}),
    "two_transient_errors": Route({**COMPUTED, "RunJob": [LOST_DRIVER, TRANSIENT_RUN, SUCCEEDED]}),
    "permanent_error": failing(PERMANENT_RUN),
    "transient_then_permanent_error": failing(TRANSIENT_RUN, PERMANENT_RUN),
    "three_transient_errors": failing(TRANSIENT_RUN, LOST_DRIVER, TRANSIENT_RUN),
    "run_timeout": failing(failed("", "TIMEOUT")),
    "state_timeout": failing(refused("States.Timeout")),
    "run_is_stopped": failing(failed("", "STOPPED")),
    "job_does_not_exist": failing(refused("Glue.EntityNotFoundException")),
    "failure_is_not_recorded": failing(
        PERMANENT_RUN, RecordGlueFailed=[refused("Lambda.ServiceException")] * 3
    ),
    "s3_error_is_transient": Route(
        {**COMPUTED, "ReadResult": [refused("S3.SlowDownException"), READ]}
    ),
    "result_is_too_large": Route(
        {
            "RunJob": SUCCEEDED,
            "ReadResult": refused("States.DataLimitExceeded"),
            **NOT_LOADED,
        },
        FAILED,
    ),
    "result_is_missing": Route(
        {
            "RunJob": SUCCEEDED,
            "ReadResult": [refused("S3.NoSuchKeyException")] * 6,
            **NOT_LOADED,
        },
        FAILED,
    ),
    "silver_to_gold_does_not_start": Route(
        {
            **COMPUTED,
            "LoadAndNotify": [refused("StepFunctions.ExecutionLimitExceededException")] * 6,
            **NOT_LOADED,
        },
        FAILED,
    ),
}


def thrown(route: Route) -> list[Json]:
    """Returns the error of the state that made the job fail."""
    last = [
        answers
        for state, answers in route.answers.items()
        if "Throw" in json.dumps(answers) and state in COMPUTED
    ]
    return [answer["Throw"] for answer in (last[-1] if isinstance(last[-1], list) else [last[-1]])][
        -1:
    ]


@pytest.mark.parametrize("case", ROUTES)
def test_route_has_expected_tasks_and_status(tested: Machine, case: str) -> None:
    """Exactly the tasks with a mocked result are called, as often as they have results."""
    route = ROUTES[case]
    end = tested.execute(case)

    assert (end.status, end.error) == ("FAILED" if route.error else "SUCCEEDED", route.error)
    assert end.tried == route.times()
    assert end.alerts == [], "control alerts"
    for failure in end.failures:
        assert {"Error": failure["error"], "Cause": failure["cause"]} in thrown(route)
    for run in end.called("glue"):
        assert run == {"JobName": "glue_job_name", "Arguments": {"--job": INPUT["job"]}}


def test_result_is_passed_in_the_format_of_transform(tested: Machine) -> None:
    [started] = tested.execute("succeeds").called("states")
    assert (
        started["StateMachineArn"]
        == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:silver_to_gold"
    )
    given = started["Input"]
    assert given.pop("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID")
    assert given == {"job": INPUT["job"], "transform": {"result": RESULT}}


def test_a_failure_is_recorded_with_its_job_and_step(tested: Machine) -> None:
    recorded = {
        case: [(failure["job"], failure["step"]) for failure in tested.execute(case).failures]
        for case in ("permanent_error", "result_is_missing")
    }
    assert recorded == {
        "permanent_error": [(INPUT["job"], "compute")],
        "result_is_missing": [(INPUT["job"], "load")],
    }
