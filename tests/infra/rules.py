"""Rules for every resource of an environment, by type, so that new resources are covered.

A rule yields its violations, each with the resource's address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .access import (
    EXCEPTIONS,
    narrow_permissions,
    no_managed_policies,
    nothing_public,
    policies_are_not_inverted,
    roles_are_bounded,
    services_act_for_this_account,
)
from .delivery import (
    alarms_publish_to_a_topic,
    failures_have_a_destination,
    queues_accept_their_senders,
    topics_accept_their_publishers,
)
from .edge import (
    api_does_not_validate_headers,
    body_rules_only_count,
    requests_are_rate_limited,
    waf_logs_only_blocked_requests,
)
from .limits import (
    callers_outlast_callees,
    events_have_reserved_concurrency,
    executions_log_no_data,
    failures_have_custom_names,
    tables_cover_accepted_days,
)
from .stack import Resource, Stack, statements

Finding = str
Rule = Callable[[Stack], Iterator[Finding]]


def encrypted(stack: Stack) -> Iterator[Finding]:
    """Data at rest is encrypted, with a key of the stack if the service supports it."""
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
            yield (
                f"{resource.address}: add {resource.type} to ENCRYPTED in tests/infra/rules.py, or "
                "to tests/infra/exceptions.toml"
            )


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
    *EXCEPTIONS["encrypted_by_parent"],
    *EXCEPTIONS["aws_owned_keys"],
    *EXCEPTIONS["without_data"]["types"],
}


def closed_buckets(stack: Stack) -> Iterator[Finding]:
    """Buckets block public access and require TLS."""
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
            each.denies_plain_http and "s3:*" in each.actions and wanted <= set(each.resources)
            for each in policies.get(name, [])
        ):
            yield f"{bucket.address} accepts requests without TLS"


def closed_queues_and_topics(stack: Stack) -> Iterator[Finding]:
    """Queues and topics require TLS."""
    policies = {
        policy.values["arn"]: policy.values["policy"] for policy in stack.of("aws_sns_topic_policy")
    }
    for queue in stack.of("aws_sqs_queue"):
        if not any(each.denies_plain_http for each in statements(queue.values["policy"])):
            yield f"{queue.address} accepts requests without TLS"
    for topic in stack.of("aws_sns_topic"):
        if not any(
            each.denies_plain_http for each in statements(policies.get(topic.values["arn"]))
        ):
            yield f"{topic.address} accepts requests without TLS"


def logs_expire(stack: Stack) -> Iterator[Finding]:
    """Every log group has a retention."""
    for group in stack.of("aws_cloudwatch_log_group"):
        if not group.values["retention_in_days"]:
            yield f"{group.address} has no retention"


def logs_are_declared(stack: Stack) -> Iterator[Finding]:
    """The log groups of AWS services are declared: otherwise AWS creates them without retention and
    key.
    """
    declared = {group.values["name"] for group in stack.of("aws_cloudwatch_log_group")}
    for resource, group in _logs_to(stack):
        if group not in declared:
            yield f"{resource.address} logs to {group}, which is not declared"


def _logs_to(stack: Stack) -> Iterator[tuple[Resource, str]]:
    """Yields the log groups with names set by AWS."""
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
                "API-Gateway-Execution-Logs_"
                f"{settings.values['rest_api_id']}/{settings.values['stage_name']}",
            )
    for cluster in stack.of("aws_ecs_cluster"):
        # The default is a setting of the account.
        if {"name": "containerInsights", "value": "disabled"} not in (
            cluster.values["setting"] or []
        ):
            yield cluster, f"/aws/ecs/containerinsights/{cluster.values['name']}/performance"
    for namespace in stack.of("aws_redshiftserverless_namespace"):
        for log in namespace.values["log_exports"] or []:
            yield namespace, f"/aws/redshift/{namespace.values['namespace_name']}/{log}"


def tagged(stack: Stack) -> Iterator[Finding]:
    """Every resource with tags has its environment's tag."""
    for resource in stack.resources:
        tags = resource.values.get("tags_all")
        if "tags_all" in resource.values and (tags or {}).get("Environment") != stack.environment:
            yield f"{resource.address} is not tagged with its environment"


def names_are_unique(stack: Stack) -> Iterator[Finding]:
    """Names are unique by type: AWS would reject the second resource during a deployment."""
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
            yield f"{resource.address} has the name {name} of {first}"


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
# Attributes that distinguish resources of the same name.
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
    names_are_unique,
    encrypted,
    closed_buckets,
    closed_queues_and_topics,
    nothing_public,
    failures_have_a_destination,
    logs_expire,
    logs_are_declared,
    alarms_publish_to_a_topic,
    topics_accept_their_publishers,
    queues_accept_their_senders,
    policies_are_not_inverted,
    narrow_permissions,
    no_managed_policies,
    services_act_for_this_account,
    roles_are_bounded,
    body_rules_only_count,
    waf_logs_only_blocked_requests,
    requests_are_rate_limited,
    api_does_not_validate_headers,
    callers_outlast_callees,
    events_have_reserved_concurrency,
    failures_have_custom_names,
    executions_log_no_data,
    tables_cover_accepted_days,
    tagged,
)
