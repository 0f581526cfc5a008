"""What a settled plan deploys: its resources, and the policies among them as statements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dev.offline_aws import ACCOUNT

Values = dict[str, Any]

# Where each type keeps a policy. What a role may do is told apart from who may do something to a
# resource, and who may be the role.
IDENTITY_POLICIES = {"aws_iam_role_policy": "policy", "aws_iam_policy": "policy"}
RESOURCE_POLICIES = {
    "aws_cloudwatch_log_resource_policy": "policy_document",
    "aws_ecr_repository_policy": "policy",
    "aws_kms_key": "policy",
    "aws_s3_bucket_policy": "policy",
    "aws_secretsmanager_secret_policy": "policy",
    "aws_sns_topic_policy": "policy",
    "aws_sqs_queue": "policy",
    "aws_sqs_queue_policy": "policy",
    "aws_vpc_endpoint": "policy",
}
TRUST_POLICIES = {"aws_iam_role": "assume_role_policy"}

# Conditions that hold a statement to an account, a resource or an organisation.
PINS = (
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalOrgID",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceOrgID",
    "kms:CallerAccount",
)
PINNING_TESTS = ("ArnEquals", "ArnLike", "StringEquals", "StringLike")


@dataclass(frozen=True)
class Resource:
    """One resource as it will be."""

    address: str
    type: str
    values: Values

    def block(self, *path: str) -> Values:
        """A nested block that may occur once, or nothing: `block("destination_config",
        "on_failure")`.
        """
        values: Values = self.values
        for name in path:
            values = next(iter(values.get(name) or []), None) or {}
        return values


@dataclass(frozen=True)
class Statement:
    """One statement of a policy, with every list as a list."""

    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    condition: dict[str, dict[str, Any]]
    inverted: bool
    """Whether it says what it is not about: NotAction, NotResource or NotPrincipal."""

    def covers(self, action: str, resource: str) -> bool:
        """Whether it is about an action on a resource, by name or by a pattern; conditions apart."""
        return any(fnmatchcase(action, each) for each in self.actions) and any(
            fnmatchcase(resource, each) for each in self.resources
        )

    @property
    def tests(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Its conditions: operator, key and values."""
        return [
            (operator, key, _list(values))
            for operator, keys in self.condition.items()
            for key, values in keys.items()
        ]

    @property
    def pinned(self) -> bool:
        """Whether a condition holds it to an account, a resource or an organisation that it names."""
        return any(
            operator in PINNING_TESTS and key in PINS and not any(vague(value) for value in values)
            for operator, key, values in self.tests
        )

    @property
    def allows(self) -> bool:
        """Whether it gives a permission, rather than takes one."""
        return self.effect == "Allow"

    @property
    def refuses_plain_http(self) -> bool:
        """Whether it refuses everybody who does not use TLS."""
        plain = self.condition.get("Bool", {}).get("aws:SecureTransport")
        return self.effect == "Deny" and "*" in self.principals and plain in ("false", ["false"])


class Stack:
    """All resources of one environment."""

    def __init__(self, environment: str, document: dict[str, Any]) -> None:
        self.environment = environment
        self.account = ACCOUNT
        self.region = str(document["variables"]["region"]["value"])
        self.resources = [
            Resource(planned["address"], planned["type"], planned["change"]["after"])
            for planned in document["resource_changes"]
            if planned["mode"] == "managed" and planned["change"]["after"] is not None
        ]

    def of(self, *types: str) -> list[Resource]:
        """The resources of some types."""
        return [resource for resource in self.resources if resource.type in types]

    def identity_statements(self) -> Iterator[tuple[Resource, Statement]]:
        """What roles may do."""
        yield from self._statements(IDENTITY_POLICIES)

    def resource_statements(self) -> Iterator[tuple[Resource, Statement]]:
        """Who may do something to a resource."""
        yield from self._statements(RESOURCE_POLICIES)

    def trust_statements(self) -> Iterator[tuple[Resource, Statement]]:
        """Who may be a role."""
        yield from self._statements(TRUST_POLICIES)

    def _statements(self, kinds: dict[str, str]) -> Iterator[tuple[Resource, Statement]]:
        for resource in self.of(*kinds):
            for statement in statements(resource.values.get(kinds[resource.type])):
                yield resource, statement


def statements(policy: str | None) -> list[Statement]:
    """A policy's statements."""
    if not policy:
        return []
    found = json.loads(policy)["Statement"]
    return [
        Statement(
            sid=statement.get("Sid", ""),
            effect=statement["Effect"],
            actions=_list(statement.get("Action")),
            resources=_list(statement.get("Resource")),
            principals=_principals(statement.get("Principal")),
            condition=statement.get("Condition", {}),
            inverted=any(
                part in statement for part in ("NotAction", "NotResource", "NotPrincipal")
            ),
        )
        for statement in (found if isinstance(found, list) else [found])
    ]


def vague(name: str) -> bool:
    """Whether a name leaves open whose it is: `*`, or an ARN with a wildcard for the account, or
    for the bucket, which has none.
    """
    if not name.startswith("arn:"):
        return "*" in name or "?" in name
    *owner, resource = name.split(":", 5)
    whose = "".join(owner) if any(owner[4:]) else "".join(owner) + resource.partition("/")[0]
    return "*" in whose or "?" in whose


def _principals(principal: object) -> tuple[str, ...]:
    if isinstance(principal, dict):
        return tuple(name for names in principal.values() for name in _list(names))
    return _list(principal)


def _list(value: object) -> tuple[str, ...]:
    match value:
        case None:
            return ()
        case str():
            return (value,)
        case _:
            return tuple(value)  # type: ignore[arg-type]
