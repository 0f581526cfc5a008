"""A state waits longer than its function may run: the definitions against Terraform's timeouts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from .machine import DEFINITIONS, ROOT, Json

FUNCTION = re.compile(r"\$\{(\w+)_arn\}")
EXPRESS_SECONDS = 300


def tasks(states: dict[str, Json]) -> Iterator[tuple[str, Json]]:
    """All tasks, also those of branches."""
    for name, state in states.items():
        if state["Type"] == "Task":
            yield name, state
        for branch in state.get("Branches", []):
            yield from tasks(branch["States"])


def function_seconds(name: str) -> int:
    """How long Lambda lets a function run."""
    text = (ROOT / "infra" / f"{name}.tf").read_text()
    [seconds] = re.findall(r"^ *(?:dispatch_)?timeout_seconds *= (\d+)", text, re.M)
    return int(seconds)


def call_seconds(name: str) -> int:
    """How long a function waits for one call to AWS, retries included."""
    text = (ROOT / "functions" / name / "src" / "main.rs").read_text()
    # Written where the clients are made, or as a constant.
    call = r"(?:aws::config\(|CALL_TIMEOUT: Duration = )Duration::from_secs\((\d+)\)"
    [seconds] = re.findall(call, text)
    return int(seconds)


def invocations() -> list[tuple[str, str, int]]:
    """Each state that calls a function: its name, the function, and how long it waits."""
    found = []
    for path in DEFINITIONS.glob("*.asl.json"):
        for state, task in tasks(json.loads(path.read_text())["States"]):
            if function := FUNCTION.fullmatch(task["Parameters"].get("FunctionName", "")):
                found.append((state, function[1], task["TimeoutSeconds"]))
    return sorted(found)


def test_every_function_of_a_state_machine_is_compared() -> None:
    assert {function for _, function, _ in invocations()} == {
        "conform",
        "transform",
        "load",
        "notify",
    }


@pytest.mark.parametrize(("state", "function", "waits"), invocations())
def test_a_state_waits_longer_than_its_function_runs(state: str, function: str, waits: int) -> None:
    runs = function_seconds(function)
    assert runs < waits <= runs + 10, "otherwise an attempt begins while the one before still runs"
    assert 2 * waits < EXPRESS_SECONDS


@pytest.mark.parametrize("function", sorted(path.name for path in (ROOT / "functions").iterdir()))
def test_a_call_ends_before_its_function_does(function: str) -> None:
    assert 2 * call_seconds(function) <= function_seconds(function), (
        "otherwise Lambda ends the process before the call says what is wrong"
    )
