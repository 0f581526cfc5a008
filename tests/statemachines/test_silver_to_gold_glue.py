"""Every path through the state machine for jobs on Glue, with the answers of Glue, S3, Step
Functions and SNS given.
"""

from __future__ import annotations

import json

import pytest

from .machine import ACCOUNT, PUBLISHED, REGION, Json, Machine, Route

NAME = "silver_to_gold_glue"
INPUT: Json = {
    "job": "jobs/m/2026-11-21/1.json",
    "result": "jobs/m/2026-11-21/1.result.json",
    "lease": "jobs/m/2026-11-21/running.json",
    "id": "1",
}
RESULT: Json = {"outcome": "committed", "model": "m", "load": {"version": 1}}

SUCCEEDED: Json = {
    "Return": {"Id": "jr_1", "JobRunState": "SUCCEEDED", "Arguments": {"--job": INPUT["job"]}}
}
READ: Json = {"Return": {"Body": json.dumps(RESULT), "ETag": '"1"'}}
STARTED: Json = {
    "Return": {"ExecutionArn": "arn:aws:states:us-east-1:000000000000:express:silver_to_gold:1:1"}
}
WRITTEN: Json = {"Return": {"ETag": '"2"'}}


def failed(message: str, state: str = "FAILED") -> Json:
    """A run that began and did not end well, as Step Functions tells of it."""
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
    """A call that a service did not take."""
    return {"Throw": {"Error": error, "Cause": "not now"}}


PERMANENT_RUN = failed(
    "RuntimeError: Shoplake.Permanent: model m, its query: [DIVIDE_BY_ZERO] Division by zero"
)
PASSING_RUN = failed(
    "RuntimeError: Shoplake.Retryable: model m, its query: Spark did not finish (executor lost)"
)
LOST_DRIVER = failed("Command failed with exit code 137")

COMPUTED = {"RunJob": SUCCEEDED, "ReadResult": READ, "ShowAndTell": STARTED}
ALARMED = {"GiveLeaseBack": WRITTEN, "NotifyGlueFailed": PUBLISHED}

FAILED = "Shoplake.GlueFailed"
JOB_ALERT = "Shoplake: a gold partition was not computed on Glue"
RESULT_ALERT = "Shoplake: a result from Glue was not handed on"


def broken(*runs: Json, **more: Json | list[Json]) -> Route:
    """After these runs the job counts as failed."""
    return Route({"RunJob": list(runs), **ALARMED, **more}, FAILED, {JOB_ALERT})


ROUTES = {
    "succeeds": Route(COMPUTED),
    "waits_for_its_turn": Route(
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
    "glue_is_unwell_for_a_while": Route(
        {
            **COMPUTED,
            "RunJob": [
                refused("Glue.InternalServiceException"),
                refused("Glue.OperationTimeoutException"),
                SUCCEEDED,
            ],
        }
    ),
    "fails_in_passing": Route({**COMPUTED, "RunJob": [PASSING_RUN, SUCCEEDED]}),
    "fails_in_passing_twice": Route({**COMPUTED, "RunJob": [LOST_DRIVER, PASSING_RUN, SUCCEEDED]}),
    "fails_for_good": broken(PERMANENT_RUN),
    "fails_in_passing_and_then_for_good": broken(PASSING_RUN, PERMANENT_RUN),
    "does_not_pass": broken(PASSING_RUN, LOST_DRIVER, PASSING_RUN),
    "is_too_slow_for_glue": broken(failed("", "TIMEOUT")),
    "is_too_slow_for_the_machine": broken(refused("States.Timeout")),
    "is_stopped_by_somebody": broken(failed("", "STOPPED")),
    "does_not_exist": broken(refused("Glue.EntityNotFoundException")),
    "fails_and_keeps_the_lease": broken(
        PERMANENT_RUN, GiveLeaseBack=[refused("S3.S3Exception")] * 4
    ),
    "fails_and_cannot_say_so": Route(
        {
            "RunJob": PERMANENT_RUN,
            "GiveLeaseBack": WRITTEN,
            "NotifyGlueFailed": [refused("SNS.InternalErrorException")] * 4,
        },
        FAILED,
        {JOB_ALERT},
    ),
    "s3_is_unwell_for_a_while": Route(
        {**COMPUTED, "ReadResult": [refused("S3.SlowDownException"), READ]}
    ),
    "leaves_more_than_a_state_holds": Route(
        {
            "RunJob": SUCCEEDED,
            "ReadResult": refused("States.DataLimitExceeded"),
            "NotifyResultLost": PUBLISHED,
        },
        FAILED,
        {RESULT_ALERT},
    ),
    "leaves_no_result": Route(
        {
            "RunJob": SUCCEEDED,
            "ReadResult": [refused("S3.NoSuchKeyException")] * 6,
            "NotifyResultLost": PUBLISHED,
        },
        FAILED,
        {RESULT_ALERT},
    ),
    "cannot_hand_its_result_on": Route(
        {
            **COMPUTED,
            "ShowAndTell": [refused("StepFunctions.ExecutionLimitExceededException")] * 6,
            "NotifyResultLost": PUBLISHED,
        },
        FAILED,
        {RESULT_ALERT},
    ),
}


def thrown(route: Route) -> list[Json]:
    """The errors of the state that made the job fail."""
    last = [
        answers
        for state, answers in route.answers.items()
        if "Throw" in json.dumps(answers) and state in COMPUTED
    ]
    return [answer["Throw"] for answer in (last[-1] if isinstance(last[-1], list) else [last[-1]])][
        -1:
    ]


@pytest.mark.parametrize("case", ROUTES)
def test_given_what_glue_answers_then_it_is_tried_again_handed_on_or_reported(
    tested: Machine, case: str
) -> None:
    """No task is called that has no answer here, none that has one is left out, and each as often
    as it has answers.
    """
    route = ROUTES[case]
    end = tested.execute(case)

    assert (end.status, end.error) == ("FAILED" if route.error else "SUCCEEDED", route.error)
    assert end.tried == route.times()
    assert {alert["Subject"] for alert in end.alerts} == route.alerts
    for alert in end.alerts:
        message = alert["Message"]
        assert message["input"] == INPUT, "what to start it again with"
        assert {"Error": message["error"], "Cause": message["cause"]} in thrown(route) and message[
            "next"
        ]
    for run in end.called("glue"):
        assert run == {"JobName": "glue_job_name", "Arguments": {"--job": INPUT["job"]}}


def test_given_a_result_then_the_other_machine_gets_it_as_its_own_transform_would_have_said_it(
    tested: Machine,
) -> None:
    [started] = tested.execute("succeeds").called("states")
    assert (
        started["StateMachineArn"]
        == f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:silver_to_gold"
    )
    given = started["Input"]
    assert given.pop("AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID")
    assert given == {"job": INPUT["job"], "transform": {"result": RESULT}}


def test_given_a_job_that_failed_then_its_partition_is_free_again(tested: Machine) -> None:
    [put] = tested.execute("fails_for_good").called("aws-sdk:s3")
    assert put == {
        "Bucket": "lake_bucket",
        "Key": INPUT["lease"],
        "Body": {"job": INPUT["id"], "until": "1970-01-01T00:00:00Z"},
    }


def test_given_attempts_then_the_alert_says_how_many_there_were(tested: Machine) -> None:
    assert [
        tested.execute(case).alerts[0]["Message"]["attempts"]
        for case in ("fails_for_good", "does_not_pass")
    ] == [1, 3]
