"""What must hold for every resource of an environment, by type, so that a new one falls under it by itself.

A rule yields what breaks it, each with the resource's address.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from .stack import Resource, Stack, statements

Finding = str
Rule = Callable[[Stack], Iterator[Finding]]

EXCEPTIONS = tomllib.loads(Path(__file__).with_name("exceptions.toml").read_text("utf-8"))


def encrypted(stack: Stack) -> Iterator[Finding]:
    """What rests is encrypted, with a key of ours wherever the service takes one."""
    keyed = {config.values["bucket"]: config for config in stack.of("aws_s3_bucket_server_side_encryption_configuration")}
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
    "aws_athena_workgroup": lambda it: bool(it.block("configuration", "result_configuration", "encryption_configuration").get("kms_key_arn")),
    "aws_cloudwatch_log_group": lambda it: bool(it.values["kms_key_id"]),
    "aws_ecr_repository": lambda it: bool(it.block("encryption_configuration").get("kms_key")),
    "aws_glue_crawler": lambda it: bool(it.values["security_configuration"]),
    "aws_glue_job": lambda it: bool(it.values["security_configuration"]),
    "aws_glue_security_configuration": lambda it: all(
        it.block("encryption_configuration", part).get("kms_key_arn") for part in ("cloudwatch_encryption", "s3_encryption")
    ),
    "aws_kinesis_firehose_delivery_stream": lambda it: bool(it.block("extended_s3_configuration").get("kms_key_arn")),
    "aws_kinesis_stream": lambda it: it.values["encryption_type"] == "KMS" and bool(it.values["kms_key_id"]),
    "aws_redshiftserverless_namespace": lambda it: bool(it.values["kms_key_id"]),
    "aws_sagemaker_notebook_instance": lambda it: bool(it.values["kms_key_id"]),
    "aws_sns_topic": lambda it: bool(it.values["kms_master_key_id"]),
    "aws_sqs_queue": lambda it: bool(it.values["sqs_managed_sse_enabled"] or it.values["kms_master_key_id"]),
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
    blocks = {block.values["bucket"]: block.values for block in stack.of("aws_s3_bucket_public_access_block")}
    policies = {policy.values["bucket"]: statements(policy.values["policy"]) for policy in stack.of("aws_s3_bucket_policy")}
    for bucket in stack.of("aws_s3_bucket"):
        name = bucket.values["bucket"]
        block = blocks.get(name, {})
        if not all(block.get(part) for part in ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")):
            yield f"{bucket.address} does not block public access"
        wanted = {f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"}
        if not any(each.refuses_plain_http and "s3:*" in each.actions and wanted <= set(each.resources) for each in policies.get(name, [])):
            yield f"{bucket.address} takes requests without TLS"


def closed_queues_and_topics(stack: Stack) -> Iterator[Finding]:
    """Queues and topics take TLS only."""
    policies = {policy.values["arn"]: policy.values["policy"] for policy in stack.of("aws_sns_topic_policy")}
    for queue in stack.of("aws_sqs_queue"):
        if not any(each.refuses_plain_http for each in statements(queue.values["policy"])):
            yield f"{queue.address} takes requests without TLS"
    for topic in stack.of("aws_sns_topic"):
        if not any(each.refuses_plain_http for each in statements(policies.get(topic.values["arn"]))):
            yield f"{topic.address} takes requests without TLS"


def nothing_public(stack: Stack) -> Iterator[Finding]:
    """No policy trusts everybody, nothing listens to the whole internet but the API."""
    for resource, statement in stack.resource_statements():
        # An endpoint's policy takes from what its callers may do, and gives nothing.
        if resource.type != "aws_vpc_endpoint" and statement.allows and "*" in statement.principals and not statement.condition:
            yield f"{resource.address} trusts everybody ({statement.sid})"
    for rule in stack.of("aws_vpc_security_group_ingress_rule"):
        if rule.values["cidr_ipv4"] == "0.0.0.0/0" or rule.values["cidr_ipv6"] == "::/0":
            yield f"{rule.address} lets the whole internet in"
    for group in stack.of("aws_security_group", "aws_default_security_group"):
        for ingress in group.values.get("ingress") or []:
            if "0.0.0.0/0" in ingress["cidr_blocks"] or "::/0" in ingress["ipv6_cidr_blocks"]:
                yield f"{group.address} lets the whole internet in"
    for workgroup in stack.of("aws_redshiftserverless_workgroup"):
        if workgroup.values["publicly_accessible"]:
            yield f"{workgroup.address} is reachable from the internet"
        if not any(each == {"parameter_key": "require_ssl", "parameter_value": "true"} for each in workgroup.values["config_parameter"]):
            yield f"{workgroup.address} takes connections without TLS"
    for notebook in stack.of("aws_sagemaker_notebook_instance"):
        if notebook.values["direct_internet_access"] != "Disabled" or notebook.values["root_access"] != "Disabled":
            yield f"{notebook.address} has the internet or root"


def nothing_is_lost(stack: Stack) -> Iterator[Finding]:
    """Whatever happens asynchronously has a place for what failed."""
    queues = {queue.values["arn"]: queue for queue in stack.of("aws_sqs_queue")}
    for mapping in stack.of("aws_lambda_event_source_mapping"):
        queue = queues.get(mapping.values["event_source_arn"])
        if queue and not json.loads(queue.values["redrive_policy"] or "{}").get("deadLetterTargetArn"):
            yield f"{mapping.address} reads {queue.address}, which has no dead-letter queue"
        if not queue and not mapping.block("destination_config", "on_failure").get("destination_arn"):
            yield f"{mapping.address} has no destination for batches that fail"
    for target in stack.of("aws_cloudwatch_event_target"):
        if not target.block("dead_letter_config").get("arn"):
            yield f"{target.address} has no dead-letter queue"
    for schedule in stack.of("aws_scheduler_schedule"):
        if not schedule.block("target", "dead_letter_config").get("arn"):
            yield f"{schedule.address} has no dead-letter queue"
    for subscription in stack.of("aws_sns_topic_subscription"):
        by_machine = not subscription.values["protocol"].startswith("email")
        if by_machine and not json.loads(subscription.values["redrive_policy"] or "{}").get("deadLetterTargetArn"):
            yield f"{subscription.address} has no dead-letter queue"
    remembered = {
        config.values["function_name"]
        for config in stack.of("aws_lambda_function_event_invoke_config")
        if config.block("destination_config", "on_failure").get("destination")
    }
    for permission in stack.of("aws_lambda_permission"):
        asynchronous = permission.values["principal"] in ("events.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com")
        if asynchronous and permission.values["function_name"] not in remembered:
            yield f"{permission.address}: {permission.values['function_name']} is invoked asynchronously, and forgets what failed"


def logs_end(stack: Stack) -> Iterator[Finding]:
    """Logs are kept as long as somebody decided, and no longer."""
    for group in stack.of("aws_cloudwatch_log_group"):
        if not group.values["retention_in_days"]:
            yield f"{group.address} keeps logs for ever"


def alarms_reach_somebody(stack: Stack) -> Iterator[Finding]:
    """An alarm says so to a topic of this stack."""
    topics = {topic.values["arn"] for topic in stack.of("aws_sns_topic")}
    for alarm in stack.of("aws_cloudwatch_metric_alarm", "aws_cloudwatch_composite_alarm"):
        if not alarm.values["actions_enabled"] or not topics & set(alarm.values["alarm_actions"] or []):
            yield f"{alarm.address} tells nobody"


def narrow_permissions(stack: Stack) -> Iterator[Finding]:
    """No role may do everything of a kind, or something to everything, but for the exceptions with their reasons."""
    for resource, statement in stack.identity_statements():
        if not statement.allows:
            continue
        permitted = set(EXCEPTIONS["every_resource"].get(statement.sid, {}).get("actions", []))
        for action in statement.actions:
            if "*" in action:
                yield f"{resource.address} may do {action} ({statement.sid})"
            elif "*" in statement.resources and action not in permitted:
                yield f"{resource.address} may do {action} to every resource ({statement.sid})"
    for resource, statement in stack.resource_statements():
        for action in statement.actions:
            if statement.allows and "*" in action and action not in EXCEPTIONS["every_action"].get(statement.sid, {}).get("actions", []):
                yield f"{resource.address} lets {', '.join(statement.principals)} do {action} ({statement.sid})"
    for attachment in stack.of("aws_iam_role_policy_attachment"):
        if attachment.values["policy_arn"].rpartition("/")[2] not in EXCEPTIONS["managed_policies"] and ":aws:policy/" in attachment.values["policy_arn"]:
            yield f"{attachment.address} takes {attachment.values['policy_arn']}, which AWS may widen"


def tagged(stack: Stack) -> Iterator[Finding]:
    """Whatever takes tags says whose it is."""
    for resource in stack.resources:
        tags = resource.values.get("tags_all")
        if "tags_all" in resource.values and (tags or {}).get("Environment") != stack.environment:
            yield f"{resource.address} is not tagged with its environment"


def different_names(stack: Stack) -> Iterator[Finding]:
    """Nothing is called as another thing of its kind: AWS would refuse the second, in the middle of a deployment."""
    seen: dict[tuple[object, ...], str] = {}
    for resource in stack.resources:
        scope = [resource.values[name] for name in NAMES_WITHIN if resource.values.get(name)]
        name = next((resource.values[name] for name in NAMES if resource.values.get(name)), None)
        if name and (first := seen.setdefault((resource.type, *map(str, scope), name), resource.address)) != resource.address:
            yield f"{resource.address} is called {name}, as {first} is"


NAMES = ("function_name", "bucket", "dashboard_name", "alarm_name", "policy_name", "name", "identifier", "namespace_name", "workgroup_name")
# What makes two things of one name different ones.
NAMES_WITHIN = (
    "capacity_provider_name", "catalog_id", "database", "database_name", "domain_name", "event_bus_name", "event_source_arn", "group_name", "key",
    "log_group_name", "resource_id", "resource_type", "role", "rule", "service_namespace", "statement_id", "user", "workgroup", "zone_id",
)

RULES: tuple[Rule, ...] = (
    different_names,
    encrypted,
    closed_buckets,
    closed_queues_and_topics,
    nothing_public,
    nothing_is_lost,
    logs_end,
    alarms_reach_somebody,
    narrow_permissions,
    tagged,
)
