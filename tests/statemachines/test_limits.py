"""A state's timeout exceeds its function's timeout: compares definitions with Terraform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from .machine import DEFINITIONS, ROOT, Json

FUNCTION = re.compile(r"\$\{(\w+)_arn\}")
EXPRESS_SECONDS = 300

SHORT = {"control"}
"""Functions that only record a failure or send an alert here, which takes a second. The timeout of
control is that of its longest action."""


def tasks(states: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """Yields all tasks, including those of branches."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield name, state
        for branch in state.get("Branches", []):
            yield from tasks(branch["States"])


def function_seconds(name: str) -> int:
    """Returns the timeout of a function in Terraform."""
    text = (ROOT / "infra" / f"{name}.tf").read_text()
    [seconds] = re.findall(r"^ *(?:dispatch_)?timeout_seconds *= (\d+)", text, re.M)
    return int(seconds)


def call_seconds(name: str) -> int:
    """Returns the timeout of a function's AWS calls, retries included."""
    sources = (ROOT / "functions" / name / "src").rglob("*.rs")
    # An argument of the clients' configuration, or a constant.
    call = r"(?:sdk_config\(|CALL_TIMEOUT: Duration = )Duration::from_secs\((\d+)\)"
    [seconds] = [int(found) for path in sources for found in re.findall(call, path.read_text())]
    return seconds


def invocations() -> list[tuple[str, str, int]]:
    """Returns each state that invokes a function: state, function, timeout of the state."""
    found = []
    for path in DEFINITIONS.glob("*.asl.json"):
        for state, task in tasks(json.loads(path.read_text())["States"]):
            if function := FUNCTION.fullmatch(task["Parameters"].get("FunctionName", "")):
                found.append((state, function[1], task["TimeoutSeconds"]))
    return sorted(found)


def test_every_invoked_function_is_compared() -> None:
    assert {function for _, function, _ in invocations()} == {
        "conform",
        "transform",
        "load",
        "notify",
        *SHORT,
    }


@pytest.mark.parametrize(("state", "function", "waits"), invocations())
def test_state_timeout_exceeds_function_timeout(state: str, function: str, waits: int) -> None:
    runs = 10 if function in SHORT else function_seconds(function)
    assert runs < waits <= runs + 10, "a retry would start while the previous attempt still runs"
    assert 2 * waits < EXPRESS_SECONDS


@pytest.mark.parametrize("function", sorted(path.name for path in (ROOT / "functions").iterdir()))
def test_a_call_ends_before_its_function_does(function: str) -> None:
    assert 2 * call_seconds(function) <= function_seconds(function), (
        "Lambda would end the process before the call fails with an error"
    )
