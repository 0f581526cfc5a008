"""Rules about the edge: the web ACL, its log, and the API."""

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

# Headers with credentials or addresses. WAF uses lower-case names.
SECRET_HEADERS = {"authorization", "cookie", "webhook-signature", "x-api-key", "x-forwarded-for"}


def body_rules_only_count(
    stack: Stack, known: dict[str, dict[str, Any]] = WAF_RULES
) -> Iterator[str]:
    """No managed rule blocks by the body, and each group has a version with known rules."""
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
            f"{name} has the version {group.get('version') or 'default'}, the list has "
            f"{known.get('version')}"
        )
    counts_all = any(action.get("count") for action in rule["override_action"] or [])
    counted = {
        override["name"]
        for override in group["rule_action_override"] or []
        if any(action.get("count") is not None for action in override["action_to_use"])
    }
    yield from (
        f"{name} has an override of the unknown rule {each}"
        for each in sorted(counted - set(known["rules"]))
    )
    if not counts_all:
        yield from (
            f"{each} of {name} blocks bodies"
            for each in known["rules"]
            if each.endswith("_BODY") and each not in counted
        )


def waf_logs_only_blocked_requests(stack: Stack) -> Iterator[str]:
    """The log has blocked requests only, and no credentials. Body rules count every request above
    8 KB."""
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


def requests_are_rate_limited(stack: Stack) -> Iterator[str]:
    """Requests are limited by address, and by address and shop.

    A limit by shop id alone would let an attacker block the shop, because the id is public.
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
            yield f"{acl.address} lets an attacker use up a shop's limit"


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


def api_does_not_validate_headers(stack: Stack) -> Iterator[str]:
    """API Gateway validates no headers: its validator compares names case-sensitively."""
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
        yield f"{validator.address} rejects requests before the function"
