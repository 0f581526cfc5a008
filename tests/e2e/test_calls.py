"""Compares the recorded calls of each program with its declared ones (tests/infra/calls.toml), from
which its role follows: the local cloud does not check permissions, and AWS denies other calls.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from shoplake_localstack.calls import Call

from dev.images import CONNECTORS
from dev.pipeline import Pipeline, Shop, wait_until
from tests.infra.permissions import CALLS

HERE = Path(__file__).resolve().parent
LONG = ("test_replay", "test_chaos", "test_outages", "test_three_hostile_shops")
"""Modules that need not run before: they run rarely, and make the same calls as others."""

REFERENCE = "engagement_weights"

UNSEEN: dict[Call, str] = {
    Call(
        "control", "redshiftdata.cancel_statement"
    ): "only a transaction that takes ten minutes is cancelled",
    Call(
        "load", "redshiftdata.cancel_statement"
    ): "only a transaction that takes ten minutes is cancelled",
    Call("control", "sns.publish"): "only if a dataset has had no data for hours",
    Call(
        "transform", "s3.head_object", "gold"
    ): "only if two jobs of a partition commit at the same time",
    Call(
        "dispatch", "s3.delete_object", "state"
    ): "only if an execution does not start, or another planner was faster",
    Call(
        "notify", "s3.delete_object", "alerts"
    ): "only if rows of two days contradict each other, or a run has left rows",
    Call("notify", "s3.delete_object", "notices"): "only after an upgrade",
    **{
        Call(
            program, "ssm.get_parameter"
        ): "the tests give it the API's token itself; the OLTP connector reads it the same way"
        for program in CONNECTORS.values()
        if program != "oltp-connector"
    },
}
"""Declared calls that the tests need not make, with the reason."""


def declared(calls: dict[str, dict[str, Any]]) -> set[Call]:
    """Converts declared calls to those of the local cloud, which records the first segment of a
    key.
    """
    return {
        Call(program, operation, thing.partition("/")[0] if operation.startswith("s3.") else None)
        for program, operations in calls.items()
        for operation, things in operations.items()
        for thing in things
    }


def made(pipeline: Pipeline) -> set[Call]:
    """Returns the recorded calls by program."""
    programs = {function: program for program, function in pipeline.outputs["functions"].items()}
    return {
        call._replace(caller=programs.get(call.caller, call.caller))
        for call in pipeline.cloud.calls()
    }


def in_words(calls: set[Call]) -> list[str]:
    """Returns each call as a line."""
    return sorted(" ".join(word for word in call if word is not None) for call in calls)


def left_out(items: list[pytest.Item]) -> list[str]:
    """Returns the tests of this folder that a session does not run."""
    chosen = {(item.path, getattr(item, "originalname", item.name)) for item in items}
    return [
        f"{path.stem}::{name}"
        for path in sorted(HERE.glob("test_*.py"))
        if path.stem not in LONG
        for name in re.findall(r"^def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
        if (path, name) not in chosen
    ]


@pytest.fixture(scope="module")
def calls(pipeline: Pipeline, shop: Shop) -> set[Call]:
    """Makes the remaining calls of operators, and returns the calls of all tests."""
    pipeline.control(action="rotate_secret", shop_id=shop.shop_id)
    pipeline.control(action="check_freshness")
    pipeline.control(action="sweep")
    rows = pipeline.control(action="get_reference", table=REFERENCE)["csv"]
    pipeline.control(action="set_reference", table=REFERENCE, csv=rows)
    listing = Call("dispatch", "s3.list_objects_v2", "jobs")
    wait_until(
        "dispatch lists the jobs that used the former rows",
        lambda: listing in made(pipeline),
    )
    wait_until("dispatch has handled the dirty partitions", lambda: not pipeline.dirty_messages())
    return made(pipeline)


def test_every_call_is_declared(calls: set[Call]) -> None:
    assert Call("control", "redshiftdata.batch_execute_statement") in calls, (
        "the deployment's own migration was not recorded"
    )
    assert in_words(calls - declared(CALLS)) == []


def test_every_declared_call_is_made_or_explained(
    calls: set[Call], request: pytest.FixtureRequest
) -> None:
    session = request.session
    if missing := left_out(session.items):
        pytest.skip(f"needs all tests, and {len(missing)} do not run, such as {missing[0]}")
    if session.testsfailed:
        pytest.skip(f"needs all tests to pass, and {session.testsfailed} did not")
    assert in_words(declared(CALLS) - calls - UNSEEN.keys()) == []


def test_only_declared_calls_are_explained() -> None:
    assert in_words(UNSEEN.keys() - declared(CALLS)) == []


def test_a_list_is_read_by_program_operation_and_folder() -> None:
    calls = {
        "a": {
            "s3.get_object": ["gold/*", "jobs/*/x.json", "jobs/x"],
            "sqs.send_message": ["one", "two"],
        },
        "b": {},
    }
    assert declared(calls) == {
        Call("a", "s3.get_object", "gold"),
        Call("a", "s3.get_object", "jobs"),
        Call("a", "sqs.send_message"),
    }


def test_a_session_without_one_test_is_known_to_lack_it(request: pytest.FixtureRequest) -> None:
    others = [item for item in request.session.items if item.name != request.node.name]
    assert f"test_calls::{request.node.name}" in left_out(others)
    assert f"test_calls::{request.node.name}" not in left_out(request.session.items)
