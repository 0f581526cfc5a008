"""The root that is applied once per account: the states' bucket, and who may deploy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pipeline.plan import INFRA, Planner

from . import rules
from .settled import settled_plan
from .stack import Stack, statements

ENVIRONMENTS = ("dev", "staging", "prod")
LONGEST_POLICY = 6144
"""Characters of a managed policy, white space apart."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Stack:
    folder = tmp_path_factory.mktemp("bootstrap")
    return Stack("bootstrap", settled_plan(Planner(INFRA / "bootstrap", folder, "eu-central-1", "-var=github_repository=acme/shoplake")))


def policy(stack: Stack, environment: str) -> str:
    return next(str(each.values["policy"]) for each in stack.of("aws_iam_policy") if each.values["name"] == f"shoplake-deploy-{environment}")


@pytest.mark.parametrize("rule", [rules.closed_buckets, rules.nothing_public], ids=lambda rule: rule.__name__)
def test_the_rules_hold_here_too(stack: Stack, rule: rules.Rule) -> None:
    assert list(rule(stack)) == []


def test_states_are_encrypted_and_kept(stack: Stack) -> None:
    (encryption,) = stack.of("aws_s3_bucket_server_side_encryption_configuration")
    assert encryption.block("rule", "apply_server_side_encryption_by_default")["sse_algorithm"] == "aws:kms"
    (versioning,) = stack.of("aws_s3_bucket_versioning")
    assert versioning.block("versioning_configuration")["status"] == "Enabled"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_jobs_of_the_environment_may_deploy_it(stack: Stack, environment: str) -> None:
    role = next(each for each in stack.of("aws_iam_role") if each.values["name"] == f"shoplake-deploy-{environment}")
    (trust,) = statements(role.values["assume_role_policy"])
    assert trust.actions == ("sts:AssumeRoleWithWebIdentity",)
    assert trust.condition == {
        "StringEquals": {
            "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
            "token.actions.githubusercontent.com:sub": f"repo:acme/shoplake:environment:{environment}",
        }
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_deployer_is_bounded(stack: Stack, environment: str) -> None:
    text = policy(stack, environment)
    assert len("".join(json.dumps(json.loads(text), separators=(",", ":")).split())) <= LONGEST_POLICY
    of: dict[str, Any] = {statement.sid: statement for statement in statements(text)}
    others = [name for name in ENVIRONMENTS if name != environment]
    assert not any(f"shoplake-{other}" in text for other in others)
    assert all(action.startswith("iam:") and "*" not in action for action in of["ManageRoles"].actions)
    assert of["ManageRoles"].resources == (f"arn:aws:iam::000000000000:role/shoplake-{environment}-*",)
    assert of["LeaveDeployersAlone"].effect == "Deny"
    assert not any(action.startswith(("iam:", "organizations:", "account:", "sts:")) for action in of["ManageWhatAwsNames"].actions)
