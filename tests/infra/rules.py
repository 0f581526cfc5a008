"""What must hold for every resource of an environment, by type, so that a new one falls under it by
itself.

A rule yields what breaks it, each with the resource's address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .access import (
    EXCEPTIONS,
    narrow_permissions,
    no_managed_policies,
    nothing_public,
    plain_policies,
    roles_are_bounded,
    services_act_for_this_account,
)
from .delivery import (
    alarms_reach_somebody,
    nothing_is_lost,
    queues_take_what_is_sent,
    topics_take_what_is_sent,
)
from .edge import (
    bodies_are_data,
    floods_are_bounded,
    only_what_is_blocked_is_logged,
    the_function_answers,
)
from .limits import (
    callers_wait_for_callees,
    executions_log_no_data,
    failures_have_names_of_their_own,
    tables_show_what_contracts_accept,
)
from .stack import Resource, Stack, statements

Finding = str
Rule = Callable[[Stack], Iterator[Finding]]


def encrypted(stack: Stack) -> Iterator[Finding]:
    """What rests is encrypted, with a key of ours wherever the service takes one."""
    keyed = {
        config.values["bucket"]: config
        for config in stack.of("aws_s3_bucket_server_side_encryption_configuration")
    }
    for bucket in stack.of("aws_s3_bucket"):
        config = keyed.get(bucket.values["bucket"])
        default = config.block("rule", "apply_server_side_encryption_by_default") if config else {}
        if default.get("sse_algorithm") != "aws:kms" or not default.get("kms_master_key_id"):
            yield f"{bucket.address} is not encrypted with a KMS key"
    for resource in stack.resources:
        if (is_encrypted := ENCRYPTED.get(resource.type)) and not is_encrypted(resource):
            yield f"{resource.address} is not encrypted with a KMS key"
        elif resource.type not in CLASSIFIED:
            yield f"{resource.address}: say in tests/infra how {resource.type} is encrypted (rules.py), or that it holds nothing (exceptions.toml)"


ENCRYPTED: dict[str, Callable[[Resource], bool]] = {
    "aws_athena_workgroup": lambda it: bool(
        it.block("configuration", "result_configuration", "encryption_configuration").get(
            "kms_key_arn"
        )
    ),
    "aws_cloudwatch_log_group": lambda it: bool(it.values["kms_key_id"]),
    "aws_ecr_repository": lambda it: bool(it.block("encryption_configuration").get("kms_key")),
    "aws_glue_crawler": lambda it: bool(it.values["security_configuration"]),
    "aws_glue_job": lambda it: bool(it.values["security_configuration"]),
    "aws_glue_security_configuration": lambda it: all(
        it.block("encryption_configuration", part).get("kms_key_arn")
        for part in ("cloudwatch_encryption", "s3_encryption")
    ),
    "aws_kinesis_firehose_delivery_stream": lambda it: bool(
        it.block("extended_s3_configuration").get("kms_key_arn")
    ),
    "aws_kinesis_stream": lambda it: (
        it.values["encryption_type"] == "KMS" and bool(it.values["kms_key_id"])
    ),
    "aws_redshiftserverless_namespace": lambda it: bool(it.values["kms_key_id"]),
    "aws_sagemaker_notebook_instance": lambda it: bool(it.values["kms_key_id"]),
    "aws_sns_topic": lambda it: bool(it.values["kms_master_key_id"]),
    "aws_sqs_queue": lambda it: bool(
        it.values["sqs_managed_sse_enabled"] or it.values["kms_master_key_id"]
    ),
}
CLASSIFIED = {
    "aws_s3_bucket",
    *ENCRYPTED,
    *EXCEPTIONS["encrypted_as_its_parent"],
    *EXCEPTIONS["aws_owned_keys"],
    *EXCEPTIONS["holds_nothing"]["types"],
}


def closed_buckets(stack: Stack) -> Iterator[Finding]:
    """Nobody outside gets at a bucket, and nobody at all without TLS."""
    blocks = {
        block.values["bucket"]: block.values
        for block in stack.of("aws_s3_bucket_public_access_block")
    }
    policies = {
        policy.values["bucket"]: statements(policy.values["policy"])
        for policy in stack.of("aws_s3_bucket_policy")
    }
    for bucket in stack.of("aws_s3_bucket"):
        name = bucket.values["bucket"]
        block = blocks.get(name, {})
        if not all(
            block.get(part)
            for part in (
                "block_public_acls",
                "block_public_policy",
                "ignore_public_acls",
                "restrict_public_buckets",
            )
        ):
            yield f"{bucket.address} does not block public access"
        wanted = {f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"}
        if not any(
            each.refuses_plain_http and "s3:*" in each.actions and wanted <= set(each.resources)
            for each in policies.get(name, [])
        ):
            yield f"{bucket.address} takes requests without TLS"


def closed_queues_and_topics(stack: Stack) -> Iterator[Finding]:
    """Queues and topics take TLS only."""
    policies = {
        policy.values["arn"]: policy.values["policy"] for policy in stack.of("aws_sns_topic_policy")
    }
    for queue in stack.of("aws_sqs_queue"):
        if not any(each.refuses_plain_http for each in statements(queue.values["policy"])):
            yield f"{queue.address} takes requests without TLS"
    for topic in stack.of("aws_sns_topic"):
        if not any(
            each.refuses_plain_http for each in statements(policies.get(topic.values["arn"]))
        ):
            yield f"{topic.address} takes requests without TLS"


def logs_end(stack: Stack) -> Iterator[Finding]:
    """Logs are kept as long as somebody decided, and no longer."""
    for group in stack.of("aws_cloudwatch_log_group"):
        if not group.values["retention_in_days"]:
            yield f"{group.address} keeps logs for ever"


def logs_are_declared(stack: Stack) -> Iterator[Finding]:
    """What AWS logs to is declared: otherwise AWS would create the group itself, without an end and
    without a key.
    """
    declared = {group.values["name"] for group in stack.of("aws_cloudwatch_log_group")}
    for resource, group in _logs_to(stack):
        if group not in declared:
            yield f"{resource.address} logs to {group}, which is not declared"


def _logs_to(stack: Stack) -> Iterator[tuple[Resource, str]]:
    """The groups whose names AWS decides."""
    for function in stack.of("aws_lambda_function"):
        yield (
            function,
            function.block("logging_config").get("log_group")
            or f"/aws/lambda/{function.values['function_name']}",
        )
    for settings in stack.of("aws_api_gateway_method_settings"):
        if settings.block("settings").get("logging_level") not in (None, "OFF"):
            yield (
                settings,
                f"API-Gateway-Execution-Logs_{settings.values['rest_api_id']}/{settings.values['stage_name']}",
            )
    for cluster in stack.of("aws_ecs_cluster"):
        # Where a cluster does not say, a setting of the account decides.
        if {"name": "containerInsights", "value": "disabled"} not in (
            cluster.values["setting"] or []
        ):
            yield cluster, f"/aws/ecs/containerinsights/{cluster.values['name']}/performance"
    for namespace in stack.of("aws_redshiftserverless_namespace"):
        for log in namespace.values["log_exports"] or []:
            yield namespace, f"/aws/redshift/{namespace.values['namespace_name']}/{log}"


def tagged(stack: Stack) -> Iterator[Finding]:
    """Whatever takes tags says whose it is."""
    for resource in stack.resources:
        tags = resource.values.get("tags_all")
        if "tags_all" in resource.values and (tags or {}).get("Environment") != stack.environment:
            yield f"{resource.address} is not tagged with its environment"


def different_names(stack: Stack) -> Iterator[Finding]:
    """Nothing is called as another thing of its kind: AWS would refuse the second, in the middle of
    a deployment.
    """
    seen: dict[tuple[object, ...], str] = {}
    for resource in stack.resources:
        scope = [resource.values[name] for name in NAMES_WITHIN if resource.values.get(name)]
        name = next((resource.values[name] for name in NAMES if resource.values.get(name)), None)
        if (
            name
            and (
                first := seen.setdefault((resource.type, *map(str, scope), name), resource.address)
            )
            != resource.address
        ):
            yield f"{resource.address} is called {name}, as {first} is"


NAMES = (
    "function_name",
    "bucket",
    "dashboard_name",
    "alarm_name",
    "policy_name",
    "name",
    "identifier",
    "namespace_name",
    "workgroup_name",
)
# What makes two things of one name different ones.
NAMES_WITHIN = (
    "capacity_provider_name",
    "catalog_id",
    "database",
    "database_name",
    "domain_name",
    "event_bus_name",
    "event_source_arn",
    "group_name",
    "key",
    "log_group_name",
    "resource_id",
    "resource_type",
    "role",
    "rule",
    "service_namespace",
    "statement_id",
    "user",
    "workgroup",
    "zone_id",
)

RULES: tuple[Rule, ...] = (
    different_names,
    encrypted,
    closed_buckets,
    closed_queues_and_topics,
    nothing_public,
    nothing_is_lost,
    logs_end,
    logs_are_declared,
    alarms_reach_somebody,
    topics_take_what_is_sent,
    queues_take_what_is_sent,
    plain_policies,
    narrow_permissions,
    no_managed_policies,
    services_act_for_this_account,
    roles_are_bounded,
    bodies_are_data,
    only_what_is_blocked_is_logged,
    floods_are_bounded,
    the_function_answers,
    callers_wait_for_callees,
    failures_have_names_of_their_own,
    executions_log_no_data,
    tables_show_what_contracts_accept,
    tagged,
)
