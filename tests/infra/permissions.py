"""What a role may do, and what it would have to be able to do, in the same words."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .stack import Resource, Stack, Statement, statements

CALLS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("calls.toml").read_text("utf-8"))
NOBODY = CALLS.pop("nobody")

# The IAM actions that AWS asks for where they are not called as the SDK's operation is.
SERVICES = {"sfn": "states", "eventbridge": "events", "redshiftdata": "redshift-data"}
ACTIONS = {
    "s3.head_object": ["s3:GetObject"],
    "s3.list_objects_v2": ["s3:ListBucket"],
    "sqs.send_message_batch": ["sqs:SendMessage"],
    # The Data API signs in as the caller.
    "redshiftdata.batch_execute_statement": ["redshift-data:BatchExecuteStatement", "redshift-serverless:GetCredentials"],
}

# What is at the other end is encrypted with a key of ours, which the caller has to be able to use, by way of that service.
KEYS = {
    "s3.get_object": ["kms:Decrypt"],
    "s3.put_object": ["kms:GenerateDataKey"],
    "kinesis.put_records": ["kms:GenerateDataKey"],
    "sns.publish": ["kms:Decrypt", "kms:GenerateDataKey"],
    "ssm.get_parameter": ["kms:Decrypt"],
    "ssm.get_parameters_by_path": ["kms:Decrypt"],
    "ssm.put_parameter": ["kms:Encrypt"],
}

# What AWS documents for the role of a function that reads a stream or a queue.
READS = {
    "kinesis": ["DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards"],
    "sqs": ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes", "ChangeMessageVisibility"],
}
TRACES = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]


@dataclass(frozen=True, order=True)
class Permission:
    """An action on something; `something` is the end of an ARN without the deployment's prefix, or a service that uses a key."""

    action: str
    something: str

    def __str__(self) -> str:
        return f"{self.action} on {self.something}"


def granted(stack: Stack, program: str) -> set[Permission] | None:
    """What the program's role may do; None where the environment does not run it."""
    prefix = f"shoplake-{stack.environment}"
    role = next((role for role in stack.of("aws_iam_role") if role.values["name"] == f"{prefix}-{program}"), None)
    if role is None:
        return None
    policies = [policy for policy in stack.of("aws_iam_role_policy") if policy.values["role"] in (role.values["id"], role.values["name"])]
    return {
        permission
        for policy in policies
        for statement in statements(policy.values["policy"])
        for permission in _permissions(statement, prefix)
    }


def needed(stack: Stack, program: str, calls: dict[str, list[str]], names: dict[str, set[str]]) -> set[Permission]:
    """What the program's role must be able to do, from what it calls and from what the plan has AWS do in its name."""
    found: set[Permission] = set()
    for operation, patterns in calls.items():
        service, _, name = operation.partition(".")
        things = list(_spelt_out(patterns, names))
        if not things:
            continue
        for key_action in KEYS.get(operation, []):
            found.add(Permission(key_action, f"a key, by {service}"))
        if operation in ("s3.get_object", "s3.head_object"):
            found.add(Permission("s3:ListBucket", "the lake"))  # S3 answers 403 instead of 404 to whoever may not list.
        for action in ACTIONS.get(operation, [f"{SERVICES.get(service, service)}:{_pascal(name)}"]):
            for thing in things:
                found.add(Permission(action, "the lake" if action == "s3:ListBucket" else thing))
    return found | set(_needed_by_lambda(stack, program))


def _needed_by_lambda(stack: Stack, program: str) -> Iterator[Permission]:
    prefix = f"shoplake-{stack.environment}"
    function = next((each for each in stack.of("aws_lambda_function") if each.values["function_name"] == f"{prefix}-{program}"), None)
    if function is None:
        return
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Permission(action, f"log-group:/aws/lambda/{program}:*")
    for action in TRACES:
        yield Permission(action, "*")
    for mapping in stack.of("aws_lambda_event_source_mapping"):
        if mapping.values["function_name"] in (function.values["arn"], function.values["function_name"]):
            yield from _needed_by_mapping(mapping, prefix)
    for config in stack.of("aws_lambda_function_event_invoke_config"):
        if config.values["function_name"] == function.values["function_name"]:
            yield Permission("sqs:SendMessage", _end(config.block("destination_config", "on_failure")["destination"], prefix))


def _needed_by_mapping(mapping: Resource, prefix: str) -> Iterator[Permission]:
    source = mapping.values["event_source_arn"]
    service = source.split(":")[2]
    for action in READS[service]:
        yield Permission(f"{service}:{action}", _end(source, prefix))
    if service == "kinesis":
        yield Permission("kms:Decrypt", "a key, by kinesis")
    if failed := mapping.block("destination_config", "on_failure").get("destination_arn"):
        yield Permission("sqs:SendMessage", _end(failed, prefix))


def _permissions(statement: Statement, prefix: str) -> Iterator[Permission]:
    for action in statement.actions:
        if action.startswith("kms:"):
            yield Permission(action, f"a key, by {_user_of_key(statement)}")
            continue
        for resource in statement.resources:
            yield Permission(action, "the lake" if action == "s3:ListBucket" else _end(resource, prefix))


def _user_of_key(statement: Statement) -> str:
    """Whom a condition lets use a key."""
    via = statement.condition.get("StringEquals", {}).get("kms:ViaService")
    if via:
        return str(via).partition(".")[0]
    contexts = {name for test in statement.condition.values() for name in test}
    return "ssm" if "kms:EncryptionContext:PARAMETER_ARN" in contexts else "whoever has it"


def _end(arn: str, prefix: str) -> str:
    """`arn:aws:s3:::shoplake-dev-lake-000000000000/silver/*` is `silver/*`; `...:stream/shoplake-dev-web` is `stream/web`."""
    if arn.startswith("arn:aws:s3:::"):
        return arn.partition("/")[2]
    end = arn.split(":", 5)[-1]
    if end.startswith("workgroup/"):
        return "workgroup"
    return re.sub(rf"{re.escape(prefix)}[-/]?", "", end, count=1)


def _spelt_out(patterns: list[str], names: dict[str, set[str]]) -> Iterator[str]:
    for thing in patterns:
        placeholder = re.search(r"\{(\w+)\}", thing)
        if placeholder:
            yield from (thing.replace(placeholder.group(), name) for name in names[placeholder.group(1)])
        else:
            yield thing


def _pascal(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))
