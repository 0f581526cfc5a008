"""The local cloud has no resources of services that LocalStack lacks."""

from __future__ import annotations

from pathlib import Path

from dev.plan import INFRA, PACKAGES, Planner, created

# Services by the second word of Terraform's types, and types of EC2.
ON_AWS_ONLY = {
    "appautoscaling", "athena", "budgets", "ecr", "ecs", "glue", "lakeformation",
    "redshiftserverless", "sagemaker", "scheduler", "wafv2",
    "eip", "flow", "internet", "nat", "route", "security", "subnet", "vpc",
}  # fmt: skip


def test_local_cloud_has_only_supported_services(tmp_path: Path) -> None:
    variables = (
        f"-var-file={INFRA / 'environments' / 'local.tfvars'}",
        f"-var=packages_dir={PACKAGES}",
    )
    with Planner(INFRA, tmp_path, "us-east-1", *variables) as planner:
        types = set(created(planner.plan()))
    assert {kind for kind in types if kind.split("_")[1] in ON_AWS_ONLY} == set()
    assert {"aws_kinesis_stream", "aws_lambda_function", "aws_sfn_state_machine"} <= types
