"""The rules hold for every environment; and each notices what it is there for."""

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
    vague,
)

# Where policies are; a web ACL's statements are of another kind.
POLICIES = {*IDENTITY_POLICIES.items(), *RESOURCE_POLICIES.items(), *TRUST_POLICIES.items()}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_environment_keeps_the_rule(stack: Stack, rule: Rule) -> None:
    assert list(rule(stack)) == []


def test_every_policy_can_be_read(document: dict[str, Any]) -> None:
    """Otherwise the rules would look past what is not known yet."""
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


def test_every_policy_is_looked_at(stack: Stack) -> None:
    """Otherwise say in stack.py where the type keeps its policy."""
    assert [
        f"{resource.address}: {attribute}"
        for resource in stack.resources
        for attribute in policies_elsewhere(resource)
    ] == []


def policies_elsewhere(resource: Resource) -> list[str]:
    """Attributes that hold a policy, and that no rule reads."""
    return [
        name
        for name, value in resource.values.items()
        if (resource.type, name) not in POLICIES
        and re.search(r'\\*"Effect\\*": *\\*"(Allow|Deny)', json.dumps(value))
    ]


def test_every_exception_is_needed(documents: Documents) -> None:
    """Taking it away breaks a rule in some environment."""
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


def test_every_type_that_is_classified_exists() -> None:
    types = {
        found
        for path in INFRA.rglob("*.tf")
        if "bootstrap" not in path.parts
        for found in re.findall(r'^resource "(\w+)"', path.read_text("utf-8"), re.MULTILINE)
    }
    assert types >= rules.CLASSIFIED


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


def forget(address: str) -> Callable[[Stack], None]:
    """Takes the resources away whose address begins so."""

    def apply(stack: Stack) -> None:
        kept = [
            resource for resource in stack.resources if not resource.address.startswith(address)
        ]
        assert len(kept) < len(stack.resources), f"the plan has no {address}"
        stack.resources = kept

    return apply


def edit(
    address: str, attribute: str, spoil: Callable[[list[dict[str, Any]]], object]
) -> Callable[[Stack], None]:
    """Edits the statements of the policy of the resource at an address."""

    def apply(stack: Stack) -> None:
        (touched,) = [resource for resource in stack.resources if resource.address == address]
        content = json.loads(touched.values[attribute])
        spoil(content["Statement"])
        touched.values[attribute] = json.dumps(content)

    return apply


def without(sid: str) -> Callable[[list[dict[str, Any]]], None]:
    """Takes a statement away."""

    def apply(policy: list[dict[str, Any]]) -> None:
        policy.remove(next(statement for statement in policy if statement["Sid"] == sid))

    return apply


def with_part(sid: str, **parts: object) -> Callable[[list[dict[str, Any]]], None]:
    """Sets parts of a statement."""

    def apply(policy: list[dict[str, Any]]) -> None:
        next(statement for statement in policy if statement["Sid"] == sid).update(parts)

    return apply


def allow(action: str, resource: str, principal: object = None, **more: object) -> str:
    """A policy of one statement."""
    statement: Values = {
        "Sid": "Made",
        "Effect": "Allow",
        "Action": action,
        "Resource": resource,
    } | more
    return json.dumps({"Statement": [statement | ({"Principal": principal} if principal else {})]})


CONFORM = "module.conform.aws_iam_role_policy.this"
OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "000000000000"}}

DOCTORED: dict[str, tuple[Rule, Callable[[Stack], None]]] = {
    "two roles of one name": (
        rules.different_names,
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
    "a type that nobody has thought about": (
        rules.encrypted,
        lambda stack: stack.resources.append(
            Resource("aws_dynamodb_table.new", "aws_dynamodb_table", {})
        ),
    ),
    "a bucket without a public access block": (
        rules.closed_buckets,
        remove("aws_s3_bucket_public_access_block"),
    ),
    "a bucket that lets public policies be": (
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
    "a bucket for everybody": (
        access.nothing_public,
        change("module.lake.aws_s3_bucket_policy.this", policy=allow("s3:GetObject", "*", "*")),
    ),
    "a bucket for everybody who speaks TLS": (
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
    "a queue for whoever names no account": (
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
    "a role for everybody": (
        access.nothing_public,
        change(
            "module.conform.aws_iam_role.this",
            assume_role_policy=allow("sts:AssumeRole", "*", {"AWS": "*"}),
        ),
    ),
    "a function that anybody's API may invoke": (
        access.nothing_public,
        change("module.api.aws_lambda_permission", source_arn=None),
    ),
    "a function that the API of any account may invoke": (
        access.nothing_public,
        change(
            "module.api.aws_lambda_permission",
            source_arn="arn:aws:execute-api:eu-central-1:*:webhook/*",
        ),
    ),
    "a function that anybody may invoke": (
        access.nothing_public,
        change("aws_lambda_permission.freshness", principal="*", source_arn=None),
    ),
    "a warehouse on the internet": (
        access.nothing_public,
        change("module.warehouse", publicly_accessible=True),
    ),
    "a stream's batches that are lost": (
        delivery.nothing_is_lost,
        change("aws_lambda_event_source_mapping.conform", destination_config=[]),
    ),
    "a queue without dead letters": (
        delivery.nothing_is_lost,
        change("module.dirty_queue.module.queue", redrive_policy=None),
    ),
    "a rule without dead letters": (
        delivery.nothing_is_lost,
        change("aws_cloudwatch_event_target.freshness", dead_letter_config=[]),
    ),
    "an invocation that is forgotten": (
        delivery.nothing_is_lost,
        remove("aws_lambda_function_event_invoke_config"),
    ),
    "logs for ever": (
        rules.logs_end,
        change("module.load.aws_cloudwatch_log_group.this", retention_in_days=0),
    ),
    "an alarm that tells nobody": (
        delivery.alarms_reach_somebody,
        lambda stack: [
            alarm.values.update(alarm_actions=[])
            for alarm in stack.of("aws_cloudwatch_metric_alarm")
        ][0],
    ),
    "an alarm that is switched off": (
        delivery.alarms_reach_somebody,
        lambda stack: [
            alarm.values.update(actions_enabled=False)
            for alarm in stack.of("aws_cloudwatch_metric_alarm")
        ][0],
    ),
    "an alarm whose topic lets no alarm publish": (
        delivery.topics_take_what_is_sent,
        edit("module.alerts.aws_sns_topic_policy.this", "policy", without("AlarmsOfThisAccount")),
    ),
    "a rule whose topic lets no rule publish": (
        delivery.topics_take_what_is_sent,
        edit("module.alerts.aws_sns_topic_policy.this", "policy", without("Rules")),
    ),
    "a rule whose topic asks for an account": (
        delivery.topics_take_what_is_sent,
        edit(
            "module.alerts.aws_sns_topic_policy.this",
            "policy",
            with_part("Rules", Condition=OWN_ACCOUNT),
        ),
    ),
    "a rule whose topic's key asks for an account": (
        delivery.topics_take_what_is_sent,
        edit(
            "module.keys.aws_kms_key.data",
            "policy",
            with_part("PublishEventsToEncryptedTopic", Condition=OWN_ACCOUNT),
        ),
    ),
    "an alarm whose topic's key lets no alarm encrypt": (
        delivery.topics_take_what_is_sent,
        edit("module.keys.aws_kms_key.data", "policy", without("PublishAlarmsToEncryptedTopic")),
    ),
    "an alarm whose topic asks for another account": (
        delivery.topics_take_what_is_sent,
        edit(
            "module.alerts.aws_sns_topic_policy.this",
            "policy",
            with_part(
                "AlarmsOfThisAccount",
                Condition={"StringEquals": {"aws:SourceAccount": "111111111111"}},
            ),
        ),
    ),
    "a budget with somebody else's topic": (
        delivery.topics_take_what_is_sent,
        change(
            "aws_budgets_budget.monthly",
            notification=[
                {"subscriber_sns_topic_arns": ["arn:aws:sns:eu-central-1:111111111111:alerts"]}
            ],
        ),
    ),
    "a rule whose dead letters are refused": (
        delivery.queues_take_what_is_sent,
        edit(
            "module.control_failed[0].aws_sqs_queue.this",
            "policy",
            without("TakeEventsOfTheseRules"),
        ),
    ),
    "a rule whose dead letters another rule may send": (
        delivery.queues_take_what_is_sent,
        edit(
            "module.control_failed[0].aws_sqs_queue.this",
            "policy",
            with_part(
                "TakeEventsOfTheseRules",
                Condition={
                    "ArnEquals": {
                        "aws:SourceArn": "arn:aws:events:eu-central-1:000000000000:rule/other"
                    }
                },
            ),
        ),
    ),
    "a schedule whose role keeps no dead letters": (
        delivery.queues_take_what_is_sent,
        edit(
            'module.connector["pos"].aws_iam_role_policy.schedule',
            "policy",
            without("SayWhatFailed"),
        ),
    ),
    "an API's own log that AWS would create": (
        rules.logs_are_declared,
        forget("module.api.aws_cloudwatch_log_group.execution"),
    ),
    "a cluster's metrics that AWS would create": (
        rules.logs_are_declared,
        change("aws_ecs_cluster.connectors", name="other"),
    ),
    "a function's log that AWS would create": (
        rules.logs_are_declared,
        forget("module.load.aws_cloudwatch_log_group.this"),
    ),
    "a warehouse's log that AWS would create": (
        rules.logs_are_declared,
        forget("module.warehouse[0].aws_cloudwatch_log_group"),
    ),
    "a role that may do all to a bucket": (
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
    "a role that may do all but something": (
        access.plain_policies,
        change(
            CONFORM,
            policy='{"Statement": {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}}',
        ),
    ),
    "a role that may follow everybody's statements": (
        access.narrow_permissions,
        edit(
            "module.load.aws_iam_role_policy.this",
            "policy",
            with_part("FollowOwnStatements", Condition={}),
        ),
    ),
    "a role that may write everybody's metrics": (
        access.narrow_permissions,
        edit("aws_iam_role_policy.glue[0]", "policy", with_part("WriteJobMetrics", Condition={})),
    ),
    "a key that a service may do all with": (
        access.narrow_permissions,
        change("module.keys.aws_kms_key.data", policy=allow("kms:*", "*", {"Service": "x"})),
    ),
    "a key for all but somebody": (
        access.plain_policies,
        change(
            "module.keys.aws_kms_key.data",
            policy='{"Statement": {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "*", "NotPrincipal": "x"}}',
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
    "a bucket of nobody": (rules.tagged, change("module.lake.aws_s3_bucket.this", tags_all={})),
}


@pytest.mark.parametrize("case", DOCTORED.values(), ids=DOCTORED)
def test_the_rule_notices(documents: Documents, case: tuple[Rule, Callable[[Stack], None]]) -> None:
    rule, spoil = case
    stack = copy.deepcopy(Stack("prod", documents("everything")))
    assert list(rule(stack)) == []
    spoil(stack)
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
def test_a_wide_arn_is_one(arn: str) -> None:
    assert too_wide(arn)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:s3:::lake/jobs/*/running.json",
        "arn:aws:ssm:eu-central-1:000000000000:parameter/shoplake-prod/shops/*",
        "arn:aws:logs:eu-central-1:000000000000:log-group:/aws/lambda/shoplake-prod-load:*",
        "arn:aws:iam::000000000000:role/shoplake-prod-*",
        "arn:aws:glue:eu-central-1:000000000000:table/shoplake_prod/*",
    ],
)
def test_a_narrow_arn_is_none(arn: str) -> None:
    assert not too_wide(arn)


def test_what_leaves_open_whose_it_is_pins_nothing() -> None:
    assert [
        name
        for name in (
            "*",
            "arn:aws:s3:::*",
            "arn:aws:sns:eu-central-1:*:alerts",
            "arn:aws:s3:::lake*/x",
        )
        if not vague(name)
    ] == []
    assert [
        name
        for name in (
            "000000000000",
            "arn:aws:s3:::lake",
            "arn:aws:events:eu-central-1:000000000000:rule/*",
        )
        if vague(name)
    ] == []


def test_a_policy_that_no_rule_reads_is_noticed() -> None:
    policy = {"policy": allow("s3:GetObject", "*", "*")}
    assert policies_elsewhere(Resource("new", "aws_s3_access_point", policy)) == ["policy"]
    assert policies_elsewhere(Resource("new", "aws_s3_bucket_policy", policy)) == []
