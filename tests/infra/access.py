"""Rules about access: policies of roles and resources, and exposure to the internet."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .stack import Resource, Stack, Statement, is_vague

EXCEPTIONS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("exceptions.toml").read_text("utf-8")
)


def nothing_public(stack: Stack) -> Iterator[str]:
    """No policy trusts every principal, and only the API is reachable from the internet."""
    for resource, statement in (*stack.resource_statements(), *stack.trust_statements()):
        # An endpoint's policy only restricts its callers.
        if (
            resource.type != "aws_vpc_endpoint"
            and statement.allows
            and "*" in statement.principals
            and not statement.pinned
        ):
            yield f"{resource.address} trusts every principal ({statement.sid})"
    for permission in stack.of("aws_lambda_permission"):
        if not _names_the_invoker(permission, stack.account):
            principal, function = (
                permission.values[name] for name in ("principal", "function_name")
            )
            yield f"{permission.address} lets {principal} of any account invoke {function}"
    yield from _open_to_the_internet(stack)


def _names_the_invoker(permission: Resource, account: str) -> bool:
    """Returns whether it names the invoking account or resource."""
    principal = permission.values["principal"]
    if permission.values.get("function_url_auth_type") == "NONE":
        return False
    if principal == account or principal.startswith(f"arn:aws:iam::{account}:"):
        return True
    named = [
        permission.values.get(name) for name in ("source_account", "source_arn", "principal_org_id")
    ]
    return any(name and not is_vague(name) for name in named)


def _open_to_the_internet(stack: Stack) -> Iterator[str]:
    for rule in stack.of("aws_vpc_security_group_ingress_rule"):
        if rule.values["cidr_ipv4"] == "0.0.0.0/0" or rule.values["cidr_ipv6"] == "::/0":
            yield f"{rule.address} allows ingress from the internet"
    for group in stack.of("aws_security_group", "aws_default_security_group"):
        for ingress in group.values.get("ingress") or []:
            if "0.0.0.0/0" in ingress["cidr_blocks"] or "::/0" in ingress["ipv6_cidr_blocks"]:
                yield f"{group.address} allows ingress from the internet"
    for workgroup in stack.of("aws_redshiftserverless_workgroup"):
        if workgroup.values["publicly_accessible"]:
            yield f"{workgroup.address} is reachable from the internet"
        if not any(
            each == {"parameter_key": "require_ssl", "parameter_value": "true"}
            for each in workgroup.values["config_parameter"]
        ):
            yield f"{workgroup.address} accepts connections without TLS"
    for notebook in stack.of("aws_sagemaker_notebook_instance"):
        if (
            notebook.values["direct_internet_access"] != "Disabled"
            or notebook.values["root_access"] != "Disabled"
        ):
            yield f"{notebook.address} has internet access or root"


def services_act_for_this_account(
    stack: Stack, exceptions: dict[str, dict[str, Any]] = EXCEPTIONS
) -> Iterator[str]:
    """A service assumes a role only on behalf of this account.

    Otherwise the service could assume it for another account.
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
            if service in exceptions["without_source_account"]:
                wanted = ("StringEqualsIfExists", "aws:SourceAccount")
            else:
                wanted = (
                    "StringEquals",
                    exceptions["account_condition_keys"]
                    .get(service, {})
                    .get("key", "aws:SourceAccount"),
                )
            if wanted not in tests:
                yield (
                    f"{role.address} lets {service} assume it for any account: "
                    f"{' '.join(wanted)} is missing"
                )


def roles_are_bounded(stack: Stack) -> Iterator[str]:
    """Every role has the environment's boundary, which the deploy role requires."""
    wanted = f"arn:aws:iam::{stack.account}:policy/shoplake-boundary-{stack.environment}"
    for role in stack.of("aws_iam_role"):
        if role.values.get("permissions_boundary") != wanted:
            yield f"{role.address} lacks the boundary {wanted}"


def policies_are_not_inverted(stack: Stack) -> Iterator[str]:
    """No policy uses NotAction, NotResource or NotPrincipal, which grow with AWS and which these
    rules cannot read.
    """
    for resource, statement in (
        *stack.identity_statements(),
        *stack.resource_statements(),
        *stack.trust_statements(),
    ):
        if statement.inverted:
            yield f"{resource.address} has an inverted statement ({statement.sid})"


def narrow_permissions(
    stack: Stack, exceptions: dict[str, dict[str, Any]] = EXCEPTIONS
) -> Iterator[str]:
    """No role has wildcard actions or resources, except those in exceptions.toml."""
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
                principals = ", ".join(statement.principals)
                yield f"{resource.address} lets {principals} do {action} ({statement.sid})"


def no_managed_policies(
    stack: Stack, exceptions: dict[str, dict[str, Any]] = EXCEPTIONS
) -> Iterator[str]:
    """No role has a managed policy of AWS, which AWS may extend."""
    for attachment in stack.of("aws_iam_role_policy_attachment"):
        arn = attachment.values["policy_arn"]
        if ":aws:policy/" in arn and arn.rpartition("/")[2] not in exceptions["managed_policies"]:
            yield f"{attachment.address} uses {arn}, which AWS may extend"


def _permitted(statement: Statement, exceptions: dict[str, Any]) -> list[str]:
    """Returns the actions that an exception permits, if the statement has its conditions."""
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
    """Returns whether an ARN has a wildcard in the account, region or bucket, or after the type."""
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
