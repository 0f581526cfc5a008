"""Plans without "known after apply": every policy, ARN and reference has a value.

The plan of an empty account does not know generated attributes such as ARNs, and the policies that
use them. So the first plan's resources are written into a state file with made-up attributes, and
the root is planned again on top of it, until no further value becomes known.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from typing import Any

from dev.offline_aws import ACCOUNT
from dev.plan import Planner

MAX_PLANS = 6

# Generated attributes that other resources refer to; the others stay unknown.
GENERATED = re.compile(r"^(arn|id|url|name|.*_(arn|id|url|name))$")

# Attributes that AWS leaves empty. Otherwise they would change with each plan.
EMPTY = ("managed_policy_arns",)

# The service in an ARN, if it is not the second word of Terraform's type.
SERVICES = {
    "cloudwatch_event": "events",
    "cloudwatch_log": "logs",
    "sfn": "states",
    "msk": "kafka",
    "wafv2": "wafv2",
    "kinesis_firehose": "firehose",
    "redshiftserverless": "redshift-serverless",
}

# Terraform's own type, whose values may have any type, which the state names.
OF_ANY_TYPE = {"terraform_data": ("input", "output", "triggers_replace")}
TYPES = {bool: "bool", int: "number", float: "number", str: "string"}

# The provider fails on a rule whose prefix list was unknown; no resource refers to these.
NOT_IN_STATE = ("aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule")

Document = dict[str, Any]


def resolved_plan(planner: Planner) -> Document:
    """Plans until no further value becomes known, and returns the last plan's JSON."""
    with planner:
        document = planner.plan()
        state = planner.folder / "resolved.tfstate"
        for _ in range(MAX_PLANS):
            state.write_text(json.dumps(as_if_applied(document, planner.region)), "utf-8")
            after = planner.plan(state)
            if not _has_unread_data(after) or _unknown_values(after) >= _unknown_values(document):
                return after
            document = after
    raise RuntimeError(
        f"{planner.root} is not resolved after {MAX_PLANS} plans: a value changes with each plan"
    )


def as_if_applied(document: Document, region: str) -> Document:
    """Returns a state in which the resources of a plan exist."""
    configured = _configured(document["configuration"]["root_module"])
    versions = _schema_versions(document["planned_values"]["root_module"])
    resources: dict[tuple[str | None, str, str, str], list[Document]] = defaultdict(list)
    for planned in document["resource_changes"]:
        change = planned["change"]
        if (
            planned["mode"] != "managed"
            or change["after"] is None
            or planned["type"] in NOT_IN_STATE
        ):
            continue
        attributes = dict(change["after"])
        for name, unknown in change["after_unknown"].items():
            # Configured attributes become known with their references; AWS generates the others.
            if unknown is not True or name in configured[without_keys(planned["address"])]:
                continue
            if GENERATED.match(name):
                attributes[name] = _generated(planned, name, region)
            elif name in EMPTY:
                attributes[name] = []
            elif name == "output" and planned["type"] in OF_ANY_TYPE:
                attributes[name] = attributes["input"]
        for name in OF_ANY_TYPE.get(planned["type"], ()):
            if (value := attributes.get(name)) is not None:
                attributes[name] = {"value": value, "type": TYPES[type(value)]}
        secret = [
            [{"type": "get_attr", "value": name}]
            for name, is_secret in change["after_sensitive"].items()
            if is_secret is True
        ]
        instance = {
            "schema_version": versions[planned["address"]],
            "attributes": attributes,
            "sensitive_attributes": secret,
        }
        if "index" in planned:
            instance["index_key"] = planned["index"]
        resources[
            planned.get("module_address"),
            planned["type"],
            planned["name"],
            planned["provider_name"],
        ].append(instance)
    return {
        "version": 4,
        "terraform_version": document["terraform_version"],
        "serial": 1,
        "lineage": "resolved",
        "outputs": {},
        "resources": [
            {
                **({"module": module} if module else {}),
                "mode": "managed",
                "type": kind,
                "name": name,
                "provider": f'provider["{provider}"]',
                "instances": instances,
            }
            for (module, kind, name, provider), instances in resources.items()
        ],
    }


def without_keys(address: str) -> str:
    """Returns an address without keys, as in the configuration: `module.source["web"].aws_x.y[0]`
    becomes `module.source.aws_x.y`.
    """
    return re.sub(r'\[("[^"]*"|\d+)]', "", address)


def _generated(planned: Document, attribute: str, region: str) -> str:
    kind, name = planned["type"], _name(planned)
    if attribute == "arn":
        return _arn(kind, name, region)
    if attribute.endswith("_arn"):
        return f"{_arn(kind, name, region)}/{attribute}"
    if attribute.endswith("_id"):
        return hashlib.sha256(planned["address"].encode()).hexdigest()[:16].upper()
    if kind == "aws_sqs_queue":
        return f"https://sqs.{region}.amazonaws.com/{ACCOUNT}/{name}"
    return name


def _arn(kind: str, name: str, region: str) -> str:
    words = kind.removeprefix("aws_").split("_")
    service = SERVICES.get("_".join(words[:2])) or SERVICES.get(words[0], words[0])
    match kind:
        case "aws_s3_bucket":
            return f"arn:aws:s3:::{name}"
        case "aws_sns_topic" | "aws_sqs_queue":
            return f"arn:aws:{service}:{region}:{ACCOUNT}:{name}"
        case "aws_lambda_function":
            return f"arn:aws:{service}:{region}:{ACCOUNT}:function:{name}"
        case "aws_sfn_state_machine":
            return f"arn:aws:{service}:{region}:{ACCOUNT}:stateMachine:{name}"
        case "aws_cloudwatch_event_bus":
            return f"arn:aws:{service}:{region}:{ACCOUNT}:event-bus/{name}"
        case "aws_cloudwatch_log_group":
            return f"arn:aws:{service}:{region}:{ACCOUNT}:log-group:{name}"
        case _:
            place = "" if service == "iam" else region
            return f"arn:aws:{service}:{place}:{ACCOUNT}:{words[-1]}/{name}"


def _name(planned: Document) -> str:
    """Returns the resource's name, or its address in the characters of a name."""
    after = planned["change"]["after"]
    for attribute in (
        "function_name",
        "name",
        "bucket",
        "identifier",
        "namespace_name",
        "workgroup_name",
        "family",
    ):
        if isinstance(after.get(attribute), str):
            return str(after[attribute])
    return re.sub(r"[^A-Za-z0-9]+", "-", planned["address"]).strip("-")


def _configured(module: Document, path: str = "") -> dict[str, Document]:
    """Returns the configured attributes by the resource's address without keys."""
    found = {
        path + resource["address"]: resource.get("expressions", {})
        for resource in module.get("resources", [])
    }
    for name, call in module.get("module_calls", {}).items():
        found |= _configured(call["module"], f"{path}module.{name}.")
    return found


def _schema_versions(module: Document) -> dict[str, int]:
    found = {
        resource["address"]: resource["schema_version"] for resource in module.get("resources", [])
    }
    for child in module.get("child_modules", []):
        found |= _schema_versions(child)
    return found


def _has_unread_data(document: Document) -> bool:
    """Returns whether a data source, such as a policy, depends on unknown values."""
    return any(planned["mode"] == "data" for planned in document["resource_changes"])


def _unknown_values(document: Document) -> int:
    """Returns the number of unknown values in a plan."""

    def count(unknown: object) -> int:
        match unknown:
            case True:
                return 1
            case dict():
                return sum(map(count, unknown.values()))
            case list():
                return sum(map(count, unknown))
            case _:
                return 0

    return sum(
        count(planned["change"].get("after_unknown")) for planned in document["resource_changes"]
    )
