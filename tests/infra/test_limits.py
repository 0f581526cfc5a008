"""Each rule about the edge, limits and roles detects a violation."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest

from . import access, edge, limits
from .conftest import Documents
from .rules import Rule
from .stack import Stack, Values
from .test_rules import change, edit


def in_acl(rule: str, corrupt: Callable[[Values], object]) -> Callable[[Stack], None]:
    """Edits the managed group of a rule of the web ACL."""

    def apply(stack: Stack) -> None:
        (acl,) = stack.of("aws_wafv2_web_acl")
        (found,) = [each for each in acl.values["rule"] if each["name"] == rule]
        corrupt(found["statement"][0]["managed_rule_group_statement"][0])

    return apply


def forget_override(group: Values, rule: str) -> None:
    """Removes the override of a rule in a managed group."""
    kept = [override for override in group["rule_action_override"] if override["name"] != rule]
    assert len(kept) < len(group["rule_action_override"]), f"{rule} has no override"
    group["rule_action_override"] = kept


def in_log_filter(actions: list[str]) -> Callable[[Stack], None]:
    """Sets the logged actions of the web ACL."""

    def apply(stack: Stack) -> None:
        (log,) = stack.of("aws_wafv2_web_acl_logging_configuration")
        log.values["logging_filter"][0]["filter"][0]["condition"] = [
            {"action_condition": [{"action": action}]} for action in actions
        ]

    return apply


def without_rule(name: str) -> Callable[[Stack], None]:
    """Removes a rule of the web ACL."""

    def apply(stack: Stack) -> None:
        (acl,) = stack.of("aws_wafv2_web_acl")
        kept = [rule for rule in acl.values["rule"] if rule["name"] != name]
        assert len(kept) < len(acl.values["rule"]), f"the web ACL has no {name}"
        acl.values["rule"] = kept

    return apply


def by_shop_alone(stack: Stack) -> None:
    """Limits requests by shop id only."""
    (acl,) = stack.of("aws_wafv2_web_acl")
    (rule,) = [each for each in acl.values["rule"] if each["name"] == "rate-per-shop"]
    rate = rule["statement"][0]["rate_based_statement"][0]
    rate["custom_key"] = [key for key in rate["custom_key"] if not key.get("ip")]


def in_api(corrupt: Callable[[Values], object]) -> Callable[[Stack], None]:
    """Edits the API's OpenAPI document."""

    def apply(stack: Stack) -> None:
        (api,) = stack.of("aws_api_gateway_rest_api")
        body = json.loads(api.values["body"])
        corrupt(body)
        api.values["body"] = json.dumps(body)

    return apply


def require_headers(body: Values) -> None:
    """Makes a header required."""
    body["paths"]["/v1/events/{dataset}"]["post"]["parameters"].append(
        {"name": "webhook-id", "in": "header", "required": True}
    )


def in_machine(module: str, corrupt: Callable[[Values], object]) -> Callable[[Stack], None]:
    """Edits every state of a state machine."""

    def apply(stack: Stack) -> None:
        (machine,) = [
            each
            for each in stack.of("aws_sfn_state_machine")
            if each.address == f"module.{module}.aws_sfn_state_machine.this"
        ]
        definition = json.loads(machine.values["definition"])
        for _, state in limits.all_states(definition):
            corrupt(state)
        machine.values["definition"] = json.dumps(definition)

    return apply


def in_table(days: str) -> Callable[[Stack], None]:
    """Sets the projected days of a table."""

    def apply(stack: Stack) -> None:
        (table,) = [
            each
            for each in stack.of("aws_glue_catalog_table")
            if each.address.endswith('["gold.revenue_by_region"]')
        ]
        assert "projection.business_date.range" in table.values["parameters"]
        table.values["parameters"]["projection.business_date.range"] = days

    return apply


BROKEN: dict[str, tuple[Rule, Callable[[Stack], None]]] = {
    "a role that Lambda may assume for any account": (
        access.services_act_for_this_account,
        edit(
            "module.load.aws_iam_role.this",
            "assume_role_policy",
            lambda policy: policy[0].pop("Condition"),
        ),
    ),
    "a role that Lambda may assume for another account": (
        access.services_act_for_this_account,
        edit(
            "module.load.aws_iam_role.this",
            "assume_role_policy",
            lambda policy: policy[0].update(
                Condition={"StringEqualsIfExists": {"aws:SourceAccount": "111111111111"}}
            ),
        ),
    ),
    "a role with an optional account condition": (
        access.services_act_for_this_account,
        edit(
            "module.silver_to_gold.aws_iam_role.this",
            "assume_role_policy",
            lambda policy: policy[0].update(
                Condition={"StringEqualsIfExists": {"aws:SourceAccount": "000000000000"}}
            ),
        ),
    ),
    "a role without a boundary": (
        access.roles_are_bounded,
        change("module.load.aws_iam_role.this", permissions_boundary=None),
    ),
    "a role with another environment's boundary": (
        access.roles_are_bounded,
        change(
            "module.load.aws_iam_role.this",
            permissions_boundary="arn:aws:iam::000000000000:policy/shoplake-boundary-dev",
        ),
    ),
    "a body rule that blocks": (
        edge.body_rules_only_count,
        in_acl("known-bad-inputs", lambda group: forget_override(group, "ReactJSRCE_BODY")),
    ),
    "a group of any version": (
        edge.body_rules_only_count,
        in_acl("common", lambda group: group.update(version=None)),
    ),
    "a group of a version that is not listed": (
        edge.body_rules_only_count,
        in_acl("common", lambda group: group.update(version="Version_1.20")),
    ),
    "a group that is not listed": (
        edge.body_rules_only_count,
        in_acl("common", lambda group: group.update(name="AWSManagedRulesSQLiRuleSet")),
    ),
    "an override of an unknown rule": (
        edge.body_rules_only_count,
        in_acl(
            "common",
            lambda group: group["rule_action_override"][0].update(name="SizeRestrictions_Body"),
        ),
    ),
    "an override that blocks": (
        edge.body_rules_only_count,
        in_acl(
            "common",
            lambda group: group["rule_action_override"][0].update(
                action_to_use=[{"block": [{}], "count": None}]
            ),
        ),
    ),
    "a log of counted requests": (
        edge.waf_logs_only_blocked_requests,
        in_log_filter(["BLOCK", "COUNT"]),
    ),
    "a log of everything": (
        edge.waf_logs_only_blocked_requests,
        change("module.waf[0].aws_wafv2_web_acl_logging", logging_filter=[]),
    ),
    "a log with signatures": (
        edge.waf_logs_only_blocked_requests,
        change("module.waf[0].aws_wafv2_web_acl_logging", redacted_fields=[]),
    ),
    "an API without a limit by address": (
        edge.requests_are_rate_limited,
        without_rule("rate-per-ip"),
    ),
    "an API without a limit by shop": (
        edge.requests_are_rate_limited,
        without_rule("rate-per-shop"),
    ),
    "an API with a limit by shop id only": (edge.requests_are_rate_limited, by_shop_alone),
    "an API with a required header": (edge.api_does_not_validate_headers, in_api(require_headers)),
    "an API with a request validator": (
        edge.api_does_not_validate_headers,
        in_api(lambda body: body.update({"x-amazon-apigateway-request-validators": {}})),
    ),
    "a function that outlasts the API": (
        limits.callers_outlast_callees,
        change("module.webhook.aws_lambda_function.this", timeout=29),
    ),
    "a function that outlasts its state": (
        limits.callers_outlast_callees,
        change("module.load.aws_lambda_function.this", timeout=65),
    ),
    "a job that outlasts its state": (
        limits.callers_outlast_callees,
        change("aws_glue_job.transform", timeout=70),
    ),
    "a short visibility timeout": (
        limits.callers_outlast_callees,
        change(
            "module.dirty_queue.module.queue.aws_sqs_queue.this", visibility_timeout_seconds=360
        ),
    ),
    "a state without a timeout": (
        limits.callers_outlast_callees,
        in_machine("silver_to_gold", lambda state: state.pop("TimeoutSeconds", None)),
    ),
    "a webhook that shares its concurrency with jobs": (
        limits.events_have_reserved_concurrency,
        change("module.webhook.aws_lambda_function.this", reserved_concurrent_executions=-1),
    ),
    "a job that reserves concurrency": (
        limits.events_have_reserved_concurrency,
        change("module.transform.aws_lambda_function.this", reserved_concurrent_executions=10),
    ),
    "more reserved concurrency than Lambda allows": (
        limits.events_have_reserved_concurrency,
        change("module.webhook.aws_lambda_function.this", reserved_concurrent_executions=701),
    ),
    "an execution with a reserved error": (
        limits.failures_have_custom_names,
        in_machine(
            "silver_to_gold",
            lambda state: state.update(Error="States.Timeout") if state["Type"] == "Fail" else None,
        ),
    ),
    "an execution with a caught error": (
        limits.failures_have_custom_names,
        in_machine(
            "silver_to_gold",
            lambda state: (
                state.update(ErrorPath="$.failure.Error") if state["Type"] == "Fail" else None
            ),
        ),
    ),
    "executions with logged data": (
        limits.executions_log_no_data,
        change(
            "module.silver_to_gold.aws_sfn_state_machine.this",
            logging_configuration=[{"include_execution_data": True}],
        ),
    ),
    "a table that hides backfills": (
        limits.tables_cover_accepted_days,
        in_table("2009-01-01,NOW+2DAYS"),
    ),
    "a table that hides tomorrow": (
        limits.tables_cover_accepted_days,
        in_table("2000-01-01,NOW"),
    ),
    "a table with empty days ahead": (
        limits.tables_cover_accepted_days,
        in_table("2000-01-01,NOW+1YEARS"),
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN)
def test_rule_detects_violation(
    documents: Documents, case: tuple[Rule, Callable[[Stack], None]]
) -> None:
    rule, corrupt = case
    stack = copy.deepcopy(Stack("prod", documents("everything")))
    assert list(rule(stack)) == []
    corrupt(stack)
    assert list(rule(stack)) != []


@pytest.mark.parametrize(
    ("duration", "days"), [("P1D", 2), ("PT3H", 1), ("PT10H", 1), ("P1DT12H30M", 3), ("P7D", 8)]
)
def test_accepted_days_ahead_include_the_time_zone(duration: str, days: int) -> None:
    assert limits.days_ahead(duration) == days


@pytest.mark.parametrize("duration", ["1D", "P1Y", "PT1S"])
def test_invalid_duration_is_rejected(duration: str) -> None:
    with pytest.raises(AssertionError, match="invalid duration"):
        limits.days_ahead(duration)
