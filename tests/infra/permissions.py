"""Compares the permissions of a role with those that its program's declared calls need."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.images import CONNECTORS

from .stack import Resource, Stack, Statement, statements

Calls = dict[str, list[str]]
"""Resources by operation."""


def by_program(
    listed: Mapping[str, Any], connectors: Mapping[str, str]
) -> tuple[dict[str, Calls], dict[str, list[str]]]:
    """Returns the calls and the absent prefixes of calls.toml by program. A connector has those of
    `connector` with its name, besides its own. `{shops}` becomes `{<connector>_shops}`.
    """

    def of(connector: str, things: list[str]) -> list[str]:
        shops = f"{{{connector}_shops}}"
        return [
            thing.replace("{connector}", connector).replace("{shops}", shops) for thing in things
        ]

    calls, absent = dict(listed), dict(listed["absent"])
    del calls["absent"]
    of_connectors, absent_of_connectors = calls.pop("connector"), absent.pop("connector")
    for connector, program in connectors.items():
        common = {operation: of(connector, things) for operation, things in of_connectors.items()}
        calls[program] = common | calls.get(program, {})
        absent[program] = of(connector, absent_of_connectors)
    return calls, absent


CALLS, ABSENT = by_program(
    tomllib.loads(Path(__file__).with_name("calls.toml").read_text("utf-8")), CONNECTORS
)

# The IAM actions of operations whose name differs from the action.
SERVICES = {"sfn": "states", "eventbridge": "events", "redshiftdata": "redshift-data"}
ACTIONS = {
    "s3.head_object": ["s3:GetObject"],
    "s3.list_objects_v2": ["s3:ListBucket"],
    "sqs.send_message_batch": ["sqs:SendMessage"],
    # The Data API authenticates as the caller.
    "redshiftdata.batch_execute_statement": [
        "redshift-data:BatchExecuteStatement",
        "redshift-serverless:GetCredentials",
    ],
}

# The KMS actions that the caller needs through the service, because the data is encrypted.
KEYS = {
    "s3.get_object": ["kms:Decrypt"],
    "s3.put_object": ["kms:GenerateDataKey"],
    "kinesis.put_records": ["kms:GenerateDataKey"],
    "sns.publish": ["kms:Decrypt", "kms:GenerateDataKey"],
    "ssm.get_parameter": ["kms:Decrypt"],
    "ssm.get_parameters": ["kms:Decrypt"],
    "ssm.put_parameter": ["kms:Encrypt"],
}
# The alias of the key by service; Parameter Store adds the parameter to the encryption context.
KEY_OF = {"ssm": "secrets"}
DATA_KEY = "data"

# The actions that AWS documents for the role of a function with a stream or a queue mapping.
READS = {
    "kinesis": [
        "DescribeStream",
        "DescribeStreamSummary",
        "GetRecords",
        "GetShardIterator",
        "ListShards",
    ],
    "sqs": ["ReceiveMessage", "DeleteMessage", "GetQueueAttributes"],
}
TRACES = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]

# S3 answers 404 for a missing object only with s3:ListBucket (without a prefix), otherwise 403.
MISSING_OBJECT = "a missing object"


@dataclass(frozen=True, order=True)
class Permission:
    """An action on a resource.

    The resource is the end of an ARN without the deployment's prefix, a prefix to list, or a key
    with the service that uses it. The ARN of a resource outside the deployment stays whole.
    """

    action: str
    resource: str

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"


def granted(stack: Stack, program: str) -> set[Permission] | None:
    """Returns what the program's role may do; None if the environment does not run the program."""
    role = next(
        (
            role
            for role in stack.of("aws_iam_role")
            if role.values["name"] == f"{_prefix(stack)}-{program}"
        ),
        None,
    )
    if role is None:
        return None
    names = (role.values["id"], role.values["name"])
    attached = {
        Permission("all permissions of", each.values["policy_arn"])
        for each in stack.of("aws_iam_role_policy_attachment")
        if each.values["role"] in names
    }
    found = [
        statement
        for policy in stack.of("aws_iam_role_policy")
        if policy.values["role"] in names
        for statement in statements(policy.values["policy"])
    ]
    denied = [statement for statement in found if not statement.allows]
    return attached | {
        permission
        for statement in found
        if statement.allows
        for permission in _permissions(stack, statement, denied)
    }


def needed(
    stack: Stack, program: str, calls: dict[str, list[str]], names: dict[str, set[str]]
) -> set[Permission]:
    """Returns the permissions for the program's calls and for Lambda's calls in its name."""
    found: set[Permission] = set()
    for operation, patterns in calls.items():
        service, _, name = operation.partition(".")
        things = list(_with_names(patterns, names))
        if not things:
            continue
        for key_action in KEYS.get(operation, []):
            found |= {Permission(key_action, used) for used in _used_keys(service, things)}
        if operation in ("s3.get_object", "s3.head_object"):
            found |= {
                Permission("s3:ListBucket", thing)
                for thing in (MISSING_OBJECT, *ABSENT.get(program, []))
            }
        for action in ACTIONS.get(operation, [f"{SERVICES.get(service, service)}:{_pascal(name)}"]):
            found |= {Permission(action, thing) for thing in things}
    return found | set(_needed_by_lambda(stack, program))


def _used_keys(service: str, things: list[str]) -> Iterator[str]:
    key = KEY_OF.get(service, DATA_KEY)
    if service == "ssm":
        yield from (f"the {key} key, by ssm, for {thing}" for thing in things)
    else:
        yield f"the {key} key, by {service}"


def _needed_by_lambda(stack: Stack, program: str) -> Iterator[Permission]:
    function = next(
        (
            each
            for each in stack.of("aws_lambda_function")
            if each.values["function_name"] == f"{_prefix(stack)}-{program}"
        ),
        None,
    )
    if function is None:
        return
    for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
        yield Permission(action, f"log-group:/aws/lambda/{program}:*")
    for action in TRACES:
        yield Permission(action, "*")
    for mapping in stack.of("aws_lambda_event_source_mapping"):
        if mapping.values["function_name"] in (
            function.values["arn"],
            function.values["function_name"],
        ):
            yield from _needed_by_mapping(stack, mapping)
    for config in stack.of("aws_lambda_function_event_invoke_config"):
        if config.values["function_name"] == function.values["function_name"]:
            yield Permission(
                "sqs:SendMessage",
                _end(stack, config.block("destination_config", "on_failure")["destination"]),
            )


def _needed_by_mapping(stack: Stack, mapping: Resource) -> Iterator[Permission]:
    source = mapping.values["event_source_arn"]
    service = source.split(":")[2]
    for action in READS[service]:
        yield Permission(f"{service}:{action}", _end(stack, source))
    if service == "kinesis":
        yield Permission("kms:Decrypt", f"the {DATA_KEY} key, by kinesis")
    if failed := mapping.block("destination_config", "on_failure").get("destination_arn"):
        yield Permission("sqs:SendMessage", _end(stack, failed))


def _permissions(
    stack: Stack, statement: Statement, denied: list[Statement]
) -> Iterator[Permission]:
    for action in statement.actions:
        for resource in statement.resources:
            if any(each.covers(action, resource) for each in denied):
                continue
            if action.startswith("kms:"):
                yield from (
                    Permission(action, f"{_key(stack, resource)}, {used}")
                    for used in _users_of_key(stack, statement)
                )
            elif action == "s3:ListBucket":
                yield from (
                    Permission(action, thing) for thing in _listed(stack, statement, resource)
                )
            else:
                yield Permission(action, _end(stack, resource))


def _listed(stack: Stack, statement: Statement, bucket: str) -> Iterator[str]:
    """Yields the prefixes that may be listed, and whether S3 answers 404 for a missing object."""
    place = "" if bucket == f"arn:aws:s3:::{_lake(stack)}" else f"{bucket}/"
    tests = [(operator, values) for operator, key, values in statement.tests if key == "s3:prefix"]
    if (
        not all(
            operator in ("StringEquals", "StringLike", "StringLikeIfExists")
            for operator, _ in tests
        )
        or len(tests) > 1
    ):
        yield f"{place}prefixes by {statement.condition}"
    elif tests:
        yield from (place + value for value in tests[0][1])
    else:
        yield f"{place}*"
    if all(operator.endswith("IfExists") for operator, _ in tests):
        yield place + MISSING_OBJECT


def _key(stack: Stack, arn: str) -> str:
    """Returns a key of the deployment by its alias: `the data key`."""
    ids = {
        alias.values["target_key_id"]: alias.values["name"] for alias in stack.of("aws_kms_alias")
    }
    key = next((key for key in stack.of("aws_kms_key") if key.values["arn"] == arn), None)
    alias = ids.get(key.values["key_id"]) if key else None
    return f"the {alias.removeprefix(f'alias/{_prefix(stack)}-')} key" if alias else arn


def _users_of_key(stack: Stack, statement: Statement) -> Iterator[str]:
    """Yields who may use a key by a condition: a service, Parameter Store for some parameters, or
    any caller.
    """
    match statement.tests:
        case [("StringEquals", "kms:ViaService", services)]:
            yield from (
                f"by {service.removesuffix(f'.{stack.region}.amazonaws.com')}"
                for service in services
            )
        case [("StringEquals" | "StringLike", "kms:EncryptionContext:PARAMETER_ARN", arns)]:
            yield from (f"by ssm, for {_end(stack, arn)}" for arn in arns)
        case tests:
            yield f"by any caller {tests or ''}".rstrip()


def _end(stack: Stack, arn: str) -> str:
    """Returns the end of an ARN without the deployment's prefix.

    `arn:aws:s3:::shoplake-dev-lake-000000000000/silver/*` becomes `silver/*`, and
    `...:stream/shoplake-dev-web` becomes `stream/web`.
    """
    lake = f"arn:aws:s3:::{_lake(stack)}/"
    if arn.startswith(lake):
        return arn.removeprefix(lake)
    if arn in [
        workgroup.values["arn"] for workgroup in stack.of("aws_redshiftserverless_workgroup")
    ]:
        return "workgroup"
    *owner, end = arn.split(":", 5)
    if owner[:2] + owner[3:] != ["arn", "aws", stack.region, stack.account]:
        return arn
    return re.sub(rf"{re.escape(_prefix(stack))}([-/]|$)", "", end, count=1)


def _lake(stack: Stack) -> str:
    """Returns the name of the lake's bucket."""
    return next(
        str(bucket.values["bucket"])
        for bucket in stack.of("aws_s3_bucket")
        if bucket.values["bucket"].startswith(f"{_prefix(stack)}-lake-")
    )


def _prefix(stack: Stack) -> str:
    return f"shoplake-{stack.environment}"


def _with_names(patterns: list[str], names: dict[str, set[str]]) -> Iterator[str]:
    for thing in patterns:
        placeholder = re.search(r"\{(\w+)\}", thing)
        if placeholder:
            yield from (
                thing.replace(placeholder.group(), name) for name in names[placeholder.group(1)]
            )
        else:
            yield thing


def _pascal(operation: str) -> str:
    return "".join(word.capitalize() for word in operation.split("_"))
