"""The resources of a resolved plan, and their policies as statements."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from dev.offline_aws import ACCOUNT

Values = dict[str, Any]

# The policy attribute of each type: of identities, of resources, and of role trust.
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

# Condition keys that limit a statement to an account, a resource or an organization.
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
    """A planned resource."""

    address: str
    type: str
    values: Values

    def block(self, *path: str) -> Values:
        """Returns an optional nested block, or {}: `block("destination_config", "on_failure")`."""
        values: Values = self.values
        for name in path:
            values = next(iter(values.get(name) or []), None) or {}
        return values


@dataclass(frozen=True)
class Statement:
    """A statement of a policy, with every value as a tuple."""

    sid: str
    effect: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...]
    condition: dict[str, dict[str, Any]]
    inverted: bool
    """Whether it uses NotAction, NotResource or NotPrincipal."""

    def covers(self, action: str, resource: str) -> bool:
        """Returns whether it matches an action on a resource, apart from conditions."""
        return any(fnmatchcase(action, each) for each in self.actions) and any(
            fnmatchcase(resource, each) for each in self.resources
        )

    @property
    def tests(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Returns its conditions: operator, key and values."""
        return [
            (operator, key, _list(values))
            for operator, keys in self.condition.items()
            for key, values in keys.items()
        ]

    @property
    def pinned(self) -> bool:
        """Returns whether a condition limits it to a named account, resource or organization."""
        return any(
            operator in PINNING_TESTS
            and key in PINS
            and not any(is_vague(value) for value in values)
            for operator, key, values in self.tests
        )

    @property
    def allows(self) -> bool:
        """Returns whether its effect is Allow."""
        return self.effect == "Allow"

    @property
    def denies_plain_http(self) -> bool:
        """Returns whether it denies requests without TLS."""
        plain = self.condition.get("Bool", {}).get("aws:SecureTransport")
        return self.effect == "Deny" and "*" in self.principals and plain in ("false", ["false"])


class Stack:
    """The resources of one environment."""

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
        """Returns the resources of some types."""
        return [resource for resource in self.resources if resource.type in types]

    def identity_statements(self) -> Iterator[tuple[Resource, Statement]]:
        """Yields the statements of roles' policies."""
        yield from self._statements(IDENTITY_POLICIES)

    def resource_statements(self) -> Iterator[tuple[Resource, Statement]]:
        """Yields the statements of resources' policies."""
        yield from self._statements(RESOURCE_POLICIES)

    def trust_statements(self) -> Iterator[tuple[Resource, Statement]]:
        """Yields the statements of roles' trust policies."""
        yield from self._statements(TRUST_POLICIES)

    def _statements(self, kinds: dict[str, str]) -> Iterator[tuple[Resource, Statement]]:
        for resource in self.of(*kinds):
            for statement in statements(resource.values.get(kinds[resource.type])):
                yield resource, statement


def statements(policy: str | None) -> list[Statement]:
    """Returns a policy's statements."""
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


def is_vague(name: str) -> bool:
    """Returns whether a name has no definite owner.

    That is `*`, or an ARN with a wildcard in the account, or in the bucket of an S3 ARN.
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
