"""The rules hold for every environment; and each notices what it is there for."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.pipeline.plan import INFRA

from . import rules
from .conftest import SCENARIOS
from .rules import EXCEPTIONS, RULES, Rule
from .stack import Stack, Values


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_environment_keeps_the_rule(stack: Stack, rule: Rule) -> None:
    assert list(rule(stack)) == []


def test_every_policy_can_be_read(document: dict[str, Any]) -> None:
    """Otherwise the rules would look past what is not known yet."""
    waiting = [planned["address"] for planned in document["resource_changes"] if planned["mode"] == "data"]
    assert waiting == []
    unread = [
        planned["address"]
        for planned in document["resource_changes"]
        if planned["mode"] == "managed" and isinstance(planned["change"]["after_unknown"], dict) and planned["change"]["after_unknown"].get("policy") is True
    ]
    assert unread == []


def test_every_exception_is_needed(documents: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Taking it away breaks a rule in some environment."""
    stacks = [Stack("prod" if scenario == "everything" else scenario, documents(scenario)) for scenario in SCENARIOS]
    unneeded = []
    for kind in ("every_resource", "every_action", "managed_policies"):
        for name in EXCEPTIONS[kind]:
            fewer = copy.deepcopy(EXCEPTIONS)
            del fewer[kind][name]
            monkeypatch.setattr(rules, "EXCEPTIONS", fewer)
            if not any(list(rules.narrow_permissions(stack)) for stack in stacks):
                unneeded.append(name)
    assert unneeded == []


def test_every_type_that_is_classified_exists() -> None:
    types = {
        found
        for path in INFRA.rglob("*.tf")
        if "bootstrap" not in path.parts
        for found in re.findall(r'^resource "(\w+)"', path.read_text("utf-8"), re.MULTILINE)
    }
    assert rules.CLASSIFIED <= types


def change(address: str, **values: object) -> Callable[[Stack], None]:
    """Sets values of the resource at an address, or of all that begin with it."""

    def apply(stack: Stack) -> None:
        touched = [resource for resource in stack.resources if resource.address.startswith(address)]
        assert touched, f"the plan has no {address}"
        for resource in touched:
            resource.values.update(values)

    return apply


def remove(kind: str) -> Callable[[Stack], None]:
    """Takes all resources of a type away."""

    def apply(stack: Stack) -> None:
        assert stack.of(kind), f"the plan has no {kind}"
        stack.resources = [resource for resource in stack.resources if resource.type != kind]

    return apply


def allow(action: str, resource: str, principal: object = None) -> str:
    """A policy of one statement."""
    statement: Values = {"Sid": "Made", "Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Statement": [statement | ({"Principal": principal} if principal else {})]})


DOCTORED: dict[str, tuple[Rule, Callable[[Stack], None]]] = {
    "two roles of one name": (rules.different_names, change("module.load.aws_iam_role.this", name="shoplake-prod-conform")),
    "a log group without a key": (rules.encrypted, change("module.conform.aws_cloudwatch_log_group.this", kms_key_id=None)),
    "a stream without encryption": (rules.encrypted, change('module.source["web"].aws_kinesis_stream', encryption_type="NONE")),
    "a queue without encryption": (rules.encrypted, change("module.conform_failed", sqs_managed_sse_enabled=False)),
    "a topic without a key": (rules.encrypted, change("module.alerts.aws_sns_topic.this", kms_master_key_id=None)),
    "a delivery without a key": (rules.encrypted, change('module.source["pos"].aws_kinesis_firehose', extended_s3_configuration=[{"kms_key_arn": None}])),
    "a bucket with S3's own key": (rules.encrypted, remove("aws_s3_bucket_server_side_encryption_configuration")),
    "a type that nobody has thought about": (
        rules.encrypted,
        lambda stack: stack.resources.append(rules.Resource("aws_dynamodb_table.new", "aws_dynamodb_table", {})),
    ),
    "a bucket without a public access block": (rules.closed_buckets, remove("aws_s3_bucket_public_access_block")),
    "a bucket that lets public policies be": (rules.closed_buckets, change("module.lake.aws_s3_bucket_public_access_block", block_public_policy=False)),
    "a bucket without TLS": (rules.closed_buckets, change("module.lake.aws_s3_bucket_policy.this", policy=allow("s3:GetObject", "*"))),
    "a queue without TLS": (rules.closed_queues_and_topics, change("module.conform_failed", policy=allow("sqs:SendMessage", "*"))),
    "a topic without TLS": (rules.closed_queues_and_topics, remove("aws_sns_topic_policy")),
    "a bucket for everybody": (rules.nothing_public, change("module.lake.aws_s3_bucket_policy.this", policy=allow("s3:GetObject", "*", "*"))),
    "a warehouse on the internet": (rules.nothing_public, change("module.warehouse", publicly_accessible=True)),
    "a stream's batches that are lost": (rules.nothing_is_lost, change("aws_lambda_event_source_mapping.conform", destination_config=[])),
    "a queue without dead letters": (rules.nothing_is_lost, change("module.dirty_queue.module.queue", redrive_policy=None)),
    "a rule without dead letters": (rules.nothing_is_lost, change("aws_cloudwatch_event_target.freshness", dead_letter_config=[])),
    "an invocation that is forgotten": (rules.nothing_is_lost, remove("aws_lambda_function_event_invoke_config")),
    "logs for ever": (rules.logs_end, change("module.load.aws_cloudwatch_log_group.this", retention_in_days=0)),
    "an alarm that tells nobody": (
        rules.alarms_reach_somebody,
        lambda stack: [alarm.values.update(alarm_actions=[]) for alarm in stack.of("aws_cloudwatch_metric_alarm")][0],
    ),
    "an alarm that is switched off": (
        rules.alarms_reach_somebody,
        lambda stack: [alarm.values.update(actions_enabled=False) for alarm in stack.of("aws_cloudwatch_metric_alarm")][0],
    ),
    "a role that may do all to a bucket": (rules.narrow_permissions, change("module.conform.aws_iam_role_policy.this", policy=allow("s3:*", "arn:aws:s3:::lake/*"))),
    "a role that may read every bucket": (rules.narrow_permissions, change("module.conform.aws_iam_role_policy.this", policy=allow("s3:GetObject", "*"))),
    "a key that a service may do all with": (rules.narrow_permissions, change("module.keys.aws_kms_key.data", policy=allow("kms:*", "*", {"Service": "x"}))),
    "a managed policy": (rules.narrow_permissions, change("module.api.aws_iam_role_policy_attachment", policy_arn="arn:aws:iam::aws:policy/PowerUserAccess")),
    "a bucket of nobody": (rules.tagged, change("module.lake.aws_s3_bucket.this", tags_all={})),
}


@pytest.mark.parametrize("case", DOCTORED.values(), ids=DOCTORED)
def test_the_rule_notices(documents: Callable[[str], dict[str, Any]], case: tuple[Rule, Callable[[Stack], None]]) -> None:
    rule, spoil = case
    stack = Stack("prod", copy.deepcopy(documents("everything")))
    assert list(rule(stack)) == []
    spoil(stack)
    assert list(rule(stack)) != []
