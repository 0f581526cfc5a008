"""Rules about delivery: events, messages, alarms, and the permissions to deliver them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase

from .stack import Resource, Stack, Statement, statements

EVENTS = "events.amazonaws.com"


def failures_have_a_destination(stack: Stack) -> Iterator[str]:
    """Every asynchronous invocation and delivery has a destination for failures."""
    queues = {queue.values["arn"]: queue for queue in stack.of("aws_sqs_queue")}
    for mapping in stack.of("aws_lambda_event_source_mapping"):
        queue = queues.get(mapping.values["event_source_arn"])
        if queue and not json.loads(queue.values["redrive_policy"] or "{}").get(
            "deadLetterTargetArn"
        ):
            yield f"{mapping.address} reads {queue.address}, which has no dead-letter queue"
        if not queue and not mapping.block("destination_config", "on_failure").get(
            "destination_arn"
        ):
            yield f"{mapping.address} has no destination for failed batches"
    for target in stack.of("aws_cloudwatch_event_target"):
        if not target.block("dead_letter_config").get("arn"):
            yield f"{target.address} has no dead-letter queue"
    for schedule in stack.of("aws_scheduler_schedule"):
        if not schedule.block("target", "dead_letter_config").get("arn"):
            yield f"{schedule.address} has no dead-letter queue"
    for subscription in stack.of("aws_sns_topic_subscription"):
        by_program = not subscription.values["protocol"].startswith("email")
        if by_program and not json.loads(subscription.values["redrive_policy"] or "{}").get(
            "deadLetterTargetArn"
        ):
            yield f"{subscription.address} has no dead-letter queue"
    with_destination = {
        config.values["function_name"]
        for config in stack.of("aws_lambda_function_event_invoke_config")
        if config.block("destination_config", "on_failure").get("destination")
    }
    for permission in stack.of("aws_lambda_permission"):
        asynchronous = permission.values["principal"] in (
            EVENTS,
            "s3.amazonaws.com",
            "sns.amazonaws.com",
        )
        if asynchronous and permission.values["function_name"] not in with_destination:
            function = permission.values["function_name"]
            yield f"{permission.address}: {function} is asynchronous without a failure destination"


def alarms_publish_to_a_topic(stack: Stack) -> Iterator[str]:
    """Every alarm publishes to a topic of this stack."""
    topics = {topic.values["arn"] for topic in stack.of("aws_sns_topic")}
    for alarm in stack.of("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm"):
        if not alarm.values["actions_enabled"] or not topics & set(
            alarm.values["alarm_actions"] or []
        ):
            yield f"{alarm.address} publishes to no topic"


def topics_accept_their_publishers(stack: Stack) -> Iterator[str]:
    """The policies of a topic and of its key allow its publishers: alarms, budgets and rules. A
    rejected message is lost silently.
    """
    policies = {
        policy.values["arn"]: statements(policy.values["policy"])
        for policy in stack.of("aws_sns_topic_policy")
    }
    topics = {topic.values["arn"]: topic for topic in stack.of("aws_sns_topic")}
    for sender, service, arn in _publishers(stack):
        if not (topic := topics.get(arn)):
            yield f"{sender.address} publishes to {arn}, which is not a topic of this stack"
            continue
        if not _allows(stack, policies.get(arn, []), service, "sns:Publish", arn, sender):
            yield f"{topic.address} does not let {service} publish for {sender.address}"
        if (name := topic.values["kms_master_key_id"]) and not _may_use_key(
            stack, name, service, sender
        ):
            yield f"the key of {topic.address} does not let {service} encrypt for {sender.address}"


def queues_accept_their_senders(stack: Stack) -> Iterator[str]:
    """The policy of a queue allows its senders: rules and schedules, dead-letter messages too."""
    policies = {
        policy.values["queue_url"]: policy.values["policy"]
        for policy in stack.of("aws_sqs_queue_policy")
    }
    queues = {queue.values["arn"]: queue for queue in stack.of("aws_sqs_queue")}
    rules = {
        (rule.values["event_bus_name"], rule.values["name"]): rule
        for rule in stack.of("aws_cloudwatch_event_rule")
    }
    for target in stack.of("aws_cloudwatch_event_target"):
        rule = rules[target.values["event_bus_name"], target.values["rule"]]
        for arn in filter(
            None,
            (
                target.block("dead_letter_config").get("arn"),
                target.values["arn"] if ":sqs:" in target.values["arn"] else None,
            ),
        ):
            if not (queue := queues.get(arn)):
                yield f"{target.address} sends to {arn}, which is not a queue of this stack"
                continue
            found = statements(queue.values["policy"]) or statements(
                policies.get(queue.values["url"])
            )
            if not _allows(stack, found, EVENTS, "sqs:SendMessage", arn, rule):
                yield f"{queue.address} does not let {rule.address} send to it"
            if (name := queue.values["kms_master_key_id"]) and not _may_use_key(
                stack, name, EVENTS, rule
            ):
                yield f"the key of {queue.address} does not let {rule.address} encrypt"
    roles = {role.values["arn"]: role for role in stack.of("aws_iam_role")}
    for schedule in stack.of("aws_scheduler_schedule"):
        arn, role = (
            schedule.block("target", "dead_letter_config").get("arn"),
            roles.get(schedule.block("target")["role_arn"]),
        )
        if arn and not (role and arn in queues and _role_may(stack, role, "sqs:SendMessage", arn)):
            yield f"the role of {schedule.address} may not send to {arn}"


def _publishers(stack: Stack) -> Iterator[tuple[Resource, str, str]]:
    """Yields the publishers of topics: resource, service, topic."""
    for alarm in stack.of("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm"):
        for kind in ("alarm_actions", "ok_actions", "insufficient_data_actions"):
            for arn in alarm.values.get(kind) or []:
                if ":sns:" in arn:
                    yield alarm, "cloudwatch.amazonaws.com", arn
    for budget in stack.of("aws_budgets_budget"):
        for notification in budget.values["notification"] or []:
            for arn in notification["subscriber_sns_topic_arns"] or []:
                yield budget, "budgets.amazonaws.com", arn
    for target in stack.of("aws_cloudwatch_event_target"):
        if ":sns:" in target.values["arn"]:
            yield target, EVENTS, target.values["arn"]


def _allows(
    stack: Stack, policy: list[Statement], service: str, action: str, arn: str, sender: Resource
) -> bool:
    """Returns whether a policy allows a service an action for a sender."""
    return any(
        statement.allows
        and service in statement.principals
        and statement.covers(action, arn)
        and all(_condition_holds(stack, test, service, action, sender) for test in statement.tests)
        for statement in policy
    )


def _condition_holds(
    stack: Stack,
    test: tuple[str, str, tuple[str, ...]],
    service: str,
    action: str,
    sender: Resource,
) -> bool:
    """Returns whether a condition certainly allows a sender.

    A rule sends neither account nor ARN to a topic or a key.
    """
    if service == EVENTS and not action.startswith("sqs:"):
        return False
    match test:
        case ("StringEquals", "aws:SourceAccount", values):
            return stack.account in values
        case ("ArnEquals" | "ArnLike", "aws:SourceArn", values):
            return any(fnmatchcase(str(sender.values["arn"]), value) for value in values)
        case _:
            return False


def _may_use_key(stack: Stack, name: str, service: str, sender: Resource) -> bool:
    """Returns whether a key of the stack allows a service to encrypt for a sender."""
    policy = next(
        (
            statements(key.values["policy"])
            for key in stack.of("aws_kms_key")
            if name in (key.values["arn"], key.values["key_id"])
        ),
        [],
    )
    return all(
        _allows(stack, policy, service, action, name, sender)
        for action in ("kms:Decrypt", "kms:GenerateDataKey")
    )


def _role_may(stack: Stack, role: Resource, action: str, arn: str) -> bool:
    policies = [
        policy
        for policy in stack.of("aws_iam_role_policy")
        if policy.values["role"] in (role.values["id"], role.values["name"])
    ]
    return any(
        statement.allows
        and action in statement.actions
        and arn in statement.resources
        and not statement.condition
        for policy in policies
        for statement in statements(policy.values["policy"])
    )
