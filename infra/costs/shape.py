"""Reads the billed resources of a deployment from its Terraform plan."""

from __future__ import annotations

import re
from typing import Any

PERIODS = {"daily": 730 / 24, "weekly": 730 / 24 / 7, "monthly": 1.0}
MINUTES = {"minute": 1, "hour": 60, "day": 1440}


def minutes(schedule: str) -> int:
    """Returns the minutes of a rate expression of EventBridge."""
    rate = re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", schedule)
    if not rate:
        raise ValueError(
            f"invalid schedule {schedule}: expected rate(...); add other expressions to shape.py"
        )
    return int(rate[1]) * MINUTES[rate[2]]


def shape(plan: dict[str, Any]) -> dict[str, Any]:
    """Returns the numbers of environments.toml from `terraform show -json` of a plan."""
    planned = [
        each
        for each in plan["resource_changes"]
        if each["mode"] == "managed" and each["change"]["after"] is not None
    ]

    def of(kind: str) -> list[dict[str, Any]]:
        return [each["change"]["after"] for each in planned if each["type"] == kind]

    streams, mappings = of("aws_kinesis_stream"), of("aws_lambda_event_source_mapping")
    firehoses = of("aws_kinesis_firehose_delivery_stream")
    functions = {
        values["function_name"].rsplit("-", 1)[1]: values for values in of("aws_lambda_function")
    }
    (conform, *_) = stream_mappings = [
        mapping for mapping in mappings if mapping["starting_position"]
    ]
    (dispatch,) = [mapping for mapping in mappings if not mapping["starting_position"]]
    delivery = firehoses[0]["extended_s3_configuration"][0]
    workgroups, glue_jobs = of("aws_redshiftserverless_workgroup"), of("aws_glue_job")
    limits = [
        limit
        for limit in of("aws_redshiftserverless_usage_limit")
        if limit["breach_action"] == "deactivate"
    ]
    schedules = {
        rule["name"].rsplit("-", 1)[1]: minutes(rule["schedule_expression"])
        for rule in of("aws_cloudwatch_event_rule")
        if rule["schedule_expression"]
    }
    tasks, connectors = of("aws_ecs_task_definition"), of("aws_ecr_repository")
    insights = any(
        setting["name"] == "containerInsights" and setting["value"] != "disabled"
        for cluster in of("aws_ecs_cluster")
        for setting in cluster["setting"]
    )
    # Functions write most logs. The name of other groups may be unknown in a plan.
    logs = [
        group
        for group in of("aws_cloudwatch_log_group")
        if (group.get("name") or "").startswith("/aws/lambda/")
    ]
    return {
        "requests_per_second": round(
            min(
                each["settings"][0]["throttling_rate_limit"]
                for each in of("aws_api_gateway_method_settings")
            )
        ),
        "streams": len(streams),
        "event_streams": len(stream_mappings),
        "shards": streams[0]["shard_count"] or 0,
        "retention_hours": streams[0]["retention_period"],
        "firehose_seconds": delivery["buffering_interval"],
        "firehose_mb": delivery["buffering_size"],
        "archive_days": next(
            each["days"]
            for lifecycle in of("aws_s3_bucket_lifecycle_configuration")
            for rule in lifecycle["rule"]
            for each in rule["transition"]
        ),
        "conform_records": conform["batch_size"],
        "conform_seconds": conform["maximum_batching_window_in_seconds"],
        "dispatch_messages": dispatch["batch_size"],
        "dispatch_seconds": dispatch["maximum_batching_window_in_seconds"],
        "memory_mb": {name: values["memory_size"] for name, values in sorted(functions.items())},
        "freshness_minutes": schedules["freshness"],
        "sweep_minutes": schedules["sweep"],
        "glue_above_mb": plan["variables"]["glue_above_mb"]["value"] if glue_jobs else 0,
        "glue_workers": glue_jobs[0]["number_of_workers"] if glue_jobs else 0,
        "glue_runs": glue_jobs[0]["execution_property"][0]["max_concurrent_runs"]
        if glue_jobs
        else 0,
        "warehouse_rpus": workgroups[0]["base_capacity"] if workgroups else 0,
        "warehouse_max_rpus": workgroups[0]["max_capacity"] if workgroups else 0,
        "warehouse_limit_rpu_hours_month": round(
            min(limit["amount"] * PERIODS[limit["period"]] for limit in limits)
        )
        if limits
        else 0,
        "snapshot_days": (plan["variables"]["warehouse_snapshot_days"].get("value") or 0)
        if workgroups
        else 0,
        "log_days": max(group["retention_in_days"] for group in logs),
        "logs_every_step": any(
            machine["logging_configuration"][0]["level"] == "ALL"
            for machine in of("aws_sfn_state_machine")
        ),
        "alarm_metrics": sum(
            max(1, sum(1 for query in alarm["metric_query"] if query["metric"]))
            for alarm in of("aws_cloudwatch_metric_alarm")
        ),
        "insights_groups": 1 + len(connectors) if insights else 0,
        "dashboards": len(of("aws_cloudwatch_dashboard")),
        "waf_acls": len(of("aws_wafv2_web_acl")),
        "waf_rules": sum(len(acl["rule"]) for acl in of("aws_wafv2_web_acl")),
        "keys": len(of("aws_kms_key")),
        "secrets": len(of("aws_secretsmanager_secret"))
        + sum(
            1 for each in of("aws_redshiftserverless_namespace") if each["manage_admin_password"]
        ),
        "repositories": len(connectors),
        "endpoint_zones": sum(
            len(endpoint.get("subnet_ids") or [None])
            for endpoint in of("aws_vpc_endpoint")
            if endpoint["vpc_endpoint_type"] == "Interface"
        ),
        "nat_gateways": len(of("aws_nat_gateway")),
        "task_cpu": int(tasks[0]["cpu"]) if tasks else 256,
        "task_memory_mb": int(tasks[0]["memory"]) if tasks else 512,
    }


def toml(shapes: dict[str, dict[str, Any]]) -> str:
    """Returns the content of environments.toml."""
    lines = [
        "# The billed resources of each environment, from its Terraform plan. Written by",
        "#   python3 infra/costs/estimate.py --plans <folder of the plans>",
        "# and compared with the plans by the tests. shards = 0: on demand.",
    ]
    for environment, values in shapes.items():
        lines += ["", f"[{environment}]"]
        for name, value in values.items():
            if isinstance(value, dict):
                lines += [f"{name}.{key} = {each}" for key, each in value.items()]
            else:
                lines.append(f"{name} = {str(value).lower()}")
    return "\n".join(lines) + "\n"
