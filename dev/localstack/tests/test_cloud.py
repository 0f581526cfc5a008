"""The whole local cloud: every way in which Shoplake's parts call each other, once."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pyarrow
import pyarrow.parquet
import pytest
from shoplake_localstack.calls import Call
from shoplake_localstack.local.marker import MARKER

from dev.cloud import Cloud, CloudError, free_port

ROLE = "arn:aws:iam::000000000000:role/any"


def make_function(cloud: Cloud, package: bytes, **environment: str) -> str:
    name, functions = f"f-{uuid4().hex[:8]}", cloud.client("lambda")
    functions.create_function(
        FunctionName=name,
        Runtime="provided.al2023",
        Handler="bootstrap",
        Role=ROLE,
        Timeout=5,
        Code={"ZipFile": package},
        Environment={"Variables": environment},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    return name


def invoke(cloud: Cloud, name: str, event: dict) -> tuple[dict, str | None]:
    answer = cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def make_bucket(cloud: Cloud) -> str:
    name = f"lake-{uuid4().hex[:8]}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


def make_stream(cloud: Cloud, shards: int = 1) -> tuple[str, str]:
    name, kinesis = f"stream-{uuid4().hex[:8]}", cloud.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    return name, kinesis.describe_stream(StreamName=name)["StreamDescription"]["StreamARN"]


def make_queue(cloud: Cloud) -> tuple[str, str]:
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=f"queue-{uuid4().hex[:8]}")["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]


def received(cloud: Cloud, url: str) -> list[dict]:
    return [
        json.loads(message["Body"])
        for message in cloud.client("sqs").receive_message(QueueUrl=url).get("Messages", [])
    ]


def lines(sink: Path) -> list[dict]:
    return [json.loads(line) for line in sink.read_text().splitlines()] if sink.exists() else []


def test_everything_listens_on_the_loopback_interface_only(cloud: Cloud):
    addresses = {
        connection.laddr
        for process in processes_of(cloud)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert {address.ip for address in addresses} == {"127.0.0.1"}
    assert {cloud.port, cloud.warehouse_port} < {address.port for address in addresses}


def test_a_function_finds_the_cloud_and_logs_to_cloudwatch(
    cloud: Cloud, package: bytes, eventually
):
    name = make_function(cloud, package)
    environment, error = invoke(cloud, name, {"do": "environment"})
    assert error is None
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert (
        environment["AWS_REGION"] == "us-east-1"
        and environment["AWS_ACCESS_KEY_ID"]
        and environment["AWS_SESSION_TOKEN"]
    )
    invoke(cloud, name, {"do": "print", "text": "seen in CloudWatch"})
    logs = cloud.client("logs")

    def messages() -> list[str]:
        try:
            return [
                event["message"]
                for event in logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
            ]
        except logs.exceptions.ResourceNotFoundException:
            return []

    eventually(lambda: any("seen in CloudWatch" in message for message in messages()))


def test_calls_of_a_function_are_recorded(cloud: Cloud, package: bytes):
    bucket, name = make_bucket(cloud), make_function(cloud, package)
    cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix="gold/")
    for call in (
        {
            "service": "s3",
            "operation": "put_object",
            "arguments": {"Bucket": bucket, "Key": "jobs/1", "Body": "x"},
        },
        {
            "service": "s3",
            "operation": "list_objects_v2",
            "arguments": {"Bucket": bucket, "Prefix": "silver/a="},
        },
        {
            "service": "events",
            "operation": "put_events",
            "arguments": {"Entries": [{"Source": "any", "DetailType": "any", "Detail": "{}"}]},
        },
    ):
        for _ in range(2):
            _, error = invoke(cloud, name, {"do": "call", **call})
            assert error is None
    ours = {call for call in cloud.calls() if call.caller == name}
    assert ours == {
        Call(name, "s3.put_object", "jobs"),
        Call(name, "s3.list_objects_v2", "silver"),
        Call(name, "eventbridge.put_events"),
    }
    assert all(call.caller.startswith("f-") for call in cloud.calls())
    named, error = invoke(
        cloud, make_function(cloud, package, AWS_SDK_UA_APP_ID="itself"), {"do": "environment"}
    )
    assert error is None and named["AWS_SDK_UA_APP_ID"] == "itself"


def test_a_function_survives_a_crash_a_timeout_and_a_kill(cloud: Cloud, package: bytes, eventually):
    name = make_function(cloud, package)
    assert invoke(cloud, name, {"do": "exit", "code": 1})[0]["errorType"] == "Runtime.ExitError"
    assert invoke(cloud, name, {"do": "sleep", "seconds": 60})[0]["errorType"] == "Sandbox.Timedout"
    before = invoke(cloud, name, {})[0]["pid"]
    assert cloud.function_pids(name) == [before]
    os.kill(before, signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(before))
    after, error = invoke(cloud, name, {})
    assert error is None and after["pid"] != before


def test_events_at_once_are_worked_on_at_once(cloud: Cloud, package: bytes):
    name = make_function(cloud, package)
    with ThreadPoolExecutor() as pool:
        answers = list(
            pool.map(lambda _: invoke(cloud, name, {"do": "sleep", "seconds": 1}), range(3))
        )
    assert not any(error for _, error in answers)
    assert {answer["pid"] for answer, _ in answers} == set(cloud.function_pids(name))
    assert len(cloud.function_pids(name)) == 3


def test_kinesis_through_firehose_to_s3(cloud: Cloud, eventually):
    bucket, (stream, arn) = make_bucket(cloud), make_stream(cloud, shards=2)
    kinesis, firehose, s3 = cloud.client("kinesis"), cloud.client("firehose"), cloud.client("s3")
    put = lambda numbers: kinesis.put_records(  # noqa: E731
        StreamName=stream,
        Records=[
            {"Data": f'{{"n":{number}}}\n'.encode(), "PartitionKey": str(number)}
            for number in numbers
        ],
    )
    put(range(50))
    firehose.create_delivery_stream(
        DeliveryStreamName=stream,
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": ROLE},
        ExtendedS3DestinationConfiguration={
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{bucket}",
            "Prefix": "bronze/web/dt=!{timestamp:yyyy-MM-dd}/hour=!{timestamp:HH}/",
            "ErrorOutputPrefix": "errors/!{firehose:error-output-type}/",
            "BufferingHints": {"IntervalInSeconds": 1, "SizeInMBs": 64},
            "CompressionFormat": "GZIP",
        },
    )
    put(range(50, 100))
    described = firehose.describe_delivery_stream(DeliveryStreamName=stream)[
        "DeliveryStreamDescription"
    ]
    assert (described["DeliveryStreamStatus"], described["DeliveryStreamType"]) == (
        "ACTIVE",
        "KinesisStreamAsSource",
    )

    def delivered() -> dict[str, bytes]:
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        return {
            key: gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            for key in keys
        }

    def numbers() -> list[int]:
        return sorted(
            json.loads(line)["n"] for body in delivered().values() for line in body.splitlines()
        )

    eventually(lambda: numbers() == list(range(100)))
    folder = r"bronze/web/dt=\d{4}-\d\d-\d\d/hour=\d\d"
    name = rf"{folder}/{stream}-1-\d{{4}}(-\d\d){{5}}-[0-9a-f-]{{36}}\.gz"
    assert all(re.fullmatch(name, key) for key in delivered())
    firehose.update_destination(
        DeliveryStreamName=stream,
        CurrentDeliveryStreamVersionId="1",
        DestinationId=described["Destinations"][0]["DestinationId"],
        ExtendedS3DestinationUpdate={"Prefix": "bronze/changed/!{timestamp:HH}/"},
    )
    put([100])
    eventually(lambda: numbers() == list(range(101)))
    assert any(key.startswith("bronze/changed/") for key in delivered())
    firehose.delete_delivery_stream(DeliveryStreamName=stream)


def test_direct_puts_through_firehose_to_s3(cloud: Cloud, eventually):
    bucket, firehose, s3 = make_bucket(cloud), cloud.client("firehose"), cloud.client("s3")
    firehose.create_delivery_stream(
        DeliveryStreamName=bucket,
        ExtendedS3DestinationConfiguration={
            "RoleARN": ROLE,
            "BucketARN": f"arn:aws:s3:::{bucket}",
            "BufferingHints": {"IntervalInSeconds": 0},
        },
    )
    firehose.put_record_batch(
        DeliveryStreamName=bucket, Records=[{"Data": b"a\n"}, {"Data": b"b\n"}]
    )
    found = eventually(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))
    assert s3.get_object(Bucket=bucket, Key=found[0]["Key"])["Body"].read() == b"a\nb\n"


def test_a_function_reads_kinesis_and_sqs(cloud: Cloud, package: bytes, tmp_path: Path, eventually):
    sink = tmp_path / "sink"
    name = make_function(cloud, package, SINK=str(sink))
    (stream, stream_arn), (queue, queue_arn) = make_stream(cloud), make_queue(cloud)
    cloud.client("kinesis").put_record(StreamName=stream, Data=b"from kinesis", PartitionKey="1")
    functions = cloud.client("lambda")
    functions.create_event_source_mapping(
        FunctionName=name, EventSourceArn=stream_arn, StartingPosition="TRIM_HORIZON", BatchSize=100
    )
    functions.create_event_source_mapping(FunctionName=name, EventSourceArn=queue_arn)
    cloud.client("sqs").send_message(QueueUrl=queue, MessageBody="from sqs")
    eventually(
        lambda: {record["eventSource"] for record in lines(sink)} == {"aws:kinesis", "aws:sqs"}
    )


def test_s3_notifies_sqs_through_eventbridge(cloud: Cloud, eventually):
    bucket, (queue, arn) = make_bucket(cloud), make_queue(cloud)
    events, s3 = cloud.client("events"), cloud.client("s3")
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {
        "source": ["aws.s3"],
        "detail": {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": "silver/"}]}},
    }
    events.put_rule(Name=bucket, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=bucket, Targets=[{"Id": "queue", "Arn": arn}])
    s3.put_object(Bucket=bucket, Key="gold/no", Body=b"")
    s3.put_object(Bucket=bucket, Key="silver/yes", Body=b"x")
    assert [
        event["detail"]["object"]["key"] for event in eventually(lambda: received(cloud, queue))
    ] == ["silver/yes"]


def test_a_listing_has_the_objects_of_its_prefix_in_order(cloud: Cloud):
    s3, bucket = cloud.client("s3"), f"b-{uuid4()}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="gold/day=1/c", Body=b"")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in (
        "gold/day=2/b",
        "gold/day=1/gone",
        "gold/day=10/c",
        "gold/day=1/\N{LATIN SMALL LETTER E WITH ACUTE}",
        "silver/day=1/x",
        "gold/day=1/a",
        "gold/day=1/a",
    ):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.delete_object(Bucket=bucket, Key="gold/day=1/gone")

    def keys(prefix: str, **page: int) -> list[str]:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=prefix, PaginationConfig=page
        )
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    day = ["gold/day=1/a", "gold/day=1/c", "gold/day=1/\N{LATIN SMALL LETTER E WITH ACUTE}"]
    assert keys("gold/day=1/") == day
    assert keys("gold/", PageSize=2) == [*day, "gold/day=10/c", "gold/day=2/b"]
    assert keys("gold/day=3") == []
    assert len(keys("")) == 6
    [version] = s3.list_object_versions(Bucket=bucket, Prefix="gold/day=1/gone")["Versions"]
    s3.delete_object(Bucket=bucket, Key="gold/day=1/gone", VersionId=version["VersionId"])
    s3.put_object(Bucket=bucket, Key="gold/day=1/gone", Body=b"back")
    assert keys("gold/day=1/g") == ["gold/day=1/gone"]


def test_an_express_execution_invokes_a_function(
    cloud: Cloud, package: bytes, tmp_path: Path, eventually
):
    sink, machines = tmp_path / "sink", cloud.client("stepfunctions")
    name = make_function(cloud, package, SINK=str(sink))
    definition = {
        "StartAt": "Work",
        "States": {
            "Work": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": name, "Payload": {"Records.$": "$.Records"}},
                "End": True,
            }
        },
    }
    arn = machines.create_state_machine(
        name=name, type="EXPRESS", roleArn=ROLE, definition=json.dumps(definition)
    )["stateMachineArn"]
    machines.start_execution(stateMachineArn=arn, input=json.dumps({"Records": [{"job": 1}]}))
    eventually(lambda: lines(sink) == [{"job": 1}])


def test_sns_publishes_to_sqs(cloud: Cloud, eventually):
    (queue, arn), sns = make_queue(cloud), cloud.client("sns")
    topic = sns.create_topic(Name=f"alerts-{uuid4().hex[:8]}")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    sns.publish(TopicArn=topic, Message="checks failed")
    assert eventually(lambda: received(cloud, queue))[0]["Message"] == "checks failed"


def test_a_secure_parameter_is_encrypted_by_a_key_of_ours(cloud: Cloud):
    key, ssm = cloud.client("kms").create_key()["KeyMetadata"]["KeyId"], cloud.client("ssm")
    name = f"/{uuid4().hex}/shops/acme/webhook-secrets/current"
    ssm.put_parameter(Name=name, Value="whsec_abc", Type="SecureString", KeyId=key)
    assert ssm.get_parameter(Name=name)["Parameter"]["Value"] != "whsec_abc"
    assert ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"] == "whsec_abc"


def test_the_data_api_copies_parquet_from_s3_into_the_warehouse(cloud: Cloud, eventually):
    bucket, data = make_bucket(cloud), cloud.client("redshift-data")
    body = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table(
            {
                "shop_id": ["acme"],
                "net": pyarrow.array([Decimal("12.5000")], pyarrow.decimal128(18, 4)),
            }
        ),
        body,
    )
    cloud.client("s3").put_object(Bucket=bucket, Key="gold/data.parquet", Body=body.getvalue())
    where = {"WorkgroupName": "shoplake-local", "Database": "shoplake"}

    def finished(id: str) -> dict:
        return eventually(
            lambda: (
                (d := data.describe_statement(Id=id))["Status"] in ("FINISHED", "FAILED", "ABORTED")
                and d
            )
        )

    # The pinned boto3 is older than the parameters of batches.
    parameters = [{"name": "shop", "value": "acme"}]
    batches = "before-call.redshift-data.BatchExecuteStatement"

    def add_parameters(params: dict, **_: object) -> None:
        params["body"] = json.dumps(
            {**json.loads(params["body"]), "Parameters": parameters}
        ).encode()

    data.meta.events.register(batches, add_parameters)
    batch = data.batch_execute_statement(
        Sqls=[
            "create schema if not exists sales",
            "create table sales.totals (shop_id varchar(63) encode zstd, net numeric(18,4))"
            " distkey (shop_id) sortkey (shop_id)",
            "create temp table stage (like sales.totals)",
            f"copy stage from 's3://{bucket}/gold/data.parquet' iam_role '{ROLE}'"
            " format as parquet",
            "insert into sales.totals select * from stage where shop_id = :shop",
        ],
        ClientToken=str(uuid4()),
        **where,
    )
    data.meta.events.unregister(batches, add_parameters)  # Every caller gets the same client.
    description = finished(batch["Id"])
    assert description["Status"] == "FINISHED", description
    assert [part["ResultRows"] for part in description["SubStatements"]] == [0, 0, 0, 1, 1]
    query = data.execute_statement(Sql="select shop_id, net from sales.totals", **where)["Id"]
    assert finished(query)["HasResultSet"] is True
    assert data.get_statement_result(Id=query)["Records"] == [
        [{"stringValue": "acme"}, {"stringValue": "12.5000"}]
    ]
    failed = finished(data.execute_statement(Sql="select * from missing", **where)["Id"])
    assert (failed["Status"], failed["Error"]) == (
        "FAILED",
        'ERROR: relation "missing" does not exist',
    )
    with pytest.raises(data.exceptions.ResourceNotFoundException):
        data.describe_statement(Id=str(uuid4()))
    with psycopg.connect(cloud.warehouse_url) as bi_tool:
        assert bi_tool.execute("select net from sales.totals").fetchone() == (Decimal("12.5000"),)


def test_two_clouds_do_not_disturb_each_other(cloud: Cloud, package: bytes, tmp_path: Path):
    name = make_function(cloud, package)
    pid = invoke(cloud, name, {})[0]["pid"]
    with pytest.raises(CloudError, match="in use"):
        Cloud(tmp_path / "taken", cloud.port, free_port()).up()
    other = Cloud(tmp_path / "other", free_port(), free_port())
    other.up()
    other_name = make_function(other, package)
    other_pid = invoke(other, other_name, {})[0]["pid"]
    assert other.client("kinesis").list_streams()["StreamNames"] == []
    processes = processes_of(other)
    record = json.loads((other.state / "cloud.json").read_text())
    os.kill(
        record["processes"][0]["pid"], signal.SIGKILL
    )  # LocalStack, which can no longer end what it started
    other.down()
    assert other_pid in [process.pid for process in processes]
    assert not [
        process
        for process in processes
        if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]
    assert not Path(record["warehouse_home"]).exists()
    assert sorted(entry.name for entry in other.state.iterdir()) == ["logs"]
    assert cloud.is_up() and invoke(cloud, name, {})[0]["pid"] == pid


def processes_of(cloud: Cloud) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(cloud.state):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
