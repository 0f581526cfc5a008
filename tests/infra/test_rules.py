"""Every environment satisfies the rules, and each rule detects a violation."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from dev.plan import INFRA

from . import access, delivery, rules
from .access import EXCEPTIONS, too_wide
from .conftest import BOOTSTRAP, SCENARIOS, Documents, environment_of
from .rules import RULES, Rule
from .stack import (
    IDENTITY_POLICIES,
    RESOURCE_POLICIES,
    TRUST_POLICIES,
    Resource,
    Stack,
    Values,
    is_vague,
)

# Policy attributes; a web ACL's statements are not policies.
POLICIES = {*IDENTITY_POLICIES.items(), *RESOURCE_POLICIES.items(), *TRUST_POLICIES.items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_environment_satisfies_the_rule(stack: Stack, rule: Rule) -> None:
    assert list(rule(stack)) == []


def test_every_policy_is_known(document: dict[str, Any]) -> None:
    """The rules would ignore unknown policies."""
    waiting = [
        planned["address"] for planned in document["resource_changes"] if planned["mode"] == "data"
    ]
    assert waiting == []
    unread = [
        planned["address"]
        for planned in document["resource_changes"]
        for kind, attribute in POLICIES
        if planned["type"] == kind
        and isinstance(planned["change"]["after_unknown"], dict)
        and planned["change"]["after_unknown"].get(attribute) is True
    ]
    assert unread == []


def test_every_policy_attribute_is_read(stack: Stack) -> None:
    """If it fails, add the attribute to stack.py."""
    assert [
        f"{resource.address}: {attribute}"
        for resource in stack.resources
        for attribute in policies_elsewhere(resource)
    ] == []


def policies_elsewhere(resource: Resource) -> list[str]:
    """Returns the attributes with a policy that no rule reads."""
    return [
        name
        for name, value in resource.values.items()
        if (resource.type, name) not in POLICIES
        and re.search(r'\\*"Effect\\*": *\\*"(Allow|Deny)', json.dumps(value))
    ]


def test_every_exception_is_needed(documents: Documents) -> None:
    """Without it, a rule fails in some environment."""
    stacks = [
        Stack(environment_of(scenario), documents(scenario)) for scenario in (*SCENARIOS, BOOTSTRAP)
    ]
    unneeded = []
    rules_of = {
        "every_resource": access.narrow_permissions,
        "every_action": access.narrow_permissions,
        "managed_policies": access.no_managed_policies,
    }
    for kind, rule in rules_of.items():
        for name in EXCEPTIONS[kind]:
            fewer = copy.deepcopy(EXCEPTIONS)
            del fewer[kind][name]
            if not any(len(list(rule(stack, fewer))) > len(list(rule(stack))) for stack in stacks):
                unneeded.append(name)
    assert unneeded == []


def test_every_classified_type_exists() -> None:
    types = {
        found
        for path in INFRA.rglob("*.tf")
        if "bootstrap" not in path.parts
        for found in re.findall(r'^resource "(\w+)"', path.read_text("utf-8"), re.MULTILINE)
    }
    assert types >= rules.CLASSIFIED


def change(address: str, **values: object) -> Callable[[Stack], None]:
    """Sets attributes of all resources whose address begins so."""

    def apply(stack: Stack) -> None:
        touched = [resource for resource in stack.resources if resource.address.startswith(address)]
        assert touched, f"the plan has no {address}"
        for resource in touched:
            resource.values.update(values)

    return apply


def remove(kind: str) -> Callable[[Stack], None]:
    """Removes all resources of a type."""

    def apply(stack: Stack) -> None:
        assert stack.of(kind), f"the plan has no {kind}"
        stack.resources = [resource for resource in stack.resources if resource.type != kind]

    return apply


def forget(address: str) -> Callable[[Stack], None]:
    """Removes all resources whose address begins so."""

    def apply(stack: Stack) -> None:
        kept = [
            resource for resource in stack.resources if not resource.address.startswith(address)
        ]
        assert len(kept) < len(stack.resources), f"the plan has no {address}"
        stack.resources = kept

    return apply


def edit(
    address: str, attribute: str, corrupt: Callable[[list[dict[str, Any]]], object]
) -> Callable[[Stack], None]:
    """Edits the statements of the policy of the resource at an address."""

    def apply(stack: Stack) -> None:
        (touched,) = [resource for resource in stack.resources if resource.address == address]
        content = json.loads(touched.values[attribute])
        corrupt(content["Statement"])
        touched.values[attribute] = json.dumps(content)

    return apply


def without(sid: str) -> Callable[[list[dict[str, Any]]], None]:
    """Removes a statement."""

    def apply(policy: list[dict[str, Any]]) -> None:
        policy.remove(next(statement for statement in policy if statement["Sid"] == sid))

    return apply


def with_part(sid: str, **parts: object) -> Callable[[list[dict[str, Any]]], None]:
    """Sets parts of a statement."""

    def apply(policy: list[dict[str, Any]]) -> None:
        next(statement for statement in policy if statement["Sid"] == sid).update(parts)

    return apply


def allow(action: str, resource: str, principal: object = None, **more: object) -> str:
    """Returns a policy with one statement."""
    statement: Values = {
        "Sid": "Made",
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
    } | more
    return json.dumps({"Statement": [statement | ({"Principal": principal} if principal else {})]})


CONFORM = "module.conform.aws_iam_role_policy.this"
OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "000000000000"}}

BROKEN: dict[str, tuple[Rule, Callable[[Stack], None]]] = {
    "two roles of one name": (
        rules.names_are_unique,
        change("module.load.aws_iam_role.this", name="shoplake-prod-conform"),
    ),
    "a log group without a key": (
        rules.encrypted,
        change("module.conform.aws_cloudwatch_log_group.this", kms_key_id=None),
    ),
    "a stream without encryption": (
        rules.encrypted,
        change('module.source["web"].aws_kinesis_stream', encryption_type="NONE"),
    ),
    "a queue without encryption": (
        rules.encrypted,
        change("module.conform_failed", sqs_managed_sse_enabled=False),
    ),
    "a topic without a key": (
        rules.encrypted,
        change("module.alerts.aws_sns_topic.this", kms_master_key_id=None),
    ),
    "a delivery without a key": (
        rules.encrypted,
        change(
            'module.source["pos"].aws_kinesis_firehose',
            extended_s3_configuration=[{"kms_key_arn": None}],
        ),
    ),
    "a bucket with S3's own key": (
        rules.encrypted,
        remove("aws_s3_bucket_server_side_encryption_configuration"),
    ),
    "an unclassified type": (
        rules.encrypted,
        lambda stack: stack.resources.append(
            Resource("aws_dynamodb_table.new", "aws_dynamodb_table", {})
        ),
    ),
    "a bucket without a public access block": (
        rules.closed_buckets,
        remove("aws_s3_bucket_public_access_block"),
    ),
    "a bucket that accepts public policies": (
        rules.closed_buckets,
        change("module.lake.aws_s3_bucket_public_access_block", block_public_policy=False),
    ),
    "a bucket without TLS": (
        rules.closed_buckets,
        change("module.lake.aws_s3_bucket_policy.this", policy=allow("s3:GetObject", "*")),
    ),
    "a queue without TLS": (
        rules.closed_queues_and_topics,
        change("module.conform_failed", policy=allow("sqs:SendMessage", "*")),
    ),
    "a topic without TLS": (rules.closed_queues_and_topics, remove("aws_sns_topic_policy")),
    "a public bucket": (
        access.nothing_public,
        change("module.lake.aws_s3_bucket_policy.this", policy=allow("s3:GetObject", "*", "*")),
    ),
    "a bucket for everyone with TLS": (
        access.nothing_public,
        change(
            "module.lake.aws_s3_bucket_policy.this",
            policy=allow(
                "s3:GetObject", "*", "*", Condition={"Bool": {"aws:SecureTransport": "true"}}
            ),
        ),
    ),
    "a queue for every account's topics": (
        access.nothing_public,
        change(
            "module.conform_failed",
            policy=allow(
                "sqs:SendMessage",
                "*",
                "*",
                Condition={"ArnLike": {"aws:SourceArn": "arn:aws:sns:*:*:orders"}},
            ),
        ),
    ),
    "a queue without a required account": (
        access.nothing_public,
        change(
            "module.conform_failed",
            policy=allow(
                "sqs:SendMessage",
                "*",
                "*",
                Condition={"StringEqualsIfExists": {"aws:SourceAccount": "000000000000"}},
            ),
        ),
    ),
    "a role for every principal": (
        access.nothing_public,
        change(
            "module.conform.aws_iam_role.this",
            assume_role_policy=allow("sts:AssumeRole", "*", {"AWS": "*"}),
        ),
    ),
    "a function without a source of invocations": (
        access.nothing_public,
        change("module.api.aws_lambda_permission", source_arn=None),
    ),
    "a function for APIs of every account": (
        access.nothing_public,
        change(
            "module.api.aws_lambda_permission",
            source_arn="arn:aws:execute-api:eu-central-1:*:webhook/*",
        ),
    ),
    "a public function": (
        access.nothing_public,
        change("aws_lambda_permission.freshness", principal="*", source_arn=None),
    ),
    "a warehouse on the internet": (
        access.nothing_public,
        change("module.warehouse", publicly_accessible=True),
    ),
    "a stream mapping without a failure destination": (
        delivery.failures_have_a_destination,
        change("aws_lambda_event_source_mapping.conform", destination_config=[]),
    ),
    "a queue without a dead-letter queue": (
        delivery.failures_have_a_destination,
        change("module.dirty_queue.module.queue", redrive_policy=None),
    ),
    "a rule without a dead-letter queue": (
        delivery.failures_have_a_destination,
        change("aws_cloudwatch_event_target.freshness", dead_letter_config=[]),
    ),
    "an asynchronous function without a failure destination": (
        delivery.failures_have_a_destination,
        remove("aws_lambda_function_event_invoke_config"),
    ),
    "a log group without retention": (
        rules.logs_expire,
        change("module.load.aws_cloudwatch_log_group.this", retention_in_days=0),
    ),
    "an alarm without an action": (
        delivery.alarms_publish_to_a_topic,
        lambda stack: stack.of("aws_cloudwatch_metric_alarm")[0].values.update(alarm_actions=[]),
    ),
    "an alarm with disabled actions": (
        delivery.alarms_publish_to_a_topic,
        lambda stack: stack.of("aws_cloudwatch_metric_alarm")[0].values.update(
            actions_enabled=False
        ),
    ),
    "an alarm without access to its topic": (
        delivery.topics_accept_their_publishers,
        edit("module.alerts.aws_sns_topic_policy.this", "policy", without("AlarmsOfThisAccount")),
    ),
    "a rule without access to its topic": (
        delivery.topics_accept_their_publishers,
        edit("module.alerts.aws_sns_topic_policy.this", "policy", without("Rules")),
    ),
    "a rule with an account condition on its topic": (
        delivery.topics_accept_their_publishers,
        edit(
            "module.alerts.aws_sns_topic_policy.this",
            "policy",
            with_part("Rules", Condition=OWN_ACCOUNT),
        ),
    ),
    "a rule with an account condition on its key": (
        delivery.topics_accept_their_publishers,
        edit(
            "module.keys.aws_kms_key.data",
            "policy",
            with_part("PublishEventsToEncryptedTopic", Condition=OWN_ACCOUNT),
        ),
    ),
    "an alarm without access to the key": (
        delivery.topics_accept_their_publishers,
        edit("module.keys.aws_kms_key.data", "policy", without("PublishAlarmsToEncryptedTopic")),
    ),
    "an alarm with another account on its topic": (
        delivery.topics_accept_their_publishers,
        edit(
            "module.alerts.aws_sns_topic_policy.this",
            "policy",
            with_part(
                "AlarmsOfThisAccount",
                Condition={"StringEquals": {"aws:SourceAccount": "111111111111"}},
            ),
        ),
    ),
    "a budget with a topic of another account": (
        delivery.topics_accept_their_publishers,
        change(
            "aws_budgets_budget.monthly",
            notification=[
                {"subscriber_sns_topic_arns": ["arn:aws:sns:eu-central-1:111111111111:alerts"]}
            ],
        ),
    ),
    "a rule without access to its dead-letter queue": (
        delivery.queues_accept_their_senders,
        edit(
            "module.control_failed[0].aws_sqs_queue.this",
            "policy",
            without("AllowEventRules"),
        ),
    ),
    "a dead-letter queue for another rule": (
        delivery.queues_accept_their_senders,
        edit(
            "module.control_failed[0].aws_sqs_queue.this",
            "policy",
            with_part(
                "AllowEventRules",
                Condition={
                    "ArnEquals": {
                        "aws:SourceArn": "arn:aws:events:eu-central-1:000000000000:rule/other"
                    }
                },
            ),
        ),
    ),
    "a schedule without access to its dead-letter queue": (
        delivery.queues_accept_their_senders,
        edit(
            'module.connector["pos"].aws_iam_role_policy.schedule',
            "policy",
            without("SendToDeadLetterQueue"),
        ),
    ),
    "an undeclared log of an API": (
        rules.logs_are_declared,
        forget("module.api.aws_cloudwatch_log_group.execution"),
    ),
    "an undeclared log of a cluster": (
        rules.logs_are_declared,
        change("aws_ecs_cluster.connectors", name="other"),
    ),
    "an undeclared log of a function": (
        rules.logs_are_declared,
        forget("module.load.aws_cloudwatch_log_group.this"),
    ),
    "an undeclared log of a warehouse": (
        rules.logs_are_declared,
        forget("module.warehouse[0].aws_cloudwatch_log_group"),
    ),
    "a role with all actions on a bucket": (
        access.narrow_permissions,
        change(CONFORM, policy=allow("s3:*", "arn:aws:s3:::lake/*")),
    ),
    "a role that may read every bucket": (
        access.narrow_permissions,
        change(CONFORM, policy=allow("s3:GetObject", "*")),
    ),
    "a role that may read every bucket by its ARN": (
        access.narrow_permissions,
        change(CONFORM, policy=allow("s3:GetObject", "arn:aws:s3:::*")),
    ),
    "a role that may use every key": (
        access.narrow_permissions,
        change(CONFORM, policy=allow("kms:Decrypt", "arn:aws:kms:eu-central-1:000000000000:key/*")),
    ),
    "a role with NotAction": (
        access.policies_are_not_inverted,
        change(
            CONFORM,
            policy='{"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}',
        ),
    ),
    "a role for all statements of the Data API": (
        access.narrow_permissions,
        edit(
            "module.load.aws_iam_role_policy.this",
            "policy",
            with_part("FollowOwnStatements", Condition={}),
        ),
    ),
    "a role for metrics of every namespace": (
        access.narrow_permissions,
        edit("aws_iam_role_policy.glue[0]", "policy", with_part("WriteJobMetrics", Condition={})),
    ),
    "a key with all actions for a service": (
        access.narrow_permissions,
        change("module.keys.aws_kms_key.data", policy=allow("kms:*", "*", {"Service": "x"})),
    ),
    "a key with NotPrincipal": (
        access.policies_are_not_inverted,
        change(
            "module.keys.aws_kms_key.data",
            policy=allow("kms:Decrypt", "*", NotPrincipal="x"),
        ),
    ),
    "a managed policy": (
        access.no_managed_policies,
        lambda stack: stack.resources.append(
            Resource(
                "new",
                "aws_iam_role_policy_attachment",
                {"policy_arn": "arn:aws:iam::aws:policy/PowerUserAccess"},
            )
        ),
    ),
    "a bucket without tags": (rules.tagged, change("module.lake.aws_s3_bucket.this", tags_all={})),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_rule_detects_violation(
    documents: Documents, case: tuple[Rule, Callable[[Stack], None]]
) -> None:
    rule, corrupt = case
    stack = copy.deepcopy(Stack("prod", documents("everything")))
    assert list(rule(stack)) == []
    corrupt(stack)
    assert list(rule(stack)) != []


@pytest.mark.parametrize(
    "arn",
    [
        "*",
        "arn:aws:s3:::*",
        "arn:aws:s3:::*/silver/*",
        "arn:aws:sqs:*:000000000000:dirty",
        "arn:aws:sqs:eu-central-1:*:dirty",
        "arn:aws:sqs:eu-central-1:000000000000:*",
        "arn:aws:kms:eu-central-1:000000000000:key/*",
        "arn:aws:glue:eu-central-1:000000000000:table/*/orders",
    ],
)
def test_wide_arn_is_detected(arn: str) -> None:
    assert too_wide(arn)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3:::lake/jobs/*.result.json",
        "arn:aws:ssm:eu-central-1:000000000000:parameter/shoplake-prod/shops/*",
        "arn:aws:logs:eu-central-1:000000000000:log-group:/aws/lambda/shoplake-prod-load:*",
        "arn:aws:iam::000000000000:role/shoplake-prod-*",
        "arn:aws:glue:eu-central-1:000000000000:table/shoplake_prod/*",
    ],
)
def test_narrow_arn_is_accepted(arn: str) -> None:
    assert not too_wide(arn)


def test_name_without_an_owner_is_vague() -> None:
    assert [
        name
        for name in (
            "*",
            "arn:aws:s3:::*",
            "arn:aws:sns:eu-central-1:*:alerts",
            "arn:aws:s3:::lake*/x",
        )
        if not is_vague(name)
    ] == []
    assert [
        name
        for name in (
            "000000000000",
            "arn:aws:s3:::lake",
            "arn:aws:events:eu-central-1:000000000000:rule/*",
        )
        if is_vague(name)
    ] == []


def test_unread_policy_attribute_is_detected() -> None:
    policy = {"policy": allow("s3:GetObject", "*", "*")}
    assert policies_elsewhere(Resource("new", "aws_s3_access_point", policy)) == ["policy"]
    assert policies_elsewhere(Resource("new", "aws_s3_bucket_policy", policy)) == []
