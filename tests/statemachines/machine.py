"""Executes a state machine on LocalStack's Step Functions with mocked task results."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "dev" / "localstack"))

from shoplake_localstack.local.processes import free_port  # noqa: E402

Json = dict[str, Any]

DEFINITIONS = ROOT / "statemachines"
REGION, ACCOUNT = "us-east-1", "000000000000"

PERMANENT: Json = {"Throw": {"Error": "Shoplake.Permanent", "Cause": "it cannot"}}
PUBLISHED: Json = {"Return": {"MessageId": "1"}}
RECORDED: Json = {
    "Return": {
        "StatusCode": 200,
        "Payload": {"model": "m", "partition": "p", "alert": True, "attempts": 1},
    }
}
"""Control's result of record_failure, which alerts the operator."""


@dataclass
class Route:
    """The mocked results of the tasks, and the expected end of the execution."""

    answers: dict[str, Json | list[Json]]
    """Each expected task: its result, or one result for each attempt."""
    error: str | None = None
    alerts: set[str] = field(default_factory=set)
    """Subjects of the expected alerts."""
    input: Json | None = None
    """Overrides the module's INPUT."""

    def times(self) -> Counter[str]:
        """Returns the number of attempts of each task."""
        return Counter({state: len(_listed(answers)) for state, answers in self.answers.items()})


@dataclass(frozen=True)
class Ended:
    """An execution that has ended."""

    status: str
    error: str | None
    tried: Counter[str]
    """Number of attempts of each task."""
    parameters: list[tuple[str, Json]]
    """The called services with their parameters."""

    @property
    def failures(self) -> list[Json]:
        """Returns what control was asked to record."""
        calls = (call["Payload"] for call in self.called("lambda"))
        return [call for call in calls if call.get("action") == "record_failure"]

    @property
    def alerts(self) -> list[Json]:
        return [parameters for service, parameters in self.parameters if service == "sns"]

    def called(self, service: str) -> list[Json]:
        """Returns the parameters of each call of a service."""
        return [parameters for name, parameters in self.parameters if name == service]


def definition(name: str, short_waits: bool = False) -> str:
    """Returns a definition with placeholder names and ARNs, optionally with waits of a second."""
    text = (DEFINITIONS / f"{name}.asl.json").read_text()

    def fill_in(placeholder: re.Match[str]) -> str:
        match placeholder[1].rsplit("_", 1):
            case ["alerts_topic", "arn"]:
                return f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts"
            case ["silver_to_gold", "arn"]:
                return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:silver_to_gold"
            case [function, "arn"]:
                return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
        return placeholder[1]

    text = re.sub(r"\$\{(\w+)\}", fill_in, text)
    return json.dumps(_with_short_waits(json.loads(text))) if short_waits else text


def _with_short_waits(value: Any) -> Any:
    match value:
        case dict():
            shortest = {"IntervalSeconds": 1, "MaxDelaySeconds": 2, "BackoffRate": 1, "Seconds": 1}
            return {
                name: shortest[name] if name in shortest else _with_short_waits(inner)
                for name, inner in value.items()
            }
        case list():
            return [_with_short_waits(inner) for inner in value]
    return value


def _listed(answers: Json | list[Json]) -> list[Json]:
    return answers if isinstance(answers, list) else [answers]


def _mocks(name: str, routes: dict[str, Route]) -> Json:
    """Returns the results in LocalStack's format: test cases that name responses."""
    responses = {
        f"{case}.{state}": {str(number): answer for number, answer in enumerate(_listed(answers))}
        for case, route in routes.items()
        for state, answers in route.answers.items()
    }
    cases = {
        case: {state: f"{case}.{state}" for state in route.answers}
        for case, route in routes.items()
    }
    return {"StateMachines": {name: {"TestCases": cases}}, "MockedResponses": responses}


class Machine:
    """The state machine `name`, ready to be executed."""

    def __init__(
        self, client: BaseClient, name: str, routes: dict[str, Route], usual_input: Json
    ) -> None:
        self._client, self._name, self._routes, self._usual_input = (
            client,
            name,
            routes,
            usual_input,
        )
        role = f"arn:aws:iam::{ACCOUNT}:role/any"
        client.create_state_machine(
            name=name, definition=definition(name, short_waits=True), roleArn=role
        )

    def execute(self, case: str) -> Ended:
        """Executes the route of that name until it ends."""
        machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{self._name}#{case}"
        given = json.dumps(self._routes[case].input or self._usual_input)
        execution = self._client.start_execution(stateMachineArn=machine, input=given)[
            "executionArn"
        ]
        deadline = time.monotonic() + 120
        while (end := self._client.describe_execution(executionArn=execution))[
            "status"
        ] == "RUNNING":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        events = self._client.get_execution_history(executionArn=execution, maxResults=1000)[
            "events"
        ]
        tried: Counter[str] = Counter()
        parameters = []
        # An event belongs to the task entered before it in the same branch.
        entered: dict[int, str] = {}
        for event in events:
            if event["type"] == "TaskStateEntered":
                entered[event["id"]] = event["stateEnteredEventDetails"]["name"]
            elif event["previousEventId"] in entered:
                entered[event["id"]] = entered[event["previousEventId"]]
            if event["type"] == "TaskScheduled":
                details = event["taskScheduledEventDetails"]
                parameters.append((details["resourceType"], json.loads(details["parameters"])))
                tried[entered[event["id"]]] += 1
        return Ended(end["status"], end.get("error"), tried, parameters)


@contextmanager
def machine(
    state: Path, name: str, routes: dict[str, Route], usual_input: Json
) -> Iterator[Machine]:
    """Runs a LocalStack that has only Step Functions and returns the given task results."""
    port = free_port()
    (state / "mocks.json").write_text(json.dumps(_mocks(name, routes)))
    environment = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(state),
        "TMPDIR": str(state),
        "FILESYSTEM_ROOT": str(state),
        "CONFIG_DIR": str(state / "config"),
        "GATEWAY_SERVER": "shoplake",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        "SERVICES": "stepfunctions,sts,iam,lambda,sns",
        "SFN_MOCK_CONFIG": str(state / "mocks.json"),
        "OVERRIDE_IN_DOCKER": "0",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }
    with (state / "localstack.log").open("wb") as log:
        command = [sys.executable, Path(__file__).with_name("stepfunctions.py")]
        process = subprocess.Popen(
            command, env=environment, cwd=state, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        client = boto3.client(
            "stepfunctions",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )
        for _ in range(120):
            try:
                client.list_state_machines()
                break
            except (BotoCoreError, ClientError):
                assert process.poll() is None, (state / "localstack.log").read_text()
                time.sleep(0.5)
        yield Machine(client, name, routes, usual_input)
    finally:
        process.kill()  # It has no state to save, and a graceful stop is slow.
        process.wait()
