"""A function's process: started, asked, crashed, killed, started again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from conftest import BOOTSTRAP
from shoplake_localstack.functions.invocation import MAX_RESPONSE_BYTES, Invocation, Response
from shoplake_localstack.functions.sandbox import Sandbox
from shoplake_localstack.functions.worker import InitError


def given(event: dict, timeout: float = 10) -> Invocation:
    return Invocation(
        str(uuid4()),
        json.dumps(event).encode(),
        "arn:aws:lambda:us-east-1:000000000000:function:f",
        "Root=1",
        timeout,
    )


def parsed(response: Response) -> dict:
    return json.loads(response.body)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "bootstrap").write_text(BOOTSTRAP)
    (folder / "bootstrap").chmod(0o755)
    return folder


@pytest.fixture
def sandbox(code: Path, tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(code, tmp_path / "environment", {"GREETING": "hello"})
    sandbox.start(timeout=10)
    yield sandbox
    sandbox.close()


def test_an_event_is_answered_by_the_same_process_each_time(sandbox: Sandbox):
    first, second = (sandbox.invoke(given({"n": n})) for n in (1, 2))
    assert parsed(first)["event"] == {"n": 1} and not first.is_error
    assert parsed(first)["pid"] == parsed(second)["pid"]


def test_the_environment_is_the_functions_and_nothing_of_ours(
    sandbox: Sandbox, code: Path, monkeypatch: pytest.MonkeyPatch
):
    environment = parsed(sandbox.invoke(given({"do": "environment"})))
    assert environment["GREETING"] == "hello"
    assert environment["LAMBDA_TASK_ROOT"] == str(code)
    assert environment["AWS_LAMBDA_RUNTIME_API"].startswith("127.0.0.1:")
    assert "PYTEST_CURRENT_TEST" not in environment


def test_an_error_of_the_function_is_passed_on(sandbox: Sandbox):
    response = sandbox.invoke(given({"do": "fail"}))
    assert response.is_error and parsed(response)["errorType"] == "ValueError"


def test_a_crash_is_an_exit_error_and_starts_a_new_process(sandbox: Sandbox):
    before = parsed(sandbox.invoke(given({})))["pid"]
    crashed = sandbox.invoke(given({"do": "exit", "code": 1}))
    assert crashed.is_error and parsed(crashed)["errorType"] == "Runtime.ExitError"
    assert parsed(crashed)["errorMessage"].endswith(
        "Error: Runtime exited with error: exit status 1"
    )
    assert parsed(sandbox.invoke(given({})))["pid"] != before


def test_a_timeout_kills_the_process_and_starts_a_new_one(sandbox: Sandbox):
    before = parsed(sandbox.invoke(given({})))["pid"]
    late = sandbox.invoke(given({"do": "sleep", "seconds": 60}, timeout=0.3))
    assert late.is_error and parsed(late)["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 0.30 seconds" in parsed(late)["errorMessage"]
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    assert parsed(sandbox.invoke(given({})))["event"] == {}


def test_a_process_killed_from_outside_while_idle_is_replaced(
    sandbox: Sandbox, tmp_path: Path, eventually
):
    pid = int((tmp_path / "environment" / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    response = sandbox.invoke(given({}))
    if (
        response.is_error
    ):  # the event was already on its way to the process when that died, as can happen in Lambda
        assert parsed(response)["errorMessage"].endswith("signal: killed")
        response = sandbox.invoke(given({}))
    assert parsed(response)["pid"] == int((tmp_path / "environment" / "pid").read_text()) != pid


def test_output_is_handed_over_once(sandbox: Sandbox):
    sandbox.invoke(given({"do": "print", "text": "one"}))
    assert sandbox.new_log() == "one\n"
    sandbox.invoke(given({"do": "print", "text": "two"}))
    assert sandbox.new_log() == "two\n"


def test_a_response_over_lambdas_limit_is_an_error(sandbox: Sandbox):
    response = sandbox.invoke(given({"do": "answer", "bytes": MAX_RESPONSE_BYTES}))
    assert parsed(response)["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize(
    ("how", "error_type"), [("exit", "Runtime.ExitError"), ("error", "Init.Bad")]
)
def test_a_failed_start_says_why(code: Path, tmp_path: Path, how: str, error_type: str):
    sandbox = Sandbox(code, tmp_path / "environment", {"INIT": how})
    with pytest.raises(InitError) as raised:
        sandbox.start(timeout=10)
    assert parsed(raised.value.response)["errorType"] == error_type
    sandbox.close()


def test_closing_leaves_nothing_behind(sandbox: Sandbox, tmp_path: Path):
    pid = parsed(sandbox.invoke(given({})))["pid"]
    sandbox.close()
    assert not (tmp_path / "environment").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
