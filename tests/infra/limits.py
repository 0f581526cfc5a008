"""Rules about limits: timeouts of callers and callees, costs, and the days of tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from dev.pipeline import SCHEMAS

from .stack import Resource, Stack, Values

# The timeout of an API Gateway integration, unless the account has a higher quota.
API_GATEWAY_SECONDS = 29
# The share of a usage limit (infra/alarms.tf) and of a budget (infra/budget.tf) that alerts.
ALERT_SHARE = 0.8
HOURS = {"daily": 24, "weekly": 7 * 24, "monthly": 730}
# The concurrency that Lambda keeps unreserved, and the quotas of docs/operations/DEPLOY.md.
UNRESERVED = 100
CONCURRENCY = {"dev": 100, "staging": 200, "prod": 1000}
GLUE_START_SECONDS = 600
"""Startup time of a run, which counts for the state's timeout and not for the run's."""

# The first day of a named backfill, and the maximum of a date ahead of receipt, with the time zone
# furthest ahead (crates/contracts).
FIRST_DAY = date(2000, 1, 1)
FUTURE = "P1D"
FURTHEST_ZONE = timedelta(hours=14)


# ---- timeouts ------------------------------------------------------------------------------------


def callers_outlast_callees(stack: Stack) -> Iterator[str]:
    """A caller's timeout exceeds its callee's.

    Otherwise a retry runs beside the first attempt.
    """
    functions = {function.values["arn"]: function for function in stack.of("aws_lambda_function")}
    behind_the_api = {
        permission.values["function_name"]
        for permission in stack.of("aws_lambda_permission")
        if _is_api_permission(permission)
    }
    for function in functions.values():
        if (
            function.values["function_name"] in behind_the_api
            and function.values["timeout"] >= API_GATEWAY_SECONDS
        ):
            yield (
                f"{function.address} has a timeout of {function.values['timeout']} s, API Gateway "
                f"of {API_GATEWAY_SECONDS} s"
            )
    for machine in stack.of("aws_sfn_state_machine"):
        yield from _state_timeouts(stack, machine, functions)
    yield from _visibility_timeouts(stack, functions)


def _is_api_permission(permission: Resource) -> bool:
    return bool(permission.values["principal"] == "apigateway.amazonaws.com")


def _state_timeouts(
    stack: Stack, machine: Resource, functions: dict[str, Resource]
) -> Iterator[str]:
    definition = json.loads(machine.values["definition"])
    jobs = {job.values["name"]: job for job in stack.of("aws_glue_job")}
    for name, state in all_states(definition):
        waits = state.get("TimeoutSeconds")
        parameters = state.get("Parameters", {})
        function, job = (
            functions.get(parameters.get("FunctionName", "")),
            jobs.get(parameters.get("JobName", "")),
        )
        if state.get("Type") == "Task" and not waits:
            yield f"{machine.address}: {name} has no timeout"
        elif function and waits <= function.values["timeout"] and not _is_short(parameters):
            yield (
                f"{machine.address}: {name} waits {waits} s for {function.address}, which has "
                f"{function.values['timeout']} s"
            )
        elif job and waits < job.values["timeout"] * 60 + GLUE_START_SECONDS:
            yield (
                f"{machine.address}: {name} waits {waits} s for {job.address}, which has "
                f"{job.values['timeout']} minutes and its startup"
            )
        if waits and waits >= definition.get("TimeoutSeconds", float("inf")):
            yield f"{machine.address}: {name} has the timeout of the whole execution"


def _is_short(parameters: Values) -> bool:
    """Returns whether the call takes a second: to record a failure or to send an alert. The timeout
    of control is that of its longest action.
    """
    payload = parameters.get("Payload")
    return isinstance(payload, dict) and payload.get("action") in ("record_failure", "send_alert")


def all_states(definition: Values) -> Iterator[tuple[str, Values]]:
    """Yields the states of a definition, including those of branches and iterations."""
    for name, state in definition["States"].items():
        yield name, state
        for inner in [
            *state.get("Branches", []),
            *(state[key] for key in ("Iterator", "ItemProcessor") if key in state),
        ]:
            yield from all_states(inner)


def _visibility_timeouts(stack: Stack, functions: dict[str, Resource]) -> Iterator[str]:
    """Visibility timeouts are six times the function's timeout plus the window, as AWS recommends:
    a message must not be delivered again during its processing."""
    queues = {queue.values["arn"]: queue for queue in stack.of("aws_sqs_queue")}
    for mapping in stack.of("aws_lambda_event_source_mapping"):
        queue, function = (
            queues.get(mapping.values["event_source_arn"]),
            functions.get(mapping.values["function_name"]),
        )
        if queue and function:
            wanted = 6 * function.values["timeout"] + (
                mapping.values["maximum_batching_window_in_seconds"] or 0
            )
            if queue.values["visibility_timeout_seconds"] < wanted:
                yield (
                    f"{queue.address} has a visibility timeout of "
                    f"{queue.values['visibility_timeout_seconds']} s; {function.address} needs "
                    f"{wanted} s"
                )


# ---- concurrency ---------------------------------------------------------------------------------


def events_have_reserved_concurrency(stack: Stack) -> Iterator[str]:
    """Jobs cannot take the concurrency that accepts and conforms events, except in dev.

    Lambda keeps some of an account's concurrency for all other functions.
    """
    reserved = {
        function.values["function_name"].rpartition("-")[2]: value
        for function in stack.of("aws_lambda_function")
        if (value := function.values["reserved_concurrent_executions"]) not in (None, -1)
    }
    wanted = set() if stack.environment == "dev" else {"conform", "webhook"}
    if reserved.keys() != wanted:
        yield f"{sorted(reserved)} have reserved concurrency, expected {sorted(wanted)}"
    total, quota = sum(reserved.values()), CONCURRENCY[stack.environment]
    if total + UNRESERVED > quota:
        yield f"{total} and the {UNRESERVED} that Lambda keeps unreserved exceed a quota of {quota}"


# ---- executions ----------------------------------------------------------------------------------


def failures_have_custom_names(stack: Stack) -> Iterator[str]:
    """No execution fails with an error that begins with States., a reserved prefix."""
    for machine in stack.of("aws_sfn_state_machine"):
        for name, state in all_states(json.loads(machine.values["definition"])):
            if state.get("Type") == "Fail" and (
                "ErrorPath" in state or str(state.get("Error", "States.")).startswith("States.")
            ):
                yield (
                    f"{machine.address}: {name} may fail with "
                    f"{state.get('ErrorPath') or state.get('Error')}"
                )


def executions_log_no_data(stack: Stack) -> Iterator[str]:
    """Executions do not log inputs and outputs, which may hold rows with personal data."""
    for machine in stack.of("aws_sfn_state_machine"):
        if machine.block("logging_configuration").get("include_execution_data"):
            yield f"{machine.address} logs inputs and outputs"


# ---- days of tables ------------------------------------------------------------------------------


def tables_cover_accepted_days(stack: Stack) -> Iterator[str]:
    """A table projects all days that a contract accepts, including backfills, and no empty days
    beyond."""
    ahead = max(days_ahead(_accepted(path)) for path in SCHEMAS.glob("*.json"))
    for table in stack.of("aws_glue_catalog_table"):
        for name, value in (table.values["parameters"] or {}).items():
            if name.startswith("projection.") and name.endswith(".range") and "NOW" in value:
                first, last = value.split(",")
                if date.fromisoformat(first) > FIRST_DAY:
                    yield (
                        f"{table.address} hides the days before {first}: contracts accept a "
                        f"backfill from {FIRST_DAY}"
                    )
                found = re.fullmatch(r"NOW\+(\d+)DAYS", last)
                if not found or not ahead <= int(found[1]) <= ahead + 2:
                    yield (
                        f"{table.address} ends at {last}: contracts accept dates {ahead} days ahead"
                    )


def _accepted(path: Any) -> str:
    """Returns the maximum of a row's date ahead of its receipt."""
    accepts = json.loads(path.read_text("utf-8"))["x-dataset"].get("accepts") or {}
    return str(accepts.get("future", FUTURE))


def days_ahead(duration: str) -> int:
    """Returns the maximum of days ahead in UTC, of a duration as in `x-dataset.accepts`."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?", duration)
    assert found, f"invalid duration {duration}: expected one such as P2D, PT3H or P1DT12H"
    days, hours, minutes = (int(number or 0) for number in found.groups())
    ahead = timedelta(days=days, hours=hours, minutes=minutes) + FURTHEST_ZONE
    return -(-ahead // timedelta(days=1))


# ---- money ---------------------------------------------------------------------------------------


def limits_exceed_normal_use(
    stack: Stack, normal_rpu_hours_a_day: float, normal_usd: float
) -> Iterator[str]:
    """Alerts are above normal use, and limits can be reached."""
    for workgroup in stack.of("aws_redshiftserverless_workgroup"):
        limits = [
            limit
            for limit in stack.of("aws_redshiftserverless_usage_limit")
            if limit.values["resource_arn"] == workgroup.values["arn"]
        ]
        if not any(limit.values["breach_action"] == "deactivate" for limit in limits):
            yield f"{workgroup.address} has no limit with the action deactivate"
        for limit in limits:
            hours = HOURS[limit.values["period"]]
            normal, possible = (
                normal_rpu_hours_a_day * hours / 24,
                workgroup.values["max_capacity"] * hours,
            )
            amount = limit.values["amount"]
            if ALERT_SHARE * amount <= normal:
                yield (
                    f"{limit.address}: the alarm at {ALERT_SHARE:.0%} of {amount} RPU hours is "
                    f"not above normal use, {normal:.0f}"
                )
            if amount >= possible:
                yield (
                    f"{limit.address}: {amount} RPU hours cannot be reached: the maximum is "
                    f"{possible}"
                )
    for budget in stack.of("aws_budgets_budget"):
        limit_usd = float(budget.values["limit_amount"])
        lowest = (
            min(notification["threshold"] for notification in budget.values["notification"]) / 100
        )
        if lowest * limit_usd <= normal_usd:
            yield (
                f"{budget.address}: the alert at {lowest:.0%} of {limit_usd:.0f} USD is not above "
                f"normal use, {normal_usd:.0f} USD"
            )
