"""Who may do what: rules about the policies of roles and resources, and about what listens to the
internet.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .stack import Resource, Stack, Statement, vague

EXCEPTIONS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("exceptions.toml").read_text("utf-8")
)


def nothing_public(stack: Stack) -> Iterator[str]:
    """No policy trusts everybody, nothing listens to the whole internet but the API."""
    for resource, statement in (*stack.resource_statements(), *stack.trust_statements()):
        # An endpoint's policy takes from what its callers may do, and gives nothing.
        if (
            resource.type != "aws_vpc_endpoint"
            and statement.allows
            and "*" in statement.principals
            and not statement.pinned
        ):
            yield f"{resource.address} trusts everybody ({statement.sid})"
    for permission in stack.of("aws_lambda_permission"):
        if not _invoked_by_somebody(permission, stack.account):
            yield f"{permission.address} lets {permission.values['principal']} of any account invoke {permission.values['function_name']}"
    yield from _open_to_the_internet(stack)


def _invoked_by_somebody(permission: Resource, account: str) -> bool:
    """Whether it says who invokes: an account, or what of whose. A service acts for everybody who
    uses it.
    """
    principal = permission.values["principal"]
    if permission.values.get("function_url_auth_type") == "NONE":
        return False
    if principal == account or principal.startswith(f"arn:aws:iam::{account}:"):
        return True
    named = [
        permission.values.get(name) for name in ("source_account", "source_arn", "principal_org_id")
    ]
    return any(name and not vague(name) for name in named)


def _open_to_the_internet(stack: Stack) -> Iterator[str]:
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
        if not any(
            each == {"parameter_key": "require_ssl", "parameter_value": "true"}
            for each in workgroup.values["config_parameter"]
        ):
            yield f"{workgroup.address} takes connections without TLS"
    for notebook in stack.of("aws_sagemaker_notebook_instance"):
        if (
            notebook.values["direct_internet_access"] != "Disabled"
            or notebook.values["root_access"] != "Disabled"
        ):
            yield f"{notebook.address} has the internet or root"


def services_act_for_this_account(
    stack: Stack, exceptions: dict[str, dict[str, Any]] = EXCEPTIONS
) -> Iterator[str]:
    """A service takes a role only on behalf of this account.

    Otherwise another account's use of that service could take the role.
    """
    for role, statement in stack.trust_statements():
        services = [
            principal for principal in statement.principals if principal.endswith(".amazonaws.com")
        ]
        tests = [
            (operator, key)
            for operator, key, values in statement.tests
            if values == (stack.account,)
        ]
        for service in services if statement.allows else []:
            if service in exceptions["says_no_account"]:
                wanted = ("StringEqualsIfExists", "aws:SourceAccount")
            else:
                wanted = (
                    "StringEquals",
                    exceptions["says_the_account_as"]
                    .get(service, {})
                    .get("key", "aws:SourceAccount"),
                )
            if wanted not in tests:
                yield (
                    f"{role.address} lets {service} be it for any account: {' '.join(wanted)} is "
                    f"missing"
                )


def roles_are_bounded(stack: Stack) -> Iterator[str]:
    """Every role has the environment's boundary, without which the deploy role may not make it."""
    wanted = f"arn:aws:iam::{stack.account}:policy/shoplake-boundary-{stack.environment}"
    for role in stack.of("aws_iam_role"):
        if role.values.get("permissions_boundary") != wanted:
            yield f"{role.address} has not the boundary {wanted}"


def plain_policies(stack: Stack) -> Iterator[str]:
    """A policy says what it is about; one that says what it is not about grows with AWS, and no
    rule here could read it.
    """
    for resource, statement in (
        *stack.identity_statements(),
        *stack.resource_statements(),
        *stack.trust_statements(),
    ):
        if statement.inverted:
            yield f"{resource.address} says what it is not about ({statement.sid})"


def narrow_permissions(
    stack: Stack, exceptions: dict[str, dict[str, Any]] = EXCEPTIONS
) -> Iterator[str]:
    """No role may do everything of a kind, or something to everything, but for the exceptions with
    their reasons.
    """
    for resource, statement in stack.identity_statements():
        if not statement.allows:
            continue
        permitted = _permitted(statement, exceptions["every_resource"])
        wide = [name for name in statement.resources if too_wide(name)]
        for action in statement.actions:
            if "*" in action or "?" in action:
                yield f"{resource.address} may do {action} ({statement.sid})"
            elif wide and action not in permitted:
                yield f"{resource.address} may do {action} to {', '.join(wide)} ({statement.sid})"
    for resource, statement in stack.resource_statements():
        permitted = _permitted(statement, exceptions["every_action"])
        for action in statement.actions:
            if statement.allows and ("*" in action or "?" in action) and action not in permitted:
                yield f"{resource.address} lets {', '.join(statement.principals)} do {action} ({statement.sid})"


def no_managed_policies(
    stack: Stack, exceptions: dict[str, dict[str, Any]] = EXCEPTIONS
) -> Iterator[str]:
    """No role has a policy of AWS's own, which AWS may widen."""
    for attachment in stack.of("aws_iam_role_policy_attachment"):
        arn = attachment.values["policy_arn"]
        if ":aws:policy/" in arn and arn.rpartition("/")[2] not in exceptions["managed_policies"]:
            yield f"{attachment.address} takes {arn}, which AWS may widen"


def _permitted(statement: Statement, exceptions: dict[str, Any]) -> list[str]:
    """The actions that an exception lets pass: it has to have the condition that is its reason."""
    exception = exceptions.get(statement.sid, {})
    wanted = [
        (test["test"], test["variable"], tuple(test["values"]))
        for test in exception.get("conditions", [])
    ]
    return (
        list(exception.get("actions", []))
        if all(test in statement.tests for test in wanted)
        else []
    )


def too_wide(name: str) -> bool:
    """Whether an ARN has a wildcard before it has named something: for the account, the region, the
    bucket, or right after the type.
    """
    if "*" not in name and "?" not in name:
        return False
    *owner, resource = name.split(":", 5)
    if len(owner) < 5 or any("*" in part or "?" in part for part in owner):
        return True
    segments = [segment for segment in re.split("[:/]", resource) if segment]
    first = next(
        position for position, segment in enumerate(segments) if "*" in segment or "?" in segment
    )
    if owner[2] == "s3":
        return first == 0
    return first < len(segments) - 1 or first == 0 or (first == 1 and segments[1] in ("*", "?"))
