"""The root that is applied once per account: the states' bucket, and who may deploy."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pipeline.plan import ENVIRONMENTS

from . import access, rules
from .conftest import BOOTSTRAP, Documents
from .deployer import NEEDED, NEEDED_ON, NOT_NEEDED, Table, allowed, knows_no_resource, needed, service_of, table, types
from .stack import Stack, statements

RULES = (rules.closed_buckets, access.nothing_public, access.plain_policies, access.no_managed_policies)
LONGEST_POLICY = 6144
"""Characters of a managed policy, white space apart."""


@pytest.fixture(scope="module")
def stack(documents: Documents) -> Stack:
    return Stack("bootstrap", documents(BOOTSTRAP))


def policy(stack: Stack, environment: str) -> str:
    return next(str(each.values["policy"]) for each in stack.of("aws_iam_policy") if each.values["name"] == f"shoplake-deploy-{environment}")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
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


# ---- a deployer may do what Terraform asks of it ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def actions() -> Table:
    return table()


@pytest.fixture(scope="module")
def everything(documents: Documents) -> Stack:
    return Stack("prod", documents("everything"))


def test_a_deployer_may_do_what_knows_no_narrower_resource(stack: Stack, everything: Stack, actions: Table) -> None:
    granted = statements(policy(stack, "prod"))
    assert [f"{action} on {resource}" for action, resource in needed(everything, actions) if not allowed(granted, action, resource)] == []


def test_a_deployer_may_use_every_service(stack: Stack, everything: Stack, actions: Table) -> None:
    services = {action.partition(":")[0] for statement in statements(policy(stack, "prod")) if statement.allows for action in statement.actions}
    assert services <= set(actions), "no service of AWS"
    used = {service_of(kind)[0] for kind in types(everything)}
    assert used <= set(actions), "no service of AWS: say in deployer.py which one it is"
    assert used - services == set()


def test_the_lists_are_of_what_is_deployed_and_of_what_aws_says(everything: Stack, actions: Table) -> None:
    assert set(NEEDED) | set(NEEDED_ON) <= types(everything)
    declared = {action for some in NEEDED.values() for action in some} | set(NOT_NEEDED)
    assert sorted(action for action in declared if not knows_no_resource(action, actions)) == []


@pytest.mark.parametrize("action", ["logs:PutQueryDefinition", "glue:CreateCrawler", "kinesis:UpdateStreamMode", "sns:Unsubscribe"])
def test_an_action_that_is_not_granted_is_noticed(stack: Stack, everything: Stack, actions: Table, action: str) -> None:
    assert (action, "*") in set(needed(everything, actions))
    fewer = [statement for statement in statements(policy(stack, "prod")) if statement.sid != "ManageSettings"]
    assert not allowed(fewer, action, "*")
