"""What stands before the functions: rules about the web ACL, its log, and the API that senders
see."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .stack import Stack, Values

WAF_RULES: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("waf_rules.toml").read_text("utf-8")
)

# Headers with credentials, or with addresses of people. WAF takes names in lower case.
SECRET_HEADERS = {"authorization", "cookie", "webhook-signature", "x-api-key", "x-forwarded-for"}


def bodies_are_data(stack: Stack, known: dict[str, dict[str, Any]] = WAF_RULES) -> Iterator[str]:
    """No managed rule blocks by what is in a body, and none comes by itself: each group is of a
    version whose rules are known."""
    for acl in stack.of("aws_wafv2_web_acl"):
        for rule in acl.values["rule"]:
            for group in _statements(rule, "managed_rule_group_statement"):
                name = group["name"]
                if name not in known:
                    yield (
                        f"{acl.address}: write the rules of {name} into tests/infra/waf_rules.toml"
                    )
                    continue
                yield from (
                    f"{acl.address}: {finding}"
                    for finding in _wrong_with(name, group, rule, known[name])
                )


def _wrong_with(name: str, group: Values, rule: Values, known: dict[str, Any]) -> Iterator[str]:
    if (group.get("version") or None) != known.get("version"):
        yield (
            f"{name} is of version {group.get('version') or 'whatever AWS makes the default'}, and "
            f"the list is of {known.get('version')}"
        )
    counts_all = any(action.get("count") for action in rule["override_action"] or [])
    counted = {
        override["name"]
        for override in group["rule_action_override"] or []
        if any(action.get("count") is not None for action in override["action_to_use"])
    }
    yield from (
        f"{name} has no rule {each}, which is overridden"
        for each in sorted(counted - set(known["rules"]))
    )
    if not counts_all:
        yield from (
            f"{each} of {name} blocks bodies"
            for each in known["rules"]
            if each.endswith("_BODY") and each not in counted
        )


def only_what_is_blocked_is_logged(stack: Stack) -> Iterator[str]:
    """A log of counted requests is one of all bodies above 8 KB; and no log holds what opens
    something."""
    for log in stack.of("aws_wafv2_web_acl_logging_configuration"):
        filters = [each for part in log.values["logging_filter"] or [] for each in [part]]
        if not filters or any(part["default_behavior"] != "DROP" for part in filters):
            yield f"{log.address} logs every request"
        kept = {
            condition["action_condition"][0]["action"]
            if condition["action_condition"]
            else "a label"
            for part in filters
            for each in part["filter"]
            if each["behavior"] == "KEEP"
            for condition in each["condition"]
        }
        if kept - {"BLOCK"}:
            yield f"{log.address} logs {', '.join(sorted(kept - {'BLOCK'}))}"
        redacted = {
            header["name"]
            for field in log.values["redacted_fields"] or []
            for header in field["single_header"] or []
        }
        if missing := SECRET_HEADERS - redacted:
            yield f"{log.address} shows {', '.join(sorted(missing))}"


def floods_are_bounded(stack: Stack) -> Iterator[str]:
    """Requests are limited by address, and by address and shop.

    Not by the shop's id alone, which is no secret: a stranger could have the shop locked out.
    """
    for acl in stack.of("aws_wafv2_web_acl"):
        limits = [
            _limited_by(rate)
            for rule in acl.values["rule"]
            if _blocks(rule)
            for rate in _statements(rule, "rate_based_statement")
        ]
        for wanted in ({"ip"}, {"ip", "header x-shop-id"}):
            if wanted not in limits:
                yield f"{acl.address} does not limit requests by {' and '.join(sorted(wanted))}"
        if {"header x-shop-id"} in limits:
            yield f"{acl.address} lets a stranger use up a shop's limit"


def _limited_by(rate: Values) -> set[str]:
    if rate["aggregate_key_type"] == "IP":
        return {"ip"}
    keys: set[str] = set()
    for key in rate["custom_key"] or []:
        keys |= {f"header {header['name']}" for header in key.get("header") or []}
        keys |= {"ip"} if key.get("ip") else set()
    return keys


def _blocks(rule: Values) -> bool:
    return any(action.get("block") for action in rule["action"] or [])


def _statements(rule: Values, kind: str) -> list[Values]:
    return [each for statement in rule["statement"] or [] for each in statement.get(kind) or []]


def the_function_answers(stack: Stack) -> Iterator[str]:
    """API Gateway refuses no request by its headers: its validator compares their names by
    case, which HTTP does not."""
    for api in stack.of("aws_api_gateway_rest_api"):
        body = json.loads(api.values["body"])
        if (
            "x-amazon-apigateway-request-validators" in body
            or "x-amazon-apigateway-request-validator" in json.dumps(body["paths"])
        ):
            yield f"{api.address} has a request validator"
        for path, methods in body["paths"].items():
            for method, operation in methods.items():
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "header" and parameter.get("required"):
                        yield (
                            f"{api.address} requires {parameter['name']} of {method.upper()} {path}"
                        )
    for validator in stack.of("aws_api_gateway_request_validator"):
        yield f"{validator.address} refuses requests before the function sees them"
