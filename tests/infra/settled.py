"""A plan without "known after apply": every policy, ARN and reference is spelt out, as AWS would
have it.

A plan of an empty account leaves open what AWS gives a resource when it is made, its ARN above all,
and with it every policy that names one. So the first plan's resources are put into a state file,
with such names given to them, and the root is planned again on top of that; what now is known makes
more known, until nothing new comes of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from typing import Any

from dev.offline_aws import ACCOUNT
from dev.plan import Planner

MOST_PLANS = 6

# What AWS makes up and other resources are told of; the rest stays open, as nothing reads it.
GIVEN_NAMES = re.compile(r"^(arn|id|url|name|.*_(arn|id|url|name))$")

# What AWS leaves empty. Otherwise it would change with each plan, and with it whatever reads its
# owner.
GIVEN_NOTHING = ("managed_policy_arns",)

# The service in an ARN where it is not the second word of Terraform's type.
SERVICES = {
    "cloudwatch_event": "events",
    "cloudwatch_log": "logs",
    "sfn": "states",
    "msk": "kafka",
    "wafv2": "wafv2",
    "kinesis_firehose": "firehose",
    "redshiftserverless": "redshift-serverless",
}

# Terraform's own, whose values may be of any type; a state says of which one.
OF_ANY_TYPE = {"terraform_data": ("input", "output", "triggers_replace")}
TYPES = {bool: "bool", int: "number", float: "number", str: "string"}

# Nothing reads what AWS gives these, and the provider stumbles over one whose prefix list was not
# known before.
NOT_IN_STATE = ("aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule")

Document = dict[str, Any]


def settled_plan(planner: Planner) -> Document:
    """Plans until nothing more becomes known, and returns the last plan's JSON."""
    with planner:
        document = planner.plan()
        state = planner.folder / "settled.tfstate"
        for _ in range(MOST_PLANS):
            state.write_text(json.dumps(as_if_applied(document, planner.region)), "utf-8")
            after = planner.plan(state)
            if not _waiting(after) or _open(after) >= _open(document):
                return after
            document = after
    raise RuntimeError(
        f"after {MOST_PLANS} plans still more became known with each: {planner.root} makes something up anew every time"
    )


def as_if_applied(document: Document, region: str) -> Document:
    """A state in which everything that a plan creates exists."""
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
            # What the configuration sets will be known once what it refers to is; the rest is AWS's
            # to give.
            if unknown is not True or name in configured[without_keys(planned["address"])]:
                continue
            if GIVEN_NAMES.match(name):
                attributes[name] = _given(planned, name, region)
            elif name in GIVEN_NOTHING:
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
        "lineage": "settled",
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
    """An address as the configuration has it: `module.source["web"].aws_x.y[0]` is
    `module.source.aws_x.y` there.
    """
    return re.sub(r'\[("[^"]*"|\d+)]', "", address)


def _given(planned: Document, attribute: str, region: str) -> str:
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
    """What the resource is called, or else its address, in letters that a name may have."""
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
    """What the configuration sets, by the resource's address without keys."""
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


def _waiting(document: Document) -> bool:
    """Whether a policy waits for something that is not known yet."""
    return any(planned["mode"] == "data" for planned in document["resource_changes"])


def _open(document: Document) -> int:
    """How many values a plan leaves open."""

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
