"""The bootstrap root: state bucket, deploy roles and boundaries."""

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
    has_no_resource_type,
    needed,
    service_of,
    table,
    types,
)
from .stack import Stack, Statement, statements

RULES = (
    rules.closed_buckets,
    access.nothing_public,
    access.policies_are_not_inverted,
    access.no_managed_policies,
    access.services_act_for_this_account,
)
GITHUB = "token.actions.githubusercontent.com"
LONGEST_POLICY = 6144
"""Maximum characters of a managed policy without white space."""


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
def test_bootstrap_satisfies_the_rules(stack: Stack, rule: rules.Rule) -> None:
    assert list(rule(stack)) == []


def test_state_bucket_is_encrypted_and_versioned(stack: Stack) -> None:
    (encryption,) = stack.of("aws_s3_bucket_server_side_encryption_configuration")
    assert (
        encryption.block("rule", "apply_server_side_encryption_by_default")["sse_algorithm"]
        == "aws:kms"
    )
    (versioning,) = stack.of("aws_s3_bucket_versioning")
    assert versioning.block("versioning_configuration")["status"] == "Enabled"


# ---- deploy roles --------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_jobs_of_the_environment_may_deploy(stack: Stack, environment: str) -> None:
    assert subjects(stack, environment) == (f"repo:acme/shoplake:environment:{environment}",)


def subjects(stack: Stack, environment: str) -> tuple[str, ...]:
    """Returns the token subjects that may assume the environment's deploy role."""
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
    """Returns a planner of the root with other variables."""
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
        (['environments=["dev","prod"]'], "needs its own account"),
        (
            ['environments=["dev","prod"]', 'environments_sharing_the_account=["dev","staging"]'],
            "needs its own account",
        ),
        ([], "environments"),
    ],
)
def test_overly_broad_trust_is_rejected(variables: list[str], said: str, tmp_path: Path) -> None:
    with bootstrap(tmp_path, *variables) as planner, pytest.raises(SystemExit) as refusal:
        planner.plan()
    output = f"{refusal.value}{(tmp_path / 'plan.log').read_text('utf-8')}"
    assert said in " ".join(output.replace("│", "").split())


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_deploy_role_is_limited_to_its_environment(stack: Stack, environment: str) -> None:
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
    assert of["DenyDeployers"].effect == "Deny"
    assert not any(
        action.startswith(("iam:", "organizations:", "account:", "sts:"))
        for action in of["ManageResourcesWithGeneratedNames"].actions
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_deploy_role_needs_the_boundary_for_new_roles(stack: Stack, environment: str) -> None:
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
def test_resources_of_other_environments_are_denied(
    stack: Stack, environment: str, kind: str
) -> None:
    """Resources with generated names (keys, warehouse, API) are denied by their tag."""
    text = next(
        str(each.values["policy"])
        for each in stack.of("aws_iam_policy")
        if each.values["name"] == f"{kind}-{environment}"
    )
    (denied,) = [each for each in statements(text) if each.sid == "DenyOtherEnvironments"]
    assert (denied.effect, denied.actions, denied.resources) == ("Deny", ("*",), ("*",))
    assert sorted(denied.tests) == [
        ("Null", "aws:ResourceTag/Environment", ("false",)),
        ("StringNotEquals", "aws:ResourceTag/Environment", (environment,)),
    ]


def test_roles_are_within_the_boundary(stack: Stack, everything: Stack) -> None:
    assert list(beyond(everything, boundary_of(stack, "prod"))) == []


def test_permission_beyond_the_boundary_is_detected(stack: Stack, everything: Stack) -> None:
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
    """Yields permissions of roles beyond the boundary. A pattern must match one of the boundary's
    patterns."""
    # Resolved plans have made-up ARNs: a table's lacks its database.
    tables = {
        table.values["arn"]: f"arn:aws:glue:{everything.region}:{everything.account}:table/"
        f"{table.values['database_name']}/{table.values['name']}"
        for table in everything.of("aws_glue_catalog_table")
    }
    for resource, statement in everything.identity_statements():
        for action in statement.actions if statement.allows else ():
            for name in (tables.get(each, each) for each in statement.resources):
                if not any(each.allows and each.covers(action, name) for each in boundary):
                    yield f"{resource.address}: {action} on {name}"


# ---- permissions of Terraform --------------------------------------------------------------------


@pytest.fixture(scope="module")
def actions() -> Table:
    return table()


@pytest.fixture(scope="module")
def everything(documents: Documents) -> Stack:
    return Stack("prod", documents("everything"))


def test_deploy_role_allows_actions_without_resources(
    stack: Stack, everything: Stack, actions: Table
) -> None:
    granted = statements(policy(stack, "prod"))
    assert [
        f"{action} on {resource}"
        for action, resource in needed(everything, actions)
        if not allowed(granted, action, resource)
    ] == []


def test_deploy_role_allows_every_service(stack: Stack, everything: Stack, actions: Table) -> None:
    services = {
        action.partition(":")[0]
        for statement in statements(policy(stack, "prod"))
        if statement.allows
        for action in statement.actions
    }
    assert services <= set(actions), "unknown service of AWS"
    used = {service_of(kind)[0] for kind in types(everything)}
    assert used <= set(actions), "unknown service of AWS: add it to deployer.py"
    assert used - services == set()


def test_lists_have_deployed_types_and_known_actions(everything: Stack, actions: Table) -> None:
    assert set(NEEDED) | set(NEEDED_ON) <= types(everything)
    declared = {action for some in NEEDED.values() for action in some} | set(NOT_NEEDED)
    assert sorted(action for action in declared if not has_no_resource_type(action, actions)) == []


@pytest.mark.parametrize(
    "action",
    [
        "logs:PutQueryDefinition",
        "glue:CreateCrawler",
        "kinesis:UpdateStreamMode",
        "sns:Unsubscribe",
    ],
)
def test_missing_action_is_detected(
    stack: Stack, everything: Stack, actions: Table, action: str
) -> None:
    assert (action, "*") in set(needed(everything, actions))
    fewer = [
        statement
        for statement in statements(policy(stack, "prod"))
        if statement.sid != "ManageSettings"
    ]
    assert not allowed(fewer, action, "*")
