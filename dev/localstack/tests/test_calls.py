"""Which requests the recorder writes, and which not."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from localstack.aws.spec import load_service
from shoplake_localstack.calls import Call, read
from shoplake_localstack.calls.recorder import Recorder

RUST = (
    "aws-sdk-rust/1.5.1 ua/2.1 api/s3/1.157.0 os/linux lang/rust/1.96.0"
    " exec-env/AWS_Lambda_provided m/E,b app/lake-transform"
)


def seen(
    file: Path, service: str, operation: str, user_agent: str = RUST, **request: Any
) -> set[Call]:
    """Records a request and returns the calls in the file."""
    Recorder(file).see(user_agent, load_service(service).operation_model(operation), request)
    return read(file)


@pytest.mark.parametrize(
    ("service", "operation", "name"),
    [
        ("stepfunctions", "StartExecution", "sfn.start_execution"),
        ("events", "PutEvents", "eventbridge.put_events"),
        ("redshift-data", "BatchExecuteStatement", "redshiftdata.batch_execute_statement"),
        ("ssm", "GetParametersByPath", "ssm.get_parameters_by_path"),
    ],
)
def test_an_operation_has_the_name_that_the_sdk_gives_it(
    tmp_path: Path, service: str, operation: str, name: str
):
    assert seen(tmp_path / "calls", service, operation) == {Call("lake-transform", name)}


@pytest.mark.parametrize(
    ("operation", "request_", "folder"),
    [
        ("GetObject", {"Bucket": "b", "Key": "gold/model=m/data.parquet"}, "gold"),
        ("PutObject", {"Bucket": "b", "Key": "readme"}, "readme"),
        ("ListObjectsV2", {"Bucket": "b", "Prefix": "jobs/"}, "jobs"),
        ("ListObjectsV2", {"Bucket": "b", "Prefix": "si"}, "si"),
        ("ListObjectsV2", {"Bucket": "b"}, None),
    ],
)
def test_a_call_of_the_lake_has_its_folder(
    tmp_path: Path, operation: str, request_: dict[str, str], folder: str | None
):
    [call] = seen(tmp_path / "calls", "s3", operation, **request_)
    assert call.folder == folder


def test_a_key_of_another_service_is_not_a_folder(tmp_path: Path):
    assert seen(tmp_path / "calls", "events", "PutEvents", Key="gold/x") == {
        Call("lake-transform", "eventbridge.put_events")
    }


@pytest.mark.parametrize(
    "user_agent",
    ["", "Boto3/1.40.30 md/Botocore#1.40.30 os/linux", "aws-sdk-rust/1.5.1 api/app/1", "myapp/x"],
)
def test_a_request_without_an_application_is_not_recorded(tmp_path: Path, user_agent: str):
    assert seen(tmp_path / "calls", "sqs", "SendMessage", user_agent) == set()


def test_a_call_is_recorded_once(tmp_path: Path):
    file, operation = tmp_path / "calls", load_service("s3").operation_model("GetObject")
    recorder = Recorder(file)
    with ThreadPoolExecutor() as pool:
        list(
            pool.map(
                lambda n: recorder.see(
                    RUST, operation, {"Key": f"{('silver', 'gold')[n % 2]}/{n}"}
                ),
                range(200),
            )
        )
    assert sorted(map(json.loads, file.read_text().splitlines())) == [
        ["lake-transform", "s3.get_object", folder] for folder in ("gold", "silver")
    ]
