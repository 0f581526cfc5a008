"""The root that is applied once per account: the states' bucket, and who may deploy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev.plan import ENVIRONMENTS, INFRA, Planner

from . import access, rules
from .conftest import BOOTSTRAP, Documents
from .deployer import (
    NEEDED,
    NEEDED_ON,
    NOT_NEEDED,
    Table,
    allowed,
    knows_no_resource,
    needed,
    service_of,
    table,
    types,
)
from .stack import Stack, Statement, statements

RULES = (
    rules.closed_buckets,
    access.nothing_public,
    access.plain_policies,
    access.no_managed_policies,
    access.services_act_for_this_account,
)
GITHUB = "token.actions.githubusercontent.com"
LONGEST_POLICY = 6144
"""Characters of a managed policy, white space apart."""


@pytest.fixture(scope="module")
def stack(documents: Documents) -> Stack:
    return Stack("bootstrap", documents(BOOTSTRAP))


def policy(stack: Stack, environment: str) -> str:
    return next(
        str(each.values["policy"])
        for each in stack.of("aws_iam_policy")
        if each.values["name"] == f"shoplake-deploy-{environment}"
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rules_hold_here_too(stack: Stack, rule: rules.Rule) -> None:
    assert list(rule(stack)) == []


def test_states_are_encrypted_and_kept(stack: Stack) -> None:
    (encryption,) = stack.of("aws_s3_bucket_server_side_encryption_configuration")
    assert (
        encryption.block("rule", "apply_server_side_encryption_by_default")["sse_algorithm"]
        == "aws:kms"
    )
    (versioning,) = stack.of("aws_s3_bucket_versioning")
    assert versioning.block("versioning_configuration")["status"] == "Enabled"


# ---- who deploys ---------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_jobs_of_the_environment_may_deploy_it(stack: Stack, environment: str) -> None:
    assert subjects(stack, environment) == (f"repo:acme/shoplake:environment:{environment}",)


def subjects(stack: Stack, environment: str) -> tuple[str, ...]:
    """What GitHub has to say of a job that may be the environment's deployer."""
    role = next(
        each
        for each in stack.of("aws_iam_role")
        if each.values["name"] == f"shoplake-deploy-{environment}"
    )
    (trust,) = statements(role.values["assume_role_policy"])
    assert trust.actions == ("sts:AssumeRoleWithWebIdentity",)
    claims = {(operator, key): values for operator, key, values in trust.tests}
    assert claims.pop(("StringEquals", f"{GITHUB}:aud")) == ("sts.amazonaws.com",)
    assert set(claims) == {("StringEquals", f"{GITHUB}:sub")}, (
        "a pattern would let in names that are made to fit"
    )
    return claims["StringEquals", f"{GITHUB}:sub"]


@pytest.mark.parametrize(
    ("variables", "repositories"),
    [
        (["github_repository=acme/shoplake"], ["acme/shoplake"]),
        (["github_repository=acme@123/shop.lake@456"], ["acme@123/shop.lake@456"]),
        (
            ["github_repository=acme@123/shoplake@456", "github_names_without_ids=true"],
            ["acme/shoplake", "acme@123/shoplake@456"],
        ),
    ],
)
def test_subjects_with_and_without_ids_are_trusted(
    variables: list[str], repositories: list[str], tmp_path: Path
) -> None:
    with bootstrap(tmp_path, 'environments=["dev"]', *variables) as planner:
        stack = Stack("bootstrap", planner.plan())
    assert sorted(subjects(stack, "dev")) == [
        f"repo:{repository}:environment:dev" for repository in repositories
    ]


def bootstrap(folder: Path, *variables: str) -> Planner:
    """Plans the root with other variables."""
    return Planner(
        INFRA / "bootstrap", folder, "eu-central-1", *(f"-var={variable}" for variable in variables)
    )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (['environments=["dev"]', "github_repository=acme@*/shoplake@*"], "without wildcards"),
        (
            ['environments=["dev"]', "github_repository=acme@123/shoplake"],
            "checked by the validation rule",
        ),
        (
            [
                'environments=["dev"]',
                "github_repository=acme/shoplake",
                "github_names_without_ids=true",
            ],
            "with ids",
        ),
        (['environments=["dev","prod"]'], "account of its own"),
        (
            ['environments=["dev","prod"]', 'environments_sharing_the_account=["dev","staging"]'],
            "account of its own",
        ),
        ([], "environments"),
    ],
)
def test_what_would_trust_too_much_is_refused(
    variables: list[str], said: str, tmp_path: Path
) -> None:
    with bootstrap(tmp_path, *variables) as planner, pytest.raises(SystemExit) as refusal:
        planner.plan()
    assert said in f"{refusal.value}{(tmp_path / 'plan.log').read_text('utf-8')}".replace("\n│", "")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_deployer_is_bounded(stack: Stack, environment: str) -> None:
    text = policy(stack, environment)
    assert (
        len("".join(json.dumps(json.loads(text), separators=(",", ":")).split())) <= LONGEST_POLICY
    )
    of: dict[str, Any] = {statement.sid: statement for statement in statements(text)}
    others = [name for name in ENVIRONMENTS if name != environment]
    assert not any(f"shoplake-{other}" in text for other in others)
    assert all(
        action.startswith("iam:") and "*" not in action for action in of["ManageRoles"].actions
    )
    assert of["ManageRoles"].resources == (
        f"arn:aws:iam::000000000000:role/shoplake-{environment}-*",
    )
    assert of["LeaveDeployersAlone"].effect == "Deny"
    assert not any(
        action.startswith(("iam:", "organizations:", "account:", "sts:"))
        for action in of["ManageWhatAwsNames"].actions
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_deployer_makes_no_role_without_the_boundary(stack: Stack, environment: str) -> None:
    giving = (
        "iam:AttachRolePolicy",
        "iam:CreateRole",
        "iam:PutRolePermissionsBoundary",
        "iam:PutRolePolicy",
    )
    granting = [
        each
        for each in statements(policy(stack, environment))
        if each.allows and {*giving} & {*each.actions}
    ]
    boundary = f"arn:aws:iam::000000000000:policy/shoplake-boundary-{environment}"
    assert [(tuple(sorted(each.actions)), each.tests) for each in granting] == [
        (giving, [("StringEquals", "iam:PermissionsBoundary", (boundary,))])
    ]
    given = {
        action
        for each in statements(policy(stack, environment))
        if each.allows
        for action in each.actions
    }
    assert not given & {
        "iam:DeleteRolePermissionsBoundary",
        "iam:CreatePolicyVersion",
        "iam:SetDefaultPolicyVersion",
        "iam:*",
        "*",
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("kind", ["shoplake-deploy", "shoplake-boundary"])
def test_resources_of_other_environments_are_out_of_reach(
    stack: Stack, environment: str, kind: str
) -> None:
    """What AWS names says by its tag whose it is: keys, the warehouse, the API."""
    text = next(
        str(each.values["policy"])
        for each in stack.of("aws_iam_policy")
        if each.values["name"] == f"{kind}-{environment}"
    )
    (denied,) = [each for each in statements(text) if each.sid == "LeaveOtherEnvironmentsAlone"]
    assert (denied.effect, denied.actions, denied.resources) == ("Deny", ("*",), ("*",))
    assert sorted(denied.tests) == [
        ("Null", "aws:ResourceTag/Environment", ("false",)),
        ("StringNotEquals", "aws:ResourceTag/Environment", (environment,)),
    ]


def test_no_role_needs_more_than_the_boundary(stack: Stack, everything: Stack) -> None:
    assert list(beyond(everything, boundary_of(stack, "prod"))) == []


def test_what_is_beyond_the_boundary_is_noticed(stack: Stack, everything: Stack) -> None:
    assert set(beyond(everything, boundary_of(stack, "dev"))) >= {
        "module.load.aws_iam_role_policy.this: logs:PutLogEvents on "
        "arn:aws:logs:eu-central-1:000000000000:log-group:/aws/lambda/shoplake-prod-load:*"
    }
    fewer = [each for each in boundary_of(stack, "prod") if each.sid != "Keys"]
    assert any("kms:Decrypt" in found for found in beyond(everything, fewer))


def boundary_of(stack: Stack, environment: str) -> list[Statement]:
    text = next(
        str(each.values["policy"])
        for each in stack.of("aws_iam_policy")
        if each.values["name"] == f"shoplake-boundary-{environment}"
    )
    assert len("".join(text.split())) <= LONGEST_POLICY
    return statements(text)


def beyond(everything: Stack, boundary: list[Statement]) -> Iterator[str]:
    """What roles are given and could not use. A pattern of theirs has to be within one of the
    boundary's, letter by letter."""
    # The settled plan makes ARNs up, and a table's without its database.
    tables = {
        table.values[
            "arn"
        ]: f"arn:aws:glue:{everything.region}:{everything.account}:table/{table.values['database_name']}/{table.values['name']}"
        for table in everything.of("aws_glue_catalog_table")
    }
    for resource, statement in everything.identity_statements():
        for action in statement.actions if statement.allows else ():
            for name in (tables.get(each, each) for each in statement.resources):
                if not any(each.allows and each.covers(action, name) for each in boundary):
                    yield f"{resource.address}: {action} on {name}"


# ---- a deployer may do what Terraform asks of it
# ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def actions() -> Table:
    return table()


@pytest.fixture(scope="module")
def everything(documents: Documents) -> Stack:
    return Stack("prod", documents("everything"))


def test_a_deployer_may_do_what_knows_no_narrower_resource(
    stack: Stack, everything: Stack, actions: Table
) -> None:
    granted = statements(policy(stack, "prod"))
    assert [
        f"{action} on {resource}"
        for action, resource in needed(everything, actions)
        if not allowed(granted, action, resource)
    ] == []


def test_a_deployer_may_use_every_service(stack: Stack, everything: Stack, actions: Table) -> None:
    services = {
        action.partition(":")[0]
        for statement in statements(policy(stack, "prod"))
        if statement.allows
        for action in statement.actions
    }
    assert services <= set(actions), "no service of AWS"
    used = {service_of(kind)[0] for kind in types(everything)}
    assert used <= set(actions), "no service of AWS: say in deployer.py which one it is"
    assert used - services == set()


def test_the_lists_are_of_what_is_deployed_and_of_what_aws_says(
    everything: Stack, actions: Table
) -> None:
    assert set(NEEDED) | set(NEEDED_ON) <= types(everything)
    declared = {action for some in NEEDED.values() for action in some} | set(NOT_NEEDED)
    assert sorted(action for action in declared if not knows_no_resource(action, actions)) == []


@pytest.mark.parametrize(
    "action",
    [
        "logs:PutQueryDefinition",
        "glue:CreateCrawler",
        "kinesis:UpdateStreamMode",
        "sns:Unsubscribe",
    ],
)
def test_an_action_that_is_not_granted_is_noticed(
    stack: Stack, everything: Stack, actions: Table, action: str
) -> None:
    assert (action, "*") in set(needed(everything, actions))
    fewer = [
        statement
        for statement in statements(policy(stack, "prod"))
        if statement.sid != "ManageSettings"
    ]
    assert not allowed(fewer, action, "*")
