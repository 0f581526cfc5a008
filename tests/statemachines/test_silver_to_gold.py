"""Every path through the state machine, with the tasks' answers given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "localstack"))

from cloud import free_port  # noqa: E402

REGION, ACCOUNT = "us-east-1", "000000000000"
NAME = "silver_to_gold"
DEFINITION = ROOT / "statemachines" / f"{NAME}.asl.json"

PERMANENT = {"Throw": {"Error": "Shoplake.Permanent", "Cause": "it cannot"}}
DONE = {"Return": {"StatusCode": 200, "Payload": {}}}
PUBLISHED = {"Return": {"MessageId": "1"}}


def result(outcome: str, load: object = None, notify: object = None, failed: tuple[str, ...] = ()) -> dict[str, object]:
    """What transform answers."""
    checks = [{"name": name, "severity": "stop", "rows": 1, "sample": []} for name in failed]
    payload = {"outcome": outcome, "model": "m", "partition": "p", "checks": [], "failed_checks": checks}
    return {"Return": {"StatusCode": 200, "Payload": payload | {"load": load, "notify": notify}}}


COMMITTED = result("committed", load={"version": 1}, notify={"identity": ["shop_id"]})
CHECKS_FAILED = result("checks_failed", failed=("adds_up",))


@dataclass
class Route:
    """What the tasks answer, and what has to come of it."""

    answers: dict[str, dict[str, object]]
    error: str | None = None
    alerts: set[str] = field(default_factory=set)
    """Subjects."""


CHECKS_ALERT = "Shoplake: a check stopped a gold partition"
LOAD_ALERT = "Shoplake: the warehouse misses a gold partition"
NOTIFY_ALERT = "Shoplake: people were not told of new rows"
TRANSFORM_ALERT = "Shoplake: a gold partition was not computed"

ROUTES = {
    "committed": Route({"Transform": COMMITTED, "Load": DONE, "Notify": DONE}),
    "committed_without_notice": Route({"Transform": result("committed", load={"version": 1}), "Load": DONE}),
    "unchanged": Route({"Transform": result("unchanged"), "Load": DONE}),
    "conflict": Route({"Transform": result("conflict")}),
    "checks_failed": Route(
        {"Transform": CHECKS_FAILED, "Load": DONE, "NotifyChecksFailed": PUBLISHED}, "Shoplake.ChecksFailed", {CHECKS_ALERT}
    ),
    "checks_failed_and_the_warehouse_is_down": Route(
        {"Transform": CHECKS_FAILED, "Load": PERMANENT, "NotifyLoadFailed": PUBLISHED, "NotifyChecksFailed": PUBLISHED},
        "Shoplake.ChecksFailed",
        {CHECKS_ALERT, LOAD_ALERT},
    ),
    "the_warehouse_is_down": Route(
        {"Transform": COMMITTED, "Load": PERMANENT, "NotifyLoadFailed": PUBLISHED, "Notify": DONE},
        "Shoplake.Permanent",
        {LOAD_ALERT},
    ),
    "people_cannot_be_told": Route(
        {"Transform": COMMITTED, "Load": DONE, "Notify": PERMANENT, "NotifyNoticesFailed": PUBLISHED},
        "Shoplake.Permanent",
        {NOTIFY_ALERT},
    ),
    "neither_works": Route(
        {
            "Transform": COMMITTED, "Load": PERMANENT, "NotifyLoadFailed": PUBLISHED,
            "Notify": PERMANENT, "NotifyNoticesFailed": PUBLISHED,
        },
        "Shoplake.Permanent",
        {LOAD_ALERT, NOTIFY_ALERT},
    ),
    "transform_fails": Route(
        {"Transform": PERMANENT, "NotifyTransformFailed": PUBLISHED}, "Shoplake.Permanent", {TRANSFORM_ALERT}
    ),
}


def mocks() -> dict[str, object]:
    """The answers as LocalStack wants them: cases that name responses."""
    responses = {f"{case}.{state}": {"0": answer} for case, route in ROUTES.items() for state, answer in route.answers.items()}
    cases = {case: {state: f"{case}.{state}" for state in route.answers} for case, route in ROUTES.items()}
    return {"StateMachines": {NAME: {"TestCases": cases}}, "MockedResponses": responses}


def definition() -> str:
    """The machine, with ARNs of nothing."""
    text = DEFINITION.read_text()
    for function in ("transform", "load", "notify"):
        text = text.replace(f"${{{function}_arn}}", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")
    return text.replace("${alerts_topic_arn}", f"arn:aws:sns:{REGION}:{ACCOUNT}:alerts")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BaseClient]:
    """Step Functions, and nothing else, of a LocalStack whose tasks answer as given."""
    state, port = tmp_path_factory.mktemp("statemachines"), free_port()
    (state / "mocks.json").write_text(json.dumps(mocks()))
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
        command = [sys.executable, "-m", "localstack.runtime.main"]
        process = subprocess.Popen(command, env=environment, cwd=state, stdout=log, stderr=subprocess.STDOUT)
    try:
        client = boto3.client(
            "stepfunctions", endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION,
            aws_access_key_id="test", aws_secret_access_key="test", config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )
        for _ in range(120):
            try:
                client.list_state_machines()
                break
            except (BotoCoreError, ClientError):
                assert process.poll() is None, (state / "localstack.log").read_text()
                time.sleep(0.5)
        client.create_state_machine(name=NAME, definition=definition(), roleArn=f"arn:aws:iam::{ACCOUNT}:role/any")
        yield client
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("case", ROUTES)
def test_given_what_the_tasks_answer_then_people_hear_of_it_and_the_end_is_right(client: BaseClient, case: str) -> None:
    """No task is called that has no answer here, and none that has one is left out."""
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{NAME}#{case}"
    execution = client.start_execution(stateMachineArn=machine, input=json.dumps({"job": "jobs/m/p/1.json"}))["executionArn"]
    deadline = time.monotonic() + 60
    while (end := client.describe_execution(executionArn=execution))["status"] == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.1)

    route = ROUTES[case]
    assert (end["status"], end.get("error")) == ("FAILED" if route.error else "SUCCEEDED", route.error)
    events = client.get_execution_history(executionArn=execution, maxResults=1000)["events"]
    tasks = {event["stateEnteredEventDetails"]["name"] for event in events if event["type"] == "TaskStateEntered"}
    assert tasks == route.answers.keys()
    scheduled = [event["taskScheduledEventDetails"] for event in events if event["type"] == "TaskScheduled"]
    alerts = [json.loads(task["parameters"]) for task in scheduled if task["resourceType"] == "sns"]
    assert {alert["Subject"] for alert in alerts} == route.alerts
    for alert in alerts:
        assert alert["Message"]["input"] == {"job": "jobs/m/p/1.json"}
        assert alert["Message"]["next"], "what to do about it"
    if LOAD_ALERT in route.alerts:
        [message] = [alert["Message"] for alert in alerts if alert["Subject"] == LOAD_ALERT]
        assert message["result"] == route.answers["Transform"]["Return"]["Payload"], "what to invoke load with"
